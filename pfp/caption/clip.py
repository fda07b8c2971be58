"""What is captioned: a clip and the numbered spans that captions are wanted for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from pfp.errors import PermanentError
from pfp.vlm import Span

_CLOSE_SECONDS: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionClip:
    """A clip ``[start_seconds, end_seconds)`` of a video, with spans that fill it in order.

    ``video_sha256`` is the digest of the video's file, where it is known. ``is_whole_video`` tells
    that there is nothing of the video before the clip and after it.
    """

    clip_id: str
    video_uri: str
    start_seconds: float
    end_seconds: float
    spans: tuple[Span, ...]
    video_sha256: str | None = None
    is_whole_video: bool = True


def caption_clip(row: Mapping[str, Any], *, max_span_seconds: float) -> CaptionClip:
    """The clip of a row with columns of ``ClipRecord``; long shots are cut into equal spans.

    Raises PermanentError for a row without a span in time.
    """
    start, end = row["start_seconds"], row["end_seconds"]
    if start is None or end is None or not start < end:
        raise PermanentError(
            f"clip {row['clip_id']} spans {start} to {end} s: there is no time in it"
        )
    return CaptionClip(
        clip_id=row["clip_id"],
        video_uri=row["video_uri"],
        start_seconds=start,
        end_seconds=end,
        spans=spans_of(row["shots"], start, end, max_span_seconds=max_span_seconds),
        video_sha256=row.get("video_sha256"),
        is_whole_video=start == 0 and end >= (row.get("video_seconds") or end) - _CLOSE_SECONDS,
    )


def spans_of(
    shots: Sequence[Mapping[str, Any]],
    start_seconds: float,
    end_seconds: float,
    *,
    max_span_seconds: float,
) -> tuple[Span, ...]:
    """Spans that begin where shots begin and fill ``[start_seconds, end_seconds)``.

    A shot ends where the next begins, whatever end was measured for it: between shots there is no
    part of the video that needs no caption. One longer than ``max_span_seconds`` gives several
    spans of equal length, so that captions follow what happens within it.
    """
    cuts = {shot["start_seconds"] for shot in shots}
    starts = sorted({start_seconds, *(cut for cut in cuts if start_seconds < cut < end_seconds)})
    spans: list[Span] = []
    for start, end in zip(starts, [*starts[1:], end_seconds], strict=True):
        count = max(1, math.ceil((end - start) / max_span_seconds - 1e-9))
        edges = [start + (end - start) * k / count for k in range(count)] + [end]
        spans += [Span(start_seconds=a, end_seconds=b) for a, b in pairwise(edges)]
    return tuple(spans)
