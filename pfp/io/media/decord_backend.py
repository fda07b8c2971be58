"""decord as a named second reader: faster scaled reads of short clips, and parity with references.

decord 0.6 is no longer kept up: it cannot read AV1 and can hang or crash on damaged files. Call it
inside a ``Guard``, and only where its results are what is asked for. What it returns depends on its
bridge, which is set for the whole thread and may be another library's: each read has its own.

Axes: T time, H height, W width, C colour (R, G, B).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, PermanentError
from pfp.io.media.container import open_video
from pfp.io.media.convert import cover_size
from pfp.io.media.probe import Probe, probe
from pfp.io.media.reference import turned
from pfp.io.media.source import Source, local_path, open_binary, shown_name
from pfp.io.media.stored import is_image

# Forgives rounded timestamps: half a tick of Matroska's clock.
_TOLERANCE_SECONDS: Final = 5e-4


def read_frames_decord(
    source: Source,
    *,
    fps: float,
    height: int,
    width: int,
    start_seconds: float = 0.0,
    num_frames: int | None = None,
    end_seconds: float | None = None,
) -> npt.NDArray[np.uint8]:
    """``media.read_frames`` through decord: the same frames, uint8 RGB ``(T, height, width, 3)``.

    Pixels differ by its scaler (bicubic), by its rougher arithmetic, and by matrix and range where
    the container alone tells them. Raises ``ConfigError`` when decord is not installed, and
    ``PermanentError`` for what it does not show as players do (rotation, HDR, alpha, pixels that
    are not square, times that do not rise) or cannot decode.
    """
    header = probe(source)
    is_plain = not (header.rotation_degrees or header.is_hdr or header.has_alpha)
    if not is_plain or header.sample_aspect != 1:
        message = (
            f"{shown_name(source)} is rotated, HDR, transparent or has pixels that are not square, "
            "which decord does not show as players do; read it with read_frames"
        )
        raise PermanentError(message)
    scaled_width, scaled_height = cover_size((header.width, header.height), (width, height))
    reader = _open(local_path(source), scaled_width, scaled_height, shown_name(source))
    spans = np.asarray(reader.get_frame_timestamp(range(len(reader))), np.float64)
    if np.any(np.diff(spans[:, 0]) <= 0):
        message = f"{shown_name(source)} gives decord no rising times; read it with read_frames"
        raise PermanentError(message)
    begins_T, end = spans[:, 0] - spans[0, 0], float(spans[-1, 1] - spans[0, 0])
    stop = end if end_seconds is None else min(end, end_seconds)
    available = max(0, math.ceil((stop - start_seconds) * fps - _TOLERANCE_SECONDS))
    if not available or (num_frames is not None and end_seconds is None and available < num_frames):
        message = (
            f"{shown_name(source)} has {available} frames at {fps} fps from {start_seconds} s; "
            "ask for a shorter span"
        )
        raise PermanentError(message)
    count = available if num_frames is None else min(available, num_frames)
    times_T = start_seconds + np.arange(count) / fps
    indices = np.searchsorted(begins_T, times_T + _TOLERANCE_SECONDS, side="right") - 1
    with _own_bridge():
        frames: npt.NDArray[np.uint8] = reader.get_batch(indices.tolist()).asnumpy()
    top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
    return np.ascontiguousarray(frames[:, top : top + height, left : left + width])


def iter_stored_decord(source: Source) -> Generator[npt.NDArray[np.uint8], None, None]:
    """Every frame as decord gives it, uint8 RGB ``(H, W, 3)``, one after the other.

    The frames that ``iter_stored(source, reading="reference")`` gives: decord turns them by the
    display matrix of MP4 and MOV; that of Matroska is unknown to it, and is followed here.

    Raises ``ConfigError`` when decord is not installed and ``PermanentError`` for HDR, for alpha,
    for images and for what it cannot decode.
    """
    name = shown_name(source)
    if is_image(source):
        message = f"{name} is made of images, which decord does not read; use the decoder pyav"
        raise PermanentError(message)
    header = probe(source)
    if header.is_hdr:
        raise PermanentError(f"{name} is HDR, which decord reads as SDR; tone-map it to BT.709")
    if header.has_alpha:
        message = f"{name} is transparent, and decord shows what lies under it"
        raise PermanentError(f"{message}; use the decoder pyav")
    missing_turns = header.reference_turns - _turns_by_decord(source, header)
    reader = _open(local_path(source), -1, -1, name)
    try:
        for _ in range(len(reader)):
            with _own_bridge():
                frame: npt.NDArray[np.uint8] = reader.next().asnumpy()
            if frame.shape[-1] != 3:  # it takes the padding of short rows for a fourth colour
                message = f"{name} is {frame.shape[1]} pixels wide, which decord reads wrongly"
                raise PermanentError(f"{message}; use the decoder pyav")
            yield turned(frame, missing_turns)
    except (StopIteration, RuntimeError) as error:  # DECORDError is a RuntimeError
        message = f"{name} cannot be decoded to its end by decord ({_first_line(error)})"
        raise PermanentError(f"{message}; use the decoder pyav") from error


def _turns_by_decord(source: Source, header: Probe) -> int:
    """The quarter turns that decord gives a video by itself.

    Its FFmpeg turns the display matrix of MP4 into a tag ``rotate``, and obeys such a tag wherever
    it finds one; later ones obey the matrix alone.
    """
    if header.container.startswith("mov,"):
        return header.reference_turns
    with open_video(source) as video:
        tags = {name.lower(): value for name, value in video.stream.metadata.items()}
    return {"90": 1, "180": 2, "270": 3}.get(tags.get("rotate", ""), 0)


def _own_bridge() -> AbstractContextManager[None]:
    """Decord's own arrays within it; afterwards what another library had asked for."""
    from decord import bridge

    scope: AbstractContextManager[None] = bridge._BridgeScope("native")  # noqa: SLF001 - no other way
    return scope


def _open(path: str, width: int, height: int, name: str) -> Any:
    try:
        import decord
    except ImportError as error:
        message = "decord is not installed; run pip install 'pfp[metrics]', or use read_frames"
        raise ConfigError(message) from error
    open_binary(path).close()  # no pipe, which decord would wait for
    try:
        reader = decord.VideoReader(path, width=width, height=height, num_threads=1)
    except decord.DECORDError as error:
        message = f"{name} cannot be read by decord ({_first_line(error)}); use read_frames"
        raise PermanentError(message) from error
    if not len(reader):
        message = f"{name} gives decord no frame; use read_frames"
        raise PermanentError(message)
    return reader


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
