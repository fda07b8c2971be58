"""Progress: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pfp import runtime
from pfp.runtime import progress as module

REPORT = runtime.StageReport(
    name="ingest",
    rows_in=100,
    kept=99,
    dropped=1,
    failed=0,
    reasons={"frozen": 1},
    seconds=50.0,
    reused=20,
    computed=80,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands until it is set."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_plain_line_comes_every_ten_seconds(clock: list[float]) -> None:
    """With the rows done and the time left at this run's pace; none in between."""
    stream = io.StringIO()
    progress = runtime.ConsoleProgress(Console(file=stream, width=200))
    progress.start("ingest", 100, 20)
    for _ in range(8):
        clock[0] += 6.0
        progress.advance(10)
    progress.finish(REPORT)
    progress.stop()
    assert [
        "ingest: 100 rows, 20 of them from an earlier run",
        "ingest: 40 of 100 rows, about 36 s left",
        "ingest: 60 of 100 rows, about 24 s left",
        "ingest: 80 of 100 rows, about 12 s left",
        REPORT.line(),
    ] == stream.getvalue().splitlines()


def test_a_stage_that_has_nothing_to_do_prints_its_report_only(clock: list[float]) -> None:
    """A second run of a finished stage is one line."""
    stream = io.StringIO()
    progress = runtime.ConsoleProgress(Console(file=stream, width=200))
    clock[0] += 1
    progress.start("ingest", 100, 100)
    progress.finish(REPORT)
    assert [REPORT.line()] == stream.getvalue().splitlines()


def test_a_terminal_gets_a_bar_that_is_taken_away() -> None:
    """The bar shows name and count; what stays on the screen is the report."""
    stream = io.StringIO()
    progress = runtime.ConsoleProgress(Console(file=stream, width=80, force_terminal=True))
    progress.start("ingest", 100, 20)
    progress.advance(30)
    progress.finish(REPORT)
    text = stream.getvalue()
    assert "ingest" in text
    assert "50/100" in text
    assert text.rstrip().endswith("50.0 s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7300, "2 h 1 min")],
)
def test_durations_are_read_easily(seconds: float, text: str) -> None:
    """Seconds, minutes, hours: two parts at most."""
    assert text == module._duration(seconds)


def test_what_a_person_should_see_is_printed_at_once(clock: list[float]) -> None:
    """Before the stage begins, too, and however short a while after the last line."""
    stream = io.StringIO()
    progress = runtime.ConsoleProgress(Console(file=stream, width=200))
    progress.tell("settings are others")
    progress.start("ingest", 100, 20)
    clock[0] += 1
    progress.tell("and so are these: [bold]")

    assert [
        "settings are others",
        "ingest: 100 rows, 20 of them from an earlier run",
        "and so are these: [bold]",
    ] == stream.getvalue().splitlines()


def test_no_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Not a byte on either stream."""
    progress = runtime.NoProgress()
    progress.start("ingest", 100, 20)
    progress.advance(80)
    progress.tell("settings are others")
    progress.finish(REPORT)
    progress.stop()
    assert ("", "") == tuple(capsys.readouterr())


def test_work_that_is_no_stage_has_its_own_unit(clock: list[float]) -> None:
    """Its lines count what it is made of, and a stage after it counts rows again."""
    stream = io.StringIO()
    progress = runtime.ConsoleProgress(Console(file=stream, width=200))
    with progress.counting("sampling", "steps") as count:
        count(8, 24)
        clock[0] += 12
        count(16, 24)
    progress.start("ingest", 3, 0)

    assert [
        "sampling: 24 steps, 8 of them from an earlier run",
        "sampling: 16 of 24 steps, about 12 s left",
        "ingest: 3 rows",
    ] == stream.getvalue().splitlines()


def test_a_row_that_takes_long_is_told_of_now_and_then(clock: list[float]) -> None:
    """A note is a line if the last is ten seconds old, and stands before the bar on a terminal."""
    stream, screen = io.StringIO(), io.StringIO()
    progress = runtime.ConsoleProgress(Console(file=stream, width=200))
    progress.start("train", 1, 0)
    for _ in range(3):
        clock[0] += 6
        progress.note("step 7 of 24")
    on_screen = runtime.ConsoleProgress(Console(file=screen, width=120, force_terminal=True))
    on_screen.start("train", 1, 0)
    on_screen.note("step 7 of 24")
    on_screen.stop()

    assert ["train: 1 rows", "train: step 7 of 24"] == stream.getvalue().splitlines()
    assert "train (step 7 of 24)" in screen.getvalue()
