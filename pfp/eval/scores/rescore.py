"""Stored evidence scored again: scores by this pfp's parsers and rules, without models or videos.

Judges' raw texts are parsed again, and stored numbers meet today's thresholds. A row's key says on
what its score depends, and is kept where a run of today would make the same row of the same
content. Otherwise the row gets a key that no run has, so that the next ``pfp-eval run`` measures
it: where questions were not asked (only those will be), and where the metric's version or
parameters are others now, whose key depends on videos that are not looked at here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import pfp
from pfp.errors import ConfigError
from pfp.eval.measure.engine import mean_over_clips
from pfp.eval.measure.score import scored
from pfp.eval.measure.score_rows import GIVEN_PROMPT
from pfp.eval.metrics import Metric, MetricValue, resolve
from pfp.eval.metrics.judging import NOT_ASKED, unscored
from pfp.eval.scores.runs import parts_of
from pfp.io import tables
from pfp.io.digests import sha256_json
from pfp.schema import Dropped, ScoreRecord
from pfp.schema.run_directory import RunDirectory

RESCORED_WITH: Final = "pfp_rescored"  # in ``environment``: the version that read it last
_OF_THE_RUN: Final = frozenset({"judge", "temperature", "votes"})  # parameters that it chose


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A score that is another now; ``before`` and ``after`` are its value or its reason."""

    score_id: str
    before: float | str
    after: float | str


@dataclass(slots=True, kw_only=True)
class Rescored:
    """What reading a run again has changed.

    ``other`` are metric ids whose rows were measured otherwise than this pfp would, and were left.
    """

    num_read: int = 0
    num_verdicts: int = 0
    num_verdicts_changed: int = 0
    num_not_asked: int = 0
    num_rekeyed: int = 0  # rows of an older version that are of today's now
    changes: list[Change] = field(default_factory=list)
    other: set[str] = field(default_factory=set)


def rescore_run(run_directory: str, *, metrics: Sequence[str] = ()) -> Rescored:
    """Read the evidence of a run's scores again and write those that changed.

    ``metrics`` are names; empty is all. Each table (the run's, and one a shard) changes in one
    step, and only if a row in it did. Scores without evidence, or of metrics whose evidence does
    not hold what their rule reads, stay as they are.

    Raises:
        ConfigError: a metric is unknown.
        SchemaError: there are no such tables, or they are of another pfp.
        InputError: the table is being written by a run.
    """
    for name in metrics:
        resolve(name)
    report = Rescored()
    for part in parts_of(run_directory.rstrip("/")):
        _rescore_table(RunDirectory(part).scores.path, frozenset(metrics), report)
    return report


def _rescore_table(directory: str, metrics: frozenset[str], report: Rescored) -> None:
    before = tables.read_records(directory, ScoreRecord)
    taken = {record.score_id for record in before}
    after = [_rescore(record, metrics, taken, report) for record in before]
    if after != before:
        tables.write_table(directory, ScoreRecord.table(after), ScoreRecord)


def _rescore(
    record: ScoreRecord, metrics: frozenset[str], taken: set[str], report: Rescored
) -> ScoreRecord:
    name, _, _ = record.metric.rpartition("@")
    if record.evidence is None or (metrics and name not in metrics):
        return record
    try:
        kind = resolve(name)
    except ConfigError:  # of another pfp
        report.other.add(record.metric)
        return record
    evidence = json.loads(record.evidence)
    found = value_of(kind, evidence, record.num_frames or 0)
    if found is None:
        return record
    params = _params_of(kind, record)
    score_id = f"{record.sample_id}/{kind.card.metric_id}"
    if params is None or (score_id != record.score_id and score_id in taken):
        report.other.add(record.metric)
        return record
    taken.add(score_id)
    return _compare(record, found, _Identity(kind.card.metric_id, score_id, params), report)


@dataclass(frozen=True, slots=True)
class _Identity:
    """What a row is of: today's version of its metric."""

    metric: str
    score_id: str
    params: str  # JSON


def _compare(
    record: ScoreRecord, found: MetricValue, identity: _Identity, report: Rescored
) -> ScoreRecord:
    """The row as it is now; the very same one if it says what it said."""
    earlier = _verdicts(json.loads(record.evidence or "{}"))
    verdicts = _verdicts(found.evidence)
    num_changed = sum(a != b for a, b in zip(earlier, verdicts, strict=True))
    report.num_read += 1
    report.num_verdicts += len(verdicts)
    report.num_verdicts_changed += num_changed
    report.num_not_asked += found.unscored_reason == NOT_ASKED
    before, after = _outcome(record), _outcome(found)
    if before != after:
        change = Change(score_id=identity.score_id, before=before, after=after)
        report.changes.append(change)
    is_same_metric = (record.metric, record.params) == (identity.metric, identity.params)
    if before == after and not num_changed and is_same_metric:
        return record
    made = scored({**record.to_row(), **asdict(identity)}, found)
    if found.unscored_reason == NOT_ASKED:
        detail = (
            "an answer reads otherwise now, and the question that follows was not asked; "
            "`pfp-eval run` asks it"
        )
        made = replace(made, verdict=Dropped(reason=NOT_ASKED, detail=detail))
    key = record.result_key
    if found.unscored_reason == NOT_ASKED or not is_same_metric:
        report.num_rekeyed += not is_same_metric
        key = sha256_json(["rescore", key, identity.metric, identity.params])
    measured = json.loads(record.environment or "{}")
    by = json.dumps({**measured, RESCORED_WITH: pfp.__version__}, sort_keys=True)
    return replace(made, result_key=key, environment=by)


def _outcome(of: ScoreRecord | MetricValue) -> float | str:
    return of.unscored_reason or "" if of.value is None else of.value


def value_of(
    kind: type[Metric], evidence: Mapping[str, Any], num_frames: int
) -> MetricValue | None:
    """The value by today's rule, of one clip or of many; None where the evidence holds too little.

    A clip of which a question was not asked leaves the video open.
    """
    if "clips" not in evidence:
        return kind.rescore(evidence, num_frames)
    clips = []
    for clip in evidence["clips"]:
        value = kind.rescore(clip["evidence"], 0)
        if value is None:
            return None
        clips.append((range(clip["start_frame"], clip["end_frame"]), value))
    if not clips:
        return None
    found = mean_over_clips(clips)
    found = replace(found, evidence={**evidence, **found.evidence})
    if any(value.unscored_reason == NOT_ASKED for _, value in clips):
        return unscored(NOT_ASKED, found.evidence, num_frames)
    return replace(found, num_frames=num_frames)


def _params_of(kind: type[Metric], record: ScoreRecord) -> str | None:
    """Today's parameters, with the row's own judge; None if they say that other things were seen.

    Parameters of the rule may differ: that is what is read again.
    """
    stored = json.loads(record.params)
    given = {"prompt", GIVEN_PROMPT} if GIVEN_PROMPT in stored else set[str]()
    chosen = {name: stored[name] for name in (_OF_THE_RUN | given) & stored.keys()}
    today = {**kind.card.params, **chosen}
    differing = {
        name for name in stored.keys() | today.keys() if stored.get(name) != today.get(name)
    }
    return None if differing - kind.rule_params else json.dumps(today, sort_keys=True)


def _verdicts(evidence: Mapping[str, Any]) -> list[str]:
    """What judges were understood to say, in the order of asking."""
    clips = evidence.get("clips")
    if clips is not None:
        return [verdict for clip in clips for verdict in _verdicts(clip["evidence"])]
    return [row["verdict"] for row in evidence.get("asked", ())]
