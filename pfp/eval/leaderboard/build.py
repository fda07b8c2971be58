"""Generations and scores to a leaderboard: pure, records in and one frozen value out."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pfp.errors import InputError, NothingUsable
from pfp.eval.leaderboard.leaderboard import Cell, Comparison, Leaderboard, Method, Values
from pfp.eval.leaderboard.methods import ROLES, focus_of, role_of
from pfp.eval.measure.protocol import BY_TIME
from pfp.eval.metrics import METRICS, resolve
from pfp.eval.metrics.base import MetricCard
from pfp.eval.stats.aggregate import (
    Bootstrap,
    Summary,
    clip_means,
    paired_difference,
    summarise,
    summarise_clustered,
    summarise_yes_no,
    wilson,
)
from pfp.eval.stats.significance import (
    MAX_PAIRED_METHODS,
    Pairs,
    all_pairs,
    compact_letters_of,
    one_against_all,
)
from pfp.schema import Dropped, EvalSample, Failed, ScoreRecord
from pfp.schema.eval_sample import GIVEN, RETRIEVE

SCORED = (RETRIEVE, GIVEN)
MAX_METHODS = 1000  # every one costs bootstraps, and nobody reads a longer table


# metric id -> method -> a clip and a value for each video
Videos: TypeAlias = Mapping[str, Mapping[str, Sequence[tuple[str, float]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What the rows of the table are computed from."""

    made_by: Mapping[str, Sequence[EvalSample]]  # by method
    num_clips: int
    score_of: Mapping[tuple[str, str], ScoreRecord]  # by sample and metric
    cards: tuple[MetricCard, ...]
    videos: Videos
    values: Values
    bootstrap: Bootstrap


def build_leaderboard(
    generations: Sequence[EvalSample],
    scores: Sequence[ScoreRecord],
    *,
    bootstrap: Bootstrap | None = None,
) -> Leaderboard:
    """The leaderboard of one run.

    A clip counts as expected for every method as soon as any method was asked for it, so a method
    that skips hard clips shows it in its coverage.

    Raises:
        NothingUsable: there are no retrieval samples, or no scores.
        InputError: scores of several protocols, or of other metric versions than this pfp has.
    """
    made, scores = _scored(generations, scores)
    videos = _videos_of(made, scores)
    groups = tuple(sorted({record.group for record in made}))
    run = _Run(
        made_by=_by_method(made),
        num_clips=len(groups),
        score_of={(score.sample_id, score.metric): score for score in scores},
        cards=_cards_of(scores),
        videos=videos,
        values=_values_of(videos),
        bootstrap=bootstrap or Bootstrap(),
    )
    methods = _ordered([_method_of(run, name) for name in run.made_by], run.cards)
    names = [method.name for method in methods]
    focus = focus_of(names)
    pairs = _pairs(run, [method.name for method in methods if method.role == "ranked"])
    return Leaderboard(
        protocols=_protocols(scores),
        judges=_judges(scores),
        wordings=_wordings(scores),
        decoders=tuple(sorted({score.decoder for score in scores})),
        metrics=run.cards,
        methods=tuple(methods),
        comparisons=tuple(_comparisons(run, focus, names, pairs)),
        focus=focus,
        groups=groups,
        values=run.values,
        num_videos=_num_videos_of(videos),
        pairs=pairs,
        compact_letter_display=_compact_letter_displays(run, methods, pairs),
        is_retrieval=all(record.task == RETRIEVE for record in made),
        num_frames=sum(record.num_frames or 0 for record in made if record.method == focus),
        seeds=tuple(sorted({record.seed for record in made})),
        not_made=_not_made(generations),
        num_continuations=sum(record.task not in SCORED for record in generations),
        bootstrap=run.bootstrap,
        num_other_rates=_num_other_rates(scores),
        environment=_environment(scores),
    )


def check_columns(generations: Sequence[EvalSample], scores: Sequence[ScoreRecord]) -> None:
    """Raise what ``build_leaderboard`` raises for these, without computing one."""
    _, scores = _scored(generations, scores)
    _cards_of(scores)
    _protocols(scores)
    _judges(scores)


