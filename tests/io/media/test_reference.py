"""Frames as VBench's readers give them: bit for bit those of decord 0.6.0 and of OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from pfp.errors import PermanentError
from pfp.io import media
from pfp.io.media import Guard
from pfp.io.media.decord_backend import iter_stored_decord
from tests.hostile_files import HostileFile

Frames = npt.NDArray[np.uint8]

NUM_FRAMES = 3
READERS = ("decord", "opencv")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        not (find_spec("decord") and find_spec("cv2")), reason="decord or OpenCV is not installed"
    ),
]


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    """Both bring an FFmpeg of their own; a child process keeps them apart from the tests."""
    with Guard(timeout_seconds=120) as one:
        yield one


def read_by_decord(path: Path) -> Frames:
    """What VBench's own calls of decord give."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    return np.asarray(reader.get_batch(range(len(reader))).asnumpy())


def read_by_opencv(path: Path) -> Frames:
    """What VBench's dynamic degree reads."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        found, frame_bgr_HWC = capture.read()
        if not found:
            return np.stack(frames)
        frames.append(cv2.cvtColor(frame_bgr_HWC, cv2.COLOR_BGR2RGB))


def read_by_backend(path: Path) -> Frames:
    """What pfp's decoder ``decord`` gives."""
    return np.stack(list(iter_stored_decord(path)))


def read_with_a_strange_bridge(path: Path, bridge: str) -> tuple[Frames, str, str, str]:
    """The same where another library has set decord's bridge; what it is during and after."""
    import decord

    decord.bridge.set_bridge(bridge)
    try:
        frames = iter_stored_decord(path)
        found = [next(frames)]
        between = type(decord.VideoReader(str(path))[0]).__name__
        found += list(frames)
        resampled = media_by_decord(path)
        return np.stack(found), between, decord.bridge._CURRENT_BRIDGE.type, resampled
    finally:
        decord.bridge.reset_bridge()


def media_by_decord(path: Path) -> str:
    """The type of what the resampling reader gives."""
    from pfp.io.media.decord_backend import read_frames_decord

    return type(read_frames_decord(path, fps=24, height=64, width=96)).__name__


READ = {"decord": read_by_decord, "opencv": read_by_opencv}


def scene(height: int, width: int, num_frames: int = NUM_FRAMES) -> Frames:
    """Colours that change from pixel to pixel, without any symmetry, yet without sharp edges."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [
        sum(
            np.sin(rng.uniform(0, 0.6) * x + rng.uniform(0, 0.6) * y + rng.uniform(0, 6))
            for _ in range(4)
        )
        for _ in range(3 * num_frames)
    ]
    frames = np.stack(waves).reshape(num_frames, 3, height, width).transpose(0, 2, 3, 1)
    return np.clip(128 + 60 * frames, 0, 255).astype(np.uint8)


def encode(path: Path, height: int = 44, width: int = 66, **options: Any) -> Path:
    """Three frames with the pixel format, matrix, range, aspect or display matrix asked for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(options.get("codec", "libx264"), rate=24)
        stream.height, stream.width = height, width
        stream.pix_fmt = options.get("pixel_format", "yuv420p")
        if "matrix" in options:
            stream.codec_context.colorspace = options["matrix"]
        if "range" in options:
            stream.codec_context.color_range = options["range"]
        if "aspect" in options:
            stream.sample_aspect_ratio = options["aspect"]
        if "turn" in options:
            degrees, hflip, vflip = options["turn"]
            stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        if "tag" in options:
            stream.metadata["rotate"] = options["tag"]
        for frame_HWC in scene(height, width):
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            if "matrix" in options:
                frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=options["matrix"])
                frame.colorspace = options["matrix"]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def as_reference(path: Path) -> Frames:
    """Ours, through PyAV."""
    return np.stack(list(media.iter_stored(path, reading="reference")))


