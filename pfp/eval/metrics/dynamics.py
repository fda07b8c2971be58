"""Whether a video moves: VBench's dynamic degree, mended and cut-aware forms of it, and how fast.

All four look at the same flows, which are worked out once however many of them run together.

Axes: N pairs of successive sampled frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np

from pfp.errors import Unmeasurable
from pfp.eval.metrics import dynamic_degree
from pfp.eval.metrics.base import (
    Measurement,
    Metric,
    MetricCard,
    MetricValue,
    OpenedSample,
    SecondsPer,
)
from pfp.eval.metrics.motion import (
    WEIGHTS,
    Motions,
    Seen,
    check_measurable,
    load_network,
    sampled_frames,
)
from pfp.measures import cuts

MIN_SIDE = 128  # below, torchvision's RAFT refuses frames
RULE_PARAMS = frozenset({"threshold_px", "threshold_per", "min_pairs_needed"})
SECONDS_PER = SecondsPer(seconds=1.0, per="pair", size=(224, 128))

_VBENCH = MetricCard(
    name="dynamics",
    version=1,
    title="Dynamics",
    unit="",
    direction="higher",
    low=0.0,
    high=1.0,
    decimals=2,
    scale=100,
    is_yes_no=True,
    summary=(
        "1 if a quarter of the pairs of frames, taken about 8 times a second, move: the mean of "
        "the longest 5 % of RAFT's vectors, padding included, exceeds 6 px at a shorter side of "
        "256 px. VBench dynamic_degree with its faults: any two samples move, one never does, and "
        "the threshold ignores that samples lie 1/10 to 1/6 s apart."
    ),
    citation="Huang et al., VBench, CVPR 2024; Teed and Deng, RAFT, ECCV 2020",
    licence="BSD-3-Clause (RAFT)",
    weights=(WEIGHTS,),
    libraries=("torch", "torchvision"),
    seconds_per=SECONDS_PER,
    cost_note="8 pairs a second of video",
    params={
        "sampling": "every max(1, round(fps / 8)) frames",
        "flow_updates": 20,
        "top_share": dynamic_degree.TOP_SHARE,
        "threshold_px": dynamic_degree.THRESHOLD_PX,
        "threshold_per": "interval",
        "padding": "counted",
        "min_pairs_needed": 0,
        "cut_policy": "none",
    },
)
_FIXED = replace(
    _VBENCH,
    name="dynamics.fixed",
    title="Dynamics (fixed)",
    summary=(
        "As dynamics, without its faults: the threshold is one of speed, 6 px per 1/8 s; at least "
        "one pair must move; padding does not count; frames under 128 px are padded; a single "
        "frame is unscored."
    ),
    params={
        **_VBENCH.params,
        "threshold_per": "1/8 s",
        "padding": "left out",
        "min_pairs_needed": 1,
    },
)


@final
class Dynamics(Metric):
    """VBench's dynamic degree, bugs and all; the paper's choice is to do nothing about cuts."""

    card: ClassVar = _VBENCH

    rule_params: ClassVar = RULE_PARAMS

    _network: Any = None

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames need 128 pixels on each side (``Unmeasurable``)."""
        if min(sample.height, sample.width) < MIN_SIDE:
            raise Unmeasurable(
                "too_small",
                f"dynamics needs frames of at least {MIN_SIDE}x{MIN_SIDE} pixels, not "
                f"{sample.width}x{sample.height}; dynamics.fixed takes smaller ones",
            )
        self._network = self._network or load_network(self._lock, self._device)
        return Motions(self._network, sample, _as_vbench)

    @classmethod
    def rescore(cls, evidence: Mapping[str, Any], num_frames: int) -> MetricValue:
        """The stored magnitudes against today's threshold."""
        del num_frames
        return _as_vbench(seen_of(evidence))


@final
class DynamicsFixed(Metric):
    """Dynamic degree without the documented faults; cuts are treated as any other pair."""

    card: ClassVar = _FIXED

    rule_params: ClassVar = RULE_PARAMS

    _network: Any = None

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Needs a known frame rate and frames of 20 pixels (``Unmeasurable``)."""
        check_measurable(sample)
        self._network = self._network or load_network(self._lock, self._device)
        return Motions(self._network, sample, _fixed)

    @classmethod
    def rescore(cls, evidence: Mapping[str, Any], num_frames: int) -> MetricValue:
        """The stored magnitudes against today's threshold."""
        del num_frames
        return _fixed(seen_of(evidence))


@final
class DynamicsWithinShots(Metric):
    """The same, but a pair that lies across a cut is not asked."""

    card: ClassVar = replace(
        _FIXED,
        name="dynamics.within_shots",
        title="Dynamics (within shots)",
        summary=(
            "As dynamics.fixed, but pairs across a hard cut are left out and a quarter of the "
            "others must move. A cut is a large step between frames averaged to 16 x 16 cells that "
            "changes their layout and stands out from the steps beside it."
        ),
        params={
            **_FIXED.params,
            "cut_policy": "skip",
            "cut_levels": cuts.MIN_DIFFERENCE,
            "cut_correlation": cuts.MAX_CORRELATION,
            "cut_over_neighbours": cuts.OVER_NEIGHBOURS,
        },
    )

    rule_params: ClassVar = RULE_PARAMS

    _network: Any = None

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Needs a known frame rate and frames of 20 pixels (``Unmeasurable``)."""
        check_measurable(sample)
        self._network = self._network or load_network(self._lock, self._device)
        return Motions(self._network, sample, _within_shots)

    @classmethod
    def rescore(cls, evidence: Mapping[str, Any], num_frames: int) -> MetricValue:
        """The stored magnitudes against today's threshold."""
        del num_frames
        return _within_shots(seen_of(evidence))


