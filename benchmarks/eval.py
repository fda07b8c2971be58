"""Scoring videos: what one pass saves, what memory and a second run cost. Prints a table.

    python -m benchmarks.eval [--only NAME ...] [--seconds N] [--device DEVICE] [--tiny]

Each figure is the median of repetitions that take turns; beside it stand the middle half of them
and their number, below it what was measured and where. The functions say exactly what is compared.
Weights are random; on a GPU all networks are of true size, elsewhere CLIP and ViCLIP have one
narrow layer. About ten minutes on one quiet core.

``--tiny`` runs everything at sizes that mean nothing, to see that it runs; names then end in
``.tiny``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.eval_memory import peak_memory
from benchmarks.eval_passes import one_pass_speedup
from benchmarks.eval_resume import resume_cost
from benchmarks.train_figure import Figure, Setting, run_figures

FIGURES: Final[Mapping[str, Callable[[Setting], list[Figure]]]] = {
    "one_pass_speedup": one_pass_speedup,
    "peak_memory": peak_memory,
    "resume_cost": resume_cost,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    run_figures(FIGURES, "Benchmarks of scoring.", arguments)


if __name__ == "__main__":
    main()
