"""CheckpointRecord: one trained arm, what it was trained from, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from pfp.schema.record import Record, record_schema
from pfp.schema.verdict import VERDICT_TYPE, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord(Record):
    """An arm's folder of safetensors. ``sha256`` is the digest of its weight files."""

    checkpoint_id: str  # the arm's title: "proposed 4x4x2"
    task: str = "pretrain"  # or finetune
    arm: str
    rate: str
    base: str
    base_sha256: str
    vae_sha256: str
    start_sha256: str | None = None  # of the arm that the training began with
    clip_ids: list[str] = field(default_factory=list)  # trained on, never evaluated on
    num_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    num_trained: int | None = None  # trainable parameters
    uri: str | None = None
    sha256: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "checkpoint"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[str] = "checkpoint_id"
    SCHEMA: ClassVar[pa.Schema] = record_schema(
        "checkpoint",
        2,
        [
            pa.field("checkpoint_id", pa.string(), nullable=False),
            pa.field("task", pa.string(), nullable=False),
            pa.field("arm", pa.string(), nullable=False),
            pa.field("rate", pa.string(), nullable=False),
            pa.field("base", pa.string(), nullable=False),
            pa.field("base_sha256", pa.string(), nullable=False),
            pa.field("vae_sha256", pa.string(), nullable=False),
            pa.field("start_sha256", pa.string()),
            pa.field("clip_ids", pa.list_(pa.string()), nullable=False),
            pa.field("num_steps", pa.int64()),
            pa.field("batch_size", pa.int32()),
            pa.field("learning_rate", pa.float64()),
            pa.field("seed", pa.int64()),
            pa.field("num_trained", pa.int64()),
            pa.field("uri", pa.string()),
            pa.field("sha256", pa.string()),
            pa.field("verdict", VERDICT_TYPE, nullable=False),
            pa.field("result_key", pa.string(), nullable=False),
        ],
    )
