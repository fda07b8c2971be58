"""The leaderboard as a value: what all reports show, and what ``leaderboard.json`` holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pfp.eval.leaderboard.methods import Role
from pfp.eval.metrics.base import MetricCard
from pfp.eval.stats.aggregate import Bootstrap, Difference, Summary
from pfp.eval.stats.significance import Pairs

SCHEMA_VERSION = 2

# metric id -> method -> clip -> value
Values: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One method under one metric. ``unscored`` counts the samples without a value by reason."""

    summary: Summary
    num_samples: int
    unscored: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of the table; ``cells`` by metric id."""

    name: str
    role: Role
    model_ids: tuple[str, ...]
    checkpoints: tuple[str, ...]
    rates: tuple[str, ...]
    num_memory_tokens: int | None
    num_steps: int | None
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """``method`` minus ``other`` under one metric.

    ``p_holm`` is what the compact letter display rests on, too: adjusted over all pairs of methods,
    or over all comparisons of ``method`` where the two are not in the display. Under ``level`` it
    decides.
    """

    metric_id: str
    method: str
    other: str
    difference: Difference
    p_holm: float | None
    level: float = 0.05

    @property
    def is_sure(self) -> bool | None:
        """Whether the two differ for sure; None where they share too few clips to say."""
        return None if self.p_holm is None else self.p_holm < self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """Everything that the reports show. The methods are in the order of the table, best first."""

    protocols: Mapping[str, str]  # by metric id
    judges: Mapping[str, str]  # who was asked, by the ids of metrics that ask
    wordings: Mapping[str, str]  # whose words they were asked in, by the same ids
    decoders: tuple[str, ...]
    metrics: tuple[MetricCard, ...]
    methods: tuple[Method, ...]
    comparisons: tuple[Comparison, ...]
    focus: str | None
    groups: tuple[str, ...]
    values: Values
    num_videos: Mapping[str, Mapping[str, Mapping[str, int]]]  # behind a value, if several
    pairs: Mapping[str, Pairs]  # of methods, by metric id; of many there are none
    # metric id -> method -> letters, as ``stats.significance`` gives them
    compact_letter_display: Mapping[str, Mapping[str, str]]
    num_frames: int
    is_retrieval: bool  # frames that a memory gave back; else somebody's videos
    seeds: tuple[int, ...]
    not_made: Mapping[str, int]
    num_continuations: int
    bootstrap: Bootstrap
    num_other_rates: int  # samples compared frame by frame with a reference of another frame rate
    environment: Mapping[str, str]  # devices and versions that the scores were measured with

    @property
    def protocol(self) -> str:
        """The protocols of all columns."""
        return "; ".join(sorted(set(self.protocols.values())))

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The models behind all methods, sorted."""
        return tuple(sorted({model for method in self.methods for model in method.model_ids}))

    def methods_of(self, role: Role) -> list[Method]:
        """The rows of one role, best first."""
        return [method for method in self.methods if method.role == role]

    def is_measured(self, metric_id: str) -> bool:
        """Whether any method has a value under the metric."""
        return any(method.cells[metric_id].summary.mean is not None for method in self.methods)

    @property
    def measured(self) -> tuple[MetricCard, ...]:
        """The metrics that have a value anywhere, in order."""
        return tuple(card for card in self.metrics if self.is_measured(card.metric_id))

    def best(self, card: MetricCard) -> float | None:
        """The best mean of the methods that can be compared by their means; None without any."""
        means = self._comparable_means(card.metric_id).values()
        return (max if card.direction == "higher" else min)(means, default=None)

    def is_best(self, method: Method, card: MetricCard) -> bool:
        """Whether none of those methods is better under the metric than this one, which is one."""
        mean = self._comparable_means(card.metric_id).get(method.name)
        return mean is not None and mean == self.best(card)

    def strongest_other(self, card: MetricCard) -> str | None:
        """The best of those methods under the metric beside the focus; None where there is none."""
        means = self._comparable_means(card.metric_id)
        sign = 1 if card.direction == "higher" else -1
        others = [name for name in means if name != self.focus]
        return max(others, key=lambda name: sign * means[name], default=None)

    def _comparable_means(self, metric_id: str) -> dict[str, float]:
        """Those of methods with values of the same clips, as many as any method has.

        Hard clips left out raise a mean, and so do easier ones. Of several groups on as many clips
        the larger competes; of two as large none, since nothing says whose clips are harder.
        """
        groups: dict[frozenset[str], dict[str, float]] = {}
        for method in self.methods_of("ranked"):
            mean = method.cells[metric_id].summary.mean
            if mean is not None:
                clips = frozenset(self.values[metric_id].get(method.name, ()))
                groups.setdefault(clips, {})[method.name] = mean
        most = max(map(len, groups), default=0)
        largest = sorted((g for clips, g in groups.items() if len(clips) == most), key=len)[-2:]
        is_tied = len(largest) == 2 and len(largest[0]) == len(largest[1])
        return largest[-1] if largest and not is_tied else {}

    def unscored(self, metric_id: str) -> dict[str, int]:
        """Why samples have no value under a metric, with how many, over all methods."""
        total: Counter[str] = Counter()
        for method in self.methods:
            total.update(method.cells[metric_id].unscored)
        return dict(sorted(total.items()))

    def compared(self, metric_id: str) -> list[Comparison]:
        """The comparisons under one metric, in the order of the table."""
        return [item for item in self.comparisons if item.metric_id == metric_id]

    def to_json(self) -> dict[str, Any]:
        """Plain values with a ``schema_version``, from which every number can be made again."""
        return {
            "schema_version": SCHEMA_VERSION,
            "protocol": self.protocol,
            "protocols": dict(self.protocols),
            "judges": dict(self.judges),
            "wordings": dict(self.wordings),
            "decoders": list(self.decoders),
            "metrics": [
                {
                    **asdict(card),
                    "metric_id": card.metric_id,
                    "unscored": self.unscored(card.metric_id),
                }
                for card in self.metrics
            ],
            "methods": [_method_json(method) for method in self.methods],
            "focus": self.focus,
            "comparisons": [_comparison_json(item) for item in self.comparisons],
            "groups": list(self.groups),
            "values": self.values,
            "num_videos": self.num_videos,
            "pairs": [
                {"metric_id": metric_id, "methods": sorted(pair), "p_holm": p}
                for metric_id, pairs in self.pairs.items()
                for pair, p in pairs.items()
            ],
            "compact_letter_display": self.compact_letter_display,
            "num_frames": self.num_frames,
            "seeds": list(self.seeds),
            "not_made": dict(self.not_made),
            "num_continuations": self.num_continuations,
            "bootstrap": asdict(self.bootstrap),
            "num_other_rates": self.num_other_rates,
            "environment": dict(self.environment),
        }


def _method_json(method: Method) -> dict[str, Any]:
    cells = {
        metric_id: {
            **asdict(cell.summary),
            "coverage": cell.summary.coverage,
            "num_samples": cell.num_samples,
            "unscored": dict(cell.unscored),
        }
        for metric_id, cell in method.cells.items()
    }
    shallow = {
        "name": method.name,
        "role": method.role,
        "model_ids": list(method.model_ids),
        "checkpoints": list(method.checkpoints),
        "rates": list(method.rates),
        "num_memory_tokens": method.num_memory_tokens,
        "num_steps": method.num_steps,
    }
    return {**shallow, "cells": cells}


def _comparison_json(item: Comparison) -> dict[str, Any]:
    return {
        "metric_id": item.metric_id,
        "method": item.method,
        "other": item.other,
        **asdict(item.difference),
        "excludes_zero": item.difference.excludes_zero,
        "p_holm": item.p_holm,
        "is_sure": item.is_sure,
    }
