"""The arithmetic of a plan: frames, shapes, bytes, hours and price."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.latents.plan import (
    Bucket,
    ClipRates,
    ClipSize,
    LatentsPlan,
    PromptRates,
    TablePlan,
    buckets_of,
    describe,
    num_frames_between,
)
from pfp.latents.preprocess import PreprocessSettings

SETTINGS = PreprocessSettings(fps=24.0, long_side=832, short_side=480, min_num_frames=477)


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([6, 12, 24, 30]))
def test_frames_are_counted_as_they_are_read(start: int, length: int, fps: int) -> None:
    """Frame i is there if it is shown before the end."""
    begin, end = Fraction(start, 100), Fraction(start + length, 100)
    counted = sum(begin + Fraction(i, fps) < end for i in range(200))
    assert counted == num_frames_between(float(begin), float(end), fps=float(fps))


def test_the_papers_clip() -> None:
    """20 s at 480 x 832 and 24 fps through Wan 2.1 (z 16, stride 8): 25 MB, worked out by hand."""
    clip = ClipSize(width=1920, height=1080, start_seconds=2.0, end_seconds=22.0)
    (bucket,) = buckets_of([clip, clip], SETTINGS, z_channels=16, spatial_stride=8)
    assert ((120, 16, 60, 104), (60, 16, 15, 26)) == (bucket.hr_shape, bucket.lr_shape)
    assert 2 * 2 * (120 * 16 * 60 * 104 + 60 * 16 * 15 * 26) == bucket.latent_bytes
    assert (2, 960) == (bucket.num_clips, bucket.num_frames)


@pytest.mark.parametrize(
    ("rate", "shape"),
    [
        ("2x2x1", (120, 16, 30, 52)),
        ("2x2x2", (60, 16, 30, 52)),
        ("2x2x4", (30, 16, 30, 52)),
        ("2x2x8", (15, 16, 30, 52)),
    ],
)
def test_lr_copies_of_the_papers_clip(rate: str, shape: tuple[int, ...]) -> None:
    """The LR latents of section 4's other rates; alone they are all that a table holds."""
    clip = ClipSize(width=1920, height=1080, start_seconds=0.0, end_seconds=20.0)
    settings = SETTINGS.with_lr_rate(rate)
    (whole,) = buckets_of([clip], settings, z_channels=16, spatial_stride=8)
    (alone,) = buckets_of([clip], settings, z_channels=16, spatial_stride=8, with_hr=False)
    assert ((120, 16, 60, 104), shape) == (whole.hr_shape, whole.lr_shape)
    assert ((), shape) == (alone.hr_shape, alone.lr_shape)
    assert 2 * math.prod(shape) == alone.latent_bytes
    assert 2 * 120 * 16 * 60 * 104 == whole.latent_bytes - alone.latent_bytes


def test_clips_are_sorted_into_shapes() -> None:
    """Portrait and landscape are two, too short and hopeless ones a third without bytes."""
    wide = ClipSize(width=16, height=9, start_seconds=0.0, end_seconds=20.0)
    tall = replace(wide, width=9, height=16)
    short = replace(wide, end_seconds=19.0)
    buckets = buckets_of([wide, tall, short, None, tall], SETTINGS, z_channels=16, spatial_stride=8)
    assert [(120, 16, 104, 60), (120, 16, 60, 104), ()] == [each.hr_shape for each in buckets]
    assert [2, 1, 2] == [each.num_clips for each in buckets]
    assert 0 == buckets[2].latent_bytes


def test_a_clip_of_exactly_the_minimum_gets_latents() -> None:
    """477 frames are enough, 476 are too short."""
    enough, short = (
        ClipSize(width=16, height=9, start_seconds=1.0, end_seconds=1.0 + num_frames / 24)
        for num_frames in (SETTINGS.min_num_frames, SETTINGS.min_num_frames - 1)
    )

    buckets = buckets_of([enough, short], SETTINGS, z_channels=16, spatial_stride=8)

    assert [(120, 16, 60, 104), ()] == [each.hr_shape for each in buckets]
    assert [477, 476] == [each.num_frames for each in buckets]


