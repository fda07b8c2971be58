"""ConditionRecord: the text embedding of one distinct prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRecord(Record):
    """One prompt's embedding: little-endian fp16 of shape ``(L, D)``, not padded."""

    prompt_sha256: str
    prompt: str
    encoder_id: str
    encoder_sha256: str
    embedding: bytes | None = None
    embedding_shape: list[Int32] = field(default_factory=list)
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "condition"
    VERSION: ClassVar[int] = 2
    KEY: ClassVar[str] = "prompt_sha256"
    BLOBS: ClassVar[tuple[str, ...]] = ("embedding",)
    INDEXED: ClassVar[tuple[str, ...]] = ("embedding_shape",)

    @classmethod
    def blob_bytes(cls, blob: str, rows: pa.Table) -> list[int | None]:
        """Two bytes a value."""
        shapes = rows[f"{blob}_shape"].to_pylist()
        return [2 * math.prod(shape) if shape else None for shape in shapes]