def _scored(
    generations: Sequence[EvalSample], scores: Sequence[ScoreRecord]
) -> tuple[list[EvalSample], list[ScoreRecord]]:
    """What can be scored, and its scores; NothingUsable where there is neither."""
    made = [record for record in generations if record.task in SCORED]
    samples = {record.sample_id for record in made}
    found = [score for score in scores if score.sample_id in samples]  # none of an older run
    if not made or not found:
        raise NothingUsable(
            f"the run has {len(made)} retrieval samples or given videos and {len(found)} scores; "
            "run the generate and score steps first"
        )
    return made, found


def _num_other_rates(scores: Sequence[ScoreRecord]) -> int:
    """Samples whose frames were compared by number though their reference's rate is another."""
    return len(
        {
            score.sample_id
            for score in scores
            if '"reference_fps": ' in (score.evidence or "") and BY_TIME not in score.protocol
        }
    )


def _environment(scores: Sequence[ScoreRecord]) -> dict[str, str]:
    """Devices and versions that the scores were measured with, several of one name side by side."""
    found: dict[str, set[str]] = {}
    for score in scores:
        for name, version in json.loads(score.environment or "{}").items():
            found.setdefault(name, set()).add(version)
    return {name: " and ".join(sorted(versions)) for name, versions in sorted(found.items())}


def _names(made: Sequence[EvalSample]) -> list[str]:
    return sorted({record.method for record in made})


def _by_method(made: Sequence[EvalSample]) -> dict[str, list[EvalSample]]:
    """The samples of each method, the methods in order of their names."""
    found: dict[str, list[EvalSample]] = {name: [] for name in _names(made)}
    if len(found) > MAX_METHODS:
        raise InputError(
            f"the run has {len(found)} models, more than the {MAX_METHODS} that a table can "
            "compare; mend `model` in the manifest, or report fewer at a time"
        )
    for record in made:
        found[record.method].append(record)
    return found


def _protocols(scores: Sequence[ScoreRecord]) -> dict[str, str]:
    """The protocol of each column; two in one cannot be compared."""
    by_metric: dict[str, set[str]] = {}
    for score in scores:
        by_metric.setdefault(score.metric, set()).add(score.protocol)
    for metric, protocols in sorted(by_metric.items()):
        if len(protocols) > 1:
            raise InputError(
                f"{metric} was measured by the protocols {' and '.join(sorted(protocols))}, which "
                "cannot stand in one column; score the runs again with one of them"
            )
    return {metric: protocol for metric, (protocol,) in sorted(by_metric.items())}


def _wordings(scores: Sequence[ScoreRecord]) -> dict[str, str]:
    """In whose words each metric's questions were asked: the id of pfp's own, or of given ones."""
    found = {}
    for score in scores:
        params = json.loads(score.params)
        if params.get("judge") is not None:
            found[score.metric] = str(params["prompt"])
    return dict(sorted(found.items()))


def _judges(scores: Sequence[ScoreRecord]) -> dict[str, str]:
    """Who was asked for each column that asks; two in one cannot be compared either."""
    by_metric: dict[str, dict[str, str]] = {}
    for score in scores:
        judge = json.loads(score.params).get("judge")
        if judge is not None:
            by_metric.setdefault(score.metric, {})[judge["fingerprint"]] = judge["model_id"]
    for metric, judges in sorted(by_metric.items()):
        if len(judges) > 1:
            who = " and ".join(sorted(judges.values()))
            raise InputError(
                f"{metric} was judged by {who} with {len(judges)} different settings, which cannot "
                "stand in one column; score the runs again with one judge"
            )
    return {metric: next(iter(judges.values())) for metric, judges in sorted(by_metric.items())}


def _cards_of(scores: Sequence[ScoreRecord]) -> tuple[MetricCard, ...]:
    """The cards of the metrics that were scored, in the order of ``METRICS``."""
    cards = {card.metric_id: card for card in (resolve(name).card for name in METRICS)}
    unknown = sorted({score.metric for score in scores} - cards.keys())
    if unknown:
        raise InputError(
            f"scores of {', '.join(unknown)} are not of this pfp, which has {', '.join(cards)}; "
            "score the run again"
        )
    present = {score.metric for score in scores}
    return tuple(card for metric_id, card in cards.items() if metric_id in present)


def _videos_of(made: Sequence[EvalSample], scores: Sequence[ScoreRecord]) -> Videos:
    """Each video's value, for every metric and every method, also for methods without any."""
    labels = {record.sample_id: (record.method, record.group) for record in made}
    methods = _names(made)
    pairs: dict[str, dict[str, list[tuple[str, float]]]] = {
        metric: {method: [] for method in methods}
        for metric in sorted({score.metric for score in scores})
    }
    for score in scores:
        if score.value is not None:
            method, group = labels[score.sample_id]
            pairs[score.metric][method].append((group, score.value))
    return pairs


