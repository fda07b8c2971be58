"""Whether a video moves: VBench's dynamic degree, mended and cut-aware forms of it, and how fast.

All four look at the same flows, which are worked out once however many of them run together.

Axes: N pairs of successive sampled frames, H height, W width, C colour.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, PermanentError
from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricCard, MetricValue, Sample
from pfp.io import weights
from pfp.io.weights import Lock
from pfp.measures import cuts, dynamics

WEIGHTS = "raft-large-c-t-v1"
MIN_SIDE = 128  # below, torchvision's RAFT refuses frames
COST = "1 s a pair of 224x128, 14 s of 832x480 on one CPU core; 8 pairs a second of video"
# Alive as long as some metric holds them, so that all that need flow share one network.
_NETWORKS: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()

_VBENCH = MetricCard(
    name="dynamics",
    version=1,
    title="Dynamics",
    unit="",
    direction="higher",
    low=0.0,
    high=1.0,
    decimals=4,
    summary=(
        "1 if a quarter of the pairs of frames, taken about 8 times a second, move: the mean of "
        "the longest 5 % of RAFT's vectors, padding included, exceeds 6 px at a shorter side of "
        "256 px. VBench dynamic_degree with its faults: any two samples move, one never does, and "
        "the threshold ignores that samples lie 1/10 to 1/6 s apart."
    ),
    citation="Huang et al., VBench, CVPR 2024; Teed and Deng, RAFT, ECCV 2020",
    licence="BSD-3-Clause (RAFT)",
    weights=(WEIGHTS,),
    cost=COST,
    params={
        "sampling": "every max(1, round(fps / 8)) frames",
        "flow_updates": 20,
        "top_share": dynamics.TOP_SHARE,
        "threshold_px": dynamics.THRESHOLD_PX,
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

    _network: Any = None

    def frames_of(self, sample: Sample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: Sample) -> Measurement:
        """Frames need 128 pixels on each side (``PermanentError``)."""
        if min(sample.height, sample.width) < MIN_SIDE:
            raise PermanentError(
                f"dynamics needs frames of at least {MIN_SIDE}x{MIN_SIDE} pixels, not "
                f"{sample.width}x{sample.height}; dynamics.fixed takes smaller ones"
            )
        self._network = self._network or load_network(self._lock, self._device)
        return _Motions(self._network, sample, _as_vbench)


@final
class DynamicsFixed(Metric):
    """Dynamic degree without the documented faults; cuts are treated as any other pair."""

    card: ClassVar = _FIXED

    _network: Any = None

    def frames_of(self, sample: Sample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: Sample) -> Measurement:
        """Any size; needs a known frame rate (``PermanentError``)."""
        check_rate(sample)
        self._network = self._network or load_network(self._lock, self._device)
        return _Motions(self._network, sample, _fixed)


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
            "cut_levels": cuts.MIN_LEVELS,
            "cut_correlation": cuts.MAX_CORRELATION,
            "cut_over_neighbours": cuts.OVER_NEIGHBOURS,
        },
    )

    _network: Any = None

    def frames_of(self, sample: Sample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: Sample) -> Measurement:
        """Any size; needs a known frame rate (``PermanentError``)."""
        check_rate(sample)
        self._network = self._network or load_network(self._lock, self._device)
        return _Motions(self._network, sample, _within_shots)


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
        summary=(
            "Mean over pairs of the mean of the longest 5 % of RAFT's vectors, in pixels per 1/8 s "
            "of a frame scaled to a shorter side of 256 px, at any frame rate and size; "
            "dynamics asks for more than 6 in a quarter of the pairs."
        ),
        params={
            "sampling": _FIXED.params["sampling"],
            "flow_updates": 20,
            "top_share": dynamics.TOP_SHARE,
            "padding": "left out",
            "cut_policy": "none",
        },
    )

    _network: Any = None

    def frames_of(self, sample: Sample) -> Sequence[int]:
        """VBench's samples, about eight a second."""
        return sampled_frames(sample)

    def begin(self, sample: Sample) -> Measurement:
        """Any size; needs a known frame rate (``PermanentError``)."""
        check_rate(sample)
        self._network = self._network or load_network(self._lock, self._device)
        return _Motions(self._network, sample, _magnitude)


