"""Videos as they should not be, and others as they may be, with what ingest makes of each.

Every kind of awkward file that the project's collection of found ones holds (``COLLECTED``), so
that a clone without that collection tests them all. Drawn from seeds by PyAV, numpy and Pillow, a
few seconds of 160x96 pixels each.

Not made here, because only real footage has it: film grain and dust of 1899, a handheld camera,
faces, burnt-in titles. Those are the clips of ``../shared/clips/dev``, and the tests that need them
are named in ``tests/test_collection.py``.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter

from tests.media_files import (
    PATCHES,
    RATE,
    add_to_sample_entry,
    box,
    copy,
    cut,
    numbered,
    sound_packets,
    video_packets,
    write,
)

Frames = npt.NDArray[np.uint8]
Maker = Callable[[Path], object]
HostileFile = Callable[[str], Path]  # the path of a file of KINDS, as the fixture gives it

TALL, WIDE = 96, 160
SECONDS: Final = 4
NUM: Final = RATE * SECONDS
KEPT: Final = frozenset({"kept"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a file of a kind is made, and what ingest then says of it (None: not checked).

    ``outcomes``: ``kept``, a reason to drop it, or the class of an error. ``num_shots``: fewest and
    most. ``size``: width and height as shown. ``patches``: the lower half shows ``PATCHES``.
    ``numbers``: the frame at t seconds carries the number 24 t.
    """

    make: Maker
    outcomes: frozenset[str] = KEPT
    seconds: float | None = None
    num_frames: int | None = None
    num_shots: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    patches: bool = False
    numbers: bool = False


# -- what is shown ---------------------------------------------------------------------------------


def seed_of(path: Path) -> int:
    """A number of the file's own, so that no two files show the same scene."""
    return zlib.crc32(path.name.encode())


def texture(seed: int, height: int, width: int, *, blur: float = 2.5) -> npt.NDArray[np.float64]:
    """Coloured blurred noise from 20 to 235, ``(height, width, 3)``."""
    noise = gaussian_filter(
        np.random.default_rng(seed).normal(size=(height, width, 3)), (blur, blur, 0)
    )
    return (noise - noise.min()) / np.ptp(noise) * 215 + 20


def scene(
    path: Path, num: int = NUM, height: int = TALL, width: int = WIDE, *, salt: int = 0
) -> Frames:
    """The camera moves sideways over a texture, two pixels a frame, ``(num, height, width, 3)``."""
    wide = texture(seed_of(path) + salt, height, width + 2 * num).astype(np.uint8)
    return np.stack([wide[:, 2 * step : 2 * step + width] for step in range(num)])


