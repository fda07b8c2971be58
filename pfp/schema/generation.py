"""GenerationRecord: one video (or set of retrieved frames) that a checkpoint made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRecord(Record):
    """What was made, from what, with which seed. ``task`` is ``retrieve`` or ``continue``.

    ``video_uri`` holds the frames that were made and ``reference_uri`` the true ones, frame for
    frame (retrieve only). ``omega`` lists the latent frames asked for, in ``[0, T)``.
    """

    sample_id: str
    task: str
    clip_id: str
    memory_clip_id: str | None  # whose history was encoded; another clip's when shuffled
    method: str
    model_id: str
    checkpoint_sha256: str
    seed: int
    rate: str | None
    num_memory_tokens: Int32 | None = None
    num_steps: Int32 | None = None
    omega: list[Int32] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    video_uri: str | None = None
    reference_uri: str | None = None
    history_uri: str | None = None
    fps: float | None = None
    num_frames: int | None = None
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "generation"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[str] = "sample_id"
