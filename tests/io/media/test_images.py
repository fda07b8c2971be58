"""Folders of images, animations and still images as videos, against numpy and the formats."""

from __future__ import annotations

import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pfp.errors import InputError, PermanentError
from pfp.io.digests import sha256_files
from pfp.io.media import (
    RejectedVideo,
    extent_of,
    has_rate,
    images_in,
    is_image,
    iter_stored,
    probe,
    read_video,
    write_video,
)

HEIGHT, WIDTH = 6, 8
Pixels = npt.NDArray[np.uint8]


def noise(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """An image of random colours."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder_of(folder: Path, *names: str) -> Path:
    """A folder in which the k-th name holds the k-th noise."""
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        Image.fromarray(noise(seed)).save(folder / name)
    return folder


def animated(path: Path, num_frames: int, durations: list[int] | int, **options: object) -> Path:
    """An animation whose frame k is one flat colour."""
    frames = [Image.new("RGB", (WIDTH, HEIGHT), (20 * k, 200, 5)) for k in range(num_frames)]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options
    )
    return path


def test_a_folder_is_a_video_in_the_natural_order_of_its_names(tmp_path: Path) -> None:
    """frame2 comes before frame10; other files, hidden ones and subfolders do not count."""
    folder = folder_of(tmp_path / "f", "frame10.png", "frame2.png", "Frame1.bmp", "frame007.png")
    (folder / "notes.txt").write_text("x")
    (folder / ".frame3.png").write_bytes(b"x")
    (folder / "sub.png").mkdir()

    names = [path.name for path in images_in(folder)]
    assert ["Frame1.bmp", "frame2.png", "frame007.png", "frame10.png"] == names
    assert np.array_equal(np.stack([noise(k) for k in (2, 1, 3, 0)]), read_video(folder))
    assert np.array_equal(read_video(folder), read_video(f"file://{folder}"))


def test_names_that_are_not_utf_8_are_frames(tmp_path: Path) -> None:
    """File names are bytes, of which only the digits are numbers."""
    folder = folder_of(tmp_path / "f", os.fsdecode(b"\xe9-10.png"), os.fsdecode(b"\xe9-9.png"))

    assert np.array_equal(np.stack([noise(1), noise(0)]), read_video(folder))


@pytest.mark.parametrize(("image_fps", "expected"), [(None, 24.0), (12.5, 12.5)])
def test_a_folder_has_the_rate_that_it_is_given(
    tmp_path: Path, image_fps: float | None, expected: float
) -> None:
    """24 unless told; the length is the number of images, the size the first one's."""
    folder = folder_of(tmp_path / "f", "1.png", "2.png", "3.png")
    extent = extent_of(folder, image_fps=image_fps)

    assert (3, True, expected, HEIGHT, WIDTH) == (
        extent.num_frames,
        extent.is_agreed,
        extent.fps,
        extent.height,
        extent.width,
    )
    assert not has_rate(folder)
    assert is_image(folder)


def test_a_video_keeps_its_own_rate(tmp_path: Path) -> None:
    """What is given for images is not for a file that has one."""
    path = tmp_path / "v.mp4"
    write_video(path, np.zeros((3, 32, 32, 3), np.uint8), 12)

    assert 12.0 == extent_of(path, image_fps=50).fps
    assert (True, False) == (has_rate(path), is_image(path))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_is_a_video_at_its_own_rate(tmp_path: Path, suffix: str) -> None:
    """Frames as they stand on the canvas; the rate is their number over all their durations."""
    options = {"lossless": True} if suffix == ".webp" else {}
    path = animated(tmp_path / f"a{suffix}", 4, [40, 80, 40, 40], **options)
    extent, frames = extent_of(path, image_fps=3), read_video(path)

    assert (4, 20.0, HEIGHT, WIDTH) == (
        extent.num_frames,
        extent.fps,
        extent.height,
        extent.width,
    )
    assert [0, 20, 40, 60] == frames[:, 0, 0, 0].tolist()
    assert [200, 5] == frames[3, 5, 7, 1:].tolist()
    assert (True, True) == (has_rate(path), is_image(path))


def test_a_duration_of_nothing_is_a_tenth_of_a_second(tmp_path: Path) -> None:
    """As browsers and FFmpeg show it: a GIF of no delay has 10 frames per second."""
    assert 10.0 == extent_of(animated(tmp_path / "a.gif", 3, 0)).fps


def test_patches_of_a_gif_are_put_on_what_was_there_before(tmp_path: Path) -> None:
    """A frame that stores one corner shows the rest of the frame before it."""
    frames = [Image.new("RGB", (WIDTH, HEIGHT), (0, 0, 255)) for _ in range(2)]
    frames[1].putpixel((0, 0), (255, 0, 0))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)

    second = read_video(tmp_path / "a.gif")[1]
    assert [[255, 0, 0], [0, 0, 255]] == [second[0, 0].tolist(), second[5, 7].tolist()]


