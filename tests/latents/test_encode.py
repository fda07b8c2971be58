"""Frames to LatentRecords, and clips through the decoder child."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.errors import PermanentError
from pfp.io.media import Guard, read_frames, write_video
from pfp.latents.encode import encode_clip, encode_frames, encode_group
from pfp.latents.frames import clip_frames
from pfp.latents.preprocess import PreprocessSettings
from pfp.schema import KEPT, ClipRecord, Dropped

SETTINGS = PreprocessSettings(fps=12.0, long_side=48, short_side=32)


def encode(vae: Any, frames: Any, settings: PreprocessSettings = SETTINGS) -> Any:
    """The record of frames that need no preprocessing."""
    return encode_frames(vae, frames, settings, clip_id="c", start_seconds=1.5)


def test_hr_latents_are_the_vae_s_in_fp16(vae: Any, frames_THWC: Any) -> None:
    """The stored bytes are the normalised latents of all whole groups of frames, T-first."""
    expected = vae.encode(frames_THWC[:45]).astype("<f2")

    record = encode(vae, iter(frames_THWC))

    assert record.hr == expected.tobytes()
    assert record.hr_shape == [12, 16, 8, 12]
    assert (record.num_frames, record.num_frames_dropped) == (45, 2)


def test_lr_latents_are_those_of_every_second_small_frame(vae: Any, frames_THWC: Any) -> None:
    """The LR video takes frames 0, 2, ... 40, a quarter as high and wide, through the same VAE."""
    small = frames_THWC[0:41:2].reshape(21, 8, 4, 12, 4, 3).mean(axis=(2, 4))
    expected = vae.encode(np.floor(small + 0.5).astype(np.uint8)).astype("<f2")

    record = encode(vae, iter(frames_THWC))

    assert record.lr == expected.tobytes()
    assert record.lr_shape == [6, 16, 2, 3]
    assert (record.lr_height, record.lr_width, record.lr_fps) == (8, 12, 6.0)


@pytest.mark.parametrize(("factor", "stride"), [(2, 1), (4, 2), (2, 2), (2, 4), (2, 8)])
def test_lr_latents_of_the_paper_s_rates(
    vae: Any, frames_THWC: Any, factor: int, stride: int
) -> None:
    """Every T-th frame up to the last whole group, F times as small, through the same VAE.

    All rates have the same HR latents, to the byte.
    """
    settings = replace(SETTINGS, lr_factor=factor, lr_frame_stride=stride)
    num_tokens = -(-12 // stride)
    taken = frames_THWC[: 4 * stride * (num_tokens - 1) + 1 : stride]
    rows, columns = 32 // factor, 48 // factor
    small = taken.reshape(len(taken), rows, factor, columns, factor, 3).mean(axis=(2, 4))
    expected = vae.encode(np.floor(small + 0.5).astype(np.uint8)).astype("<f2")

    record = encode(vae, iter(frames_THWC), settings)

    assert record.lr == expected.tobytes()
    assert record.lr_shape == [num_tokens, 16, rows // 4, columns // 4]
    assert (record.lr_height, record.lr_width) == (rows, columns)
    assert (record.lr_factor, record.lr_frame_stride, record.lr_fps) == (
        factor,
        stride,
        12 / stride,
    )
    assert record.hr == encode(vae, iter(frames_THWC)).hr


@pytest.mark.parametrize("num_frames", [45, 46, 47])
def test_lr_alone_is_that_of_the_whole_record(vae: Any, frames_THWC: Any, num_frames: int) -> None:
    """Without HR everything else is the same, and HR is null; one by one or in a group."""
    settings = SETTINGS.with_lr_rate("2x2x8")
    whole = encode(vae, frames_THWC[:num_frames], settings)
    without_hr = {"hr": None, "hr_shape": [], "hr_channel_mean": [], "hr_channel_std": []}

    alone = encode_frames(
        vae, frames_THWC[:num_frames], settings, clip_id="c", start_seconds=1.5, with_hr=False
    )
    (grouped,) = encode_group(
        vae, {"c": frames_THWC[:num_frames]}, settings, start_seconds={"c": 1.5}, with_hr=False
    )

    assert alone == replace(whole, **without_hr)
    assert replace(grouped, lr=None) == replace(alone, lr=None)
    values = [np.frombuffer(each.lr or b"", "<f2").astype(float) for each in (alone, grouped)]
    np.testing.assert_allclose(*values, rtol=2e-3, atol=2e-3)


def test_too_short_a_clip_has_no_lr_alone_either(vae: Any, frames_THWC: Any) -> None:
    """Frames are counted though no HR is encoded."""
    settings = replace(SETTINGS, min_num_frames=45)
    record = encode_frames(
        vae, frames_THWC[:44], settings, clip_id="c", start_seconds=0.0, with_hr=False
    )

    assert record == encode_frames(vae, frames_THWC[:44], settings, clip_id="c", start_seconds=0.0)


def test_a_record_says_how_it_was_made(vae: Any, frames_THWC: Any) -> None:
    """Whoever reads the latents knows the VAE, its constants, the rate and the origin."""
    record = encode(vae, frames_THWC)

    assert record.verdict == KEPT
    assert (record.vae_id, record.vae_sha256, record.normalised) == ("tiny", vae.sha256, True)
    assert (record.latents_mean, record.latents_std) == ([0.5] * 16, [2.0] * 16)
    assert (record.fps, record.start_seconds, record.span_seconds()) == (12.0, 1.5, (1.5, 5.25))
    assert (record.height, record.width) == (32, 48)
    assert (record.temporal_stride, record.spatial_stride) == (4, 4)
    assert record.preproc_sha256 == SETTINGS.sha256
    stored = np.frombuffer(record.hr, "<f2").reshape(record.hr_shape).astype(np.float64)
    np.testing.assert_allclose(record.hr_channel_mean, stored.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(record.hr_channel_std, stored.std(axis=(0, 2, 3)), rtol=1e-9)


def test_a_prefix_gives_the_same_latents(vae: Any, frames_THWC: Any) -> None:
    """Encoding goes on from what was encoded: a longer clip changes no earlier byte."""
    short, long = encode(vae, frames_THWC[:17]), encode(vae, frames_THWC)

    assert long.hr.startswith(short.hr)
    assert long.lr.startswith(short.lr)


@pytest.mark.parametrize(("num_frames", "kept"), [(44, False), (45, True)])
def test_too_short_a_clip_is_dropped(
    vae: Any, frames_THWC: Any, num_frames: int, *, kept: bool
) -> None:
    """A clip with exactly the smallest number of frames is kept, one with a frame less dropped."""
    record = encode(vae, frames_THWC[:num_frames], replace(SETTINGS, min_num_frames=45))

    if kept:
        assert record.verdict == KEPT
    else:
        assert isinstance(record.verdict, Dropped)
        assert record.verdict.reason == "num_frames_below_min"
        assert (record.verdict.score, record.verdict.threshold) == (44.0, 45.0)
        assert record.hr is None


def test_a_clip_without_frames_is_dropped(vae: Any) -> None:
    """No frame at all is too few, not a crash."""
    assert encode(vae, []).verdict.reason == "num_frames_below_min"


def test_latents_beyond_fp16_are_an_error(vae: Any, frames_THWC: Any) -> None:
    """Infinity is never stored."""
    broken = replace(vae, latents_std=(1e-6,) * 16)

    with pytest.raises(PermanentError, match="fp16 cannot hold"):
        encode(broken, frames_THWC[:1])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, frames_THWC: Any) -> ClipRecord:
    """A 12 fps file of 47 frames, 96 x 64 pixels, and a record of its span from 0.5 s on."""
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    write_video(path, frames_THWC.repeat(2, axis=1).repeat(2, axis=2), 12.0)
    return ClipRecord(
        clip_id="c",
        video_uri=str(path),
        video_sha256=None,
        size_bytes=None,
        start_seconds=0.5,
        end_seconds=3.5,
        width=96,
        height=64,
        verdict=KEPT,
    )


def test_a_clip_in_pieces_equals_one_read(clip: ClipRecord) -> None:
    """Reading seven frames at a time in the child gives the frames of one read of the span."""
    expected = read_frames(
        clip.video_uri, fps=12.0, height=32, width=48, start_seconds=0.5, end_seconds=3.5
    )

    with Guard() as guard:
        frames = list(clip_frames(clip, SETTINGS, guard, piece_bytes=7 * 32 * 48 * 3))

    np.testing.assert_array_equal(expected, np.stack(frames))


def test_encode_clip(vae: Any, clip: ClipRecord) -> None:
    """A clip's latents are those of its resampled frames, and begin where its span does."""
    frames = read_frames(
        clip.video_uri, fps=12.0, height=32, width=48, start_seconds=0.5, end_seconds=3.5
    )

    with Guard() as guard:
        record = encode_clip(vae, clip, SETTINGS, guard=guard)

    assert record == encode_frames(vae, frames, SETTINGS, clip_id="c", start_seconds=0.5)
    assert (len(frames), record.num_frames, record.start_seconds) == (36, 33, 0.5)


def test_a_span_beyond_the_video_is_dropped_not_failed(vae: Any, clip: ClipRecord) -> None:
    """A span that holds no frame gives too few frames."""
    beyond = replace(clip, start_seconds=10.0, end_seconds=12.0)

    with Guard() as guard:
        record = encode_clip(vae, beyond, SETTINGS, guard=guard)

    assert record.verdict.reason == "num_frames_below_min"  # type: ignore[union-attr]


def test_a_file_that_is_no_video_is_an_error(vae: Any, clip: ClipRecord, tmp_path: Path) -> None:
    """What the decoder refuses in the child is raised here."""
    path = tmp_path / "notes.mp4"
    path.write_text("not a video\n" * 20)

    with Guard() as guard, pytest.raises(PermanentError, match=r"notes\.mp4"):
        encode_clip(vae, replace(clip, video_uri=str(path)), SETTINGS, guard=guard)
