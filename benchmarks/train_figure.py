"""A figure of the training benchmarks, how its repetitions are measured, and its line of a table.

Everything compared takes turns in one process, so that a machine that slows down slows all sides.
"""

from __future__ import annotations

import argparse
import random
import statistics
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch.profiler import ProfilerActivity, profile

MIN_ROUNDS: Final = 3
MAX_ROUNDS: Final = 25

# Does a work once and says how many seconds of it count.
Timed = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured figure; without values it could not be measured here, and the note says why."""

    name: str
    goal: str = ""
    values: tuple[float, ...] = ()
    unit: str = "ratio"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where to measure, and for about how long each; ``tiny`` only shows that it runs."""

    device: torch.device
    seconds: float = 60.0
    tiny: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether there is one to measure."""
        return self.device.type == "cuda"

    @property
    def name(self) -> str:
        """The kind of machine, as notes say it."""
        if self.on_gpu:
            return torch.cuda.get_device_name(self.device)
        return f"CPU, {torch.get_num_threads()} thread(s)"


HEADER: Final = f"{'figure':38} {'median':>9}  {'middle half':>17} {'n':>3}  {'unit':12} goal"


def line_of(figure: Figure) -> str:
    """The figure as a row: its median and the middle half of its repetitions; then its note."""
    note = textwrap.indent(textwrap.fill(figure.note, 96), "    ") if figure.note else ""
    if not figure.values:
        return f"{figure.name:38} {figure.note}"
    low, middle, high = _quartiles(figure.values)
    half = f"{low:.3f} - {high:.3f}"
    row = (
        f"{figure.name:38} {middle:>9.3f}  {half:>17} {len(figure.values):>3}  {figure.unit:12} "
        f"{figure.goal}"
    )
    return f"{row.rstrip()}\n{note}".rstrip()


def _quartiles(values: tuple[float, ...]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def run_figures(
    figures: Mapping[str, Callable[[Setting], list[Figure]]],
    description: str,
    arguments: Sequence[str] | None,
) -> None:
    """The command of a benchmark: measure what is asked for and print a line for each figure."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", nargs="+", choices=figures, default=list(figures))
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="a figure's time, for at least 3 rounds"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="sizes that mean nothing")
    given = parser.parse_args(arguments)
    setting = Setting(device=torch.device(given.device), seconds=given.seconds, tiny=given.tiny)
    print(HEADER, flush=True)
    for name in given.only:
        for figure in figures[name](setting):
            shown = replace(figure, name=f"{figure.name}.tiny") if given.tiny else figure
            print(line_of(shown), flush=True)


def in_turn(works: Mapping[str, Timed], setting: Setting) -> dict[str, list[float]]:
    """Seconds of each work in each round, after one round that does not count.

    Rounds go on while there is time for one more, at least 3 and at most 25, each in an order of
    its own, since whoever comes after a heavy work finds caches cold.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    order = random.Random(0)  # noqa: S311 - of rounds, not of secrets
    at_most = 1 if setting.tiny else MAX_ROUNDS
    begin = time.perf_counter()
    for number in range(at_most + 1):
        round_begin = time.perf_counter()
        for name in order.sample(sorted(works), len(works)):
            took = works[name]()
            if number:
                seconds[name].append(took)
        now = time.perf_counter()
        if number >= MIN_ROUNDS and now - begin + (now - round_begin) > setting.seconds:
            break
    return seconds


def timed(work: Callable[[], object], device: torch.device, *, repeats: int = 1) -> Timed:
    """A work whose every second counts, on the device too; ``repeats`` of it are averaged."""

    def seconds() -> float:
        synchronise(device)
        begin = time.perf_counter()
        for _ in range(repeats):
            work()
        synchronise(device)
        return (time.perf_counter() - begin) / repeats

    return seconds


def synchronise(device: torch.device) -> None:
    """Wait for the device, whose work goes on after calls return."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(work: Callable[[], object], held_bytes: int, device: torch.device) -> int:
    """The most bytes of tensors that lived at once while ``work`` ran.

    On a GPU what torch's allocator says. On a CPU the sum of what torch allocated less what it
    freed, as torch.profiler recorded it, beside the ``held_bytes`` that were there before.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    events = profiler.profiler.kineto_results.events()
    held = most = 0
    for _, change in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        held += change
        most = max(most, held)
    return held_bytes + most
