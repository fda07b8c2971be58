"""The real video that a generation continues, decoded in a killable child. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pfp.errors import InputError
from pfp.io.media import Guard, iter_frames
from pfp.schema.windows import TEMPORAL_STRIDE

PIECE_BYTES: Final = 192 << 20  # decoded at once: several keyframe intervals, and still small
PIECE_FRAMES: Final = 2048  # small ones take time to decode too, and a call has a limit
COUNTED_SIDE: Final = 16  # pixels of the frames that are only counted
END_SECONDS: Final = 1e6  # longer than any video: to its end


def history_frames(
    path: str, *, fps: float, size: tuple[int, int], token_latents: int
) -> Iterator[NDArray[np.uint8]]:
    """A video's frames at ``fps``, uint8 RGB of ``size`` (height, width), to its very end.

    Up to ``4 * token_latents - 1`` frames at its beginning are left out, so that what is left ends
    with a whole memory token of so many latent frames. The video is decoded twice, because only
    that tells its length. Fewer frames than such a token has are an ``InputError``; what cannot be
    decoded raises as ``pfp.io.media.iter_frames`` does.
    """
    token_frames = TEMPORAL_STRIDE * token_latents
    side = (COUNTED_SIDE, COUNTED_SIDE)
    with Guard() as guard:
        num_frames = sum(map(len, _pieces(guard, path, fps=fps, size=side, first=0)))
        if num_frames < token_frames + 1:
            raise InputError(
                f"{path} has {num_frames} frames at {fps:g} fps and a history needs "
                f"{token_frames + 1}; give a longer video, or none"
            )
        first = (num_frames - 1) % token_frames
        for piece_FHWC in _pieces(guard, path, fps=fps, size=size, first=first):
            yield from piece_FHWC


def _pieces(
    guard: Guard, path: str, *, fps: float, size: tuple[int, int], first: int
) -> Iterator[NDArray[np.uint8]]:
    num_frames = max(1, min(PIECE_FRAMES, PIECE_BYTES // (size[0] * size[1] * 3)))
    while True:
        piece_FHWC: NDArray[np.uint8] = guard.call(
            _read_piece,
            path,
            fps=fps,
            size=size,
            start_seconds=first / fps,
            num_frames=num_frames,
        )
        yield piece_FHWC
        first += len(piece_FHWC)
        if len(piece_FHWC) < num_frames:
            return


def _read_piece(
    path: str, *, fps: float, size: tuple[int, int], start_seconds: float, num_frames: int
) -> NDArray[np.uint8]:
    """At most ``num_frames`` frames ``(F, H, W, 3)``. Runs in the child."""
    height, width = size
    frames = iter_frames(
        path,
        fps=fps,
        height=height,
        width=width,
        start_seconds=start_seconds,
        num_frames=num_frames,
        end_seconds=END_SECONDS,
    )
    none_yet = np.empty((0, height, width, 3), dtype=np.uint8)
    return np.concatenate([none_yet, *(frame[None] for frame in frames)])
