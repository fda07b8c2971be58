"""Measures of single frames, against formulas by other means and images whose values are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from pfp.ingest.gauges.blockiness import BlockinessGauge, blockiness
from pfp.ingest.gauges.colourfulness import ColourfulnessGauge, colourfulness
from pfp.ingest.gauges.exposure import ExposureGauge, clipped_shares
from pfp.ingest.gauges.flicker import FlickerGauge
from pfp.ingest.gauges.flow import FlowGauge, mean_flow
from pfp.ingest.gauges.noise import NoiseGauge, noise_sigma
from pfp.ingest.gauges.sharpness import SharpnessGauge, laplacian_variance

Image = npt.NDArray[np.uint8]


def texture(height: int, width: int, *, sigma: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """Noise, blurred with that deviation, around 128 with a deviation of 40."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    blurred = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return 128 + 40 * blurred / blurred.std()


def image(values: npt.NDArray[np.floating]) -> Image:
    """Rounded to code values."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def cut(plane: npt.NDArray[np.float64], down: float, right: float) -> Image:
    """256 x 448 pixels of a plane, that many pixels off its middle."""
    moved = ndimage.shift(plane, (-down, -right), order=3)
    return image(moved[100:356, 100:548])


class TestSharpness:
    """The variance of the Laplacian."""

    def test_is_that_of_scipys_laplacian(self) -> None:
        """Inside the frame, where no edge is made up."""
        luma = image(texture(60, 80, sigma=1))

        expected = ndimage.laplace(luma.astype(float))[1:-1, 1:-1].var()

        assert expected == pytest.approx(laplacian_variance(luma), rel=1e-5)

    def test_a_frame_of_two_lines_has_none(self) -> None:
        """Nothing to compare: unknown, not zero."""
        assert laplacian_variance(np.zeros((2, 9), np.uint8)) is None


class TestNoise:
    """Immerkaer's deviation of noise."""

    @pytest.mark.parametrize("sigma", [1.0, 5.0, 12.0])
    def test_finds_the_deviation_that_was_added(self, sigma: float) -> None:
        """To a slope, which is no noise."""
        slope = np.add.outer(np.arange(200) / 4, np.arange(300) / 5) + 60
        luma = image(slope + np.random.default_rng(1).normal(0, sigma, slope.shape))

        assert sigma == pytest.approx(noise_sigma(luma), rel=0.07, abs=0.1)

    def test_more_bits_are_the_same_noise(self) -> None:
        """Ten bits of the same luma, in 8-bit code values."""
        luma = image(texture(64, 64, sigma=0.5))
        gauges = NoiseGauge(), NoiseGauge()
        gauges[0].push(0.0, luma)
        gauges[1].push(0.0, luma.astype(np.uint16) << 2, 10)

        assert gauges[0].result(1.0) == pytest.approx(gauges[1].result(1.0))


class TestColourfulness:
    """Hasler and Suesstrunk's M(3)."""

    def test_a_grey_frame_has_none(self) -> None:
        """However bright its parts."""
        grey = np.repeat(image(texture(64, 64, sigma=2))[..., None], 3, axis=2)
        assert 0 == colourfulness(grey)

    def test_of_two_colours(self) -> None:
        """Half red, half green: rg is 255 and -255, yb 127.5 in both."""
        frame = np.zeros((64, 64, 3), np.uint8)
        frame[:32, :, 0] = frame[32:, :, 1] = 255

        assert 255 + 0.3 * 127.5 == pytest.approx(colourfulness(frame), rel=1e-6)


class TestExposure:
    """Pixels at the ends of the range."""

    def test_shares_are_of_the_pixels(self) -> None:
        """A ramp over all code values: 6 of 256 at either end."""
        ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
        assert (6 / 256, 6 / 256) == clipped_shares(ramp)


class TestBlockiness:
    """Steps across the grid over steps elsewhere."""

    def test_of_blocks_of_one_value_each(self) -> None:
        """Nothing steps but the grid; 0.1 is added to both."""
        values = np.random.default_rng(2).integers(0, 256, (8, 12), np.uint8)
        luma = values.repeat(8, axis=0).repeat(8, axis=1)
        across = np.abs(np.diff(values.astype(float), axis=1)).mean()
        down = np.abs(np.diff(values.astype(float), axis=0)).mean()

        assert (across + down + 0.1) / 0.1 == pytest.approx(blockiness(luma))

    def test_without_a_grid_it_is_one(self) -> None:
        """Of texture, and of one colour."""
        assert 1 == pytest.approx(blockiness(image(texture(256, 256, sigma=2))), abs=0.05)
        assert 1 == blockiness(np.full((64, 64), 77, np.uint8))


