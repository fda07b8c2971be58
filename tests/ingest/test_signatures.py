"""Signatures: what they survive, what they tell apart, and when they say nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.near_duplicate_files import COPIES
from benchmarks.near_duplicate_scenes import FPS, moving
from pfp.ingest.signatures import (
    MAX_WINDOWS,
    MIRRORED,
    STEP_SECONDS,
    SignatureGauge,
    Words,
    signatures_of,
    words_of,
)

Frames = npt.NDArray[np.uint8]
SIZE = (160, 160)


def small(frames_THWC: Frames) -> Frames:
    """The 64 x 64 copies that are measured."""
    images = (Image.fromarray(frame_HWC) for frame_HWC in frames_THWC)
    return np.stack([np.asarray(image.resize((64, 64), Image.Resampling.BOX)) for image in images])


def signed(frames_THWC: Frames) -> Words:
    """The words of small frames at ``FPS``."""
    return words_of(signatures_of((k / FPS, frame) for k, frame in enumerate(frames_THWC)))


def bits(one: Words, other: Words) -> tuple[float, float]:
    """The mean bits in which pictures and changes differ."""
    seen, changes = np.bitwise_count(one ^ other).mean(axis=0)
    return float(seen), float(changes)


@pytest.fixture(scope="module")
def clip() -> Frames:
    """Six seconds of a moving camera."""
    return moving(1, 6, SIZE)


@pytest.mark.parametrize("name", ["half_size", "crop_5", "logo", "letterbox", "pillarbox"])
def test_copies_differ_in_few_bits(clip: Frames, name: str) -> None:
    """Of 64, where unlike videos differ in 32."""
    copy = np.stack([COPIES[name].frame(frame_HWC) for frame_HWC in clip])

    seen, changes = bits(signed(small(clip)), signed(small(copy)))

    assert seen <= 8
    assert changes <= 8


def test_a_mirror_image_has_known_bits_turned_over(clip: Frames) -> None:
    """So that it is found without a signature of its own."""
    frames = small(clip)
    mirrored = signed(np.ascontiguousarray(frames[:, :, ::-1]))

    assert bits(signed(frames), mirrored ^ MIRRORED) <= (1, 1)
    assert bits(signed(frames), mirrored)[0] > 20


def test_unlike_videos_differ_in_half_of_the_bits(clip: Frames) -> None:
    """As random words do."""
    seen, changes = bits(signed(small(clip)), signed(small(moving(2, 6, SIZE))))

    assert 32 == pytest.approx(seen, abs=8)
    assert 32 == pytest.approx(changes, abs=8)


def test_samples_lie_between_windows_of_half_a_second(clip: Frames) -> None:
    """Six seconds are twelve windows, and eleven steps from one to the next."""
    assert (11, 2) == signed(small(clip)).shape
    assert (0, 2) == signed(small(clip)[:4]).shape


@pytest.mark.parametrize("level", [0, 16, 200])
def test_one_colour_says_nothing(level: int) -> None:
    """Neither what is seen nor what changes, though noise does both."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 3, (40, 64, 64, 3), np.uint8)

    assert not signed(level + noise).any()


def test_a_picture_that_stands_still_has_no_changes(clip: Frames) -> None:
    """It is seen all the same."""
    words = signed(np.repeat(small(clip)[:1], 40, axis=0))

    assert words[:, 0].all()
    assert not words[:, 1].any()


def test_a_gap_between_frames_is_filled_by_the_one_before(clip: Frames) -> None:
    """Times stay true: the frame after the gap lies where it is shown."""
    first, last = small(clip)[[0, -1]]
    words = words_of(signatures_of([(0.0, first), (10.0, last), (10.5, last)]))

    assert 10.0 / STEP_SECONDS + 1 == len(words)
    assert np.all(words[:19, 0] == words[0, 0])
    assert words[-1, 0] != words[0, 0]


def test_memory_and_signatures_are_bounded(clip: Frames) -> None:
    """A frame a million seconds on costs nothing; after two minutes windows become words."""
    frames = small(clip)
    lumas = frames.mean(axis=3, dtype=np.float32)
    gauge = SignatureGauge()
    for seconds in range(1000):
        place = seconds % len(frames)
        gauge.push(float(seconds), frames[place], lumas[place])
    assert len(gauge._means) <= 241
    gauge.push(1e6, frames[0], lumas[0])

    assert 1998 == len(words_of(gauge.result()))
    assert MAX_WINDOWS * STEP_SECONDS == 8 * 3600


def test_blocks_join_without_a_seam(clip: Frames) -> None:
    """Three minutes at once are those of its parts, the sample over the border included."""
    frames = np.tile(small(clip), (30, 1, 1, 1))
    words = signed(frames)

    assert 359 == len(words)
    assert np.array_equal(words[3:200], words[15:212])
    assert bits(words[12:347], words[:335]) <= (0.5, 0.5)