def _values_of(videos: Videos) -> Values:
    """Each clip's mean, which is what methods are compared by."""
    return {
        metric_id: {method: clip_means(found) for method, found in of_method.items()}
        for metric_id, of_method in videos.items()
    }


def _num_videos_of(videos: Videos) -> dict[str, dict[str, dict[str, int]]]:
    """How many videos' mean a clip's value is, where that is more than one."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for metric_id, of_method in videos.items():
        for method, pairs in of_method.items():
            counts = Counter(clip for clip, _ in pairs)
            several = {clip: count for clip, count in sorted(counts.items()) if count > 1}
            if several:
                found.setdefault(metric_id, {})[method] = several
    return found


def _method_of(run: _Run, name: str) -> Method:
    mine = run.made_by[name]
    cells = {
        card.metric_id: Cell(
            summary=_summary(run, card, name, run.num_clips),
            num_samples=len(mine),
            unscored=_unscored(run, card.metric_id, mine),
        )
        for card in run.cards
    }
    return Method(
        name=name,
        role=role_of(name),
        model_ids=_names_in(record.model_id for record in mine),
        checkpoints=_names_in(record.checkpoint_sha256 for record in mine),
        rates=_names_in(record.rate for record in mine),
        num_memory_tokens=_single([record.num_memory_tokens for record in mine]),
        num_steps=_single([record.num_steps for record in mine]),
        cells=cells,
    )


def _summary(run: _Run, card: MetricCard, name: str, num_expected: int) -> Summary:
    """Each video weighs the same, and all of a clip go together.

    A share of yes has Wilson's interval, as long as each clip has one answer, or all have the same.
    No interval leaves the values that the metric can have.
    """
    of_method = run.values[card.metric_id][name]
    videos = run.videos[card.metric_id][name]
    if len(videos) > len(of_method):
        found = summarise_clustered(videos, num_expected=num_expected, bootstrap=run.bootstrap)
        if card.is_yes_no and found.mean in {0.0, 1.0}:  # equal answers have no spread to go by
            low, high = wilson(
                round(found.mean * len(of_method)),
                len(of_method),
                confidence=run.bootstrap.confidence,
            )
            found = replace(found, low=low, high=high)
        return _within(replace(found, n=len(of_method)), card)
    if card.is_yes_no and set(of_method.values()) <= {0.0, 1.0}:
        confidence = run.bootstrap.confidence
        return summarise_yes_no(of_method, num_expected=num_expected, confidence=confidence)
    found = summarise(of_method, num_expected=num_expected, bootstrap=run.bootstrap)
    return _within(found, card)


def _within(summary: Summary, card: MetricCard) -> Summary:
    """The summary with its interval cut where the metric's values end."""
    low, high = summary.low, summary.high
    if low is None or high is None or summary.mean is None:
        return summary
    least = low if card.low is None else max(low, min(card.low, summary.mean))
    most = high if card.high is None else min(high, max(card.high, summary.mean))
    return replace(summary, low=least, high=most)


def _names_in(values: Iterable[str | None]) -> tuple[str, ...]:
    """Those that there are, sorted."""
    return tuple(sorted({value for value in values if value is not None}))


def _single(values: Sequence[int | None]) -> int | None:
    """The value that all samples share, or None."""
    return values[0] if len(set(values)) == 1 else None


def _unscored(run: _Run, metric_id: str, mine: Sequence[EvalSample]) -> dict[str, int]:
    """Samples of a method without a value: not made, not scored yet, or scored in vain."""
    reasons: Counter[str] = Counter()
    for record in mine:
        score = run.score_of.get((record.sample_id, metric_id))
        if score is None:
            command = "run" if record.task == GIVEN else "score"
            reasons[_why_not_made(record) or f"not scored yet, `pfp-eval {command}`"] += 1
        elif score.unscored_reason is not None:
            reasons[score.unscored_reason] += 1
    return dict(sorted(reasons.items()))


def _why_not_made(record: EvalSample) -> str | None:
    match record.verdict:
        case Dropped(reason=reason):
            return f"not generated: {reason}"
        case Failed(error=error):
            return f"not generated: {error}"
        case _:
            return None