@final
class DynamicsMagnitude(Metric):
    """How fast a video moves, where dynamics only says whether."""

    card: ClassVar = replace(
        _FIXED,
        name="dynamics.magnitude",
        title="Motion",
        unit="px per 1/8 s at 256 px",
        high=None,
        decimals=2,
        scale=1,
        is_yes_no=False,
        summary=(
            "Mean over pairs of the mean of the longest 5 % of RAFT's vectors, in pixels per 1/8 s "
            "of a frame scaled to a shorter side of 256 px, at any frame rate and size; "
            "dynamics asks for more than 6 in a quarter of the pairs."
        ),
        params={
            "sampling": _FIXED.params["sampling"],
            "flow_updates": 20,
            "top_share": dynamic_degree.TOP_SHARE,
            "padding": "left out",
            "cut_policy": "none",
        },
    )

    _network: Any = None

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Needs a known frame rate and frames of 20 pixels (``Unmeasurable``)."""
        check_measurable(sample)
        self._network = self._network or load_network(self._lock, self._device)
        return Motions(self._network, sample, _magnitude)


def _as_vbench(seen: Seen) -> MetricValue:
    needed = dynamic_degree.num_needed(seen.num_frames)
    return _verdict(seen, seen.padded_px_N, seen.threshold_px, needed)


def _fixed(seen: Seen) -> MetricValue:
    if not seen.px_N:
        return _nothing(seen, "single_frame")
    threshold = seen.threshold_px * seen.intervals
    needed = max(1, dynamic_degree.num_needed(seen.num_frames))
    return _verdict(seen, seen.px_N, threshold, needed)


def _within_shots(seen: Seen) -> MetricValue:
    if not seen.px_N:
        return _nothing(seen, "single_frame")
    kept_px = [px for index, px in enumerate(seen.px_N) if index not in seen.cut_pairs]
    if not kept_px:
        return _nothing(seen, "no_pair_within_a_shot")
    needed = max(1, dynamic_degree.num_needed(len(kept_px) + 1))
    return _verdict(seen, seen.px_N, seen.threshold_px * seen.intervals, needed, kept_px)


def _magnitude(seen: Seen) -> MetricValue:
    if not seen.px_N:
        return _nothing(seen, "single_frame")
    height, width = seen.sample.height, seen.sample.width
    mean = dynamic_degree.normalised_px(
        float(np.mean(seen.px_N)), height=height, width=width, intervals=seen.intervals
    )
    return MetricValue(value=mean, num_frames=seen.num_frames, evidence=_evidence(seen, seen.px_N))


def _verdict(
    seen: Seen,
    px_N: list[float],
    threshold_px: float,
    needed: int,
    asked_px: list[float] | None = None,
) -> MetricValue:
    """Whether the pairs asked move; all of ``px_N`` unless ``asked_px`` says which."""
    asked_px = px_N if asked_px is None else asked_px
    moves = dynamic_degree.is_moving(asked_px, threshold=threshold_px, needed=needed)
    return MetricValue(
        value=float(moves),
        num_frames=seen.num_frames,
        evidence={
            **_evidence(seen, px_N),
            "threshold_px": threshold_px,
            "num_needed": needed,
            "num_asked": len(asked_px),
            "num_above": sum(px > threshold_px for px in asked_px),
        },
    )


def _nothing(seen: Seen, reason: str) -> MetricValue:
    return MetricValue(
        value=None,
        num_frames=seen.num_frames,
        evidence=_evidence(seen, seen.px_N),
        unscored_reason=reason,
    )


def _evidence(seen: Seen, px_N: list[float]) -> dict[str, Any]:
    """Magnitudes are in px per sampling interval, of the frame as it is."""
    return {
        "per_pair_px": px_N,
        "mean_px": float(np.mean(px_N)) if px_N else None,
        "interval_frames": seen.interval,
        "cut_pairs": seen.cut_pairs,
        "fps": seen.sample.fps,
        "size_px": [seen.sample.width, seen.sample.height],
    }


def seen_of(evidence: Mapping[str, Any]) -> Seen:
    """What ``_evidence`` was made of; it kept the magnitudes that its metric's rule reads."""
    px_N = list(evidence["per_pair_px"])
    width, height = evidence["size_px"]
    num_frames = len(px_N) + 1
    return Seen(
        sample=OpenedSample(num_frames=num_frames, fps=evidence["fps"], height=height, width=width),
        num_frames=num_frames,
        padded_px_N=px_N,
        px_N=px_N,
        cut_pairs=list(evidence["cut_pairs"]),
    )
