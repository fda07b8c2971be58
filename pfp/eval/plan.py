"""What a run would do: rows, weights, keys, time and money, without doing any of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Literal

from pfp.errors import PfpError, RetryableError
from pfp.eval.measure.score_rows import MetricSpec
from pfp.eval.metrics import Metric, OpenedSample, resolve
from pfp.eval.run import Prepared
from pfp.io import media, weights
from pfp.schema import EvalSample

_FRAME_TOKENS: Final = 258  # what Gemini counts for one small image
MAX_OPENED: Final = 1000  # videos; of more, a part stands for all
MAX_SILENT: Final = 3  # each takes half a minute


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
    """A run before it is run.

    ``num_opened`` samples' videos were opened; if they are fewer than ``num_videos``, frames, times
    and costs are those of the opened ones times their share. ``unreadable`` says which of them
    cannot be opened, and why.
    """

    metrics: tuple[MetricPlan, ...]
    num_videos: int
    num_opened: int
    num_frames: int
    seconds_of_video: float
    unreadable: tuple[str, ...]


def plan_run(prepared: Prepared) -> Plan:
    """The plan; opens up to ``MAX_OPENED`` videos that have something to do."""
    columns = ["sample_id", "metric", "unscored_reason", "unscored_detail"]
    by_metric: dict[str, list[dict[str, Any]]] = {}
    busy: set[str] = set()
    for row in prepared.backlog().todo.select(columns).to_pylist():
        by_metric.setdefault(row["metric"], []).append(row)
        if row["unscored_reason"] is None:
            busy.add(row["sample_id"])
    chosen = _evenly([s for s in prepared.samples if s.sample_id in busy])
    samples, unreadable = _open(chosen)
    opened = samples.keys() | unreadable.keys()
    share = len(busy) / max(len(opened), 1)
    return Plan(
        metrics=tuple(
            _metric_plan(spec, by_metric.get(spec.card.metric_id, []), opened, samples, prepared)
            for spec in prepared.specs
        ),
        num_videos=len(busy),
        num_opened=len(opened),
        num_frames=round(share * sum(sample.num_frames for sample in samples.values())),
        seconds_of_video=share * sum(sample.num_frames / sample.fps for sample in samples.values()),
        unreadable=tuple(f"{name}: {error}" for name, error in unreadable.items()),
    )


def _evenly(samples: Sequence[EvalSample]) -> list[EvalSample]:
    """All, or ``MAX_OPENED`` of them by a draw that is the same each time."""
    if len(samples) <= MAX_OPENED:
        return list(samples)
    chosen = random.Random(0).sample(range(len(samples)), MAX_OPENED)  # noqa: S311 - no secret
    return [samples[number] for number in sorted(chosen)]


def _open(samples: Sequence[EvalSample]) -> tuple[dict[str, OpenedSample], dict[str, PfpError]]:
    """What the videos are, and why some cannot be opened, by sample.

    Where a store does not answer ``MAX_SILENT`` times no more are asked for.
    """
    found: dict[str, OpenedSample] = {}
    unreadable: dict[str, PfpError] = {}
    num_silent = 0
    for sample in samples:
        try:
            extent = media.extent_of(sample.video, image_fps=sample.fps)
        except PfpError as error:
            unreadable[sample.sample_id] = error
            num_silent += isinstance(error, RetryableError)
            if num_silent == MAX_SILENT:
                break
            continue
        found[sample.sample_id] = OpenedSample(
            num_frames=extent.num_frames,
            fps=extent.fps,
            height=extent.height,
            width=extent.width,
            prompt=sample.prompt,
            shots=sample.shots,
            reference_faces=sample.reference_faces,
        )
    return found, unreadable


def _metric_plan(
    spec: MetricSpec,
    rows: Sequence[dict[str, Any]],
    opened: AbstractSet[str],
    samples: Mapping[str, OpenedSample],
    prepared: Prepared,
) -> MetricPlan:
    card = spec.card
    busy = [row for row in rows if row["unscored_reason"] is None]
    lacking = Counter(row["unscored_detail"] for row in rows if row["unscored_reason"] is not None)
    asked = [samples[row["sample_id"]] for row in busy if row["sample_id"] in samples]
    num_opened = sum(row["sample_id"] in opened for row in busy)
    share = len(busy) / num_opened if num_opened else 1.0
    metric = resolve(card.name)(device="cpu")
    return MetricPlan(
        metric_id=card.metric_id,
        protocol=spec.looked_at_by.label,
        num_done=len(prepared.samples) - len(rows),
        num_todo=len(busy),
        unscored=dict(lacking),
        weights=tuple(
            f"{name} ({weights.entry_of(name).licence}"
            f"{', non-commercial' if weights.entry_of(name).non_commercial else ''})"
            for name in card.weights
        ),
        cost=card.cost,
        seconds=_times(share, _seconds(metric, asked)),
        usd=_times(share, _usd(spec, metric, asked)),
    )


def _times(share: float, cost: float | None) -> float | None:
    return None if cost is None else share * cost


def _seconds(metric: Metric, samples: Sequence[OpenedSample]) -> float | None:
    """What the metric takes for all; None if its card does not say."""
    seconds_per = metric.card.seconds_per
    if seconds_per is None:
        return None
    return sum(
        seconds_per.at(sample.width, sample.height) * _num_of(seconds_per.per, metric, sample)
        for sample in samples
    )


def _num_of(
    per: Literal["frame", "pair", "shot", "video"], metric: Metric, sample: OpenedSample
) -> int:
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


def _num_asked(metric: Metric, sample: OpenedSample) -> int:
    try:
        asked = metric.frames_of(sample)
    except PfpError:
        return 0
    return sample.num_frames if asked is None else len(asked)


def _usd(spec: MetricSpec, metric: Metric, samples: Sequence[OpenedSample]) -> float | None:
    """At least what a judge costs: every frame once, at the list price of what goes in."""
    params = json.loads(spec.params)
    judge = params.get("judge")
    if judge is None or not samples:
        return 0.0 if not hasattr(metric, "shown") or not samples else None
    kind, _, model = judge["model_id"].partition(":")
    from pfp.vlm.load import PROVIDERS
    from pfp.vlm.prices import load_prices

    if kind in PROVIDERS and not PROVIDERS[kind].is_remote:
        return 0.0
    price = load_prices().get(model.removeprefix("models/"))
    if price is None:
        return None
    num_frames = sum(_num_shown(metric, sample) for sample in samples)
    return int(params.get("votes", 1)) * num_frames * _FRAME_TOKENS * price.input / 1e6


def _num_shown(metric: Metric, sample: OpenedSample) -> int:
    """How many frames of a sample a judge is shown; none of one that cannot be measured."""
    shown: Callable[[OpenedSample], Sequence[int]] = metric.shown  # type: ignore[attr-defined]
    try:
        return len(shown(sample))
    except PfpError:
        return 0
