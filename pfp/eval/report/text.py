"""Numbers and findings as text, shared by all forms of the report."""

from __future__ import annotations

from dataclasses import dataclass

from pfp.eval.leaderboard.leaderboard import Cell, Comparison, Leaderboard
from pfp.eval.measure.reasons import explained, short
from pfp.eval.metrics.base import MetricCard
from pfp.eval.stats.aggregate import Difference, Summary
from pfp.eval.stats.sign_flips import MIN_CLUSTERS

BETTER, WORSE = "better", "worse"
TINY = "tiny"
VBENCH2 = "Zheng et al., VBench-2.0"  # as cards cite it
GIVEN = "given-"  # what ids of words begin with that a user gave
TINY_NOTE = (
    "is trained by this project on generated clips and pans over photographs; "
    "it shows mechanics, not quality."
)
NOTHING_MEASURED = "Nothing could be measured yet; what is missing is named below."
NO_INTERVAL = "too few for an interval"


def number(value: float, card: MetricCard) -> str:
    """A value as people read it, with the metric's decimals, without its unit."""
    text = f"{value * card.scale:.{card.decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float, card: MetricCard) -> str:
    """A difference with its sign; what rounds to nothing has none."""
    text = f"{value * card.scale:+.{card.decimals}f}"
    return text[1:] if float(text) == 0 else text


def unit(card: MetricCard) -> str:
    """The unit with a space before it, if there is one."""
    return f" {card.unit}" if card.unit else ""


def unit_and_scale(card: MetricCard) -> str:
    """What a heading says after the title: the unit, and that shares are shown of 100."""
    return unit(card) + (f" x{card.scale}" if card.scale != 1 else "")


def bounds(low: float | None, high: float | None, card: MetricCard) -> str | None:
    """``[low, high]``, or None when there is no interval."""
    if low is None or high is None:
        return None
    return f"[{number(low, card)}, {number(high, card)}]"


def span(found: Summary | Difference, card: MetricCard) -> str:
    """The interval, or in plain words that so few clips have none."""
    return bounds(found.low, found.high, card) or (
        NO_INTERVAL if found.n < MIN_CLUSTERS else "no interval"
    )


def extent(summary: Summary) -> str:
    """How many clips a mean rests on, and which share of those asked for that is."""
    coverage = summary.coverage
    return f"n {summary.n}" if coverage is None else f"n {summary.n}, {100 * coverage:.0f} %"


def not_measured(cell: Cell) -> str:
    """Why a cell has no mean."""
    reasons = [short(reason) for reason in cell.unscored]
    return f"not measured: {'; '.join(reasons)}" if reasons else "not measured"


def finding(comparison: Comparison, card: MetricCard) -> str:
    """Who is better, by the adjusted test that the compact letter display rests on.

    Fewer than eight clips cannot tell, however they fall.
    """
    difference = comparison.difference
    if difference.mean is None or comparison.is_sure is None:
        return "too few shared clips"
    if not comparison.is_sure:
        return "undecided"
    return BETTER if (difference.mean > 0) == (card.direction == "higher") else WORSE


def difference_line(difference: Difference, card: MetricCard) -> str:
    """``+1.23 dB [0.80, 1.71], n 12``."""
    if difference.mean is None:
        return "no shared clips"
    shown = span(difference, card)
    shown = shown if shown.startswith("[") else f"({shown})"
    return f"{signed(difference.mean, card)}{unit(card)} {shown}, n {difference.n}"


def p_values(comparison: Comparison) -> str | None:
    """The p value, and the adjusted one where it is another: ``p 0.012, 0.036 by Holm``."""
    p, adjusted = p_value(comparison.difference.p_value), p_value(comparison.p_holm)
    if p is None or adjusted is None or p == adjusted:
        return p
    return f"{p}, {adjusted.removeprefix('p ')} by Holm"


def p_value(p: float | None) -> str | None:
    """A p value with three decimals; small ones as a bound."""
    if p is None:
        return None
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def headline(board: Leaderboard) -> str:
    """What was measured, on how many clips, by which models."""
    models = ", ".join(board.model_ids)
    methods = count(sum(method.role == "ranked" for method in board.methods), "method")
    if board.is_retrieval:
        clips = count(len(board.groups), "clip")
        return f"Frame retrieval from compressed memory: {clips}, {methods}, model {models}"
    return f"Scores of videos: {count(len(board.groups), 'prompt')}, {methods}"


