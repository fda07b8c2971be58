"""The table of results and the table of paired differences."""

from __future__ import annotations

from pfp.eval.arms import ROLES, SHUFFLED, Role, explanation_of, role_of
from pfp.eval.leaderboard import Arm, Comparison, Leaderboard
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import words
from pfp.eval.report.markup import Markup, coded, tag

GROUPS: dict[Role, str] = {
    "method": "Methods",
    "control": "Control",
    "ceiling": "Ceiling, not a method",
}
MINUS = "\N{MINUS SIGN}"


def results_section(board: Leaderboard) -> Markup:
    """Methods best first, then the control and the ceiling, set apart; every cell with its n."""
    head = tag(
        "tr",
        tag("th", "Method", scope="col"),
        (_column_head(card, sorted_by=i == 0) for i, card in enumerate(board.measured)),
    )
    bodies = [_group(board, role) for role in ROLES if board.arms_of(role)]
    return tag(
        "section",
        tag("h2", "Results", id="results"),
        tag(
            "div",
            _table(head, bodies, name="results", num_columns=len(board.measured)),
            class_="scroll",
        ),
        tag(
            "div",
            (tag("p", coded(sentence)) for sentence in words.how_to_read(board)),
            class_="notes",
        ),
        aria_labelledby="results",
    )


def _table(head: Markup, bodies: list[Markup], *, name: str, num_columns: int) -> Markup:
    """A table that narrow screens lay out as a grid; the roles keep it a table for all readers."""
    return tag(
        "table",
        tag("thead", head),
        bodies,
        class_=name,
        aria_labelledby=name,
        style=f"--columns: {num_columns}",
    )


def _column_head(card: MetricCard, *, sorted_by: bool) -> Markup:
    direction = "descending" if card.direction == "higher" else "ascending"
    return tag(
        "th",
        tag("span", card.title, words.unit_and_scale(card), class_="metric"),
        tag("small", f"{card.direction} is better"),
        scope="col",
        data_direction=direction,
        aria_sort=direction if sorted_by else None,
    )


def _group(board: Leaderboard, role: Role) -> Markup:
    arms = board.arms_of(role)
    title = tag(
        "tr",
        tag("th", GROUPS[role], colspan=len(board.measured) + 1, scope="rowgroup"),
        class_="group",
    )
    return tag("tbody", title, (_row(board, arm) for arm in arms), data_role=role)


def _row(board: Leaderboard, arm: Arm) -> Markup:
    return tag(
        "tr",
        tag("th", _name(board, arm), scope="row"),
        (_cell(board, arm, card) for card in board.measured),
        class_="focus" if arm.name == board.focus else None,
        data_arm=arm.name,
    )


def _name(board: Leaderboard, arm: Arm) -> list[Markup | None]:
    facts = [explanation_of(arm.name)]
    facts += [f"rate {rate}" for rate in arm.rates if rate not in arm.name]
    if arm.num_memory_tokens:
        facts.append(words.count(arm.num_memory_tokens, "memory token"))
    if arm.num_steps:
        facts.append(words.count(arm.num_steps, "step"))
    if len(board.model_ids) > 1 and arm.model_ids != (arm.name,):
        facts.append(", ".join(arm.model_ids))
    detail = " \N{MIDDLE DOT} ".join(fact for fact in facts if fact)
    against = _against_control(board) if arm.name == SHUFFLED else None
    return [tag("span", arm.name, class_="arm"), tag("small", detail) if detail else None, against]


def _against_control(board: Leaderboard) -> Markup | None:
    """What the focus gains over the shuffled memory: the part that comes from remembering."""
    lines = []
    for card in board.metrics:
        for item in board.compared(card.metric_id):
            if item.other == SHUFFLED:
                line = words.difference_line(item.difference, card).replace("-", MINUS)
                lines.append(f"{card.title} {line} ({words.finding(item, card)})")
    if not lines:
        return None
    return tag(
        "small",
        tag("b", f"{board.focus} {MINUS} {SHUFFLED}: "),
        "; ".join(lines),
        class_="against",
    )


def _cell(board: Leaderboard, arm: Arm, card: MetricCard) -> Markup:
    cell = arm.cells[card.metric_id]
    summary = cell.summary
    if summary.mean is None:
        return tag("td", tag("small", coded(words.not_measured(cell))), class_="unscored")
    best = arm.role == "method" and summary.mean == board.best(card)
    span = words.bounds(summary.low, summary.high, card) or words.NO_INTERVAL
    letters = board.letters.get(card.metric_id, {}).get(arm.name)
    return tag(
        "td",
        tag(
            "b" if best else "span",
            words.number(summary.mean, card).replace("-", MINUS),
            tag("sup", letters) if letters else None,
            class_="mean",
        ),
        tag("small", span.replace("-", MINUS), class_="interval"),
        tag("small", words.extent(summary), class_="extent"),
        data_value=repr(summary.mean),
    )


def differences_section(board: Leaderboard) -> Markup | None:
    """The focus minus each other arm, clip by clip."""
    cards = [card for card in board.metrics if board.compared(card.metric_id)]
    if not cards:
        return None
    others = [item.other for item in board.compared(cards[0].metric_id)]
    head = tag(
        "tr",
        tag("th", f"{board.focus} minus ...", scope="col"),
        (tag("th", card.title, words.unit_and_scale(card), scope="col") for card in cards),
    )
    rows = [_difference_row(board, other, cards) for other in others]
    return tag(
        "section",
        tag("h2", "Paired differences", id="differences"),
        tag(
            "p",
            f"{board.focus} against every other arm on the clips that both have. An interval that "
            "stays off 0 decides; p is Holm-adjusted for the number of comparisons.",
            class_="lede",
        ),
        tag(
            "div",
            _table(head, [tag("tbody", rows)], name="differences", num_columns=len(cards)),
            class_="scroll",
        ),
        aria_labelledby="differences",
    )


def _difference_row(board: Leaderboard, other: str, cards: list[MetricCard]) -> Markup:
    cells = []
    for card in cards:
        item = next(item for item in board.compared(card.metric_id) if item.other == other)
        cells.append(_difference_cell(item, card))
    name = [tag("span", other, class_="arm"), tag("small", explanation_of(other))]
    return tag("tr", tag("th", name, scope="row"), cells, data_role=role_of(other))


def _difference_cell(item: Comparison, card: MetricCard) -> Markup:
    difference = item.difference
    if difference.mean is None:
        return tag("td", tag("small", "no shared clips"), class_="unscored")
    span = words.bounds(difference.low, difference.high, card) or words.NO_INTERVAL
    finding = words.finding(item, card)
    p = words.p_value(item.p_holm)
    return tag(
        "td",
        tag("span", words.signed(difference.mean, card).replace("-", MINUS), class_="mean"),
        tag("small", span.replace("-", MINUS), class_="interval"),
        tag(
            "small",
            f"n {difference.n}, ",
            f"{p}, " if p else None,
            tag("span", finding, class_=f"finding {finding.split()[0]}"),
            class_="extent",
        ),
    )
