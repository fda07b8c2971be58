"""Latents in one byte a value: half the size, at a cost that is measured before it is paid.

Axes: T latents, C channels, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STORED_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
}
_MAX_CODE: Final = 127


def quantised(latents_TCHW: NDArray[np.float32]) -> tuple[NDArray[np.int8], list[float]]:
    """int8 values and the scale of each channel: symmetric, its largest magnitude is 127.

    An error is at most half a scale. A channel that is zero throughout has the scale 0.
    """
    peak_C = np.abs(latents_TCHW).max(axis=(0, 2, 3))
    scale_C = (peak_C / _MAX_CODE).astype(np.float32)
    divisor_C = np.where(scale_C > 0, scale_C, 1)
    codes = np.rint(latents_TCHW / divisor_C[:, None, None])
    return np.clip(codes, -_MAX_CODE, _MAX_CODE).astype(np.int8), scale_C.tolist()


def dequantised(values_TCHW: NDArray[Any], scale_C: Sequence[float]) -> NDArray[np.float32]:
    """The inverse, float32, up to half a scale."""
    latents_TCHW: NDArray[np.float32] = values_TCHW * np.asarray(scale_C, np.float32)[:, None, None]
    return latents_TCHW