def with_patches(frames_THWC: Frames) -> Frames:
    """The lower half shows four upright patches."""
    height, width = frames_THWC.shape[1:3]
    frames_THWC[:, height // 2 :] = np.array(PATCHES, np.uint8).repeat(width // 4, axis=0)
    return frames_THWC


def with_numbers(frames_THWC: Frames) -> Iterator[Frames]:
    """Each frame's number in twelve squares, over which the scene is faintly seen."""
    height, width = frames_THWC.shape[1:3]
    for number, frame_HWC in enumerate(frames_THWC):
        drawn = Image.fromarray(numbered(number)).resize((width, height), Image.Resampling.NEAREST)
        yield (np.asarray(drawn) * 0.85 + frame_HWC * 0.15).astype(np.uint8)


def slow_scene(seed: int, num: int) -> npt.NDArray[np.float64]:
    """Large soft shapes that move a little, as what a cut or a dissolve joins."""
    wide = texture(seed, TALL, WIDE + 40, blur=9)
    return np.stack([wide[:, step : step + WIDE] for step in np.arange(num) // 5])


def joined(path: Path, share_THW: npt.NDArray[np.float64]) -> Frames:
    """Six seconds: one scene becomes another, of which ``share`` is seen around 3 s."""
    num = 6 * RATE
    first, second = (slow_scene(seed_of(path) + which, num) for which in (0, 1))
    rest = (num - len(share_THW)) // 2
    share = np.pad(share_THW, ((rest, rest), (0, 0), (0, 0)), "edge")[..., None].round(2)
    return (first * (1 - share) + second * share).astype(np.uint8)


# -- files that are no video -----------------------------------------------------------------------

PAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body></body></html>\n"
)


def holding(content: bytes | str) -> Maker:
    """A file of these bytes."""
    as_bytes = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(as_bytes)


def tar(path: Path) -> None:
    """A shard as webdataset writes it."""
    with tarfile.open(path, "w") as archive:
        for name, content in (("00000.mp4", bytes(2000)), ("00000.txt", b"a dog")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def npy(path: Path) -> None:
    """An embedding."""
    with path.open("wb") as file:
        np.save(file, np.zeros(16, np.float32))


def jpeg(path: Path) -> None:
    """One frame."""
    Image.fromarray(scene(path, 1)[0]).save(path, "JPEG")


# -- files without frames, or with few -------------------------------------------------------------


def only_sound(path: Path) -> None:
    """An AAC track."""
    with av.open(str(path), "w", format="mp4") as to:
        to.mux(sound_packets(to, SECONDS))


def sound_with_cover(path: Path) -> None:
    """An AAC track, and an image that is its cover."""
    cover = io.BytesIO()
    Image.fromarray(scene(path, 1)[0]).save(cover, "JPEG")
    with av.open(str(path), "w", format="mp4") as to:
        sound = sound_packets(to, SECONDS)
        stream = to.add_stream("mjpeg", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDE, TALL, "yuvj420p"
        stream.disposition = Disposition.attached_pic
        packet = av.Packet(cover.getvalue())
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        to.mux(sound)
        to.mux(packet)


def no_samples(path: Path) -> None:
    """A track of which not one frame was written."""
    index_first = {"movflags": "empty_moov"}
    with av.open(str(path), "w", format="mp4", container_options=index_first) as to:
        stream = to.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDE, TALL, "yuv420p"
        to.start_encoding()


# -- files that are damaged ------------------------------------------------------------------------

INDEX_FIRST: Final = {"movflags": "faststart"}


def flipped(path: Path, num: int, *, begin: float, end: float) -> None:
    """Change bytes of a part of a file's video stream, given by fractions of their length."""
    content = bytearray(path.read_bytes())
    start = content.find(b"mdat") + 4 if b"mdat" in content else 0
    length, rng = len(content) - start, np.random.default_rng(0)
    for place in start + rng.integers(int(length * begin), int(length * end), num):
        content[place] ^= int(rng.integers(1, 256))
    path.write_bytes(content)


def bit_flips(path: Path) -> None:
    """Damage in the second half, from a clean start."""
    write(path, scene(path), container_options=INDEX_FIRST)
    flipped(path, 25, begin=0.5, end=1)


def grey_key_frame(path: Path) -> None:
    """Damage everywhere, the only key frame included."""
    write(path, scene(path), options={"g": "1000", "bf": "0"}, container_options=INDEX_FIRST)
    flipped(path, 400, begin=0, end=1)


def broken_tail(path: Path) -> None:
    """A bare MPEG-1 stream whose last frames are damaged."""
    write(path, scene(path), container="mpeg1video", codec="mpeg1video")
    flipped(path, 40, begin=0.8, end=0.99)


def without_index(path: Path) -> None:
    """The end is gone, and with it the index that stood there."""
    write(path, scene(path))
    cut(path, 0.7)


def index_first(path: Path) -> None:
    """The index promises more frames than there are."""
    write(path, scene(path), container_options=INDEX_FIRST)
    cut(path, 0.55)


# -- containers and codecs -------------------------------------------------------------------------


def coded(**options: Any) -> Maker:
    """The scene by a codec in a container; see ``media_files.write``."""
    return lambda path: write(path, scene(path), **options)


def sized(height: int, width: int, **options: Any) -> Maker:
    """The scene at another size."""
    return lambda path: write(path, scene(path, NUM, height, width), **options)


def of_length(num: int) -> Maker:
    """So many frames of the scene."""
    return lambda path: write(path, scene(path, num))


def two_streams(path: Path) -> None:
    """A small and a larger video stream, and two of sound."""
    with av.open(str(path), "w", format="mp4") as to:
        packets = [
            *video_packets(to, scene(path, NUM, 96, 128)),
            *video_packets(to, scene(path, NUM, 144, 192, salt=1)),
            *sound_packets(to, 6),
            *sound_packets(to, 6),
        ]
        to.mux(sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base))


def with_subtitle(path: Path) -> None:
    """Five seconds of video, and a line of text that is shown until second nine."""
    with av.open(str(path), "w", format="matroska") as to:
        packets = video_packets(to, scene(path, 5 * RATE))
        text = io.BytesIO(b"1\n00:00:04,000 --> 00:00:09,000\nThe end\n")
        with av.open(text, format="srt") as lines:
            stream = to.add_stream_from_template(lines.streams.subtitles[0])
            for line in lines.demux():
                if line.size:
                    line.stream = stream
                    packets.append(line)
        to.mux(packets)


def only_container(container: str, codec: str, told: dict[str, int], **drawn: Any) -> Maker:
    """Patches of which the container alone tells the colour."""

    def make(path: Path) -> None:
        between = "nut" if codec == "libvpx" else "mp4"
        plain = path.with_name(f".{path.name}.part")
        write(plain, with_patches(scene(path)), container=between, codec=codec, **drawn)
        copy(plain, path, container, **told)
        plain.unlink()

    return make


def full_range(path: Path) -> None:
    """Patches in full range, as the stream says."""
    write(path, with_patches(scene(path)), full_range=True, color_range=2, colorspace=5)


def dolby_vision(path: Path) -> None:
    """Profile 5: colours that nothing but the container's dvcC box tells."""
    write(path, scene(path), codec="libx265")
    flags = (5 << 9 | 3 << 3 | 0b101).to_bytes(2, "big")
    add_to_sample_entry(path, b"hev1", box(b"dvcC", bytes([1, 0]), flags, bytes(20)))


def transparent(codec: str, form: str, options: dict[str, str]) -> Maker:
    """The right half is transparent, over colours that nobody should see."""

    def make(path: Path) -> None:
        with av.open(str(path), "w") as to:
            stream = to.add_stream(codec, rate=RATE, options=options)
            stream.width, stream.height, stream.pix_fmt = WIDE, TALL, form
            if path.suffix == ".webm":
                stream.metadata["alpha_mode"] = "1"
            for number, frame_HWC in enumerate(scene(path)):
                alpha = np.full((TALL, WIDE, 1), 255, np.uint8)
                alpha[:, WIDE // 2 :] = 0
                rgba = np.concatenate([frame_HWC, alpha], axis=2)
                frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=form)
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                to.mux(stream.encode(frame))
            to.mux(stream.encode(None))

    return make


def huge(path: Path) -> None:
    """Two frames of 8192x8192: 200 MB of pixels in a few kilobytes."""
    with av.open(str(path), "w") as to:
        fast = {"preset": "ultrafast", "tune": "zerolatency"}
        stream = to.add_stream("libx264", rate=1, options=fast)
        stream.width = stream.height = 8192
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame(8192, 8192, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        for number in range(2):
            frame.pts, frame.time_base = number, Fraction(1)
            to.mux(stream.encode(frame))
        to.mux(stream.encode(None))


# -- times -----------------------------------------------------------------------------------------


def numbers(container: str, **options: Any) -> Maker:
    """Eleven seconds of numbered frames."""
    num = 11 * RATE
    return lambda path: write(
        path, with_numbers(scene(path, num)), container=container, options=options
    )


def late_start(path: Path) -> None:
    """The first frame comes after 8.33 s."""
    write(path, scene(path), pts=[200 + number for number in range(NUM)])


def dropped_frames(path: Path) -> None:
    """Gaps of up to seven frames, with the times of the frames that are left."""
    pts = np.cumsum(np.random.default_rng(0).choice([1, 1, 2, 7], NUM)).tolist()
    write(path, scene(path), pts=pts)


def edit_list(path: Path) -> None:
    """An edit list leaves out the first five frames, from which the others are predicted."""
    write(path, scene(path, NUM + 5), options={"bf": "2"})
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 12
    scale = int.from_bytes(content[(of := content.index(b"mdhd") + 16) : of + 4], "big")
    movie = int.from_bytes(content[(of := content.index(b"mvhd") + 16) : of + 4], "big")
    start = int.from_bytes(content[at + 4 : at + 8], "big") + 5 * scale // RATE
    content[at : at + 8] = (SECONDS * movie).to_bytes(4, "big") + start.to_bytes(4, "big")
    path.write_bytes(content)


def rate_of(rate: int, frames: Callable[[Path], Frames]) -> Maker:
    """A video of another rate."""
    return lambda path: write(path, frames(path), rate=rate)


def repeated(path: Path) -> Frames:
    """Each frame ten times, as cameras of 240 fps are said to give."""
    return scene(path).repeat(10, axis=0)


def slide(path: Path) -> Frames:
    """One frame for half a minute."""
    return scene(path, 1).repeat(30, axis=0)


def streams_joined(path: Path, parts: Sequence[tuple[Frames, int]]) -> None:
    """Transport streams one after the other; each with the 1/24 s at which it starts."""
    content = b""
    for number, (frames, start) in enumerate(parts):
        part = path.with_name(f".{path.name}.{number}")
        pts = [start + index for index in range(len(frames))]
        write(part, frames, container="mpegts", pts=pts, options={"bf": "0"})
        content += part.read_bytes()
        part.unlink()
    path.write_bytes(content)


def times_jump_back(path: Path) -> None:
    """Two recordings in one file, each of which begins at zero."""
    streams_joined(path, [(scene(path), 0), (scene(path, salt=1), 0)])


def size_changes(path: Path) -> None:
    """Half the size from the second half on."""
    small = scene(path, NUM, 96, 128)
    streams_joined(path, [(scene(path, NUM, 192, 256), 0), (small, NUM)])


def aspect_changes(path: Path) -> None:
    """4:3, then 16:9, with the same number of pixels."""
    content = b""
    for number, aspect in enumerate((Fraction(12, 11), Fraction(16, 11))):
        part = path.with_name(f".{path.name}.{number}.m2v")
        frames = scene(path, 3 * RATE, 144, 176, salt=number)
        write(part, frames, container="mpeg2video", codec="mpeg2video", sample_aspect_ratio=aspect)
        content += part.read_bytes()
        part.unlink()
    whole = path.with_name(f".{path.name}.m2v")
    whole.write_bytes(content)
    copy(whole, path, "mpegts")
    whole.unlink()


# -- shapes and defects of frames ------------------------------------------------------------------


def turned(path: Path) -> None:
    """Coded lying on its side, with the matrix that phones write."""
    with av.open(str(path), "w", format="mp4") as to:
        packets = video_packets(to, scene(path))
        to.streams.video[0].set_display_rotation(-90)
        to.mux(packets)


def woven(path: Path, *, bottom_first: bool = False) -> Frames:
    """Each frame of two fields of a fast scene."""
    fast = scene(path, 2 * NUM, 144, 192)
    first, second = (fast[1::2], fast[::2]) if bottom_first else (fast[::2], fast[1::2])
    frames = first.copy()
    frames[:, 1::2] = second[:, 1::2]
    return frames


def black(path: Path) -> Frames:
    """Nothing."""
    del path
    return np.zeros((NUM, TALL, WIDE, 3), np.uint8)


def frozen(path: Path) -> Frames:
    """One second, and then its last frame for four."""
    moving = scene(path, RATE)
    return np.concatenate([moving, moving[-1:].repeat(4 * RATE, axis=0)])


def letterboxed(path: Path) -> Frames:
    """A wide video in an upright one, black above and below."""
    frames = np.zeros((NUM, 224, 128, 3), np.uint8)
    frames[:, 76:148] = scene(path, NUM, 72, 128)
    return frames


def letterboxed_first(path: Path) -> Frames:
    """61 percent under bars for the first four fifths of the time."""
    frames = scene(path, 10 * RATE, 128, 160)
    frames[: 8 * RATE, :39] = frames[: 8 * RATE, 89:] = 0
    return frames


def blurred_pillars(path: Path) -> Frames:
    """An upright video over a blurred copy of itself."""
    made = []
    for frame_HWC in scene(path, NUM, 180, 100):
        upright = Image.fromarray(frame_HWC)
        behind = upright.resize((320, 576)).crop((0, 198, 320, 378))
        behind = behind.filter(ImageFilter.GaussianBlur(15))
        behind.paste(upright, (110, 0))
        made.append(np.asarray(behind))
    return np.stack(made)


def side_by_side(path: Path) -> None:
    """Two views of one scene in a frame, which the stream says (frame packing)."""
    view = scene(path, NUM, 96, 160)
    frames = np.concatenate([view[:, :, :-4], view[:, :, 4:]], axis=2)
    write(path, frames, options={"x264-params": "frame-packing=3"})


def drawn(draw: Callable[[Path], Frames], **options: Any) -> Maker:
    """What is drawn, as a file."""
    return lambda path: write(path, draw(path), **options)


def copied(name: str) -> Maker:
    """The bytes of another of these files: an encoder may write others when it is asked again."""

    def make(path: Path) -> None:
        original = path.with_name(name)
        if not original.exists():
            KINDS[name].make(original)
        path.write_bytes(original.read_bytes())

    return make


# -- shots -----------------------------------------------------------------------------------------


def dissolve(path: Path) -> Frames:
    """Three seconds from one scene to another."""
    return joined(path, ((np.arange(72) + 0.5) / 72)[:, None, None])


def wipe(path: Path) -> Frames:
    """A second scene comes from the left, in a second."""
    steps = ((np.arange(RATE) + 0.5) / RATE)[:, None, None]
    columns = ((np.arange(WIDE) + 0.5) / WIDE)[None, None, :]
    return joined(path, np.clip((steps - columns) * 40 + 0.5, 0, 1))


def fade_in(path: Path) -> Frames:
    """A second out of black."""
    frames = slow_scene(seed_of(path), 5 * RATE)
    frames[:RATE] *= np.arange(RATE)[:, None, None, None] / RATE
    return frames.astype(np.uint8)


def montage(path: Path) -> Frames:
    """25 stills of a fifth of a second."""
    stills = [slow_scene(seed_of(path) + number, 1) for number in range(25)]
    return np.concatenate(stills).astype(np.uint8).repeat(5, axis=0)


# -- the table -------------------------------------------------------------------------------------


def first(path: Path) -> Frames:
    """A plain scene, the same under whatever name."""
    return scene(path.with_name("first.mp4"), NUM, 144, 240)


def first_again(path: Path) -> Frames:
    """The same, a little smaller and brighter."""
    small = [np.asarray(Image.fromarray(frame).resize((200, 120))) for frame in first(path)]
    return np.clip(np.stack(small) * 1.02, 0, 255).astype(np.uint8)


def dropped(make: Maker, *reasons: str) -> Kind:
    """Dropped, or failed, for one of these reasons."""
    return Kind(make=make, outcomes=frozenset(reasons))


PATCHES_OF_709: Final = {"colorspace": 1, "color_range": 2, "color_primaries": 1, "color_trc": 1}
PQ, HLG = ({"color_trc": trc, "colorspace": 9, "color_primaries": 9} for trc in (16, 18))
TEN_BIT: Final = {"codec": "libx265", "pixel_format": "yuv420p10le"}
VP9: Final = {"container": "webm", "codec": "libvpx-vp9", "options": {"cpu-used": "8"}}
OUTLASTED: Final = {"seconds": 5.0, "num_frames": 120}

KINDS: Final[dict[str, Kind]] = {
    # Plain ones, and their doubles.
    "first.mp4": Kind(
        make=drawn(first), seconds=4.0, num_frames=96, size=(240, 144), num_shots=(1, 1)
    ),
    "first_copied.mp4": dropped(copied("first.mp4"), "exact_duplicate"),
    "first_recoded.mp4": dropped(drawn(first_again, options={"crf": "30"}), "near_duplicate"),
    # No video.
    "empty.mp4": dropped(holding(b""), "empty_file"),
    "error_page.mp4": dropped(holding(PAGE), "not_a_video"),
    "jpeg.mp4": dropped(jpeg, "still_image"),
    "shard.tar": dropped(tar, "not_a_video"),
    "metadata.json": dropped(
        holding(json.dumps({"key": "00001", "caption": "caf\u00e9"}, ensure_ascii=False)),
        "not_a_video",
    ),
    "embedding.npy": dropped(npy, "not_a_video"),
    "accents.txt": dropped(holding("Un caf\u00e9, une for\u00eat.\n"), "not_a_video"),
    "chinese.txt": dropped(holding("\u4e00\u53ea\u72d7\u3002\n"), "not_a_video"),
    # No frames, or few.
    "only_sound.mp4": dropped(only_sound, "no_video_stream"),
    "sound_with_cover.mp4": dropped(sound_with_cover, "no_video_stream"),
    "no_samples.mp4": dropped(no_samples, "no_frames"),
    "one_frame.mp4": dropped(of_length(1), "duration_below_min"),
    "three_frames.mp4": dropped(of_length(3), "duration_below_min"),
    # Damaged.
    "bit_flips.mp4": dropped(bit_flips, "decode_errors"),
    "grey_key_frame.mp4": dropped(grey_key_frame, "decode_errors", "uniform"),
    "broken_tail.mpg": dropped(broken_tail, "decode_errors"),
    "without_index.mp4": dropped(without_index, "PermanentError"),
    "index_first.mp4": dropped(index_first, "frames_missing", "decode_errors"),
    # Containers and codecs.
    "fragmented.mp4": Kind(
        make=coded(container_options={"movflags": "frag_keyframe+empty_moov"}), num_frames=96
    ),
    "webm_inside.mp4": Kind(make=coded(**VP9), num_frames=96),
    "motion_jpeg.mov": Kind(
        make=coded(container="mov", codec="mjpeg", pixel_format="yuvj420p"), num_frames=96
    ),
    "mpeg2.ts": Kind(make=coded(container="mpegts", codec="mpeg2video", options={"b": "2M"})),
    "msmpeg4v2.avi": Kind(make=coded(container="avi", codec="msmpeg4v2", options={"b": "2M"})),
    "two_streams.mp4": Kind(make=two_streams, seconds=4.0, size=(192, 144)),
    "ten_bit.mp4": Kind(make=coded(pixel_format="yuv420p10le")),
    "grey.mp4": Kind(make=coded(pixel_format="gray")),
    "full_colour_odd.mp4": Kind(make=sized(97, 161, pixel_format="yuv444p"), size=(161, 97)),
    "odd_vp9.webm": Kind(make=sized(97, 161, **VP9), size=(161, 97)),
    "sound_outlasts.mkv": Kind(
        make=lambda path: write(path, scene(path, 120), container="matroska", sound_seconds=9),
        **OUTLASTED,
    ),
    "sound_outlasts.webm": Kind(
        make=lambda path: write(
            path, scene(path, 120), **VP9, sound_seconds=9, sound_codec="libopus"
        ),
        **OUTLASTED,
    ),
    "subtitle_outlasts.mkv": Kind(make=with_subtitle, **OUTLASTED),
    # Colour.
    "full_range.mp4": Kind(make=full_range, patches=True),
    "full_range_in_colr.mp4": Kind(
        make=only_container(
            "mp4", "libx265", PATCHES_OF_709, matrix=1, full_range=True, options={"crf": "10"}
        ),
        patches=True,
    ),
    "full_range_in_tags.mkv": Kind(
        make=only_container(
            "matroska",
            "libvpx",
            PATCHES_OF_709,
            matrix=1,
            full_range=True,
            options={"crf": "4", "b": "5M", "cpu-used": "8"},
        ),
        patches=True,
    ),
    "transparent.mov": Kind(
        make=transparent("png", "rgba", {}), outcomes=frozenset({"kept", "black_bars"})
    ),
    "transparent.webm": Kind(
        make=transparent("libvpx-vp9", "yuva420p", {"b": "2M", "auto-alt-ref": "0"}),
        outcomes=frozenset({"kept", "black_bars"}),
    ),
    "pq.mp4": dropped(coded(**TEN_BIT, **PQ), "hdr"),
    "hlg.mp4": dropped(coded(**TEN_BIT, **HLG), "hdr"),
    "pq_in_colr.mp4": dropped(only_container("mp4", "libx264", PQ), "hdr"),
    "pq_in_tags.mkv": dropped(only_container("matroska", "libx264", PQ), "hdr"),
    "dolby_vision_5.mp4": dropped(dolby_vision, "hdr"),
    # Times.
    "b_frames.avi": Kind(
        make=numbers("avi", bf="3", g="40"), seconds=11.0, num_frames=264, numbers=True
    ),
    "bare.h264": Kind(
        make=numbers("h264", bf="3", g="40"), seconds=11.0, num_frames=264, numbers=True
    ),
    "late_start.mp4": Kind(make=late_start, seconds=4.0, num_frames=96),
    "dropped_frames.mp4": Kind(make=dropped_frames, num_frames=96),
    "edit_list.mp4": Kind(make=edit_list, num_frames=96),
    "fps_240.mp4": Kind(make=rate_of(240, repeated), seconds=4.0, num_frames=960),
    "slide_1fps.mp4": dropped(rate_of(1, slide), "fps_below_min", "frozen", "motion_below_min"),
    "times_jump_back.ts": dropped(times_jump_back, "timestamps_jump_back"),
    # Sizes and shapes.
    "size_changes.ts": dropped(size_changes, "size_changes"),
    "aspect_changes.ts": dropped(aspect_changes, "size_changes"),
    "anamorphic.mp4": Kind(make=coded(sample_aspect_ratio=Fraction(64, 45)), size=(228, 96)),
    "turned.mp4": Kind(make=turned, size=(96, 160)),
    "tiny.mp4": dropped(sized(14, 24), "side_below_min"),
    "strip.mp4": dropped(sized(96, 960), "aspect_above_max"),
    "huge.mp4": dropped(huge, "pixels_above_max"),
    # Defects of frames.
    "black.mp4": dropped(drawn(black), "black"),
    "frozen.mp4": dropped(drawn(frozen), "frozen"),
    "letterboxed.mp4": dropped(drawn(letterboxed), "black_bars"),
    "letterboxed_first.mp4": dropped(drawn(letterboxed_first, options={"crf": "12"}), "black_bars"),
    "blurred_pillars.mp4": dropped(drawn(blurred_pillars), "blurred_backdrop", "black_bars"),
    "side_by_side.mp4": dropped(side_by_side, "stereo"),
    "interlaced_top.mp4": dropped(
        drawn(woven, options={"x264-params": "interlaced=1:tff=1"}), "interlaced"
    ),
    "interlaced_bottom.mpg": dropped(
        lambda path: write(
            path,
            woven(path, bottom_first=True),
            container="mpeg",
            codec="mpeg2video",
            options={"flags": "+ildct+ilme", "b": "4M"},
        ),
        "interlaced",
    ),
    "combed.mp4": dropped(drawn(woven), "interlaced"),
    "whole_but_flagged.mp4": Kind(make=coded(options={"x264-params": "interlaced=1:tff=1"})),
    # Shots.
    "dissolve.mp4": Kind(make=drawn(dissolve), num_shots=(2, 2)),
    "fade_in.mp4": Kind(make=drawn(fade_in), num_shots=(1, 1)),
    "montage.mp4": Kind(
        make=drawn(montage), outcomes=frozenset({"kept", "frozen"}), num_shots=(20, 25)
    ),
    "wipe.mp4": Kind(make=drawn(wipe), num_shots=(2, 2)),
}


# -- storyboards of a clip of five seconds ---------------------------------------------------------

STEPS: Final = "opens the door, closes the door, "
DISC: Final = "\u4e00\u4e2a\u7ea2\u8272\u7684\u5706\u76d8\u5728\u5899\u4e0a\u79fb\u52a8\u3002"
# A caption, and the rule that rejects it, or what is done to it.
STORYBOARDS: Final[dict[str, tuple[str, str]]] = {
    "answer_in_json": (json.dumps({"caption": "A red disc moves."}), "repaired"),
    "chinese_loop": (DISC * 30, "caption_loop"),
    "clause_loop": (f"The man walks to the door, {STEPS * 20}", "caption_loop"),
    "cut_off": ("A red disc moves and then slowly turns towards the", "caption_cut_off"),
    "dots": ("...", "caption_empty"),
    "misread_utf8": ("Ein gr\u00fcner Ball f\u00e4llt.".encode().decode("cp1252"), "repaired"),
    "not_available": ("N/A", "caption_empty"),
    "reasoning": ("<think>I see a disc.</think>A red disc moves.", "repaired"),
    "refusal": ("Unfortunately, I am unable to view the video you sent.", "caption_refusal"),
    "times": ("From 00:12 to 00:20 a red disc moves, at 00:45 it stops.", "caption_times"),
    "word_loop": (f"A man in a {'very ' * 200}large coat", "caption_loop"),
}


def storyboard(caption: str) -> str:
    """A storyboard file with that caption."""
    shot = {"start_seconds": 0, "end_seconds": 5, "caption": caption}
    board = {"schema_version": 1, "global_caption": None, "shots": [shot]}
    return json.dumps(board, ensure_ascii=False)


# -- the collection of found files beside the checkout, and the kind of each -----------------------

COLLECTED: Final[dict[str, str]] = {
    "hostile/all_black_22s.mp4": "black.mp4",
    "hostile/alpha_vp9.webm": "transparent.webm",
    "hostile/anamorphic_sar64_45.mp4": "anamorphic.mp4",
    "hostile/audio_only.mp4": "only_sound.mp4",
    "hostile/audio_with_cover_art.mp4": "sound_with_cover.mp4",
    "hostile/corrupt_bitflips.mp4": "bit_flips.mp4",
    "hostile/corrupt_keyframe_grey.mp4": "grey_key_frame.mp4",
    "hostile/discard_first_keyframe.mp4": "edit_list.mp4",
    "hostile/exact_duplicate_of_dev_bee.mp4": "first_copied.mp4",
    "hostile/extreme_aspect_1600x60.mp4": "strip.mp4",
    "hostile/fps_240.mp4": "fps_240.mp4",
    "hostile/fragmented.mp4": "fragmented.mp4",
    "hostile/frozen_after_2s.mp4": "frozen.mp4",
    "hostile/full_range_yuvj.mp4": "full_range.mp4",
    "hostile/gray_pixfmt.mp4": "grey.mp4",
    "hostile/h264_hi10.mp4": "ten_bit.mp4",
    "hostile/hdr10_hevc_main10.mp4": "pq.mp4",
    "hostile/hdr_small_nasa.mp4": "pq.mp4",
    "hostile/hlg_hevc_main10.mp4": "hlg.mp4",
    "hostile/html_error_page.mp4": "error_page.mp4",
    "hostile/huge_8192x8192.mp4": "huge.mp4",
    "hostile/interlaced_bff_mpeg2.mpg": "interlaced_bottom.mpg",
    "hostile/interlaced_tff_h264.mp4": "interlaced_top.mp4",
    "hostile/jpeg_named.mp4": "jpeg.mp4",
    "hostile/mjpeg.mov": "motion_jpeg.mov",
    "hostile/mpeg1_broken_tail.mpg": "broken_tail.mpg",
    "hostile/mpeg2.ts": "mpeg2.ts",
    "hostile/msmpeg4v2.avi": "msmpeg4v2.avi",
    "hostile/multi_stream_2v2a2s.mp4": "two_streams.mp4",
    "hostile/near_duplicate_of_dev_dog.mp4": "first_recoded.mp4",
    "hostile/no_samples.mp4": "no_samples.mp4",
    "hostile/non_zero_start.mp4": "late_start.mp4",
    "hostile/odd_dims_vp9.webm": "odd_vp9.webm",
    "hostile/odd_dims_yuv444.mp4": "full_colour_odd.mp4",
    "hostile/one_frame.mp4": "one_frame.mp4",
    "hostile/pillar_letterboxed_vertical.mp4": "letterboxed.mp4",
    "hostile/pts_reset_midstream.ts": "times_jump_back.ts",
    "hostile/resolution_change_midstream.ts": "size_changes.ts",
    "hostile/rotate90_meta_coded_landscape.mp4": "turned.mp4",
    "hostile/rotated_meta_small.mp4": "turned.mp4",
    "hostile/still_1fps_90s.mp4": "slide_1fps.mp4",
    "hostile/three_frames.mp4": "three_frames.mp4",
    "hostile/tiny_24x14.mp4": "tiny.mp4",
    "hostile/truncated_missing_moov.mp4": "without_index.mp4",
    "hostile/truncated_moov_first.mp4": "index_first.mp4",
    "hostile/vfr_dropped_frames.mp4": "dropped_frames.mp4",
    "hostile/webm_named.mp4": "webm_inside.mp4",
    "hostile/zero_length.mp4": "empty.mp4",
    "field/colour/alpha_png.mov": "transparent.mov",
    "field/colour/colr_only_full_709_hevc.mp4": "full_range_in_colr.mp4",
    "field/colour/vp8_full_range_mkv_tags.mkv": "full_range_in_tags.mkv",
    "field/cuts/dissolve_3s.mp4": "dissolve.mp4",
    "field/cuts/fade_from_black.mp4": "fade_in.mp4",
    "field/cuts/still_montage_0.2s.mp4": "montage.mp4",
    "field/cuts/wipe_1s.mp4": "wipe.mp4",
    "field/durations/audio_outlasts_video.mkv": "sound_outlasts.mkv",
    "field/durations/audio_outlasts_video.webm": "sound_outlasts.webm",
    "field/durations/subtitle_outlasts_video.mkv": "subtitle_outlasts.mkv",
    "field/geometry/combed_unflagged.mp4": "combed.mp4",
    "field/geometry/letterbox_first_80_percent.mp4": "letterboxed_first.mp4",
    "field/geometry/pillar_blurred.mp4": "blurred_pillars.mp4",
    "field/geometry/progressive_flagged.mp4": "whole_but_flagged.mp4",
    "field/geometry/sar_changes.ts": "aspect_changes.ts",
    "field/geometry/stereo_side_by_side.mp4": "side_by_side.mp4",
    "field/hdr/dolby_vision_5.mp4": "dolby_vision_5.mp4",
    "field/hdr/pq_in_colr_only.mp4": "pq_in_colr.mp4",
    "field/hdr/pq_in_mkv_only.mkv": "pq_in_tags.mkv",
    "field/neighbours/00000.tar": "shard.tar",
    "field/neighbours/00001.json": "metadata.json",
    "field/neighbours/00001.npy": "embedding.npy",
    "field/neighbours/00001.txt": "accents.txt",
    "field/neighbours/00002.txt": "chinese.txt",
    "field/storyboards/chinese_loop.storyboard.json": "chinese_loop",
    "field/storyboards/comma_loop.storyboard.json": "clause_loop",
    "field/storyboards/cut_mid_sentence.storyboard.json": "cut_off",
    "field/storyboards/dots.storyboard.json": "dots",
    "field/storyboards/json_in_caption.storyboard.json": "answer_in_json",
    "field/storyboards/mojibake.storyboard.json": "misread_utf8",
    "field/storyboards/not_available.storyboard.json": "not_available",
    "field/storyboards/refusal_late.storyboard.json": "refusal",
    "field/storyboards/think_tags.storyboard.json": "reasoning",
    "field/storyboards/timestamps_in_caption.storyboard.json": "times",
    "field/storyboards/word_loop.storyboard.json": "word_loop",
    "field/timing/h264_bframes.avi": "b_frames.avi",
    "field/timing/raw.h264": "bare.h264",
}
