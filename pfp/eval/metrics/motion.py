"""What every form of dynamics looks at: flow magnitudes of the frames that VBench samples.

Axes: N pairs of successive sampled frames, H height, W width, C colour.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, Unmeasurable
from pfp.eval.metrics import dynamic_degree
from pfp.eval.metrics.base import Frame, Measurement, MetricValue, OpenedSample
from pfp.io import weights
from pfp.io.weights import Lock
from pfp.measures import cuts

WEIGHTS = "raft-large-c-t-v1"
# Alive as long as some metric holds them, so that all that need flow share one network.
_NETWORKS: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()


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
class Seen:
    """All that was seen of a video: magnitudes in px per sampling interval, and where cuts lie."""

    sample: OpenedSample
    num_frames: int
    padded_px_N: list[float]
    px_N: list[float]
    cut_pairs: list[int]

    @property
    def interval(self) -> int:
        """How many frames lie from one of a pair to the other."""
        return dynamic_degree.sampling_interval(self.sample.fps)

    @property
    def intervals(self) -> float:
        """How many eighths of a second lie between the frames of a pair."""
        return dynamic_degree.intervals_of_reference(self.interval, self.sample.fps)

    @property
    def threshold_px(self) -> float:
        """VBench's threshold for frames of this size."""
        return dynamic_degree.threshold_px(self.sample.height, self.sample.width)


class Motions(Measurement):
    """Flow magnitudes of successive sampled frames, by the pass, and what ``judge`` makes of them.

    Keeps the frames of one pass and six numbers per pair.
    """

    def __init__(
        self, network: Any, sample: OpenedSample, judge: Callable[[Seen], MetricValue]
    ) -> None:
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
        seen = Seen(
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


def sampled_frames(sample: OpenedSample) -> range:
    """The frames that VBench takes: every ``max(1, round(fps / 8))``-th."""
    return range(0, sample.num_frames, dynamic_degree.sampling_interval(sample.fps))


def check_measurable(sample: OpenedSample) -> None:
    """Raise ``Unmeasurable`` unless the frame rate is known and 5 % of a frame are a pixel."""
    if sample.height * sample.width * dynamic_degree.TOP_SHARE < 1:
        raise Unmeasurable(
            "too_small",
            f"motion cannot be measured in frames of {sample.width}x{sample.height} pixels; "
            "give at least 20 of them",
        )
    if not 0.0 < sample.fps < float("inf"):
        raise Unmeasurable(
            "no_rate",
            f"motion cannot be measured at {sample.fps} frames a second; give the video's true "
            "rate",
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
        padded_px = dynamic_degree.top_mean_px(padded_2HW)
        magnitudes.append(
            (padded_px, dynamic_degree.top_mean_px(own_2HW) if is_padded else padded_px)
        )
    return magnitudes
