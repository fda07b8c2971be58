"""What a metric is: a card that says what its numbers mean, and one function of two videos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from pfp.errors import PermanentError


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCard:
    """Everything a reader needs to know about a metric before believing its numbers.

    ``version`` goes up with any change that moves a score. ``low`` and ``high`` bound the values;
    None is unbounded. ``params`` are the choices the definition leaves open, all of them.
    """

    name: str
    version: int
    title: str
    unit: str
    direction: Literal["higher", "lower"]  # which is better
    low: float | None
    high: float | None
    decimals: int
    summary: str
    citation: str
    licence: str  # of the weights or code that it needs beyond pfp's own
    weights: str | None = None  # name in weights.lock
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def metric_id(self) -> str:
        """``name@version``: what ScoreRecords carry."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """One video's value, how many frames it rests on, and the per-frame evidence (plain JSON)."""

    value: float
    num_frames: int
    evidence: dict[str, Any]


class Metric(ABC):
    """A full-reference metric. Constructing one is cheap; weights load at the first ``measure``."""

    card: ClassVar[MetricCard]

    @abstractmethod
    def measure(
        self, frames_THWC: npt.NDArray[np.uint8], reference_THWC: npt.NDArray[np.uint8]
    ) -> MetricValue:
        """Compare two videos frame by frame.

        frames_THWC, reference_THWC: uint8 RGB in [0, 255], of one shape, T >= 1.

        Raises:
            PermanentError: the two cannot be compared.
            WeightsError: weights are missing; the message holds the command that gets them.
        """


def check_pair(frames_THWC: npt.NDArray[Any], reference_THWC: npt.NDArray[Any]) -> None:
    """Raise ``PermanentError`` unless both are uint8 RGB videos of one shape; never truncates."""
    for name, video in (("the video", frames_THWC), ("its reference", reference_THWC)):
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3 or not video.size:
            raise PermanentError(
                f"{name} is {video.dtype} of shape {video.shape}, not uint8 of shape (T, H, W, 3)"
            )
    if len(frames_THWC) != len(reference_THWC):
        raise PermanentError(
            f"the video has {len(frames_THWC)} frames and its reference {len(reference_THWC)}; "
            "generate it again, frame for frame"
        )
    if frames_THWC.shape != reference_THWC.shape:
        height, width = frames_THWC.shape[1:3]
        true_height, true_width = reference_THWC.shape[1:3]
        raise PermanentError(
            f"the video is {width}x{height} and its reference {true_width}x{true_height} pixels; "
            "generate it at the reference's size"
        )
