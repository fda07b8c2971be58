"""The leaderboard as CSV: a line for each method and metric, for whoever works with the numbers."""

from __future__ import annotations

import csv
import io
from typing import Final, TypeVar

from pfp.eval.leaderboard.leaderboard import Leaderboard, Method
from pfp.eval.metrics.base import MetricCard

# What makes a spreadsheet take a cell for a formula, which can run commands or send data away.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
T = TypeVar("T")

COLUMNS: Final = (
    *("method", "role", "metric", "unit", "direction", "mean", "low", "high"),
    *("n", "coverage", "num_samples", "unscored", "protocol", "judge"),
)


def render_csv(board: Leaderboard) -> str:
    """A header and the rows in the table's order; values unrounded, unknown ones empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: no_formula(value) for name, value in _row(board, method, card).items()}
        for method in board.methods
        for card in board.metrics
    )
    return text.getvalue()


def no_formula(value: T) -> T | str:
    """Text that a spreadsheet shows as text: with an apostrophe before what begins a formula.

    Numbers stay, minus sign and all (OWASP, CSV injection).
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _row(board: Leaderboard, method: Method, card: MetricCard) -> dict[str, object]:
    cell = method.cells[card.metric_id]
    summary = cell.summary
    return {
        "method": method.name,
        "role": method.role,
        "metric": card.metric_id,
        "unit": card.unit,
        "direction": card.direction,
        "mean": summary.mean,
        "low": summary.low,
        "high": summary.high,
        "n": summary.n,
        "coverage": summary.coverage,
        "num_samples": cell.num_samples,
        "unscored": "; ".join(f"{reason} ({n})" for reason, n in cell.unscored.items()),
        "protocol": board.protocols[card.metric_id],
        "judge": board.judges.get(card.metric_id, ""),
    }
