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
    wall-clock time of this run. ``noticed`` rows are kept with something that a person should look
    at; ``pfp why`` shows what.
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
    noticed: int = 0

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
        """Plain values for ``summary.json``; ``noticed`` where there is something to notice."""
        values = asdict(self)
        if not self.noticed:
            del values["noticed"]
        return {**values, "reasons": dict(self.reasons), "seconds": round(self.seconds, 3)}

    def line(self) -> str:
        """One line for a person."""
        parts = [f"{self.kept} kept", f"{self.dropped} dropped", f"{self.failed} failed"]
        why = ", ".join(f"{name} {count}" for name, count in self.reasons.items())
        reused = f", {self.reused} reused" if self.reused else ""
        noticed = f", {self.noticed} kept with a notice (pfp why)" if self.noticed else ""
        return (
            f"{self.name}: {self.rows_in} rows: {', '.join(parts)}"
            f"{f' ({why})' if why else ''}{noticed}{reused}, {self.seconds:.1f} s"
        )


def report_of(
    name: str,
    table: pa.Table,
    *,
    seconds: float,
    reused: int = 0,
    rows_in: int | None = None,
    noticed: int = 0,
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
        noticed=noticed,
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
        noticed=sum(report.noticed for report in reports),
    )
