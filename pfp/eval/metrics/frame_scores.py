"""The measurement of metrics that give each frame a score of its own and take the mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import numpy as np
import numpy.typing as npt

from pfp.errors import PermanentError
from pfp.eval.metrics.base import Frame, Measurement, MetricValue


@final
class FrameScores(Measurement):
    """The mean over frames; holds as many prepared frames as the network takes at once."""

    def __init__(
        self,
        *,
        prepare: Callable[[npt.NDArray[np.uint8]], Any],
        score: Callable[[list[Any]], list[float]],
        frames_per_pass: int,
    ) -> None:
        """prepare: what the network needs of one frame, in its small size; score: one per frame."""
        self._prepare, self._score, self._frames_per_pass = prepare, score, frames_per_pass
        self._waiting: list[Any] = []
        self._scores_T: list[float] = []

    def see(self, frame: Frame) -> None:
        """Scores frames by the pass."""
        self._waiting.append(frame.shared(self._prepare))
        if len(self._waiting) == self._frames_per_pass:
            self._pass()

    def finish(self) -> MetricValue:
        """The mean of what was seen; ``PermanentError`` if a score is not a finite number."""
        if self._waiting:
            self._pass()
        for index, score in enumerate(self._scores_T):
            if not math.isfinite(score):
                raise PermanentError(
                    f"the network answered {score} at frame {index}; verify its weights with "
                    "`pfp weights verify` and try --device cpu"
                )
        return MetricValue(
            value=float(np.mean(self._scores_T)),
            num_frames=len(self._scores_T),
            evidence={"per_frame": self._scores_T},
        )

    def _pass(self) -> None:
        self._scores_T += self._score(self._waiting)
        self._waiting.clear()
