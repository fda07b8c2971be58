r"""The leaderboard as a LaTeX table in the paper's layout: methods down, metrics across.

Needs ``\usepackage{booktabs}``. The best method of each column is bold, arrows say which way is
better, and a small line under each value gives its interval.
"""

from __future__ import annotations

from typing import Final

from pfp.eval.leaderboard.leaderboard import Leaderboard, Method
from pfp.eval.leaderboard.methods import ROLES
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import text

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def render_latex(board: Leaderboard) -> str:
    """A ``table`` environment; equal scores give equal bytes."""
    columns = len(board.measured)
    heads = [_heading(card) for card in board.measured]
    notes = [*text.how_to_read(board)[:1], *text.judges(board)]
    caption = f"{text.headline(board)}. {' '.join(notes)}".rstrip()
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * columns}}}",
        r"\toprule",
        _line(["Method", *heads]),
    ]
    for role in ROLES:
        methods = board.methods_of(role)
        if methods:
            lines.append(r"\midrule")
        for method in methods:
            lines += _rows(board, method)
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} " + r"\\"


def _heading(card: MetricCard) -> str:
    arrow = r"$\uparrow$" if card.direction == "higher" else r"$\downarrow$"
    return f"{_escape(card.title)}{_escape(text.unit_and_scale(card))} {arrow}"


def _rows(board: Leaderboard, method: Method) -> list[str]:
    values, spans = [_escape(method.name)], [""]
    for card in board.measured:
        summary = method.cells[card.metric_id].summary
        if summary.mean is None:
            values.append("--")
            spans.append("")
            continue
        value = text.number(summary.mean, card)
        letters = board.compact_letter_display.get(card.metric_id, {}).get(method.name, "")
        shown = rf"\textbf{{{value}}}" if board.is_best(method, card) else value
        values.append(rf"{shown}\textsuperscript{{{letters}}}" if letters else shown)
        spans.append(rf"{{\scriptsize {text.span(summary, card)} n {summary.n}}}")
    return [_line(values), _line(spans)] if any(spans) else [_line(values)]
