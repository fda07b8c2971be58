"""Training and memory: what they cost against a limit or a peer. Prints a table.

    python -m benchmarks.train [--only NAME ...] [--seconds N] [--device DEVICE] [--tiny]

Each figure is the median of repetitions that take turns in one process; beside it stand the middle
half of them and their number, below it what was measured, where, and in how many seconds. The
functions say exactly what is compared. On a GPU the base is the true-sized Wan 2.2 5B, elsewhere
one narrower block of a Wan; all weights are random. About ten minutes on one quiet core.

``--tiny`` runs everything at sizes that mean nothing, to see that it runs; names then end in
``.tiny``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.train_append import append_300s_vs_20s, append_vs_recompute
from benchmarks.train_figure import Figure, Setting, run_figures
from benchmarks.train_gpu import generate_20s_peak_gb, mfu_5b
from benchmarks.train_loader import loader_vs_raw_reads
from benchmarks.train_steps import (
    memory_vs_no_memory,
    sampler_step_vs_no_memory,
    step_vs_no_memory,
)

FIGURES: Final[Mapping[str, Callable[[Setting], list[Figure]]]] = {
    "step_vs_no_memory": step_vs_no_memory,
    "memory_vs_no_memory": memory_vs_no_memory,
    "sampler_step_vs_no_memory": sampler_step_vs_no_memory,
    "loader_vs_raw_reads": loader_vs_raw_reads,
    "append_300s_vs_20s": append_300s_vs_20s,
    "append_vs_recompute": append_vs_recompute,
    "mfu_5b": mfu_5b,
    "generate_20s_peak_gb": generate_20s_peak_gb,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    run_figures(FIGURES, "Benchmarks of training and memory.", arguments)


if __name__ == "__main__":
    main()