def _not_made(generations: Sequence[EvalSample]) -> dict[str, int]:
    """How many samples of any task were not made, by a line that says which and why."""
    lines: Counter[str] = Counter()
    for record in generations:
        match record.verdict:
            case Dropped(detail=detail):
                lines[f"{record.task}, {record.method}: {detail}"] += 1
            case Failed(error=error, message=message):
                lines[f"{record.task}, {record.method}: {error}: {message}"] += 1
            case _:
                pass
    return dict(sorted(lines.items()))


def _ordered(methods: Sequence[Method], cards: Sequence[MetricCard]) -> list[Method]:
    """Ranked methods, controls, upper bounds; each best first by the first metric, PSNR."""

    def badness(method: Method) -> tuple[int, list[float], str]:
        means = [(card, method.cells[card.metric_id].summary.mean) for card in cards]
        return ROLES.index(method.role), [_cost(mean, card) for card, mean in means], method.name

    return sorted(methods, key=badness)


def _cost(mean: float | None, card: MetricCard) -> float:
    """Smaller is better; unmeasured is worst."""
    if mean is None:
        return math.inf
    return -mean if card.direction == "higher" else mean


def _pairs(run: _Run, methods: Sequence[str]) -> dict[str, Pairs]:
    """All pairs of methods that have values, by metric; none of very many methods."""
    found: dict[str, Pairs] = {}
    for metric_id, of_method in run.values.items():
        names = [name for name in methods if of_method[name]]
        if 2 <= len(names) <= MAX_PAIRED_METHODS:
            found[metric_id] = all_pairs(of_method, names, run.bootstrap)
    return found


def _comparisons(
    run: _Run, focus: str | None, names: Sequence[str], pairs: Mapping[str, Pairs]
) -> list[Comparison]:
    """The focus against every other method, under each metric that it has values of."""
    others = [name for name in names if name != focus]
    found: list[Comparison] = []
    for card in run.cards:
        values = run.values[card.metric_id]
        if focus is not None and values[focus]:
            adjusted = _adjusted(values, pairs.get(card.metric_id), focus, others, run.bootstrap)
            found += [
                _comparison(values, card.metric_id, (focus, other), adjusted, run.bootstrap)
                for other in others
            ]
    return found


def _compact_letter_displays(
    run: _Run, methods: Sequence[Method], pairs: Mapping[str, Pairs]
) -> dict[str, dict[str, str]]:
    """The compact letter display of each metric, ``a`` with the best."""
    found = {}
    for card in run.cards:
        if card.metric_id not in pairs:
            continue
        compared = {name for pair in pairs[card.metric_id] for name in pair}
        cost = {
            method.name: _cost(method.cells[card.metric_id].summary.mean, card)
            for method in methods
            if method.name in compared
        }
        names = sorted(cost, key=cost.__getitem__)
        found[card.metric_id] = compact_letters_of(
            names, pairs[card.metric_id], level=1 - run.bootstrap.confidence
        )
    return {metric_id: of_method for metric_id, of_method in found.items() if of_method}


def compare(board: Leaderboard, metric_id: str, method: str, other: str) -> Comparison | None:
    """``method`` minus ``other`` under one metric, decided as on the board; None without values."""
    values = board.values[metric_id]
    if not values[method]:
        return None
    others = [each.name for each in board.methods if each.name != method or other == method]
    adjusted = _adjusted(values, board.pairs.get(metric_id), method, others, board.bootstrap)
    return _comparison(values, metric_id, (method, other), adjusted, board.bootstrap)


def _adjusted(
    values: Mapping[str, Mapping[str, float]],
    pairs: Pairs | None,
    method: str,
    others: Sequence[str],
    bootstrap: Bootstrap,
) -> Pairs:
    """What decides between a method and each other: the p values of ``pairs`` where it has any."""
    return one_against_all(values, method, others, bootstrap) | dict(pairs or {})


def _comparison(
    values: Mapping[str, Mapping[str, float]],
    metric_id: str,
    names: tuple[str, str],
    adjusted: Pairs,
    bootstrap: Bootstrap,
) -> Comparison:
    method, other = names
    return Comparison(
        metric_id=metric_id,
        method=method,
        other=other,
        difference=paired_difference(values[method], values[other], bootstrap=bootstrap),
        p_holm=adjusted[frozenset(names)],
        level=1 - bootstrap.confidence,
    )
