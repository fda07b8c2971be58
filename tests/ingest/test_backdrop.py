"""Videos over blurred copies of themselves, against sharp subjects before blurred scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from pfp.ingest.backdrop import BackdropGauge
from pfp.ingest.measure import measure_video
from pfp.io.media import path_to_uri, read_frames
from tests.hostile_files import HostileFile

SIDE = 64
WIDTH, HEIGHT = 640, 360
CLIPS = ("dog_leash_play.mp4", "tears_of_steel_battle_40s.mp4", "highway_dashcam.mp4")


def backdrop_fraction(images: list[Image.Image]) -> float:
    """What the gauge makes of frames that come once a second."""
    gauge = BackdropGauge()
    for index, image in enumerate(images):
        small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
        gauge.push(index, np.asarray(small.convert("RGB")))
    return gauge.result()


def pasted(
    frame_HWC: npt.NDArray[np.uint8], width: int, *, blur: float, gain: float, stretches: bool
) -> Image.Image:
    """The middle of a frame, upright, over an enlarged and blurred copy of itself."""
    left = (WIDTH - width) // 2
    upright = Image.fromarray(frame_HWC[:, left : left + width])
    height = HEIGHT if stretches else round(HEIGHT * WIDTH / width)
    top = (height - HEIGHT) // 2
    copy = upright.resize((WIDTH, height)).crop((0, top, WIDTH, top + HEIGHT))
    copy = copy.filter(ImageFilter.GaussianBlur(blur)).point(lambda level: level * gain)
    copy.paste(upright, (left, 0))
    return copy


@pytest.fixture(scope="module", params=["drawn", "real"])
def frames(request: pytest.FixtureRequest) -> list[npt.NDArray[np.uint8]]:
    """Six frames of each of three clips."""
    if request.param == "drawn":
        return [drawn(seed) for seed in range(3)]
    folder: Path = request.getfixturevalue("shared_clips")
    return [
        read_frames(folder / "dev" / name, fps=2, height=HEIGHT, width=WIDTH, num_frames=6)
        for name in CLIPS
    ]


def drawn(seed: int) -> npt.NDArray[np.uint8]:
    """Six frames of a pan over noise with the spectrum of photographs, amplitude 1 / frequency."""
    height, width = HEIGHT, 2 * WIDTH
    noise = np.fft.fft2(np.random.default_rng(seed).normal(size=(height, width, 3)), axes=(0, 1))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / width)
    wide = np.fft.ifft2(noise / frequency[..., None], axes=(0, 1)).real
    wide = np.clip((wide - wide.mean()) / wide.std() * 50 + 128, 0, 255).astype(np.uint8)
    return np.stack([wide[:, 80 * step : 80 * step + WIDTH] for step in range(6)])


@pytest.mark.parametrize("stretches", [False, True])
@pytest.mark.parametrize("gain", [1.0, 0.6])
@pytest.mark.parametrize("blur", [15, 40])
@pytest.mark.parametrize("width", [200, 256, 340])
def test_a_blurred_copy_is_filler(
    frames: list[npt.NDArray[np.uint8]], width: int, blur: float, gain: float, *, stretches: bool
) -> None:
    """Narrow and wide, slightly and strongly blurred, darkened or not, in two shapes."""
    for clip in frames:
        made = [pasted(one, width, blur=blur, gain=gain, stretches=stretches) for one in clip]
        assert backdrop_fraction(made) == pytest.approx(1 - width / WIDTH, abs=0.04)


def test_a_wide_video_in_an_upright_one_is_told(frames: list[npt.NDArray[np.uint8]]) -> None:
    """Above and below it."""
    for clip in frames:
        made = [pasted(one, 200, blur=30, gain=1, stretches=False) for one in clip]
        turned = [image.transpose(Image.Transpose.ROTATE_90) for image in made]
        assert backdrop_fraction(turned) == pytest.approx(0.69, abs=0.04)


def test_a_short_time_does_not_count(frames: list[npt.NDArray[np.uint8]]) -> None:
    """One such frame of six."""
    made = [Image.fromarray(one) for one in frames[0]]
    made[3] = pasted(frames[0][3], 256, blur=30, gain=1, stretches=False)

    assert 0 == backdrop_fraction(made)


@pytest.mark.parametrize("radius", [60, 110, 160])
@pytest.mark.parametrize("blur", [8, 20])
def test_a_sharp_subject_before_a_blurred_scene_is_no_filler(
    frames: list[npt.NDArray[np.uint8]], radius: int, blur: float
) -> None:
    """As a fast lens shows it: the same scene, sharp inside an ellipse with a soft edge."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot((rows - HEIGHT / 2) / 1.6, columns - WIDTH / 2)
    mask = Image.fromarray((np.clip((radius - distance) / 8, 0, 1) * 255).astype(np.uint8))
    for clip in frames:
        made = []
        for one in clip:
            sharp = Image.fromarray(one)
            blurred = sharp.filter(ImageFilter.GaussianBlur(blur))
            made.append(Image.composite(sharp, blurred, mask))
        assert 0 == backdrop_fraction(made)


def test_real_frames_are_no_filler(frames: list[npt.NDArray[np.uint8]]) -> None:
    """As they are, and all out of focus."""
    for clip in frames:
        sharp = [Image.fromarray(one) for one in clip]
        blurred = [one.filter(ImageFilter.GaussianBlur(12)) for one in sharp]
        assert [0, 0] == [backdrop_fraction(sharp), backdrop_fraction(blurred)]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_bars_of_one_colour_are_no_backdrop(
    frames: list[npt.NDArray[np.uint8]], level: int
) -> None:
    """Those are another measure's."""
    made = []
    for one in frames[0]:
        frame_HWC = one.copy()
        frame_HWC[:, :200] = frame_HWC[:, 440:] = level
        made.append(Image.fromarray(frame_HWC))

    assert 0 == backdrop_fraction(made)


def test_no_frame_has_no_backdrop() -> None:
    """Nothing was seen."""
    assert 0 == BackdropGauge().result()


def test_a_file_is_told(hostile_file: HostileFile) -> None:
    """69 % of its area are filler."""
    path = hostile_file("blurred_pillars.mp4")

    assert 0.69 == pytest.approx(measure_video(path_to_uri(path))["backdrop_fraction"], abs=0.04)


def test_the_found_clip_is_told(shared_clips: Path) -> None:
    """68 % of its area is filler, blurred in blocks."""
    path = shared_clips / "field" / "geometry" / "pillar_blurred.mp4"

    assert measure_video(path_to_uri(path))["backdrop_fraction"] == pytest.approx(0.68, abs=0.03)
