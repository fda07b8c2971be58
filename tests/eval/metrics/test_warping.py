"""Warping error on scenes whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from pfp.eval.metrics import warping


def constant(x: float, y: float, height: int = 40, width: int = 60) -> Tensor:
    """The flow of an image that moves as a whole."""
    return (
        torch.tensor([float(x), float(y)])[None, :, None, None].expand(1, 2, height, width).clone()
    )


def scene(height: int = 80, width: int = 100) -> Tensor:
    """A random image in [0, 1], (1, 3, H, W)."""
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(0))


def test_a_moved_image_has_no_error() -> None:
    """What moves by (3, -2) px is found again, except for the strip that leaves the frame."""
    wide = scene()
    first, second = wide[:, :, 10:50, 10:70], wide[:, :, 12:52, 7:67]

    errors, visible = warping.warping_errors(first, second, constant(3, -2), constant(-3, 2))

    assert 0.0 == pytest.approx(errors.item(), abs=1e-10)
    assert (57 / 60) * (38 / 40) == pytest.approx(visible.item())


def test_the_wrong_way_round_is_an_error() -> None:
    """Against the motion nothing is found: a random image differs from another by 1/6."""
    wide = scene()
    first, second = wide[:, :, 10:50, 10:70], wide[:, :, 12:52, 7:67]

    errors, _ = warping.warping_errors(first, second, constant(-3, 2), constant(3, -2))

    assert 1 / 6 == pytest.approx(errors.item(), rel=0.05)


def test_sampling_is_bilinear() -> None:
    """Against SciPy's first-order interpolation, at places between pixels and beyond the border."""
    image = scene(20, 30)
    flow = torch.randn((1, 2, 20, 30), generator=torch.Generator().manual_seed(1)) * 4
    y, x = np.meshgrid(np.arange(20), np.arange(30), indexing="ij")
    places = [y + flow[0, 1].numpy(), x + flow[0, 0].numpy()]
    planes = image[0].double().numpy()
    expected = np.stack(
        [map_coordinates(plane, places, order=1, mode="nearest") for plane in planes]
    )

    actual = warping.sample(image.double(), flow.double())[0].numpy()

    np.testing.assert_allclose(expected, actual, atol=1e-6)


def test_the_error_is_the_mean_over_visible_pixels_and_channels() -> None:
    """Pixels whose flow does not lead back do not count, however wrong they are."""
    first = torch.zeros(1, 3, 40, 60)
    second = torch.zeros(1, 3, 40, 60)
    second[:, 0, :20] = 0.6  # one channel of the upper half: 0.36 / 3 there, 0.06 over all
    second[:, :, 30:] = 1.0
    back = constant(0, 0)
    back[:, :, 30:] = 5.0

    errors, visible = warping.warping_errors(first, second, constant(0, 0), back)

    assert 0.75 == visible.item()
    assert 0.36 / 3 * (20 / 30) == pytest.approx(errors.item())


@pytest.mark.parametrize(("gap_px", "expected"), [(0.70, True), (0.72, False)])
def test_still_pixels_may_miss_their_start_by_less_than_a_pixel(
    gap_px: float, *, expected: bool
) -> None:
    """Where nothing moves the squared gap may be 0.5."""
    is_seen = warping.visible(constant(0, 0), constant(gap_px, 0))

    assert expected is bool(is_seen.all())
    assert expected is bool(is_seen.any())


def test_fast_pixels_may_miss_their_start_by_more() -> None:
    """At 20 px there and 20 back the squared gap may be 0.01 x 800 + 0.5: 2.9 px, not 3.1."""
    assert warping.visible(constant(20, 0), constant(-20, 2.8))[0, 10, 10]
    assert not warping.visible(constant(20, 0), constant(-20, 3.1))[0, 10, 10]


def test_where_nothing_is_visible_there_is_no_error() -> None:
    """Rather NaN than a perfect 0."""
    image = scene(40, 60)
    errors, visible = warping.warping_errors(image, image, constant(100, 0), constant(-100, 0))

    assert torch.isnan(errors).all()
    assert 0.0 == visible.item()