@dataclass(slots=True)
class _Pair:
    """One pair's magnitudes in px per interval, over the padded flow and over the frame's own."""

    padded_px: float | None = None
    px: float | None = None


@dataclass(frozen=True, slots=True)
class _PairKey:
    """Under which a frame keeps the pair that it ends, for whoever else asks for the same pair."""

    first_index: int
    network_id: int

    def __call__(self, rgb_HWC: npt.NDArray[np.uint8]) -> _Pair:
        del rgb_HWC
        return _Pair()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """All that was seen of a video: magnitudes in px per sampling interval, and where cuts lie."""

    sample: Sample
    num_frames: int
    padded_px_N: list[float]
    px_N: list[float]
    cut_pairs: list[int]

    @property
    def interval(self) -> int:
        return dynamics.sampling_interval(self.sample.fps)

    @property
    def intervals(self) -> float:
        """How many eighths of a second lie between the frames of a pair."""
        return dynamics.intervals_of_reference(self.interval, self.sample.fps)

    @property
    def threshold_px(self) -> float:
        return dynamics.threshold_px(self.sample.height, self.sample.width)


class _Motions(Measurement):
    """Flow magnitudes of successive sampled frames, by the pass, and what ``judge`` makes of them.

    Keeps the frames of one pass and six numbers per pair.
    """

    def __init__(self, network: Any, sample: Sample, judge: Callable[[_Seen], MetricValue]) -> None:
        from pfp.measures import flow

        self._network, self._sample, self._judge = network, sample, judge
        self._pairs_per_pass = flow.pairs_per_pass(sample.height, sample.width)
        self._waiting: list[Frame] = []
        self._num_frames = 0
        self._pairs: list[_Pair] = []
        self._steps: list[cuts.Step] = []
        self._layout: npt.NDArray[np.float32] | None = None

    def see(self, frame: Frame) -> None:
        """Measures motion by the pass."""
        layout = frame.shared(cuts.layout_of)
        if self._layout is not None:
            self._steps.append(cuts.step_between(self._layout, layout))
            key = _PairKey(self._waiting[-1].index, id(self._network))
            self._pairs.append(frame.shared(key))
        self._layout = layout
        self._num_frames += 1
        self._waiting.append(frame)
        if len(self._waiting) > self._pairs_per_pass:
            self._measure()

    def finish(self) -> MetricValue:
        """What the judge says."""
        if len(self._waiting) > 1:
            self._measure()
        seen = _Seen(
            sample=self._sample,
            num_frames=self._num_frames,
            padded_px_N=[pair.padded_px for pair in self._pairs if pair.padded_px is not None],
            px_N=[pair.px for pair in self._pairs if pair.px is not None],
            cut_pairs=cuts.find_cuts(self._steps),
        )
        return self._judge(seen)

    def _measure(self) -> None:
        """Fill the pairs of the waiting frames, if no other metric has; the last frame stays."""
        pairs = self._pairs[-(len(self._waiting) - 1) :]
        if any(pair.px is None for pair in pairs):
            frames_THWC = np.stack([frame.rgb_HWC for frame in self._waiting])
            for pair, (padded_px, px) in zip(
                pairs, _magnitudes(self._network, frames_THWC), strict=True
            ):
                pair.padded_px, pair.px = padded_px, px
        self._waiting = self._waiting[-1:]


def sampled_frames(sample: Sample) -> range:
    """The frames that VBench takes: every ``max(1, round(fps / 8))``-th."""
    return range(0, sample.num_frames, dynamics.sampling_interval(sample.fps))


def check_rate(sample: Sample) -> None:
    """Raise ``PermanentError`` unless the frame rate is known: a speed needs a time."""
    if not 0.0 < sample.fps < float("inf"):
        raise PermanentError(
            f"motion cannot be measured at {sample.fps} frames a second; give the video's true rate"
        )


