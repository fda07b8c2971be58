"""Perceptual hashes: 64 bits that stay nearly the same under scaling, recoding and brightness."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

HASH_SIDE: Final = 8
IMAGE_SIDE: Final = 32


def phash(luma_HW: npt.NDArray[np.uint8]) -> str:
    """The hash of a 32 x 32 luma image, 16 hex digits (Zauner 2010, section 3.2.1, DCT hash).

    A bit says whether one of the 8 x 8 lowest frequencies of the DCT, the mean excluded, lies above
    their median.
    """
    if luma_HW.shape != (IMAGE_SIDE, IMAGE_SIDE):
        message = f"the image is {luma_HW.shape}; give {IMAGE_SIDE} x {IMAGE_SIDE}"
        raise ValueError(message)
    frequencies = dctn(luma_HW.astype(np.float64), norm="ortho")
    low = frequencies[1 : HASH_SIDE + 1, 1 : HASH_SIDE + 1].ravel()
    # Rounded, so that the last digits of a sum, which differ between CPUs, decide nothing.
    bits = np.round(low, 6) > np.round(np.median(low), 6)
    return np.packbits(bits).tobytes().hex()


def distance(one: str, other: str) -> int:
    """The number of bits, of 64, in which two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()
