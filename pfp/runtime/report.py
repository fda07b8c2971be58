"""What became of a stage's rows, in numbers that must add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InvariantError


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """Rows in = kept + dropped + failed, or the report cannot be made (``InvariantError``).

    ``reasons`` counts the reasons of dropped rows and the error classes of failed ones. ``reused``
    rows were taken from an earlier run, ``computed`` ones made in this one; ``seconds`` is the
    wall-clock time of this run.
    """

    name: str
    rows_in: int
    kept: int
    dropped: int
    failed: int
    reasons: Mapping[str, int]
    seconds: float
    reused: int
    computed: int

    def __post_init__(self) -> None:
        """Rows are conserved."""
        rows_out = self.kept + self.dropped + self.failed
        if rows_out != self.rows_in:
            message = (
                f"stage {self.name}: {self.rows_in} rows went in but {self.kept} kept, "
                f"{self.dropped} dropped and {self.failed} failed make {rows_out}; please report it"
            )
            raise InvariantError(message)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``summary.json``."""
        return {**asdict(self), "reasons": dict(self.reasons), "seconds": round(self.seconds, 3)}

    def line(self) -> str:
        """One line for a person."""
        parts = [f"{self.kept} kept", f"{self.dropped} dropped", f"{self.failed} failed"]
        why = ", ".join(f"{name} {count}" for name, count in self.reasons.items())
        reused = f", {self.reused} reused" if self.reused else ""
        return (
            f"{self.name}: {self.rows_in} rows: {', '.join(parts)}"
            f"{f' ({why})' if why else ''}{reused}, {self.seconds:.1f} s"
        )


def report_of(
    name: str, table: pa.Table, *, seconds: float, reused: int = 0, rows_in: int | None = None
) -> StageReport:
    """The report of a table with a ``verdict`` column; ``rows_in`` None: as many as it has rows."""
    verdicts = table["verdict"].combine_chunks()
    kinds = Counter(pc.struct_field(verdicts, "kind").to_pylist())
    unknown = sorted(str(kind) for kind in kinds.keys() - {"kept", "dropped", "failed"})
    if unknown:
        message = f"stage {name}: verdict kinds {unknown} do not exist; please report it"
        raise InvariantError(message)
    why = pc.coalesce(pc.struct_field(verdicts, "reason"), pc.struct_field(verdicts, "error"))
    reasons = Counter(why.drop_null().to_pylist())
    return StageReport(
        name=name,
        rows_in=table.num_rows if rows_in is None else rows_in,
        kept=kinds["kept"],
        dropped=kinds["dropped"],
        failed=kinds["failed"],
        reasons=dict(sorted(reasons.items())),
        seconds=seconds,
        reused=reused,
        computed=table.num_rows - reused,
    )


def combined(name: str, reports: Sequence[StageReport]) -> StageReport:
    """One report for a stage that brings several tables up to date: all their rows together."""
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(report.reasons)
    return StageReport(
        name=name,
        rows_in=sum(report.rows_in for report in reports),
        kept=sum(report.kept for report in reports),
        dropped=sum(report.dropped for report in reports),
        failed=sum(report.failed for report in reports),
        reasons=dict(sorted(reasons.items())),
        seconds=sum(report.seconds for report in reports),
        reused=sum(report.reused for report in reports),
        computed=sum(report.computed for report in reports),
    )
