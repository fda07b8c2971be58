"""What a run would do: rows, weights, keys, time and money, without doing any of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pfp.errors import PfpError
from pfp.eval.metrics import Metric, Sample, resolve
from pfp.eval.run import Prepared
from pfp.eval.score_rows import Choice, Subject
from pfp.io import media, weights

_FRAME_TOKENS: Final = 258  # what Gemini counts for one small picture
_LOCAL_JUDGES: Final = frozenset({"fake", "replay", "qwen"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPlan:
    """One metric's part. ``seconds`` are on one CPU core, ``usd`` is the least; None is unknown."""

    metric_id: str
    protocol: str
    num_done: int
    num_todo: int
    unscored: dict[str, int]  # by the command that mends it
    weights: tuple[str, ...]
    cost: str
    seconds: float | None
    usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run before it is run. ``unreadable`` says which videos cannot be opened, and why."""

    metrics: tuple[MetricPlan, ...]
    num_videos: int
    num_frames: int
    seconds_of_video: float
    unreadable: tuple[str, ...]


def plan_run(prepared: Prepared) -> Plan:
    """The plan; opens each video that has something to do, to count its frames."""
    todo = prepared.backlog().todo
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for row in todo.to_pylist():
        by_metric.setdefault(row["metric"], []).append(row)
    busy = {row["sample_id"] for row in todo.to_pylist() if row["unscored_reason"] is None}
    samples, unreadable = _samples([s for s in prepared.subjects if s.sample_id in busy])
    return Plan(
        metrics=tuple(
            _metric_plan(choice, by_metric.get(choice.card.metric_id, []), samples, prepared)
            for choice in prepared.choices
        ),
        num_videos=len(busy),
        num_frames=sum(sample.num_frames for sample in samples.values()),
        seconds_of_video=sum(sample.num_frames / sample.fps for sample in samples.values()),
        unreadable=tuple(unreadable),
    )


def _samples(subjects: Sequence[Subject]) -> tuple[dict[str, Sample], list[str]]:
    found, unreadable = {}, []
    for subject in subjects:
        try:
            extent = media.extent_of(subject.given.video, picture_fps=subject.given.fps)
        except PfpError as error:
            unreadable.append(f"{subject.sample_id}: {error}")
            continue
        found[subject.sample_id] = Sample(
            num_frames=extent.num_frames,
            fps=extent.fps,
            height=extent.height,
            width=extent.width,
            prompt=subject.given.prompt,
            shots=subject.given.shots,
            reference_faces=subject.given.reference_faces,
        )
    return found, unreadable


def _metric_plan(
    choice: Choice, rows: Sequence[dict[str, Any]], samples: dict[str, Sample], prepared: Prepared
) -> MetricPlan:
    card = choice.card
    busy = [row for row in rows if row["unscored_reason"] is None]
    lacking = Counter(row["unscored_detail"] for row in rows if row["unscored_reason"] is not None)
    asked = [samples[row["sample_id"]] for row in busy if row["sample_id"] in samples]
    metric = resolve(card.name)(device="cpu")
    return MetricPlan(
        metric_id=card.metric_id,
        protocol=choice.looked_at_by.label,
        num_done=len(prepared.entries) - len(rows),
        num_todo=len(busy),
        unscored=dict(lacking),
        weights=tuple(
            f"{name} ({weights.entry_of(name).licence}"
            f"{', non-commercial' if weights.entry_of(name).non_commercial else ''})"
            for name in card.weights
        ),
        cost=card.cost,
        seconds=_seconds(metric, asked),
        usd=_usd(choice, metric, asked),
    )


def _seconds(metric: Metric, samples: Sequence[Sample]) -> float | None:
    """What the metric takes for all; None if its card does not say."""
    seconds_per = metric.card.seconds_per
    if seconds_per is None:
        return None
    return sum(
        seconds_per.at(sample.width, sample.height) * _times(seconds_per.per, metric, sample)
        for sample in samples
    )


def _times(per: Literal["frame", "pair", "shot", "video"], metric: Metric, sample: Sample) -> int:
    """How often a sample has what the metric takes its time for."""
    match per:
        case "video":
            return 1
        case "shot":
            return len(sample.shots)
        case "frame":
            return _num_asked(metric, sample)
        case "pair":
            return max(0, _num_asked(metric, sample) - 1)


def _num_asked(metric: Metric, sample: Sample) -> int:
    try:
        asked = metric.frames_of(sample)
    except PfpError:
        return 0
    return sample.num_frames if asked is None else len(asked)


def _usd(choice: Choice, metric: Metric, samples: Sequence[Sample]) -> float | None:
    """At least what a judge costs: every frame once, at the list price of what goes in."""
    params = json.loads(choice.params)
    judge = params.get("judge")
    if judge is None or not samples:
        return 0.0 if not hasattr(metric, "shown") or not samples else None
    kind, _, model = judge["model_id"].partition(":")
    if kind in _LOCAL_JUDGES:
        return 0.0
    from pfp.vlm.prices import load_prices

    price = load_prices().get(model.removeprefix("models/"))
    if price is None:
        return None
    num_frames = sum(_num_shown(metric, sample) for sample in samples)
    return int(params.get("votes", 1)) * num_frames * _FRAME_TOKENS * price.input / 1e6


def _num_shown(metric: Metric, sample: Sample) -> int:
    """How many frames of a sample a judge is shown; none of one that cannot be measured."""
    shown: Callable[[Sample], Sequence[int]] = metric.shown  # type: ignore[attr-defined]
    try:
        return len(shown(sample))
    except PfpError:
        return 0