def load_network(lock: Lock | None = None, device: str = "cpu") -> Any:
    """RAFT large of the locked weights on a device, shared by all who hold it at the time.

    Raises:
        WeightsError: the weights are missing, damaged, or not RAFT's.
        ConfigError: the ``train`` extra is not installed.
    """
    path = weights.find(WEIGHTS, lock=lock)
    key = (str(path), device)
    network = _NETWORKS.get(key)
    if network is None:
        try:
            from pfp.measures.flow import load_raft
        except ImportError as error:
            raise ConfigError(f"RAFT needs {error.name}; pip install 'pfp[train]'") from error
        _NETWORKS[key] = network = load_raft(path, device=device)
    return network


def _magnitudes(network: Any, frames_THWC: npt.NDArray[np.uint8]) -> list[tuple[float, float]]:
    """Top magnitudes of successive frames: with the padding, and without."""
    from pfp.measures import flow

    height, width = frames_THWC.shape[1:3]
    padded_N2HW = flow.padded_flows(network, frames_THWC).cpu()
    is_padded = padded_N2HW.shape[-2:] != (height, width)
    own_N2HW = flow.crop(padded_N2HW, height, width)
    magnitudes = []
    for padded_2HW, own_2HW in zip(padded_N2HW.numpy(), own_N2HW.numpy(), strict=True):
        padded_px = dynamics.top_mean_px(padded_2HW)
        magnitudes.append((padded_px, dynamics.top_mean_px(own_2HW) if is_padded else padded_px))
    return magnitudes


def _as_vbench(seen: _Seen) -> MetricValue:
    needed = dynamics.num_needed(seen.num_frames)
    return _verdict(seen, seen.padded_px_N, seen.threshold_px, needed)


def _fixed(seen: _Seen) -> MetricValue:
    if not seen.px_N:
        return _nothing(seen, "single_frame")
    threshold = seen.threshold_px * seen.intervals
    needed = max(1, dynamics.num_needed(seen.num_frames))
    return _verdict(seen, seen.px_N, threshold, needed)


def _within_shots(seen: _Seen) -> MetricValue:
    if not seen.px_N:
        return _nothing(seen, "single_frame")
    kept_px = [px for index, px in enumerate(seen.px_N) if index not in seen.cut_pairs]
    if not kept_px:
        return _nothing(seen, "no_pair_within_a_shot")
    needed = max(1, dynamics.num_needed(len(kept_px) + 1))
    return _verdict(seen, seen.px_N, seen.threshold_px * seen.intervals, needed, kept_px)


def _magnitude(seen: _Seen) -> MetricValue:
    if not seen.px_N:
        return _nothing(seen, "single_frame")
    height, width = seen.sample.height, seen.sample.width
    mean = dynamics.normalised_px(
        float(np.mean(seen.px_N)), height=height, width=width, intervals=seen.intervals
    )
    return MetricValue(value=mean, num_frames=seen.num_frames, evidence=_evidence(seen, seen.px_N))


def _verdict(
    seen: _Seen,
    px_N: list[float],
    threshold_px: float,
    needed: int,
    asked_px: list[float] | None = None,
) -> MetricValue:
    """Whether the pairs asked move; all of ``px_N`` unless ``asked_px`` says which."""
    asked_px = px_N if asked_px is None else asked_px
    moves = dynamics.is_moving(asked_px, threshold=threshold_px, needed=needed)
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


def _nothing(seen: _Seen, reason: str) -> MetricValue:
    return MetricValue(
        value=None,
        num_frames=seen.num_frames,
        evidence=_evidence(seen, seen.px_N),
        unscored_reason=reason,
    )


def _evidence(seen: _Seen, px_N: list[float]) -> dict[str, Any]:
    """Magnitudes are in px per sampling interval, of the frame as it is."""
    return {
        "per_pair_px": px_N,
        "mean_px": float(np.mean(px_N)) if px_N else None,
        "interval_frames": seen.interval,
        "cut_pairs": seen.cut_pairs,
    }
