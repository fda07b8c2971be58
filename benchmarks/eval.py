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

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import torch

from benchmarks.eval_memory import peak_memory
from benchmarks.eval_passes import one_pass_speedup
from benchmarks.eval_resume import resume_cost
from benchmarks.train_figure import HEADER, Figure, Setting, line_of

FIGURES: Final[Mapping[str, Callable[[Setting], list[Figure]]]] = {
    "one_pass_speedup": one_pass_speedup,
    "peak_memory": peak_memory,
    "resume_cost": resume_cost,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Benchmarks of scoring.")
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