class TestFlicker:
    """Brightness that is taken back."""

    @staticmethod
    def of(levels: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """The flicker of each second of grey frames at 24 fps."""
        frames = np.broadcast_to(image(levels)[:, None, None, None], (len(levels), 8, 8, 3))
        gauge = FlickerGauge()
        for start in range(0, len(levels), 7):  # blocks of any length
            block = np.arange(start, min(start + 7, len(levels)))
            gauge.push_block([index / 24 for index in block], np.ascontiguousarray(frames[block]))
        return gauge.result(len(levels) / 24)

    def test_of_alternating_brightness_is_its_step(self) -> None:
        """120, 126, 120, 126: 6 each time."""
        assert [6.0, 6.0] == pytest.approx(
            self.of(120 + 6 * (np.arange(48) % 2)).tolist(), rel=1e-4
        )

    def test_fades_and_cuts_go_one_way(self) -> None:
        """Neither is flicker."""
        assert 0 == self.of(np.arange(48) * 5).max()
        assert 0 == self.of(np.repeat([20.0, 200.0], 24)).max()


class TestFlow:
    """Pixels per frame at 256 lines."""

    @pytest.mark.parametrize(
        ("down", "right"), [(0, 0), (0, 0.5), (0.8, -0.6), (1.2, 1.6), (0, 5), (-6, 8), (0, 24)]
    )
    def test_of_a_pan_is_its_speed(self, down: float, right: float) -> None:
        """Of texture with detail of every size, within a tenth or a quarter of a pixel."""
        plane = (texture(456, 648, sigma=2) + texture(456, 648, sigma=12, seed=1)) / 2

        flow = mean_flow(cut(plane, 0, 0), cut(plane, down, right))

        assert np.hypot(down, right) == pytest.approx(flow, rel=0.1, abs=0.25)

    def test_noise_does_not_move(self) -> None:
        """The same picture with other noise."""
        plane, rng = texture(456, 648, sigma=4), np.random.default_rng(3)
        frames = [image(cut(plane, 0, 0) + rng.normal(0, 4, (256, 448))) for _ in range(2)]

        assert 0 == pytest.approx(mean_flow(*frames), abs=0.2)

    def test_a_part_that_moves_counts_by_its_area(self) -> None:
        """A quarter of the frame goes 8 pixels to the right, the rest stands."""
        plane, other = texture(456, 648, sigma=3), texture(456, 648, sigma=3, seed=5)
        frames = [cut(plane, 0, 0), cut(plane, 0, 0)]
        for index, frame in enumerate(frames):
            frame[:128, :224] = cut(other, 0, -8 * index)[:128, :224]

        assert 8 / 4 == pytest.approx(mean_flow(*frames), rel=0.2)

    def test_of_frames_of_one_colour_it_is_unknown(self) -> None:
        """As of frames smaller than a block."""
        assert mean_flow(*[np.full((256, 256), 90, np.uint8)] * 2) is None
        assert mean_flow(*[np.zeros((20, 300), np.uint8)] * 2) is None


def test_unknown_is_not_zero() -> None:
    """A gauge that saw nothing knows nothing."""
    gauges = (SharpnessGauge(), NoiseGauge(), ColourfulnessGauge(), BlockinessGauge())
    columns = [gauge.result(2.0) for gauge in (*gauges, FlickerGauge(), FlowGauge())]
    for column in (*columns, *ExposureGauge().result(2.0)):
        assert np.isnan(column).tolist() == [True, True]


def recoded(luma: Image, **options: str) -> Image:
    """What is left of a plane after MPEG-4 Part 2, which has no deblocking filter."""
    height, width = luma.shape
    context = av.CodecContext.create("mpeg4", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.options = Fraction(1, 25), options
    packets = [*context.encode(av.VideoFrame.from_ndarray(luma, "gray").reformat(format="yuv420p"))]
    decoder = av.CodecContext.create("mpeg4", "r")
    decoder.extradata = context.extradata
    (frame,) = [
        frame
        for packet in [*packets, *context.encode(None), None]
        for frame in decoder.decode(packet)
    ]
    return frame.to_ndarray(format="gray")


@pytest.mark.parametrize(
    "name", ["football_juggle.mp4", "bee_on_thistle.mp4", "his_girl_friday_bw.mp4"]
)
def test_copies_of_real_frames_that_are_worse(shared_clips: Path, name: str) -> None:
    """Blurred is less sharp, noised has more noise, fewer bits make blocks plainer, in order."""
    with av.open(shared_clips / "dev" / name) as container:
        grey = next(container.decode(video=0)).to_ndarray(format="gray")
    luma = grey[: len(grey) // 16 * 16, : grey.shape[1] // 16 * 16].astype(float)
    rng = np.random.default_rng(4)

    blurred = [laplacian_variance(image(ndimage.gaussian_filter(luma, s))) for s in (0, 1, 2, 4)]
    noised = [noise_sigma(image(luma + rng.normal(0, sigma, luma.shape))) for sigma in (0, 3, 6)]
    qualities = [{"qmin": q, "qmax": q, "flags": "+qscale"} for q in ("2", "10", "31")]
    blocky = [blockiness(recoded(image(luma), **options)) for options in qualities]

    assert sorted(blurred, reverse=True) == blurred
    assert sorted(noised) == noised
    assert sorted(blocky) == blocky
    assert blocky[-1] > 1.2 * blocky[0]
