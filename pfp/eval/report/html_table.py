"""The table of results and the table of paired differences."""

from __future__ import annotations

from collections.abc import Sequence

from pfp.eval.leaderboard.families import Family, Mended, families_of, mended_pairs
from pfp.eval.leaderboard.leaderboard import Comparison, Leaderboard, Method
from pfp.eval.leaderboard.methods import ROLES, SHUFFLED_MEMORY, Role, explanation_of, role_of
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import text
from pfp.eval.stats.aggregate import paired_difference
from pfp.eval.stats.sign_flips import MIN_CLUSTERS
from pfp.pages.markup import Markup, coded, tag

GROUPS: dict[Role, str] = {
    "ranked": "Methods",
    "control": "Control",
    "upper_bound": "Upper bound, not a method",
}
NARROW = 3  # columns that a phone shows side by side
MINUS = "\N{MINUS SIGN}"


def results_section(board: Leaderboard) -> Markup:
    """Methods best first, then the control and the upper bound, set apart; every cell with its n.

    A table for each family of metrics, the rows of all in one order.
    """
    families = families_of(board.measured)
    sorted_by = board.measured[:1]
    return tag(
        "section",
        tag("h2", "Results", id="results"),
        [
            (_results(board, family, sorted_by) for family in families)
            if len(families) > 1
            else _results_table(board, board.measured, sorted_by, name="results"),
            tag(
                "div",
                (tag("p", coded(sentence)) for sentence in text.how_to_read(board)),
                class_="notes",
            ),
        ]
        if families
        else tag("p", text.NOTHING_MEASURED, class_="lede"),
        aria_labelledby="results",
    )


def unmeasured_section(board: Leaderboard) -> Markup | None:
    """Which metrics say nothing of how many samples, and the command that mends it."""
    reasons = text.unscored_reasons(board)
    if not reasons:
        return None
    head = tag(
        "tr",
        tag("th", "Metrics", scope="col"),
        tag("th", "Samples", scope="col"),
        tag("th", "Why, and what mends it", scope="col"),
    )
    rows = [
        tag(
            "tr",
            tag("th", ", ".join(each.titles), scope="row"),
            tag("td", str(each.num_samples)),
            tag("td", coded(each.reason)),
        )
        for each in reasons
    ]
    table = _table(head, [tag("tbody", rows)], kind="missing", name="unmeasured", num_columns=2)
    return tag(
        "section",
        tag("h2", "Not measured", id="unmeasured"),
        tag("div", table, class_="scroll"),
        aria_labelledby="unmeasured",
    )


def _results(board: Leaderboard, family: Family, sorted_by: Sequence[MetricCard]) -> Markup:
    name = f"results-{slug(family.title)}"
    table = _results_table(board, family.cards, sorted_by, name=name)
    return Markup(tag("h3", family.title, id=name) + table)


def slug(title: str) -> str:
    """A title as part of an address."""
    return title.lower().replace(" ", "-")


def _results_table(
    board: Leaderboard,
    cards: Sequence[MetricCard],
    sorted_by: Sequence[MetricCard],
    *,
    name: str,
) -> Markup:
    head = tag(
        "tr",
        tag("th", "Method", scope="col"),
        (_column_head(card, sorted_by=card in sorted_by) for card in cards),
    )
    bodies = [_group(board, role, cards) for role in ROLES if board.methods_of(role)]
    table = _table(head, bodies, kind="results", name=name, num_columns=len(cards))
    return tag("div", table, class_="scroll")


def _table(head: Markup, bodies: list[Markup], *, kind: str, name: str, num_columns: int) -> Markup:
    """A table that narrow screens lay out as a grid; the roles keep it a table for all readers."""
    return tag(
        "table",
        tag("thead", head),
        bodies,
        class_=f"{kind} wide" if num_columns > NARROW else kind,
        aria_labelledby=name,
        style=f"--columns: {num_columns}",
    )