def largest(ours: Frames, theirs: Frames) -> float:
    """The largest difference in code values; infinite where shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours.astype(np.int16) - theirs).max())


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pixel_format": "yuvj420p"},
        {"pixel_format": "yuv422p"},
        {"pixel_format": "yuv444p"},
        {"pixel_format": "yuv444p", "height": 45, "width": 67},
        {"pixel_format": "gray"},
        {"pixel_format": "yuv444p10le"},
        {"codec": "libx264rgb", "pixel_format": "rgb24"},
        {"codec": "mpeg4"},
        {"height": 720, "width": 1280},  # nobody tells the matrix, and it is HD
        {"height": 720, "width": 1280, "matrix": 1},
        {"matrix": 1},
        {"matrix": 1, "range": 2},
        {"matrix": 7},
        {"matrix": 9},
        {"aspect": Fraction(4, 3)},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "plain",
)
def test_pixels_are_theirs_bit_for_bit(
    parity: Any, guard: Guard, tmp_path: Path, reader: str, options: dict[str, Any]
) -> None:
    """Whatever the 8-bit format, the matrix, the range and the sample aspect."""
    path = encode(tmp_path / "v.mp4", **options)

    theirs = guard.call(READ[reader], path)

    parity(
        "protocol vbench",
        f"frames of {reader}",
        largest(as_reference(path), theirs),
        tolerance=0,
        unit="code values",
    )


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "turn", list(product((0, 90, 180, 270, 45), (False, True), (False, True))), ids=str
)
def test_frames_are_turned_as_theirs(
    parity: Any, guard: Guard, tmp_path: Path, reader: str, turn: tuple[int, bool, bool]
) -> None:
    """By quarter turns, never mirrored, and the size that is told before is that of the frames."""
    path = encode(tmp_path / "v.mp4", turn=turn)

    ours, theirs = as_reference(path), guard.call(READ[reader], path)

    extent = media.extent_of(path, reading="reference")
    assert ours.shape == (extent.num_frames, extent.height, extent.width, 3)
    difference = largest(ours, theirs)
    parity("protocol vbench", f"turns of {reader}", difference, tolerance=0, unit="code values")


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    "turn", [(90, False, False), (180, False, False), (270, False, False), (90, True, False)]
)
def test_both_decoders_give_one_set_of_frames(
    guard: Guard, tmp_path: Path, container: str, turn: tuple[int, bool, bool]
) -> None:
    """Decord itself knows no display matrix in Matroska, where OpenCV turns."""
    path = encode(tmp_path / f"v.{container}", turn=turn)

    assert largest(as_reference(path), guard.call(read_by_backend, path)) == 0
    assert largest(as_reference(path), guard.call(read_by_opencv, path)) == 0


@pytest.mark.parametrize("tag", ["90", "180", "270"])
def test_a_tag_that_only_old_readers_obey_is_not_obeyed(
    guard: Guard, tmp_path: Path, tag: str
) -> None:
    """FFmpeg once wrote turns as a tag; today's players and OpenCV do not look at it."""
    path = encode(tmp_path / "v.mkv", tag=tag)

    assert largest(as_reference(path), guard.call(read_by_opencv, path)) == 0
    assert largest(as_reference(path), guard.call(read_by_backend, path)) == 0


@pytest.mark.parametrize("name", ["bee_on_thistle.mp4", "flower_timelapse_vp9.webm"])
def test_a_film_s_pixels_are_theirs(guard: Guard, shared_clips: Path, name: str) -> None:
    """Real content: the first two seconds."""
    path = shared_clips / "dev" / name
    ours = media.iter_stored(path, reading="reference")

    theirs = guard.call(first_by_decord, path, 48)

    assert [0.0] * 48 == [largest(frame, their) for frame, their in zip(ours, theirs, strict=False)]


def first_by_decord(path: Path, count: int) -> Frames:
    """The first frames."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    return np.asarray(reader.get_batch(range(count)).asnumpy())


@pytest.mark.parametrize("bridge", ["torch", "native"])
def test_another_library_s_bridge_is_borne_and_left(
    guard: Guard, tmp_path: Path, bridge: str
) -> None:
    """Its bridge says what decord gives, for a whole thread; ours is ours while we read."""
    path = encode(tmp_path / "v.mp4")

    frames, between, after, resampled = guard.call(read_with_a_strange_bridge, path, bridge)

    assert largest(as_reference(path), frames) == 0
    assert (bridge, "ndarray") == (after, resampled)
    assert {"torch": "Tensor", "native": "NDArray"}[bridge] == between


def test_hdr_is_refused(hostile_file: HostileFile) -> None:
    """As by every other reader: its code values are no SDR."""
    frames = media.iter_stored(hostile_file("pq.mp4"), reading="reference")

    with pytest.raises(PermanentError, match="HDR"):
        next(frames)


def test_players_frames_are_the_standard_s_and_references_are_darker(tmp_path: Path) -> None:
    """BT.601's formulas on 64 flat colours: ours are off by rounding, theirs are all cut off."""
    rng = np.random.default_rng(1)
    yuv_T3 = np.stack([rng.integers(60, 180, 64), *rng.integers(100, 156, (2, 64))], axis=1)
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for y, u, v in yuv_T3:
            planes = np.full((48, 32), y, np.uint8)
            planes[32:40], planes[40:] = u, v
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))

    off = {
        reading: np.stack(list(media.iter_stored(path, reading=reading)))[:, 16, 16]
        - by_the_standard(yuv_T3)
        for reading in ("player", "reference")
    }

    assert 0.51 > np.abs(off["player"]).max()
    assert 0.1 > np.abs(off["player"].mean(axis=0)).max()
    assert pytest.approx([-0.8, -1.3, -0.9], abs=0.3) == off["reference"].mean(axis=0).tolist()


def by_the_standard(yuv_T3: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """ITU-R BT.601, limited range: R, G and B of colours in [0, 255], unrounded."""
    y, u, v = (yuv_T3 - [16, 128, 128]).T / np.array([[219], [224], [224]])
    red, blue = y + 1.402 * v, y + 1.772 * u
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return 255 * np.stack([red, green, blue], axis=1)
