"""The worker of the ingest stage: files in, what was measured about each out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pfp.ingest.measure import MeasureSettings, failed_record, measure
from pfp.runtime import map_rows
from pfp.schema import Failed
from pfp.schema.measured import MeasuredRecord


class MeasureVideos:
    """Measures files one after the other in a child process of its own."""

    def __init__(self, limits: MeasureSettings) -> None:
        self._limits = limits
        self._guard = limits.guard()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``MeasuredRecord`` for each row of ``list_inputs``."""
        return map_rows(batch, self._measure, failed_measure)

    def _measure(self, row: Mapping[str, Any]) -> MeasuredRecord:
        return measure(row["video_uri"], row["size_bytes"], self._guard, self._limits)


def failed_measure(row: Mapping[str, Any], verdict: Failed) -> MeasuredRecord:
    """The record of a file that could not be measured."""
    return failed_record(row["video_uri"], row["size_bytes"], verdict)