def _column_head(card: MetricCard, *, sorted_by: bool) -> Markup:
    direction = "descending" if card.direction == "higher" else "ascending"
    return tag(
        "th",
        tag("span", card.title, text.unit_and_scale(card), class_="metric"),
        tag("small", f"{card.direction} is better"),
        scope="col",
        data_direction=direction,
        aria_sort=direction if sorted_by else None,
    )


def _group(board: Leaderboard, role: Role, cards: Sequence[MetricCard]) -> Markup:
    methods = board.methods_of(role)
    title = tag(
        "tr",
        tag("th", GROUPS[role], colspan=len(cards) + 1, scope="rowgroup"),
        class_="group",
    )
    return tag("tbody", title, (_row(board, method, cards) for method in methods), data_role=role)


def _row(board: Leaderboard, method: Method, cards: Sequence[MetricCard]) -> Markup:
    return tag(
        "tr",
        tag("th", _name(board, method), scope="row"),
        (_cell(board, method, card) for card in cards),
        class_="focus" if method.name == board.focus else None,
        data_method=method.name,
    )


def _name(board: Leaderboard, method: Method) -> list[Markup | None]:
    facts = [explanation_of(method.name)]
    facts += [f"rate {rate}" for rate in method.rates if rate not in method.name]
    if method.num_memory_tokens:
        facts.append(text.count(method.num_memory_tokens, "memory token"))
    if method.num_steps:
        facts.append(text.count(method.num_steps, "step"))
    if len(board.model_ids) > 1 and method.model_ids != (method.name,):
        facts.append(", ".join(method.model_ids))
    detail = " \N{MIDDLE DOT} ".join(fact for fact in facts if fact)
    against = _against_control(board) if method.name == SHUFFLED_MEMORY else None
    return [
        tag("span", method.name, class_="method-name"),
        tag("small", detail) if detail else None,
        against,
    ]


def _against_control(board: Leaderboard) -> Markup | None:
    """What the focus gains over the shuffled memory: the part that comes from its own memory."""
    lines = []
    for card in board.metrics:
        for item in board.compared(card.metric_id):
            if item.other == SHUFFLED_MEMORY:
                line = text.difference_line(item.difference, card).replace("-", MINUS)
                lines.append(f"{card.title} {line} ({text.finding(item, card)})")
    if not lines:
        return None
    return tag(
        "small",
        tag("b", f"{board.focus} {MINUS} {SHUFFLED_MEMORY}: "),
        "; ".join(lines),
        class_="against",
    )


def _cell(board: Leaderboard, method: Method, card: MetricCard) -> Markup:
    cell = method.cells[card.metric_id]
    summary = cell.summary
    if summary.mean is None:
        return tag("td", tag("small", coded(text.not_measured(cell))), class_="unscored")
    span = text.span(summary, card)
    letters = board.compact_letter_display.get(card.metric_id, {}).get(method.name)
    return tag(
        "td",
        tag(
            "b" if board.is_best(method, card) else "span",
            text.number(summary.mean, card).replace("-", MINUS),
            tag("sup", letters) if letters else None,
            class_="mean",
        ),
        tag("small", span.replace("-", MINUS), class_="interval"),
        tag("small", text.extent(summary), class_="extent"),
        data_value=repr(summary.mean),
    )


def differences_section(board: Leaderboard) -> Markup | None:
    """The focus minus each other method, clip by clip."""
    cards = [card for card in board.metrics if board.compared(card.metric_id)]
    if not cards:
        return None
    families = families_of(cards)
    titled = len(families) > 1
    return tag(
        "section",
        tag("h2", "Paired differences", id="differences"),
        tag(
            "p",
            f"{board.focus} against every other method on the clips that both have, with the "
            "interval of each difference by itself. What decides is p, Holm-adjusted for all "
            f"pairs of methods, of {MIN_CLUSTERS} clips or more.",
            class_="lede",
        ),
        (_differences(board, family, titled=titled) for family in families),
        aria_labelledby="differences",
    )


