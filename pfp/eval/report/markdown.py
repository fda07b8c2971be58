"""The leaderboard as Markdown. Byte-stable: equal scores give equal bytes, so it diffs well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pfp.eval.leaderboard.families import families_of
from pfp.eval.leaderboard.leaderboard import Comparison, Leaderboard, Method
from pfp.eval.leaderboard.methods import ROLES
from pfp.eval.leaderboard.published import PublishedTable
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import text
from pfp.eval.report.published_rows import published_markdown
from pfp.redaction import printable


def render_markdown(board: Leaderboard, published: Sequence[PublishedTable] = ()) -> str:
    """The table, the paired differences, and how to read them; then what papers print."""
    lines = [f"# {_escape(text.headline(board))}", ""]
    lines += [f"{_escape(model)} {text.TINY_NOTE}" for model in text.tiny_models(board)]
    lines += ["", *_tables(board), ""]
    sentences = [*text.how_to_read(board), *text.unscored(board)]
    lines += [f"- {_coded(sentence)}" for sentence in sentences]
    lines += _differences(board)
    lines += published_markdown(published)
    lines += ["", "## Made with", "", *_provenance(board)]
    return "\n".join(lines) + "\n"


# HTML, links, images, code and emphasis would be rendered, wherever the page is put.
_SPECIAL: Final = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "\n": " ",
        "\r": " ",
        **{character: f"\\{character}" for character in "\\`*[]|"},
    }
)


def _escape(text: str) -> str:
    """Text from outside as text: names of models, prompts, messages."""
    return printable(text.translate(_SPECIAL))


def _coded(sentence: str) -> str:
    """A sentence in which what stands between backticks is code; the rest is text."""
    parts = sentence.split("`")
    return "`".join(printable(part) if i % 2 else _escape(part) for i, part in enumerate(parts))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _heading(card: MetricCard) -> str:
    return f"{card.title}{text.unit_and_scale(card)} ({card.direction} is better)"


def _tables(board: Leaderboard) -> list[str]:
    """A table for each family of metrics, the rows of all in one order."""
    families = families_of(board.measured)
    if not families:
        return [text.NOTHING_MEASURED]
    if len(families) == 1:
        return _table(board, board.measured)
    lines: list[str] = []
    for family in families:
        lines += [f"## {family.title}", "", *_table(board, family.cards), ""]
    return lines[:-1]


def _table(board: Leaderboard, cards: Sequence[MetricCard]) -> list[str]:
    lines = [
        _row(["method", *(_heading(card) for card in cards)]),
        _row(["---", *("---" for _ in cards)]),
    ]
    for role in ROLES:
        for method in board.methods_of(role):
            name = _escape(method.name)
            if role != "ranked":
                name = f"*{name}*"
            if role == "control":
                name = f"{name} (control)"
            lines.append(_row([name, *(_cell(board, method, card) for card in cards)]))
    return lines


def _cell(board: Leaderboard, method: Method, card: MetricCard) -> str:
    cell = method.cells[card.metric_id]
    if cell.summary.mean is None:
        return _escape(text.not_measured(cell))
    span = text.span(cell.summary, card)
    letters = board.compact_letter_display.get(card.metric_id, {}).get(method.name)
    extent = f"({text.extent(cell.summary)})"
    parts = [text.number(cell.summary.mean, card), letters, span, extent]
    return " ".join(part for part in parts if part)


def _differences(board: Leaderboard) -> list[str]:
    if not board.comparisons:
        return []
    lines = ["", f"## {_escape(board.focus or '')} minus each other method", ""]
    lines += [_row(["other", "metric", "difference", "p (Holm)", "finding"]), _row(["---"] * 5)]
    for card in board.metrics:
        for item in board.compared(card.metric_id):
            lines.append(_row(_difference_cells(item, card)))
    return lines


def _difference_cells(item: Comparison, card: MetricCard) -> list[str]:
    return [
        _escape(item.other),
        card.title,
        text.difference_line(item.difference, card),
        (text.p_value(item.p_holm) or "").removeprefix("p "),
        text.finding(item, card),
    ]


def _provenance(board: Leaderboard) -> list[str]:
    lines = [
        f"- protocol {board.protocol}",
        f"- measured with {text.environment(board)}",
        f"- decoder {', '.join(board.decoders)}",
        f"- seeds {', '.join(str(seed) for seed in board.seeds)}",
    ]
    lines += [f"- {card.metric_id}: {card.summary} {card.citation}." for card in board.metrics]
    checkpoints = sorted({digest for method in board.methods for digest in method.checkpoints})
    lines += [f"- checkpoint sha256 `{digest}`" for digest in checkpoints]
    lines += [
        f"- not made: {_escape(line)} ({samples})" for line, samples in board.not_made.items()
    ]
    return lines
