"""GenerationRecord: one video (or set of retrieved frames) that a checkpoint made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from pfp.schema.record import Record, record_schema
from pfp.schema.verdict import VERDICT_TYPE, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRecord(Record):
    """What was made, from what, with which seed. ``task`` is ``retrieve`` or ``continue``.

    ``video_uri`` holds the frames that were made and ``reference_uri`` the true ones, frame for
    frame (retrieve only). ``omega`` lists the latent frames asked for, in ``[0, T)``.
    """

    sample_id: str
    task: str
    clip_id: str
    memory_clip_id: str | None  # whose history was remembered; another clip's when shuffled
    arm: str
    model_id: str
    checkpoint_sha256: str
    seed: int
    rate: str | None
    num_memory_tokens: int | None = None
    num_steps: int | None = None
    omega: list[int] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    video_uri: str | None = None
    reference_uri: str | None = None
    history_uri: str | None = None
    fps: float | None = None
    num_frames: int | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "generation"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "sample_id"
    SCHEMA: ClassVar[pa.Schema] = record_schema(
        "generation",
        1,
        [
            pa.field("sample_id", pa.string(), nullable=False),
            pa.field("task", pa.string(), nullable=False),
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("memory_clip_id", pa.string()),
            pa.field("arm", pa.string(), nullable=False),
            pa.field("model_id", pa.string(), nullable=False),
            pa.field("checkpoint_sha256", pa.string(), nullable=False),
            pa.field("seed", pa.int64(), nullable=False),
            pa.field("rate", pa.string()),
            pa.field("num_memory_tokens", pa.int32()),
            pa.field("num_steps", pa.int32()),
            pa.field("omega", pa.list_(pa.int32()), nullable=False),
            pa.field("prompts", pa.list_(pa.string()), nullable=False),
            pa.field("video_uri", pa.string()),
            pa.field("reference_uri", pa.string()),
            pa.field("history_uri", pa.string()),
            pa.field("fps", pa.float64()),
            pa.field("num_frames", pa.int64()),
            pa.field("verdict", VERDICT_TYPE, nullable=False),
            pa.field("result_key", pa.string(), nullable=False),
        ],
    )