def _differences(board: Leaderboard, family: Family, *, titled: bool) -> Markup:
    cards = family.cards
    others = [item.other for item in board.compared(cards[0].metric_id)]
    head = tag(
        "tr",
        tag("th", f"{board.focus} minus ...", scope="col"),
        (tag("th", card.title, text.unit_and_scale(card), scope="col") for card in cards),
    )
    rows = [_difference_row(board, other, cards) for other in others]
    name = f"differences-{slug(family.title)}" if titled else "differences"
    table = _table(
        head,
        [tag("tbody", rows)],
        kind="differences",
        name=name,
        num_columns=len(cards),
    )
    title = tag("h3", family.title, id=name) if titled else Markup()
    return Markup(title + tag("div", table, class_="scroll"))


def mended_section(board: Leaderboard) -> Markup | None:
    """What it changes to mend a reference's faults, on the clips that both forms have scored."""
    pairs = [
        pair
        for pair in mended_pairs(board.measured)
        if board.judges.get(pair.mended.metric_id) == board.judges.get(pair.as_published.metric_id)
    ]
    if not pairs:
        return None
    head = tag(
        "tr",
        tag("th", "Mended minus as published", scope="col"),
        (
            tag("th", pair.mended.title, text.unit_and_scale(pair.mended), scope="col")
            for pair in pairs
        ),
    )
    rows = [
        tag(
            "tr",
            tag("th", tag("span", method.name, class_="method-name"), scope="row"),
            (_mended_cell(board, method, pair) for pair in pairs),
        )
        for method in board.methods
    ]
    table = _table(
        head, [tag("tbody", rows)], kind="differences", name="mended", num_columns=len(pairs)
    )
    return tag(
        "section",
        tag("h2", "With the references' faults mended", id="mended"),
        tag(
            "p",
            "Some metrics are here twice: as their reference computes them, faults included, and "
            "without those. How far the faults move a score, on the clips that both could score.",
            class_="lede",
        ),
        tag("div", table, class_="scroll"),
        aria_labelledby="mended",
    )


def _mended_cell(board: Leaderboard, method: Method, pair: Mended) -> Markup:
    published, mended = (
        board.values[card.metric_id][method.name] for card in (pair.as_published, pair.mended)
    )
    found = paired_difference(mended, published, bootstrap=board.bootstrap)
    if found.mean is None:
        return tag("td", tag("small", "no shared clips"), class_="unscored")
    span = text.span(found, pair.mended)
    return tag(
        "td",
        tag("span", text.signed(found.mean, pair.mended).replace("-", MINUS), class_="mean"),
        tag("small", span.replace("-", MINUS), class_="interval"),
        tag("small", f"n {found.n}", class_="extent"),
    )


def _difference_row(board: Leaderboard, other: str, cards: Sequence[MetricCard]) -> Markup:
    cells = []
    for card in cards:
        item = next(item for item in board.compared(card.metric_id) if item.other == other)
        cells.append(_difference_cell(item, card))
    name = [tag("span", other, class_="method-name"), tag("small", explanation_of(other))]
    return tag("tr", tag("th", name, scope="row"), cells, data_role=role_of(other))


def _difference_cell(item: Comparison, card: MetricCard) -> Markup:
    difference = item.difference
    if difference.mean is None:
        return tag("td", tag("small", "no shared clips"), class_="unscored")
    span = text.span(difference, card)
    finding = text.finding(item, card)
    p = text.p_value(item.p_holm)
    return tag(
        "td",
        tag("span", text.signed(difference.mean, card).replace("-", MINUS), class_="mean"),
        tag("small", span.replace("-", MINUS), class_="interval"),
        tag(
            "small",
            f"n {difference.n}, ",
            f"{p}, " if p else None,
            tag("span", finding, class_=f"finding {finding.split()[0]}"),
            class_="extent",
        ),
    )
