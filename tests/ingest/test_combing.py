"""Woven fields, drawn and real, against whole frames that look nearly like them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from pfp.ingest.combing import CombGauge
from pfp.ingest.measure import measure_video
from pfp.io.media import path_to_uri
from tests.hostile_files import HostileFile

Frames = npt.NDArray[np.uint8]  # (T, H, W), luma


def texture(height: int, width: int, seed: int = 0, fine: float = 1.5) -> npt.NDArray[np.float64]:
    """Blurred noise, from 20 to 235."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), fine)
    return (noise - noise.min()) / np.ptp(noise) * 215 + 20


def moving(num: int, height: int = 144, width: int = 192, speed: float = 4.0) -> Frames:
    """A background at rest and a thing half as large that moves sideways."""
    background, thing = texture(height, width, 1, 3), texture(height // 2, width // 2, 2)
    frames = np.repeat(background[None], num, axis=0)
    for index, frame in enumerate(frames):
        left = abs(round(index * speed) % width - width // 2)  # there and back
        frame[height // 4 : height // 4 + height // 2, left : left + width // 2] = thing
    return frames.astype(np.uint8)


def woven(top: Frames, bottom: Frames) -> Frames:
    """Even lines of one, odd lines of the other."""
    frames = top.copy()
    frames[..., 1::2, :] = bottom[..., 1::2, :]
    return frames


def fields(frames: Frames, *, bottom_first: bool = False) -> Frames:
    """Two successive film frames in each video frame."""
    first, second = frames[::2], frames[1::2]
    return woven(second, first) if bottom_first else woven(first, second)


def telecined(frames: Frames) -> Frames:
    """Four film frames in five video frames, two of which are woven (3:2)."""
    made = [
        five
        for a, b, c, d in zip(*(frames[start::4] for start in range(4)), strict=True)
        for five in (a, b, woven(b, c), woven(c, d), d)
    ]
    return np.stack(made)


def combed(frames_THW: Frames, form: str = "gray") -> float:
    """The share that the gauge finds."""
    gauge = CombGauge()
    for luma_HW in frames_THW:
        gauge.push(as_frame(luma_HW, form))
    return gauge.result()


def as_frame(luma_HW: npt.NDArray[np.uint8], form: str) -> av.VideoFrame:
    """A grey frame in a pixel format."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(luma_HW), "gray").reformat(format=form)


@pytest.mark.parametrize("bottom_first", [False, True])
@pytest.mark.parametrize("speed", [1.0, 3.0, 12.0])
def test_woven_fields_are_combed(speed: float, *, bottom_first: bool) -> None:
    """Slow and fast, top field first or bottom."""
    assert 1 == combed(fields(moving(160, speed=speed), bottom_first=bottom_first))


@pytest.mark.parametrize(
    "form", ["yuv420p", "yuv422p10le", "yuv444p12be", "nv12", "p010le", "rgb24", "gbrp", "gray16le"]
)
def test_every_pixel_format_is_looked_at(form: str) -> None:
    """Planar or packed, of 8 bits or more."""
    frames = moving(160)

    assert [1, 0] == [combed(fields(frames), form), combed(frames[:80], form)]


@pytest.mark.parametrize(
    "size", [(1080, 1920), (480, 720), (241, 427), (96, 160), (24, 14), (3, 5)]
)
def test_whole_frames_of_any_size_are_not_combed(size: tuple[int, int]) -> None:
    """Nor does a size break anything."""
    assert 0 == combed(moving(36, *size))


def test_high_resolution_is_looked_at() -> None:
    """4K, woven."""
    large = moving(48, 540, 960).repeat(4, axis=1).repeat(4, axis=2)

    assert 1 == combed(fields(large))


def test_telecined_film_is_combed_in_two_of_five() -> None:
    """3:2, as film was put on video."""
    assert combed(telecined(moving(800))) == pytest.approx(0.4, abs=0.05)


def test_film_whose_fields_are_one_off_is_combed() -> None:
    """25 frames a second that were cut between their fields."""
    frames = moving(100)

    assert 1 == combed(woven(frames[1:], frames[:-1]))


def test_a_part_that_is_woven_is_a_share() -> None:
    """The last quarter of the frames."""
    frames = np.concatenate([moving(600), fields(moving(400))])

    assert combed(frames) == pytest.approx(0.25, abs=0.02)


def _scroll(num: int, height: int, *, per_frame: int, period: int) -> Frames:
    stripes = (np.arange(height + num * per_frame) // (period // 2) % 2 * 200 + 25).astype(np.uint8)
    rows = [stripes[step * per_frame :][:height] for step in range(num)]
    return np.stack([np.repeat(row[:, None], 192, axis=1) for row in rows])


def _lines_of_text(num: int) -> Frames:
    page = (texture(144 + num, 192, 5, 0.6) > 150) * 200 + 20
    return np.stack([page[step : step + 144] for step in range(num)]).astype(np.uint8)


def _noise(num: int) -> Frames:
    rng = np.random.default_rng(3)
    return np.clip(moving(num) + rng.normal(0, 12, (num, 144, 192)), 0, 255).astype(np.uint8)


def _flicker(num: int) -> Frames:
    gain = np.where(np.arange(num) % 3 == 0, 1.0, 0.55)
    return (moving(num) * gain[:, None, None]).astype(np.uint8)


def _cuts(num: int) -> Frames:
    return np.stack([texture(144, 192, seed) for seed in range(num)]).astype(np.uint8)


def _strobe(num: int) -> Frames:
    return np.stack([np.full((144, 192), 255 * (step % 2)) for step in range(num)]).astype(np.uint8)


NOT_WOVEN: dict[str, Callable[[int], Frames]] = {
    "moving": moving,
    "noise": _noise,
    "flicker": _flicker,
    "strobe": _strobe,
    "a cut at every frame": _cuts,
    "text that scrolls": _lines_of_text,
    "frames shown twice": lambda num: np.repeat(moving(num // 2), 2, axis=0),
    "frames shown thrice": lambda num: np.repeat(moving(num // 3), 3, axis=0),
    **{
        f"stripes {period} lines apart that move by {speed}": (
            lambda num, period=period, speed=speed: _scroll(  # type: ignore[misc]
                num, 144, per_frame=speed, period=period
            )
        )
        for period in (4, 6, 10)
        for speed in (1, 2, 3)
    },
}


@pytest.mark.parametrize("kind", NOT_WOVEN)
def test_whole_frames_are_not_combed(kind: str) -> None:
    """What moves by lines, or not at all, or all at once."""
    assert 0 == combed(NOT_WOVEN[kind](120))


def test_woven_fields_at_rest_are_whole() -> None:
    """A comb shows where things move only; noise is no movement."""
    rest = np.repeat(moving(1), 240, axis=0)
    noise = np.random.default_rng(0).normal(0, 4, rest.shape)

    assert 0 == combed(fields(np.clip(rest + noise, 0, 255).astype(np.uint8)))


def encode(path: Path, frames_THW: Frames, codec: str, options: dict[str, str]) -> None:
    """Frames of any codec, which the stream calls progressive."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames_THW.shape[1:]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number, luma_HW in enumerate(frames_THW):
            frame = as_frame(luma_HW, stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"crf": "26"}),
        ("mpeg2video", {"b": "2000000"}),
        ("mpeg4", {"b": "1500000"}),
        ("mjpeg", {}),
        ("libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime"}),
    ],
)
def test_combs_survive_a_codec(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    """As they reach people: compressed, and called progressive."""
    frames = moving(200)
    shares = []
    for name, drawn in (("woven", fields(frames)), ("whole", frames[:100])):
        encode(tmp_path / f"{name}.mkv", drawn, codec, options)
        shares.append(measure_video(path_to_uri(tmp_path / f"{name}.mkv"))["combed_fraction"])

    assert shares[0] > 0.5
    assert 0 == shares[1]


def test_files_are_told(hostile_file: HostileFile) -> None:
    """Flags say the opposite in the first two, nothing in the others."""
    names = {
        "combed.mp4": True,
        "whole_but_flagged.mp4": False,
        "interlaced_top.mp4": True,
        "interlaced_bottom.mpg": True,
    }
    found = {
        name: measure_video(path_to_uri(hostile_file(name)))["combed_fraction"] for name in names
    }

    assert names == {name: share > 0.1 for name, share in found.items()}


def test_found_clips_are_told(shared_clips: Path) -> None:
    """The same of real footage."""
    names: Sequence[tuple[str, bool]] = (
        ("field/geometry/combed_unflagged.mp4", True),
        ("field/geometry/progressive_flagged.mp4", False),
        ("hostile/interlaced_tff_h264.mp4", True),
        ("hostile/interlaced_bff_mpeg2.mpg", True),
    )
    found = {
        name: measure_video(path_to_uri(shared_clips / name))["combed_fraction"]
        for name, _ in names
    }

    assert dict(names) == {name: share > 0.1 for name, share in found.items()}
