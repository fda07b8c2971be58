"""Reports and the summary: numbers that add up, written in one step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pfp import runtime
from pfp.errors import InputError, InvariantError
from pfp.runtime import summary
from pfp.schema import KEPT, Dropped, Failed, StoryboardRecord, Verdict

VERDICTS: list[Verdict] = [
    KEPT,
    KEPT,
    Dropped(reason="too_short", detail=""),
    Dropped(reason="frozen", detail=""),
    Dropped(reason="frozen", detail=""),
    Failed(error="OSError", message="gone"),
]
TABLE = StoryboardRecord.table(
    [
        StoryboardRecord(clip_id=str(number), backend="offline", verdict=verdict)
        for number, verdict in enumerate(VERDICTS)
    ]
)
REPORT = runtime.report_of("ingest", TABLE, seconds=1.5, reused=4)


def test_a_report_counts_verdicts_and_reasons() -> None:
    """Dropped rows by reason, failed ones by error class."""
    assert (6, 2, 3, 1) == (REPORT.rows_in, REPORT.kept, REPORT.dropped, REPORT.failed)
    assert {"OSError": 1, "frozen": 2, "too_short": 1} == dict(REPORT.reasons)
    assert (4, 2) == (REPORT.reused, REPORT.computed)


def test_a_report_is_one_line() -> None:
    """A person sees what became of the rows, and why."""
    expected = (
        "ingest: 6 rows: 2 kept, 3 dropped, 1 failed (OSError 1, frozen 2, too_short 1), "
        "4 reused, 1.5 s"
    )
    assert expected == REPORT.line()


def test_a_report_is_plain_json() -> None:
    """Every field, as numbers and strings."""
    expected = {
        "name": "ingest",
        "rows_in": 6,
        "kept": 2,
        "dropped": 3,
        "failed": 1,
        "reasons": {"OSError": 1, "frozen": 2, "too_short": 1},
        "seconds": 1.5,
        "reused": 4,
        "computed": 2,
    }
    assert expected == json.loads(json.dumps(REPORT.to_json()))


def test_lost_rows_are_an_invariant_error() -> None:
    """Seven rows in and six out cannot be reported."""
    with pytest.raises(InvariantError, match="7 rows went in but 2 kept, 3 dropped and 1 failed"):
        runtime.report_of("ingest", TABLE, seconds=0, rows_in=7)


def test_a_table_without_rows_has_a_report() -> None:
    """Nothing in, nothing out."""
    report = runtime.report_of("ingest", StoryboardRecord.table([]), seconds=0)
    assert (0, {}) == (report.rows_in, dict(report.reasons))


def test_a_stage_is_merged_into_the_summary(tmp_path: Path) -> None:
    """Each stage has its place; a later run takes it over; other content stays."""
    out = tmp_path / "out"
    summary.merge_stage(out, REPORT)
    summary.write_summary(out, {**summary.read_summary(out), "note": "mine"})
    second = runtime.report_of("caption", TABLE.slice(0, 2), seconds=0)
    summary.merge_stage(out, second)
    summary.merge_stage(out, runtime.report_of("ingest", TABLE, seconds=0.1, reused=6))
    read = json.loads((out / "summary.json").read_text())
    assert "mine" == read["note"]
    assert ["ingest", "caption"] == list(read["stages"])
    assert 6 == read["stages"]["ingest"]["reused"]
    assert "name" not in read["stages"]["ingest"]
    assert [out / "summary.json"] == list(out.iterdir())


@pytest.mark.parametrize("content", ["{", "[]", '{"stages": 3}'])
def test_a_foreign_summary_is_not_overwritten(tmp_path: Path, content: str) -> None:
    """What cannot be understood is left as it is, and the message says what to do."""
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(InputError, match=r"summary\.json .*; delete it and run again"):
        summary.merge_stage(tmp_path, REPORT)
    assert content == (tmp_path / "summary.json").read_text()
