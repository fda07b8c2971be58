"""Read the text in one window: a few frames of it, decoded small, through PP-OCR.

``frames_of`` runs inside the killable child of a ``Guard``; the networks, which see nothing but
arrays, run where ``text_of`` is called.

Axes: H height, W width, C colour (R, G, B).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pfp.ingest.measure import MeasureSettings, check_size
from pfp.io.media import Guard
from pfp.io.media.read import iter_frames
from pfp.measures.text import MAX_SIDE, TextReader
from pfp.schema.text import TextRecord
from pfp.schema.verdict import KEPT, Failed

# Part of the fingerprint of rows of text: raise it when the same window would give another row.
TEXT_VERSION: Final = 1

NUM_FRAMES: Final = 3  # a title stands for seconds, and each frame costs seconds


def text_of(
    clip: Mapping[str, Any], guard: Guard, settings: MeasureSettings, reader: TextReader
) -> TextRecord:
    """The record of one window, a row of ``clips_to_read``.

    Raises ``PermanentError`` when its frames cannot be decoded, ``InputError`` when the file is
    gone, and ``RetryableError`` when it has another size by now.
    """
    video_uri, size_bytes = clip["video_uri"], clip["size_bytes"]
    check_size(video_uri, size_bytes)
    timeout = settings.timeout_for(size_bytes)
    span = clip["start_seconds"], clip["end_seconds"]
    size = reduced_size(clip["height"], clip["width"])
    found = reader.find(guard.call_within(timeout, frames_of, video_uri, *span, *size))
    return TextRecord(
        **_named(clip), text_area=found.area, text_lines=list(found.lines), verdict=KEPT
    )


def failed_text(clip: Mapping[str, Any], verdict: Failed) -> TextRecord:
    """The record of a window whose text could not be read."""
    return TextRecord(**_named(clip), verdict=verdict)


def reduced_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of no more than ``MAX_SIDE``, of the same shape; nothing is enlarged."""
    factor = min(1.0, MAX_SIDE / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def frames_of(
    video_uri: str, start_seconds: float, end_seconds: float, height: int, width: int
) -> list[npt.NDArray[np.uint8]]:
    """The frames in the middles of equal parts of a window, each ``(height, width, 3)``.

    Each is found by a seek: decoding what lies between would cost more. Raises ``PermanentError``
    as ``iter_frames`` does.
    """
    part = (end_seconds - start_seconds) / NUM_FRAMES
    times = [start_seconds + (number + 0.5) * part for number in range(NUM_FRAMES)]
    size = {"height": height, "width": width}
    return [
        next(iter_frames(video_uri, fps=1.0, start_seconds=seconds, num_frames=1, **size))
        for seconds in times
    ]


def _named(clip: Mapping[str, Any]) -> dict[str, Any]:
    names = ("clip_id", "video_uri", "video_sha256", "start_seconds", "end_seconds")
    return {name: clip[name] for name in names}
