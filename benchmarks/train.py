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

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import torch

from benchmarks.train_append import append_300s_vs_20s, append_vs_recompute
from benchmarks.train_figure import HEADER, Figure, Setting, line_of
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
    parser = argparse.ArgumentParser(description="Benchmarks of training and memory.")
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="a figure's time, for at least 3 rounds"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="sizes that mean nothing")
    given = parser.parse_args(arguments)
    setting = Setting(device=torch.device(given.device), seconds=given.seconds, tiny=given.tiny)
    print(HEADER, flush=True)
    for name in given.only:
        for figure in FIGURES[name](setting):
            shown = replace(figure, name=f"{figure.name}.tiny") if given.tiny else figure
            print(line_of(shown), flush=True)


if __name__ == "__main__":
    main()
