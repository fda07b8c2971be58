"""The worker of the ingest stage and what its results depend on."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pfp.ingest.measure import MEASURE_VERSION, MeasureSettings, failed_record, measure
from pfp.io.digests import sha256_json
from pfp.runtime import Resources, Stage, map_rows
from pfp.schema import Failed
from pfp.schema.measured import MeasuredRecord
from pipelines.ingest.config import IngestConfig


class MeasureWorker:
    """Measures files one after the other in a child process of its own."""

    def __init__(self, limits: MeasureSettings) -> None:
        self._limits = limits
        self._guard = limits.guard()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``MeasuredRecord`` for each row of ``discover``."""
        return map_rows(batch, self._measure, _failed)

    def _measure(self, row: dict[str, Any]) -> MeasuredRecord:
        return measure(row["video_uri"], row["size_bytes"], self._guard, self._limits)


def measure_stage(config: IngestConfig) -> Stage:
    """The expensive half of the stage. A file counts as unchanged while size and time are."""
    return Stage(
        name="measure",
        record=MeasuredRecord,
        worker=MeasureWorker,
        worker_args={"limits": config.limits},
        input_key="video_uri",
        content_columns=("size_bytes", "changed_ns"),
        fingerprint=sha256_json(["measure", MEASURE_VERSION]),
        resources=Resources(
            num_cpus=1, batch_size=config.batch_size, num_workers=config.num_workers
        ),
        on_error=_failed,
    )


def _failed(row: dict[str, Any], verdict: Failed) -> MeasuredRecord:
    return failed_record(row["video_uri"], row["size_bytes"], verdict)