def test_the_image_for_those_who_know_no_animations_is_no_frame(tmp_path: Path) -> None:
    """A PNG may show something else where it does not move; players never do."""
    path = animated(tmp_path / "a.png", 3, 50, default_image=True)

    assert [20, 40] == read_video(path)[:, 0, 0, 0].tolist()
    assert 2 == extent_of(path).num_frames


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "webp", "jpg"])
def test_one_image_is_a_video_of_one_frame(tmp_path: Path, suffix: str) -> None:
    """Whatever its file is called: the content tells."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 90))
    image.save(tmp_path / f"a.{suffix}", quality=100)
    path = (tmp_path / f"a.{suffix}").rename(tmp_path / "image.mp4")

    assert (1, 24.0) == (extent_of(path).num_frames, extent_of(path).fps)
    assert (1, HEIGHT, WIDTH, 3) == read_video(path).shape
    assert np.abs(read_video(path)[0].astype(int) - [10, 200, 90]).max() <= 4
    assert not has_rate(path)


def rgba(alpha: int) -> Image.Image:
    """One colour of this opacity."""
    return Image.new("RGBA", (WIDTH, HEIGHT), (200, 100, 50, alpha))


def palette() -> Image.Image:
    """Two colours, of which the second is transparent."""
    image = Image.new("P", (WIDTH, HEIGHT), 0)
    image.putpalette([200, 100, 50, 9, 9, 9])
    image.putpixel((0, 0), 1)
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("make", "first", "last"),
    [
        (lambda: rgba(255), [200, 100, 50], [200, 100, 50]),
        (lambda: rgba(0), [0, 0, 0], [0, 0, 0]),
        (lambda: rgba(51), [40, 20, 10], [40, 20, 10]),
        (palette, [0, 0, 0], [200, 100, 50]),
        (lambda: Image.new("L", (WIDTH, HEIGHT), 77), [77, 77, 77], [77, 77, 77]),
        (lambda: Image.new("LA", (WIDTH, HEIGHT), (100, 51)), [20, 20, 20], [20, 20, 20]),
        (lambda: Image.new("1", (WIDTH, HEIGHT), 1), [255, 255, 255], [255, 255, 255]),
    ],
)
def test_every_form_of_colour_comes_out_as_players_show_it(
    tmp_path: Path, make: Callable[[], Image.Image], first: list[int], last: list[int]
) -> None:
    """Transparent is black, grey is three equal channels, palettes are looked up."""
    make().save(tmp_path / "a.png")
    frame = read_video(tmp_path / "a.png")[0]

    assert (first, last) == (frame[0, 0].tolist(), frame[-1, -1].tolist())


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_read_by_their_high_byte(tmp_path: Path, channels: int) -> None:
    """A PNG of 16 bits a sample, written by the standard, gives its 8 high bits."""
    values = np.arange(HEIGHT * WIDTH * channels).reshape(HEIGHT, WIDTH, channels) * 451
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    (tmp_path / "a.png").write_bytes(png(WIDTH, HEIGHT, 16, {1: 0, 3: 2}[channels], rows))
    expected = np.broadcast_to(values >> 8, (HEIGHT, WIDTH, 3))

    assert np.array_equal(expected, read_video(tmp_path / "a.png")[0])


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG file by the standard's own layout."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_turned_photograph_is_upright_except_as_coded(tmp_path: Path) -> None:
    """EXIF orientation 6 is a quarter turn clockwise; readers of coded frames do not know it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(0)).save(tmp_path / "a.png", exif=exif)

    upright, coded = (
        extent_of(tmp_path / "a.png"),
        extent_of(tmp_path / "a.png", reading="reference"),
    )
    assert [(WIDTH, HEIGHT), (HEIGHT, WIDTH)] == [(e.height, e.width) for e in (upright, coded)]
    assert np.array_equal(np.rot90(noise(0), -1), read_video(tmp_path / "a.png")[0])
    frame = next(iter_stored(tmp_path / "a.png", reading="reference"))
    assert np.array_equal(noise(0), frame)


