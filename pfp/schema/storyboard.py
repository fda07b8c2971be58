"""StoryboardRecord: a clip's timed captions, and what it took to get them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypedDict

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


class CaptionedShot(TypedDict):
    """What is seen in the span ``[start_seconds, end_seconds)`` of a clip."""

    start_seconds: float
    end_seconds: float
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryboardRecord(Record):
    """Captions for spans of a clip: within it, in order, without overlap; times as in a clip."""

    clip_id: str
    shots: list[CaptionedShot] = field(default_factory=list)
    global_caption: str | None = None
    backend: str  # sidecar | offline | gemini
    model: str | None = None
    prompt_sha256: str | None = None
    sampling: str | None = None  # JSON of fps, resolution, temperature ...
    tokens_in: int | None = None
    tokens_video: int | None = None
    tokens_audio: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None
    cost_usd: float | None = None
    attempts: Int32 = 1
    repair_ops: list[str] = field(default_factory=list)
    raw_answer: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "storyboard"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "clip_id"