def protocol_names(board: Leaderboard) -> str:
    """The protocols without what they consist of."""
    return ", ".join(part.partition(" (")[0] for part in board.protocol.split("; "))


def environment(board: Leaderboard) -> str:
    """The libraries and devices behind the numbers, with their versions."""
    return (
        ", ".join(f"{name} {version}" for name, version in board.environment.items()) or "nothing"
    )


def count(n: int, noun: str) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def tiny_models(board: Leaderboard) -> list[str]:
    """The models of the run that are the embedded default."""
    made_here = {
        model for method in board.methods if any(method.checkpoints) for model in method.model_ids
    }
    return [TINY] if TINY in made_here else []


def judges(board: Leaderboard) -> list[str]:
    """Who answered the questions of which metrics, a sentence for each."""
    titles: dict[str, list[str]] = {}
    for card in board.metrics:
        if card.metric_id in board.judges:
            titles.setdefault(board.judges[card.metric_id], []).append(card.title)
    blind = ", which looks at nothing, so that these are no measurements"
    judged = [
        f"{', '.join(names)}: judged by {judge}{blind if is_fake(judge) else ''}."
        for judge, names in titles.items()
    ]
    return judged + _wordings(board)


def _wordings(board: Leaderboard) -> list[str]:
    """In whose words the questions of VBench-2.0's dimensions were asked."""
    asked = {
        board.wordings[card.metric_id]
        for card in board.metrics
        if card.metric_id in board.wordings and card.citation.startswith(VBENCH2)
    }
    own, given = (
        [w for w in sorted(asked) if w.startswith(GIVEN) == is_given] for is_given in (False, True)
    )
    sentences = []
    if own:
        sentences.append(f"Asked in pfp's own words ({', '.join(own)}), not in VBench-2.0's.")
    if given:
        sentences.append(f"Asked in words that were given ({', '.join(given)}).")
    return sentences


def is_fake(judge: str) -> bool:
    """Whether a judge says always the same."""
    return judge.startswith("fake:")


def drawn(board: Leaderboard) -> str:
    """What means and intervals are over."""
    return "clips" if board.is_retrieval else "prompts"


def how_to_read(board: Leaderboard) -> list[str]:
    """The sentences that belong under every form of the table, none if it is empty."""
    if not board.measured:
        return []
    settings = board.bootstrap
    over, level = drawn(board), 1 - settings.confidence
    means = f"videos, those of one of the {over} taken together" if board.num_videos else over
    intervals = (
        f"Mean over {means}; in brackets the {100 * settings.confidence:g} % interval: the means "
        f"that a sign-flip test over {over} does not reject (at most {settings.num_draws} draws, "
        f"seed {settings.seed}); n counts the {over} with a value, the percentage is their share "
        f"of the {over} asked for."
    )
    sentences = [intervals]
    if any(card.is_yes_no for card in board.measured):
        sentences.append("Shares of videos with a yes have Wilson's interval.")
    if board.compact_letter_display:
        sentences.append(
            "Methods that share a letter do not differ significantly under that metric (the same "
            f"test of paired differences, Holm-adjusted over all pairs, level {level:.2g}); better "
            "and worse are said by the same p values."
        )
    sentences += judges(board)
    if board.num_other_rates:
        sentences.append(
            "Compared frame by frame with a reference of another frame rate, so that frames of one "
            f"number are of different times: {board.num_other_rates} of the samples; measure them "
            "with `--align time`."
        )
    if len(board.groups) < MIN_CLUSTERS:
        sentences.append(f"Fewer than {MIN_CLUSTERS} {over} have no interval and decide nothing.")
    return sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """Metrics, by their titles, that for one reason say nothing of as many samples each."""

    titles: tuple[str, ...]
    num_samples: int
    reason: str


def unscored_reasons(board: Leaderboard) -> list[Unscored]:
    """What was not measured, one entry for each reason and number of samples."""
    titles: dict[tuple[str, int], list[str]] = {}
    for card in board.metrics:
        for reason, samples in board.unscored(card.metric_id).items():
            titles.setdefault((explained(reason), samples), []).append(card.title)
    return [
        Unscored(titles=tuple(names), num_samples=samples, reason=reason)
        for (reason, samples), names in titles.items()
    ]


def unscored(board: Leaderboard) -> list[str]:
    """The same as sentences."""
    return [
        f"{', '.join(each.titles)}, {count(each.num_samples, 'sample')}"
        f"{' each' if len(each.titles) > 1 else ''} not measured: {each.reason}."
        for each in unscored_reasons(board)
    ]