def broken(folder: Path) -> None:
    """Half of the second image is gone."""
    path = folder / "2.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(folder: Path) -> None:
    """No image is left."""
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (broken, r"2\.png cannot be read as an image"),
        (lambda f: (f / "2.png").write_bytes(b""), r"2\.png cannot be read as an image"),
        (lambda f: (f / "2.png").write_bytes(b"no image"), r"2\.png cannot be read as an im"),
        (
            lambda f: Image.fromarray(noise(0, 7, 9)).save(f / "2.png"),
            r"2\.png has 9x7 pixels and .*1\.png 8x6; give frames of one size",
        ),
        (lambda f: animated(f / "2.png", 3, 50), r"2\.png moves, so it is no frame"),
        (empty, r"holds no image \(\.bmp"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], object], expected: str
) -> None:
    """The image is named, and nothing is made up for it."""
    folder = folder_of(tmp_path / "f", "1.png", "2.png", "3.png")
    spoil(folder)

    with pytest.raises(PermanentError, match=expected):
        list(iter_stored(folder))


def test_two_files_that_could_be_one_frame_are_refused(tmp_path: Path) -> None:
    """A folder with 1.jpg beside 1.png would else be twice as long as what it shows."""
    folder = folder_of(tmp_path / "f", "1.png", "1.jpg", "2.png")

    with pytest.raises(InputError, match=r"holds 1\.jpg and 1\.png, which could be the same"):
        extent_of(folder)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_a_damaged_animation_is_refused(tmp_path: Path, name: str) -> None:
    """Half a file is not half a video."""
    folder = tmp_path
    frames = [Image.fromarray(noise(k, 40, 40)) for k in range(4)]
    frames[0].save(folder / name, save_all=True, append_images=frames[1:], duration=50)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) * 5 // 8])

    with pytest.raises(PermanentError, match="cannot be read as an image"):
        extent_of(folder / name)


def test_an_image_that_asks_for_too_much_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """A small file can promise any number of pixels."""
    for side in (7000, 60_000):
        (tmp_path / "a.png").write_bytes(png(side, side, 8, 2, b"\0"))
        with pytest.raises(RejectedVideo) as caught:
            extent_of(tmp_path / "a.png")
        assert caught.value.reason == "pixels_above_max"


def test_readers_of_videos_still_refuse_images(tmp_path: Path) -> None:
    """What cuts clips from videos never takes an image for one."""
    folder = folder_of(tmp_path / "f", "1.png")

    with pytest.raises(RejectedVideo, match="a PNG image"):
        probe(folder / "1.png")
    with pytest.raises(InputError, match="Is a directory"):
        probe(folder)


def test_a_folder_is_read_image_by_image(tmp_path: Path) -> None:
    """A pass over 60 MB of frames adds little to the process, and an image is read in its turn."""
    image = Image.fromarray(np.zeros((640, 512, 3), np.uint8))  # 1 MB decoded
    for k in range(60):
        image.save(tmp_path / f"{k}.png", compress_level=1)
    next(iter_stored(tmp_path))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (tmp_path / "59.png").write_bytes(b"gone bad")
    frames = iter_stored(tmp_path)
    num_seen = sum(1 for _, _ in zip(range(59), frames, strict=False))

    assert 59 == num_seen
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # KiB
    with pytest.raises(PermanentError, match=r"59\.png"):
        next(frames)


def test_a_folders_digest_knows_contents_and_order_but_no_names(tmp_path: Path) -> None:
    """Renaming frames in their order changes nothing, exchanging two of them does."""
    one = images_in(folder_of(tmp_path / "one", "1.png", "2.png"))
    renamed = images_in(folder_of(tmp_path / "two", "a008.png", "a009.png"))
    exchanged = images_in(folder_of(tmp_path / "three", "2.png", "1.png"))

    assert sha256_files(one) == sha256_files(renamed) != sha256_files(exchanged)
