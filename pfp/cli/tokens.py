"""``pfp tokens``: what a history costs at a compression rate, in the DiT's tokens."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Final

from pfp.errors import ConfigError, InputError
from pfp.models.rates import (
    GEOMETRIES,
    PAPER_RATES,
    Geometry,
    TokenBudget,
    geometry_of,
    parse_rate,
    token_budget,
)

HEADINGS: Final = (
    "rate",
    "pixels per token",
    "grid TxHxW",
    "tokens",
    "ratio",
    "LR video",
    "s per 1,000 tokens",
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tokens`` to the parser of ``pfp``."""
    parser = commands.add_parser("tokens", help="count the memory tokens of a history at a rate")
    parser.add_argument("--seconds", type=float, default=20.0, help="of history (default: 20)")
    parser.add_argument("--size", default="480x832", help="HEIGHTxWIDTH in pixels")
    parser.add_argument("--fps", type=float, default=24.0, help="frames a second (default: 24)")
    parser.add_argument("--base", default="hunyuan", help=f"one of {', '.join(GEOMETRIES)}")
    parser.add_argument(
        "--rate", help="4x4x2 (latents of the base) or px(64,64,8); without it, the paper's rates"
    )
    parser.add_argument(
        "--rounding",
        choices=("floor", "pad"),
        default="floor",
        help="cut what fills no token, as the paper's counts, or pad it, as FramePack",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line a rate; a rate that cannot be is an error, or a note among the paper's."""
    geometry = geometry_of(arguments.base)
    height, width = _size(arguments.size)
    geometry.latent_grid(1, (height, width))  # an impossible size is an error, not five notes
    budgets: list[TokenBudget] = []
    notes: list[str] = []
    for text in (arguments.rate,) if arguments.rate else PAPER_RATES:
        try:
            budgets.append(
                token_budget(
                    seconds=arguments.seconds,
                    size=(height, width),
                    fps=arguments.fps,
                    rate=parse_rate(text, geometry),
                    geometry=geometry,
                    rounding=arguments.rounding,
                )
            )
        except ConfigError as error:
            if arguments.rate:
                raise
            notes.append(str(error))
    if not budgets:
        raise ConfigError(notes[0])
    print(
        f"{arguments.seconds:g} s of {height}x{width} at {arguments.fps:g} fps on {arguments.base}:"
        f" {budgets[0].num_raw_tokens:,} tokens without compression"
    )
    print(_table([HEADINGS, *(_row(budget, geometry) for budget in budgets)]))
    notes[:0] = _cuts(budgets)
    print("\n".join(notes), end="\n" if notes else "")
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        message = f"--size is {text!r}; write HEIGHTxWIDTH in pixels, for example 480x832"
        raise InputError(message)
    return int(match[1]), int(match[2])


def _row(budget: TokenBudget, geometry: Geometry) -> tuple[str, ...]:
    lr = budget.lr
    return (
        str(budget.rate),
        budget.rate.px(geometry),
        "x".join(map(str, budget.grid)),
        f"{budget.num_tokens:,}",
        f"{budget.ratio:.1f}x",
        f"{lr.height}x{lr.width}, {lr.num_frames} frames at {lr.fps:g} fps",
        f"{budget.seconds_per_1000_tokens:.2f}",
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cuts(budgets: Sequence[TokenBudget]) -> list[str]:
    """The pixels that no token covers, which the paper's own counts leave out too."""
    return [
        f"{budget.rate} leaves out the last {budget.num_cut[0]} rows and {budget.num_cut[1]} "
        "columns of pixels; --rounding pad keeps them"
        for budget in budgets
        if any(budget.num_cut)
    ]
