"""Frames as models are shown them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pfp.vlm import Frames
from pfp.vlm.frames import MAX_PIXELS, limited


def test_frames_without_their_times_are_refused() -> None:
    """Each frame has its time, and there is at least one."""
    frame = np.zeros((4, 6, 3), np.uint8)

    for frames, times in [([], []), ([frame], [0.0, 1.0])]:
        with pytest.raises(ValueError, match="give at least one frame and a timestamp for each"):
            Frames(frames, times)


def test_large_frame_is_made_as_large_as_the_limit_allows() -> None:
    """Shape and colour stay, small frames are left alone, and the JPEG shows the same."""
    large = np.full((1080, 1920, 3), (200, 40, 90), np.uint8)

    shown = limited(large)

    assert shown.shape == (581, 1034, 3)  # floor of 1080 and 1920 times sqrt(602112 / 2073600)
    assert shown.shape[0] * shown.shape[1] <= MAX_PIXELS
    assert np.ptp(shown.reshape(-1, 3), axis=0).tolist() == [0, 0, 0]
    assert limited(shown) is shown
    image = np.asarray(Image.open(io.BytesIO(Frames([shown], [0.0]).jpegs[0])))
    assert image.shape == shown.shape
    assert np.abs(image.astype(int) - shown).max() <= 2
