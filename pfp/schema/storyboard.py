"""StoryboardRecord: a clip's timed captions, and what it took to get them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from pfp.schema.record import Record, record_schema
from pfp.schema.verdict import VERDICT_TYPE, Verdict

STORY_SHOT_TYPE = pa.struct(
    [
        pa.field("start_seconds", pa.float64(), nullable=False),
        pa.field("end_seconds", pa.float64(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryboardRecord(Record):
    """Captions for spans of a clip: within it, in order, without overlap; times as in a clip."""

    clip_id: str
    shots: list[dict[str, Any]] = field(default_factory=list)  # STORY_SHOT_TYPE
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
    attempts: int = 1
    repair_ops: list[str] = field(default_factory=list)
    raw_answer: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "storyboard"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "clip_id"
    SCHEMA: ClassVar[pa.Schema] = record_schema(
        "storyboard",
        1,
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("shots", pa.list_(STORY_SHOT_TYPE), nullable=False),
            pa.field("global_caption", pa.string()),
            pa.field("backend", pa.string(), nullable=False),
            pa.field("model", pa.string()),
            pa.field("prompt_sha256", pa.string()),
            pa.field("sampling", pa.string()),
            pa.field("tokens_in", pa.int64()),
            pa.field("tokens_video", pa.int64()),
            pa.field("tokens_audio", pa.int64()),
            pa.field("tokens_out", pa.int64()),
            pa.field("tokens_thought", pa.int64()),
            pa.field("cost_usd", pa.float64()),
            pa.field("attempts", pa.int32(), nullable=False),
            pa.field("repair_ops", pa.list_(pa.string()), nullable=False),
            pa.field("raw_answer", pa.string()),
            pa.field("verdict", VERDICT_TYPE, nullable=False),
            pa.field("result_key", pa.string(), nullable=False),
        ],
    )
