"""The leaderboard for a terminal: plain ASCII, at most 100 columns."""

from __future__ import annotations

import textwrap

from pfp.eval.leaderboard.leaderboard import Comparison, Leaderboard, Method
from pfp.eval.leaderboard.methods import ROLES, SHUFFLED_MEMORY
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import text

COLUMNS = 100
MAX_NAME = 32
MAX_METRICS = 3  # of one table; more do not fit into its width


def render_text(board: Leaderboard) -> str:
    """The table, what the shuffled memory says, and what was not measured."""
    lines = [*_wrapped(text.headline(board)), ""]
    lines += _table(board)
    lines.append("")
    lines += _findings(board)
    sentences = [*text.how_to_read(board), *text.unscored(board)]
    lines += [line for sentence in sentences for line in _wrapped(sentence)]
    for model in text.tiny_models(board):
        lines += _wrapped(f"{model} {text.TINY_NOTE}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_comparison(board: Leaderboard, comparisons: list[Comparison]) -> str:
    """Two methods under every metric, one line each."""
    lines = []
    titles = [f"{c.title}{text.unit_and_scale(c) if c.scale != 1 else ''}" for c in board.metrics]
    width = max(8, *(len(title) + 2 for title in titles))
    for item in comparisons:
        card = _card(board, item)
        title = titles[board.metrics.index(card)]
        p = text.p_values(item)
        finding = text.finding(item, card)
        who = f"{item.method} is " if finding in {text.BETTER, text.WORSE} else ""
        lines.append(
            f"{title:<{width}}{text.difference_line(item.difference, card)}"
            f"{f', {p}' if p else ''}: {who}{finding}"
            if item.difference.mean is not None
            else f"{title:<{width}}no shared clips"
        )
    return "\n".join(lines) + "\n"


def _card(board: Leaderboard, item: Comparison) -> MetricCard:
    return next(card for card in board.metrics if card.metric_id == item.metric_id)


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, COLUMNS, break_long_words=False, break_on_hyphens=False)


def _table(board: Leaderboard) -> list[str]:
    """As many tables, one under the other, as it takes to be read."""
    measured = list(board.measured)
    if not measured:
        return _wrapped(text.NOTHING_MEASURED)
    blocks = [measured[k : k + MAX_METRICS] for k in range(0, len(measured), MAX_METRICS)]
    lines = [line for block in blocks for line in ["", *_block(board, block)]]
    return lines[1:]


def _block(board: Leaderboard, measured: list[MetricCard]) -> list[str]:
    """Two lines per method: means, then intervals with n and coverage."""
    names = max(len("method"), *(len(method.name) for method in board.methods))
    width = min(names, MAX_NAME) + 2
    cell = min(32, (COLUMNS - width) // max(1, len(measured)))
    header = "method".ljust(width) + "".join(_heading(card, cell).ljust(cell) for card in measured)
    rule = "-" * min(COLUMNS, width + cell * len(measured))
    lines = [header.rstrip(), rule]
    for role in ROLES:
        methods = board.methods_of(role)
        if methods and role == "upper_bound":
            lines.append(rule)
        for method in methods:
            lines += _rows(board, method, measured, width, cell)
    return lines


def _heading(card: MetricCard, width: int) -> str:
    """Title and direction as far as they fit, else the metric's name."""
    title = f"{card.title}{text.unit_and_scale(card)}"
    forms = (f"{title} ({card.direction} is better)", f"{title} ({card.direction})")
    return next((form for form in forms if len(form) < width), card.name)


def _rows(
    board: Leaderboard, method: Method, measured: list[MetricCard], width: int, cell: int
) -> list[str]:
    first = method.name[: width - 2].ljust(width)
    second = " " * width
    for card in measured:
        summary = method.cells[card.metric_id].summary
        if summary.mean is None:
            first += "not measured".ljust(cell)
            second += text.extent(summary).ljust(cell)
            continue
        span = text.span(summary, card)
        letters = board.compact_letter_display.get(card.metric_id, {}).get(method.name)
        parts = (text.number(summary.mean, card), letters, span)
        first += " ".join(part for part in parts if part).ljust(cell)
        second += text.extent(summary).ljust(cell)
    return [first, second]


def _findings(board: Leaderboard) -> list[str]:
    """How the shuffled control and the strongest other method compare with the focus."""
    lines = []
    for card in board.metrics:
        told = (board.strongest_other(card), SHUFFLED_MEMORY)
        for item in board.compared(card.metric_id):
            if item.other not in told:
                continue
            line = text.difference_line(item.difference, card)
            finding = text.finding(item, card)
            lines += _wrapped(f"{item.method} minus {item.other}, {card.title}: {line}: {finding}.")
    return lines
