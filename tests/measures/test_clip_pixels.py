"""CLIP's three kinds of pixels, against torchvision's transforms and resizing written in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from pfp.errors import PermanentError
from pfp.measures import clip_pixels

MEAN = np.array([0.48145466, 0.4578275, 0.40821073])  # from CLIP's release
STD = np.array([0.26862954, 0.26130258, 0.27577711])
SIZES = [(120, 208), (301, 240), (224, 224), (90, 61)]
BICUBIC = InterpolationMode.BICUBIC


def noise(height: int, width: int) -> np.ndarray:
    """A frame of random bytes: the hardest case of overshoot."""
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized_size(height: int, width: int) -> tuple[int, int]:
    """The shorter side is 224, the longer keeps the aspect, its fraction cut off."""
    shorter = min(height, width)
    return height * 224 // shorter, width * 224 // shorter


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys's cubic convolution kernel, nonzero in (-2, 2)."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def weights_of_points(size: int, new_size: int) -> np.ndarray:
    """Rows of weights that sample a line at new pixel centres from four neighbours, a = -0.75."""
    weights = np.zeros((new_size, size))
    for row in range(new_size):
        centre = (row + 0.5) * size / new_size - 0.5
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            weights[row, np.clip(tap, 0, size - 1)] += cubic(np.array(centre - tap), -0.75)
    return weights


def weights_of_areas(size: int, new_size: int) -> np.ndarray:
    """Rows of weights that average a line with a kernel as wide as a new pixel, a = -0.5."""
    scale = size / new_size
    spread = max(scale, 1.0)
    weights = np.zeros((new_size, size))
    for row in range(new_size):
        centre = (row + 0.5) * scale
        first, last = max(0, int(centre - 2 * spread + 0.5)), int(centre + 2 * spread + 0.5)
        taps = np.arange(first, min(size, last))
        row_weights = cubic((taps + 0.5 - centre) / spread, -0.5)
        weights[row, taps] = row_weights / row_weights.sum()
    return weights


def middle(levels_HWC: np.ndarray) -> np.ndarray:
    """The central 224x224; halves of a pixel go to the even side."""
    top, left = (round((side - 224) / 2) for side in levels_HWC.shape[:2])
    return levels_HWC[top : top + 224, left : left + 224]


def code_values_of(pixels_CHW: torch.Tensor) -> np.ndarray:
    """Undo CLIP's normalisation: float64 code values of shape (224, 224, 3)."""
    return (pixels_CHW.double().numpy().transpose(1, 2, 0) * STD + MEAN) * 255


def by_points(frame: np.ndarray) -> np.ndarray:
    """The frame sampled bicubically without antialiasing, its overshoot kept."""
    height, width = resized_size(*frame.shape[:2])
    rows = weights_of_points(frame.shape[0], height)
    columns = weights_of_points(frame.shape[1], width)
    return middle(np.einsum("yh,hwc,xw->yxc", rows, frame.astype(float), columns, optimize=True))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_float_frames_are_sampled_and_keep_their_overshoot(height: int, width: int) -> None:
    """Every pixel is the four-by-four cubic sum to 0.01 code values, beyond black and white too."""
    frame = noise(height, width)

    code_values = code_values_of(clip_pixels.unclamped(frame))

    assert np.abs(code_values - by_points(frame)).max() < 0.01
    if (height, width) != (224, 224):
        assert code_values.min() < -10
        assert code_values.max() > 265


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_byte_frames_are_clamped_and_rounded(height: int, width: int) -> None:
    """Every pixel is the whole code value nearest to the clamped cubic sum."""
    frame = noise(height, width)

    code_values = code_values_of(clip_pixels.rounded(frame))

    assert np.abs(code_values - np.round(code_values)).max() < 1e-4
    assert np.abs(code_values - np.clip(by_points(frame), 0, 255)).max() < 0.51


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_clip_s_own_pixels_are_averaged(height: int, width: int) -> None:
    """PIL's image is the antialiased cubic sum, rounded after each axis, but for halves."""
    frame = noise(height, width)
    new_height, new_width = resized_size(height, width)
    columns = weights_of_areas(width, new_width)
    lines = np.einsum("hwc,xw->hxc", frame.astype(float), columns, optimize=True)
    lines = np.clip(np.round(lines), 0, 255)
    rows = weights_of_areas(height, new_height)
    expected = np.einsum("yh,hxc->yxc", rows, lines, optimize=True)

    code_values = code_values_of(clip_pixels.antialiased(frame))

    assert np.abs(code_values - np.round(code_values)).max() < 1e-4
    error = np.abs(code_values - np.clip(middle(expected), 0, 255))
    assert (error > 0.51).mean() < 1e-3  # PIL's fixed point takes the other side of some halves
    assert error.max() < 1.5


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_they_are_torchvision_s_transforms_bit_by_bit(height: int, width: int) -> None:
    """The functional calls give exactly what the composed transforms of the references give."""
    frame = noise(height, width)
    bytes_CHW = torch.from_numpy(frame).permute(2, 0, 1)
    normalise = transforms.Normalize(tuple(MEAN), tuple(STD))
    sampled = transforms.Compose(
        [
            transforms.Resize(224, BICUBIC, antialias=False),
            transforms.CenterCrop(224),
            transforms.Lambda(lambda x: x.float().div(255)),
            normalise,
        ]
    )
    own = transforms.Compose(
        [
            transforms.Resize(224, BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            normalise,
        ]
    )

    assert torch.equal(sampled(bytes_CHW.float()), clip_pixels.unclamped(frame))
    assert torch.equal(sampled(bytes_CHW), clip_pixels.rounded(frame))
    assert torch.equal(own(Image.fromarray(frame)), clip_pixels.antialiased(frame))


def test_the_three_differ() -> None:
    """On noise made smaller, rounding moves pixels a little and antialiasing a lot."""
    frame = noise(480, 640)
    sampled, bytewise, own = (
        code_values_of(make(frame))
        for make in (clip_pixels.unclamped, clip_pixels.rounded, clip_pixels.antialiased)
    )

    assert 0.25 < np.abs(sampled - bytewise).mean() < 3
    assert np.abs(sampled - own).mean() > 10


def test_a_frame_that_cannot_be_written_to_is_taken() -> None:
    """Decoders hand out read-only frames; none of the three warns of them or changes them."""
    frame = noise(60, 80)
    before = frame.copy()
    frame.flags.writeable = False
    for make in (clip_pixels.unclamped, clip_pixels.rounded, clip_pixels.antialiased):
        assert make(frame).shape == (3, 224, 224)

    assert np.array_equal(before, frame)


def test_a_strip_is_refused() -> None:
    """A frame 65 times as long as thin is refused with its size; 64 times is taken."""
    clip_pixels.check_size(64, 1)

    with pytest.raises(PermanentError, match="too little of 1x65 pixels"):
        clip_pixels.check_size(65, 1)
