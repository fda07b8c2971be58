"""How far a stage has come, for a person who waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pfp.redaction import printable, redact
from pfp.runtime.report import StageReport

SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """What ``run_stage`` tells about its rows."""

    def start(self, name: str, total: int, reused: int) -> None:
        """A stage begins: ``total`` rows, ``reused`` of them done in an earlier run."""

    def advance(self, n: int) -> None:
        """``n`` more rows are committed."""

    def note(self, text: str) -> None:
        """How a row that takes long is getting on."""

    def tell(self, text: str) -> None:
        """A sentence that a person should see, at any time."""

    def finish(self, report: StageReport) -> None:
        """The stage is done and its table is on disk."""

    def stop(self) -> None:
        """The stage ends, done or not: the terminal is given back."""


class NoProgress:
    """Says nothing."""

    def start(self, name: str, total: int, reused: int) -> None:
        """Says nothing."""

    def advance(self, n: int) -> None:
        """Says nothing."""

    def note(self, text: str) -> None:
        """Says nothing."""

    def tell(self, text: str) -> None:
        """Says nothing."""

    def finish(self, report: StageReport) -> None:
        """Says nothing."""

    def stop(self) -> None:
        """Says nothing."""


class ConsoleProgress:
    """A bar with the time left on a terminal; elsewhere a plain line every ten seconds or so."""

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console

        self._console = console or Console(stderr=True, highlight=False)
        self._bar: Any = None
        self._task: Any = None
        self._unit = "rows"

    def start(self, name: str, total: int, reused: int) -> None:
        """Shows the bar, or prints a line that the stage begins."""
        self._name, self._total, self._done = name, total, reused
        self._reused = reused
        self._started = self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._bar = _bar(self._console)
            self._bar.start()
            self._task = self._bar.add_task(name, total=total, completed=reused)
        elif reused < total:
            note = f", {reused} of them from an earlier run" if reused else ""
            self._line(f"{name}: {total} {self._unit}{note}")

    def advance(self, n: int) -> None:
        """Moves the bar, or prints a line if the last one is ten seconds old."""
        self._done += n
        if self._bar is not None:
            self._bar.advance(self._task, n)
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES and self._done < self._total:
            self._last_line = now
            rate = (self._done - self._reused) / (now - self._started)
            left = _duration((self._total - self._done) / rate)
            self._line(
                f"{self._name}: {self._done} of {self._total} {self._unit}, about {left} left"
            )

    def note(self, text: str) -> None:
        """Shows the text before the bar, or as a line if the last one is ten seconds old."""
        if self._bar is not None:
            safe = printable(redact(text))
            self._bar.update(self._task, description=f"{self._name} ({safe})")
            return
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._line(f"{self._name}: {text}")

    def tell(self, text: str) -> None:
        """Prints the sentence as a line."""
        self._line(text)

    def finish(self, report: StageReport) -> None:
        """Prints the report's line."""
        self.stop()
        self._line(report.line())

    def stop(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @contextmanager
    def counting(self, name: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """For work that is no stage: a function to call with (done, total), first at the start."""
        begun = False
        self._unit = unit

        def count(done: int, total: int) -> None:
            nonlocal begun
            if begun:
                self.advance(done - self._done)
            else:
                begun = True
                self.start(name, total, done)

        try:
            yield count
        finally:
            self.stop()
            self._unit = "rows"

    def _line(self, text: str) -> None:
        safe = printable(redact(text))
        self._console.print(safe, markup=False, highlight=False, soft_wrap=True)


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
