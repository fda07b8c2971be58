"""Colourfulness as people rate it, from the spread and the mean of opponent colours.

Hasler and Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007, 2003, section 5, the
metric M(3): 0 is not colourful, 15 slightly, 33 moderately, 59 quite, 109 extremely so (table 1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pfp.ingest.seconds import Floats, HeldMean


def colourfulness(frame_HWC: npt.NDArray[np.uint8]) -> float:
    """Of one RGB frame: the deviation of red-green and yellow-blue, plus 0.3 times their mean."""
    red, green, blue = (frame_HWC[..., colour].astype(np.float32) for colour in range(3))
    opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, -1)
    return float(np.hypot(*opponents.std(axis=1)) + 0.3 * np.hypot(*opponents.mean(axis=1)))


class ColourfulnessGauge:
    """Takes small copies of frames: colour is about areas, and coded at half the size anyway.

    Of those of one second it looks at the first.
    """

    def __init__(self) -> None:
        self._mean = HeldMean()
        self._second = -1

    def push(self, seconds: float, frame_HWC: npt.NDArray[np.uint8]) -> None:
        """Add the frame shown from ``seconds`` on, RGB."""
        if int(seconds) <= self._second:
            return
        self._second = int(seconds)
        self._mean.push(seconds, colourfulness(frame_HWC))

    def result(self, duration_seconds: float) -> Floats:
        """The mean of each second, (K,); NaN where it is not known."""
        return self._mean.result(duration_seconds)
