"""A clip's resampled frames, decoded in a killable child, a bounded piece at a time. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pfp.errors import InputError
from pfp.io.media import Guard, iter_frames
from pfp.io.unchanged import FILE_COLUMNS, unchanged
from pfp.latents.plan import num_frames_between
from pfp.latents.preprocess import PreprocessSettings
from pfp.schema import ClipRecord

# A piece must hold several keyframe intervals, since each begins with a seek, and stay small.
PIECE_BYTES: Final = 192 << 20


def clip_frames(
    clip: ClipRecord, settings: PreprocessSettings, guard: Guard, *, piece_bytes: int = PIECE_BYTES
) -> Iterator[NDArray[np.uint8]]:
    """The frames of ``[start_seconds, end_seconds)``, uint8 RGB ``(H, W, 3)``, one by one.

    Raises what ``media.iter_frames`` and ``Guard.call`` raise for files that cannot be decoded, and
    ``FileChangedError`` where the file is no longer the clip's.
    """
    if clip.start_seconds is None or clip.end_seconds is None:
        raise InputError(f"clip {clip.clip_id} has no span; run pipelines/ingest again")
    if clip.width is None or clip.height is None:
        raise InputError(f"clip {clip.clip_id} has no size; run pipelines/ingest again")
    height, width = settings.size_for(clip.width, clip.height)
    piece_frames = max(1, piece_bytes // (height * width * 3))
    first, is_whole = 0, False
    with unchanged(clip.video_uri, **{name: getattr(clip, name) for name in FILE_COLUMNS}):
        while not is_whole:
            piece_THWC = guard.call(
                read_piece,
                clip.video_uri,
                fps=settings.fps,
                height=height,
                width=width,
                start_seconds=clip.start_seconds + first / settings.fps,
                end_seconds=clip.end_seconds,
                num_frames=piece_frames,
            )
            yield from piece_THWC
            first += len(piece_THWC)
            is_whole = len(piece_THWC) < piece_frames


def decoded_bytes(clip: ClipRecord, settings: PreprocessSettings) -> int:
    """How large the decoded clip is at most; 0 without a span or size, which decoding refuses."""
    span = clip.start_seconds, clip.end_seconds
    if span[0] is None or span[1] is None or clip.width is None or clip.height is None:
        return 0
    height, width = settings.size_for(clip.width, clip.height)
    return num_frames_between(span[0], span[1], fps=settings.fps) * height * width * 3


def frames_from(
    content: pa.Buffer, clip: ClipRecord, settings: PreprocessSettings
) -> NDArray[np.uint8]:
    """Frames of a clip that another process decoded, ``(T, H, W, 3)``: not copied, read-only."""
    assert clip.width is not None
    assert clip.height is not None
    height, width = settings.size_for(clip.width, clip.height)
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, height, width, 3)


def read_piece(
    uri: str,
    *,
    fps: float,
    height: int,
    width: int,
    start_seconds: float,
    end_seconds: float,
    num_frames: int,
) -> NDArray[np.uint8]:
    """At most ``num_frames`` frames as ``(T, H, W, 3)``; T is 0 where the span or video has ended.

    Runs in the child, which therefore needs to import no more than this module.
    """
    frames = iter_frames(
        uri,
        fps=fps,
        height=height,
        width=width,
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        num_frames=num_frames,
    )
    pieces = [np.empty((0, height, width, 3), dtype=np.uint8), *(frame[None] for frame in frames)]
    return np.concatenate(pieces)
