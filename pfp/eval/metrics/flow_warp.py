"""Geometric consistency within shots: what should be the same point should look the same.

A check beside the judges that look at a video and answer in words: Lai et al.'s warping error.

Axes: T time, H height, W width, C colour, B pairs.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from pfp.eval.metrics.base import (
    Frame,
    Measurement,
    Metric,
    MetricCard,
    MetricValue,
    OpenedSample,
    SecondsPer,
)
from pfp.eval.metrics.motion import WEIGHTS, load_network
from pfp.measures import cuts

MIN_VISIBLE_SHARE = 0.1  # a pair that shows less of the same scene says nothing about consistency


@final
class FlowWarp(Metric):
    """Mean squared error between frames and their successors warped back along RAFT's flow."""

    card: ClassVar = MetricCard(
        name="flow_warp",
        version=1,
        title="Warping error",
        unit="",
        direction="lower",
        low=0.0,
        high=1.0,
        decimals=5,
        summary=(
            "Each frame against the next one, warped back by RAFT's flow: mean squared difference "
            "of RGB in [0, 1] over the pixels that stay in the frame and whose flow there and back "
            "agrees, mean over pairs. Pairs across a hard cut, and pairs of which less than 10 % "
            "is visible, are left out. A still image gets 0: read it beside dynamics and the "
            "visible share in the evidence."
        ),
        citation=(
            "Lai et al., Learning blind video temporal consistency, ECCV 2018 (E_warp); "
            "Sundaram et al., ECCV 2010 (visibility); Teed and Deng, RAFT, ECCV 2020"
        ),
        licence="BSD-3-Clause (RAFT)",
        weights=(WEIGHTS,),
        libraries=("torch", "torchvision"),
        seconds_per=SecondsPer(seconds=1.7, per="pair", size=(224, 128)),
        cost_note="every frame and the next are a pair",
        params={
            "pairs": "each frame and the next",
            "flow_updates": 20,
            "check_relative": 0.01,
            "check_absolute_px2": 0.5,
            "min_visible_share": MIN_VISIBLE_SHARE,
            "cut_policy": "skip",
            "cut_levels": cuts.MIN_DIFFERENCE,
            "cut_correlation": cuts.MAX_CORRELATION,
            "cut_over_neighbours": cuts.OVER_NEIGHBOURS,
        },
    )

    _network: Any = None

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any size: frames under 128 pixels a side are padded for RAFT, and only for it."""
        self._network = self._network or load_network(self._lock, self._device)
        return _Errors(self._network, sample)


class _Errors(Measurement):
    """The mean over pairs within shots, in [0, 1]; keeps the frames of one pass."""

    def __init__(self, network: Any, sample: OpenedSample) -> None:
        from pfp.measures import flow

        self._network = network
        self._pairs_per_pass = flow.pairs_per_pass(sample.height, sample.width)
        self._waiting: list[npt.NDArray[np.uint8]] = []
        self._num_frames = 0
        self._errors: list[float | None] = []
        self._visible: list[float] = []
        self._steps: list[cuts.Step] = []
        self._layout: npt.NDArray[np.float32] | None = None

    def see(self, frame: Frame) -> None:
        """Compares frames by the pass."""
        layout = frame.shared(cuts.layout_of)
        if self._layout is not None:
            self._steps.append(cuts.step_between(self._layout, layout))
        self._layout = layout
        self._num_frames += 1
        self._waiting.append(frame.rgb_HWC)
        if len(self._waiting) > self._pairs_per_pass:
            self._compare()

    def finish(self) -> MetricValue:
        """The mean over the pairs that can be judged."""
        if len(self._waiting) > 1:
            self._compare()
        cut_pairs = cuts.find_cuts(self._steps)
        within = [index for index in range(len(self._errors)) if index not in cut_pairs]
        judged = [error for index in within if (error := self._judged(index)) is not None]
        evidence = {
            "per_pair": self._errors,
            "visible_share": self._visible,
            "mean_visible_share": float(np.mean([self._visible[i] for i in within]))
            if within
            else None,
            "cut_pairs": cut_pairs,
            "num_judged": len(judged),
        }
        if judged:
            value = float(np.mean(judged))
            return MetricValue(value=value, num_frames=self._num_frames, evidence=evidence)
        reason = "too_little_visible" if within else "no_pair_within_a_shot"
        return MetricValue(
            value=None,
            num_frames=self._num_frames,
            evidence=evidence,
            unscored_reason=reason if self._errors else "single_frame",
        )

    def _judged(self, index: int) -> float | None:
        """A pair's error if enough of it is visible."""
        return self._errors[index] if self._visible[index] >= MIN_VISIBLE_SHARE else None

    def _compare(self) -> None:
        for error, share in _errors_of(self._network, np.stack(self._waiting)):
            self._errors.append(None if np.isnan(error) else error)
            self._visible.append(share)
        self._waiting = self._waiting[-1:]


def _errors_of(network: Any, frames_THWC: npt.NDArray[np.uint8]) -> list[tuple[float, float]]:
    """Warping error and visible share of each pair of successive frames."""
    import torch

    from pfp.eval.metrics import warping
    from pfp.measures import flow

    there_B2HW, back_B2HW = flow.flows_both_ways(network, frames_THWC)
    frames_TCHW = torch.from_numpy(np.ascontiguousarray(frames_THWC.transpose(0, 3, 1, 2)))
    colours_TCHW = frames_TCHW.to(there_B2HW.device).float() / 255.0
    with torch.inference_mode():
        errors_B, visible_B = warping.warping_errors(
            colours_TCHW[:-1], colours_TCHW[1:], there_B2HW, back_B2HW
        )
    return list(zip(errors_B.tolist(), visible_B.tolist(), strict=True))