TABLE = TablePlan(
    name="latents",
    buckets=(
        Bucket(hr_shape=(2, 16, 8, 16), lr_shape=(1, 16, 2, 4), num_clips=1 << 20, num_frames=480),
        Bucket(hr_shape=(), lr_shape=(), num_clips=5, num_frames=3),
    ),
    num_clips_left=10,
    num_frames_left=4800,
    clip_rates=ClipRates(num_clips=3, decode_seconds=0.5, encode_seconds=1.0),
)
PLAN = LatentsPlan(
    tables=(TABLE,),
    num_prompts=30,
    num_prompts_left=20,
    condition_bytes=1 << 30,
    num_workers=2,
    num_decoders=0,
    prompt_rates=PromptRates(num_prompts=4, encode_seconds=9.0, condition_bytes=100.0),
    usd_per_gb_month=0.5,
)


def test_bytes_and_price_add_up() -> None:
    """8448 bytes per clip make 8.25 GiB, and conditions 1 GiB."""
    assert (2 * 16 * 8 * 16 + 16 * 2 * 4) * 2 << 20 == PLAN.latent_bytes
    assert PLAN.latent_bytes + (1 << 30) == PLAN.total_bytes
    assert pytest.approx(0.5 * 9.25) == PLAN.usd_per_month


@pytest.mark.parametrize(
    ("num_decoders", "seconds"),
    [
        (0, (0.5 + 1.0) * 4800 / 2),  # a worker does both, one after the other
        (4, 1.0 * 4800 / 2),  # the encoders are slower
        (0.5, 0.5 * 4800 / 0.5),  # the decoders are slower
    ],
)
def test_the_slower_step_decides(num_decoders: float, seconds: float) -> None:
    """Prompts come on top, spread over the workers."""
    plan = replace(PLAN, num_decoders=num_decoders)  # type: ignore[arg-type]
    assert pytest.approx((seconds + 9.0 * 20 / 2) / 3600) == plan.hours


def test_a_further_lr_copy_comes_on_top() -> None:
    """With its own bytes, its own rates and what it has left itself, one table after the other."""
    copy = replace(
        TABLE,
        name="latents_lr_2x2x8",
        buckets=(Bucket(hr_shape=(), lr_shape=(1, 16, 4, 8), num_clips=1 << 20, num_frames=480),),
        num_frames_left=100,
        clip_rates=ClipRates(num_clips=3, decode_seconds=0.5, encode_seconds=0.1),
    )
    plan = replace(PLAN, tables=(TABLE, copy))
    assert (16 * 4 * 8) * 2 << 20 == plan.latent_bytes - PLAN.latent_bytes
    assert pytest.approx((0.5 + 0.1) * 100 / 2 / 3600) == plan.hours - PLAN.hours
    assert "latents_lr_2x2x8: 1048576 clips, 10 to encode\n   1048576 of LR 1 x 16 x 4 x 8: " in (
        describe(plan)
    )
    assert "latents_lr_2x2x8" == plan.to_json()["tables"][1]["name"]


def test_a_finished_run_takes_no_time() -> None:
    """Without rates there is nothing to do, and the description says so."""
    done = replace(TABLE, clip_rates=None, num_clips_left=0)
    plan = replace(PLAN, tables=(done,), prompt_rates=None, num_prompts_left=0)
    assert 0.0 == plan.hours
    assert describe(plan).endswith("nothing is left to do")


def test_json_holds_what_follows_too() -> None:
    """Readers of the file need not repeat the arithmetic."""
    values = PLAN.to_json()
    assert PLAN.hours == values["hours"]
    assert PLAN.total_bytes == values["total_bytes"]
    assert 0 == values["tables"][0]["buckets"][1]["latent_bytes"]


def test_the_description_is_for_people() -> None:
    """Shapes, sizes with units, price, rates and time."""
    text = describe(replace(PLAN, num_decoders=4))
    for part in (
        "latents: 1048581 clips, 10 to encode",
        "1048576 of HR 2 x 16 x 8 x 16 and LR 1 x 16 x 2 x 4: 8.2 GiB",
        "5 without latents",
        "4.62 USD per month at 0.5 USD per GB",
        "on 3 clips, a worker decodes 2.0 and encodes 1.0 frames per second",
        "num_workers 2, num_decoders 4: about 41.5 minutes left, besides start-up",
    ):
        assert part in text
