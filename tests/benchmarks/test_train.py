"""The training benchmarks run, at sizes that mean nothing; nothing here is timed."""

from __future__ import annotations

import pytest
import torch

from benchmarks.train import FIGURES, main
from benchmarks.train_figure import Figure, Setting, in_turn, line_of
from benchmarks.train_steps import size_of_sampling, step_flops

CPU = torch.device("cpu")
TINY = Setting(device=CPU, tiny=True)
GPU_ONLY = ("mfu_5b", "generate_20s_peak_gb")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_a_positive_number(name: str) -> None:
    """Each function gives figures of its name, whose repetitions are all above zero."""
    figures = FIGURES[name](TINY)

    assert name.partition(".")[0] in figures[0].name
    for figure in figures:
        assert figure.values
        assert min(figure.values) > 0


@pytest.mark.parametrize("name", GPU_ONLY)
def test_a_figure_of_a_gpu_is_skipped_without_one(name: str) -> None:
    """It has no values, and its line says why."""
    figures = FIGURES[name](Setting(device=CPU))

    assert [()] * 2 == [figure.values for figure in figures]
    assert all(line_of(figure).endswith("skipped: no GPU") for figure in figures)


def test_the_command_prints_a_table_that_says_tiny(capsys: pytest.CaptureFixture[str]) -> None:
    """A header, then a row and a note for each figure asked for."""
    main(["--only", "loader_vs_raw_reads", "--tiny", "--device", "cpu"])

    header, row, *note = capsys.readouterr().out.splitlines()
    assert header.startswith("figure")
    assert row.startswith("loader_vs_raw_reads.tiny ")
    assert note


def test_a_row_shows_the_median_and_the_middle_half() -> None:
    """Of five repetitions the middle one, and the second and fourth."""
    row = line_of(Figure(name="x", values=(5.0, 1.0, 2.0, 4.0, 3.0), goal="<= 1"))

    assert ["x", "3.000", "2.000", "-", "4.000", "5", "ratio", "<=", "1"] == row.split()


def test_works_take_turns_and_the_first_round_does_not_count() -> None:
    """Each runs once a round; what they say of the first round is left out."""
    calls: list[str] = []

    def work(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    setting = Setting(device=CPU, seconds=0.0)
    seconds = in_turn({"a": lambda: work("a"), "b": lambda: work("b")}, setting)

    assert [{"a", "b"}] * 4 == [set(calls[at : at + 2]) for at in range(0, 8, 2)]
    assert {3.0, 4.0, 5.0, 6.0, 7.0, 8.0} == {*seconds["a"], *seconds["b"]}


def test_memory_asks_for_more_operations() -> None:
    """A step with memory has more to do than one without, by a count that is the same each time."""
    size = size_of_sampling(TINY)

    flops = [step_flops(size, variant) for variant in ("proposed", "no_memory", "no_memory")]

    assert flops[0] > flops[1] == flops[2] > 0
