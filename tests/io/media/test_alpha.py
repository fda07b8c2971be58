"""What is hidden under transparency stays hidden, in every codec and every reader."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
import pytest

from pfp.errors import PermanentError
from pfp.ingest.measure import measure_video
from pfp.io.media import iter_stored, path_to_uri, probe, read_frames
from pfp.io.media.decord_backend import iter_stored_decord, read_frames_decord
from tests.hostile_files import HostileFile

HEIGHT, WIDTH, NUM = 64, 96, 6

# encoder, pixel format, suffix, options, and how far colours may be off
CODECS: Final = {
    "png": ("png", "rgba", ".mov", {}, 0),
    "png, 16 bits": ("png", "rgba64be", ".mov", {}, 1),
    "QuickTime RLE": ("qtrle", "argb", ".mov", {}, 0),
    "ProRes 4444": ("prores_ks", "yuva444p10le", ".mov", {"profile": "4444"}, 4),
    "FFV1": ("ffv1", "bgra", ".mkv", {}, 0),
    "FFV1, YUV": ("ffv1", "yuva420p", ".mkv", {}, 3),
    "UT Video": ("utvideo", "gbrap", ".avi", {}, 0),
    "VP8": ("libvpx", "yuva420p", ".webm", {"b": "2M", "auto-alt-ref": "0"}, 8),
    "VP9": ("libvpx-vp9", "yuva420p", ".webm", {"b": "2M", "auto-alt-ref": "0"}, 8),
}


def rgba() -> npt.NDArray[np.uint8]:
    """Opaque left, transparent with noise under it right, half transparent below; (H, W, 4)."""
    rgba_HWC = np.empty((HEIGHT, WIDTH, 4), np.uint8)
    rgba_HWC[...] = (180, 120, 60, 255)
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH // 2, 3))
    rgba_HWC[:, WIDTH // 2 :, :3] = noise
    rgba_HWC[:, WIDTH // 2 :, 3] = 0
    rgba_HWC[HEIGHT // 2 :, : WIDTH // 2, 3] = 128
    return rgba_HWC


def encode(path: Path, codec: str, form: str, options: dict[str, str]) -> Path:
    """``NUM`` frames of it at 12 fps."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=12, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, form
        if path.suffix == ".webm":
            stream.metadata["alpha_mode"] = "1"
        for number in range(NUM):
            frame = av.VideoFrame.from_ndarray(rgba(), format="rgba").reformat(format=form)
            frame.pts, frame.time_base = number, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def clip(folder: Path, kind: str) -> tuple[Path, int]:
    """The video of one kind, and how far its colours may be off."""
    codec, form, suffix, options, off = CODECS[kind]
    return encode(folder / f"a{suffix}", codec, form, options), off


@pytest.mark.parametrize("kind", CODECS)
def test_transparent_parts_are_black(tmp_path: Path, kind: str) -> None:
    """And half transparent ones half as bright, for frames as stored and frames by time."""
    path, off = clip(tmp_path, kind)

    for frames in (
        np.stack(list(iter_stored(path))),
        read_frames(path, fps=12, height=HEIGHT, width=WIDTH),
    ):
        assert (NUM, HEIGHT, WIDTH, 3) == frames.shape
        # Away from the edges, over which codecs that subsample colours smear.
        opaque, half = frames[:, 4:28, 4:44].astype(int), frames[:, 36:60, 4:44].astype(int)
        assert np.abs(opaque - (180, 120, 60)).max() <= off + 1
        assert np.abs(half - (90, 60, 30)).max() <= off + 2
        assert frames[:, :, 56:].max() <= off


@pytest.mark.parametrize("kind", ["png", "VP9"])
def test_a_part_from_the_middle_on_is_black_too(tmp_path: Path, kind: str) -> None:
    """Seeking keeps the decoder that knows alpha."""
    path, off = clip(tmp_path, kind)

    frames = read_frames(path, fps=12, height=HEIGHT, width=WIDTH, start_seconds=0.25)

    assert (3, HEIGHT, WIDTH, 3) == frames.shape
    assert frames[:, :, 56:].max() <= off


def test_the_measures_see_black(tmp_path: Path) -> None:
    """Half of the frame is a bar."""
    path, _ = clip(tmp_path, "png")

    assert measure_video(path_to_uri(path))["bar_fraction"] == pytest.approx(0.5, abs=0.02)


def test_alpha_is_told(tmp_path: Path) -> None:
    """By the frames that come out, not by the codec."""
    opaque = encode(tmp_path / "o.mov", "png", "rgb24", {})

    assert [True, True, False] == [
        probe(path).has_alpha
        for path in (clip(tmp_path, "png")[0], clip(tmp_path, "VP8")[0], opaque)
    ]


def test_decord_refuses_alpha(tmp_path: Path) -> None:
    """It would show what lies under it."""
    path, _ = clip(tmp_path, "VP9")

    with pytest.raises(PermanentError, match="transparent, and decord shows what lies under it"):
        list(iter_stored_decord(path))
    with pytest.raises(PermanentError, match="transparent or has pixels"):
        read_frames_decord(path, fps=12, height=HEIGHT, width=WIDTH)


@pytest.mark.parametrize("name", ["transparent.mov", "transparent.webm"])
def test_a_file_is_black_where_it_is_transparent(hostile_file: HostileFile, name: str) -> None:
    """On its right half, under which a scene lies."""
    frames = np.stack(list(iter_stored(hostile_file(name))))

    assert 8 > frames[:, :, 88:].max()
    assert frames[:, :, :80].mean() > 50
