"""CheckpointRecord: one trained variant, what it was trained from, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord(Record):
    """A variant's folder of safetensors. ``sha256`` is the digest of its weight files."""

    checkpoint_id: str  # the variant's title: "proposed 4x4x2"
    task: str = "pretrain"  # or finetune
    variant: str
    rate: str
    base: str
    base_sha256: str
    vae_sha256: str
    start_sha256: str | None = None  # of the variant that the training began with
    clip_ids_sha256: str  # of the list of those trained on, never evaluated on
    num_clips: int
    held_out_share: float | None = None  # of all clips, by their ids: pfp.train.split
    num_steps: int | None = None
    batch_size: Int32 | None = None
    learning_rate: float | None = None
    seed: int | None = None
    num_trained: int | None = None  # trainable parameters
    uri: str | None = None
    sha256: str | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "checkpoint"
    VERSION: ClassVar[int] = 5
    KEY: ClassVar[str] = "checkpoint_id"
