"""Rate arithmetic against the paper's own token counts (section 4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.errors import ConfigError
from pfp.models.rates import (
    GEOMETRIES,
    PAPER_RATES,
    Geometry,
    Rate,
    TokenBudget,
    geometry_of,
    hr_frames,
    lr_frames,
    parse_rate,
    token_budget,
)

LATENTS_20_S_480P = (120, 60, 104)  # 480x832 at 24 fps through an 8x8x4 VAE


@pytest.mark.parametrize(
    ("rate", "num_tokens"),
    [("4x4x2", 5_460), ("2x2x2", 23_400), ("2x2x1", 46_800), ("2x2x4", 11_700), ("2x2x8", 5_850)],
)
def test_twenty_seconds_take_the_tokens_of_the_paper(rate: str, num_tokens: int) -> None:
    """20 s of 480p take about 5k tokens at 4x4x2, and the published counts elsewhere."""
    geometry = GEOMETRIES["hunyuan"]

    time, rows, columns = parse_rate(rate, geometry).token_grid(LATENTS_20_S_480P, geometry)

    assert num_tokens == time * rows * columns


def test_the_same_pixels_per_token_are_other_latent_rates_on_other_vaes() -> None:
    """64x64x8 pixels are 4x4x2 on an 8x8x4 VAE, and 2x2x2 on Wan 2.2 5B's 16x16x4."""
    assert str(parse_rate("px(64,64,8)", GEOMETRIES["hunyuan"])) == "4x4x2"
    assert str(parse_rate("px(64,64,8)", GEOMETRIES["wan22_5b"])) == "2x2x2"


def budget(
    rate: str, base: str = "hunyuan", *, size: tuple[int, int] = (480, 832), pad: bool = False
) -> TokenBudget:
    """20 s at 24 fps."""
    geometry = GEOMETRIES[base]
    return token_budget(
        seconds=20,
        size=size,
        fps=24,
        rate=parse_rate(rate, geometry),
        geometry=geometry,
        rounding="pad" if pad else "floor",
    )


@pytest.mark.parametrize("base", ["hunyuan", "wan22_a14b_high", "wan22_5b"])
def test_the_papers_budgets_are_the_same_tokens_on_every_base(base: str) -> None:
    """In pixels per token, z16 and z48 VAEs give the published counts."""
    assert [5_460, 46_800, 23_400, 11_700, 5_850] == [
        budget(rate, base).num_tokens for rate in PAPER_RATES
    ]


def test_sixty_seconds_without_compression_are_the_papers_half_million_tokens() -> None:
    """Section 3.1's 8 x 3 x 2 / 16 x 480 / 16 x 60 x 24 / 4 = 561,600."""
    geometry = GEOMETRIES["hunyuan"]
    raw = token_budget(
        seconds=60, size=(480, 832), fps=24, rate=parse_rate("1x1x1", geometry), geometry=geometry
    )

    assert (561_600, 561_600) == (raw.num_tokens, raw.num_raw_tokens)


def test_padding_takes_the_tokens_of_framepack() -> None:
    """Replicate padding makes 8 rows of 7.5, so 6,240 tokens, and cuts nothing."""
    floor, pad = budget("4x4x2"), budget("4x4x2", pad=True)

    assert ((60, 7, 13), (32, 0)) == (floor.grid, floor.num_cut)
    assert ((60, 8, 13), (0, 0), 6_240) == (pad.grid, pad.num_cut, pad.num_tokens)


@pytest.mark.parametrize(
    ("rate", "base", "size", "fps", "num_frames"),
    [
        ("4x4x2", "hunyuan", (120, 208), 12, 237),
        ("2x2x8", "hunyuan", (240, 416), 3, 57),
        ("px(64,64,8)", "wan22_5b", (240, 416), 12, 237),
        ("px(32,32,4)", "wan22_5b", (480, 832), 24, 477),
    ],
)
def test_the_low_resolution_video_shrinks_as_the_rate_says(
    rate: str, base: str, size: tuple[int, int], fps: float, num_frames: int
) -> None:
    """20 s of 480p at 4x4x2 are 120x208 at 12 fps; on Wan 2.2 5B the same budget is 240x416."""
    lr = budget(rate, base).lr

    assert (*size, fps, num_frames) == (lr.height, lr.width, lr.fps, lr.num_frames)


def test_the_papers_notation_taken_literally_fails_on_the_z48_vae() -> None:
    """4x4x2 latents of Wan 2.2 5B ask for a 120x208 video; the cure names the pixel budget."""
    with pytest.raises(ConfigError, match=r"120x208.*stride 16 cannot.*px\(64,64,8\).*64 instead"):
        budget("4x4x2", "wan22_5b")


@pytest.mark.parametrize(
    ("base", "size", "cure"),
    [("wan22_5b", (240, 416), "use 224 or 256"), ("hunyuan", (480, 840), "use 832 or 848")],
)
def test_a_size_that_a_patchifier_would_cut_is_refused(
    base: str, size: tuple[int, int], cure: str
) -> None:
    """Odd latent grids, which Wan floors without a word, are errors that name the next sizes."""
    with pytest.raises(ConfigError, match=cure):
        budget("px(64,64,8)", base, size=size)


@pytest.mark.parametrize(("seconds", "fps"), [(0, 24), (-1, 24), (20, 0), (float("nan"), 24)])
def test_a_video_without_frames_is_refused(seconds: float, fps: float) -> None:
    """No length and no rate are errors that quote both."""
    geometry = GEOMETRIES["hunyuan"]
    with pytest.raises(ConfigError, match=f"{seconds} seconds at {fps} fps"):
        token_budget(
            seconds=seconds,
            size=(480, 832),
            fps=fps,
            rate=parse_rate("4x4x2", geometry),
            geometry=geometry,
        )


def test_an_unknown_base_is_refused() -> None:
    """The error lists the bases that there are."""
    with pytest.raises(ConfigError, match="'sora' is unknown; choose one of hunyuan"):
        geometry_of("sora")


@given(
    st.sampled_from(sorted(GEOMETRIES)),
    st.tuples(*[st.sampled_from([1, 2, 4, 8])] * 3),
    st.tuples(st.integers(1, 200), st.integers(16, 80), st.integers(16, 80)),
)
def test_padding_covers_everything_and_cutting_nothing_twice(
    base: str, cell: tuple[int, int, int], latents_THW: tuple[int, int, int]
) -> None:
    """Floor tokens lie inside the frame, padded ones cover it, and they differ by at most one."""
    geometry = GEOMETRIES[base]
    rate = Rate(height=cell[0], width=cell[1], time=cell[2])

    floor = rate.token_grid(latents_THW, geometry)
    pad = rate.token_grid(latents_THW, geometry, rounding="pad")

    for axis, side in ((1, rate.height * geometry.patch), (2, rate.width * geometry.patch)):
        assert floor[axis] * side <= latents_THW[axis] <= pad[axis] * side
        assert pad[axis] - floor[axis] in (0, 1)
    assert floor[0] == pad[0]
    # Token j ends with latent frame time * j, and the last one is the last that has ended.
    assert rate.time * (floor[0] - 1) < latents_THW[0] <= rate.time * floor[0]


@given(
    st.sampled_from(sorted(GEOMETRIES)),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 2_000),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_the_low_resolution_videos_own_patches_are_the_token_grid(
    base: str, space: int, time: int, num_frames: int, cells: tuple[int, int]
) -> None:
    """VAE and patchifier over the LR video give as many tokens as the rate has, at every length."""
    geometry = GEOMETRIES[base]
    rate = Rate(height=space, width=space, time=time)
    size = (cells[0] * geometry.token_side * space, cells[1] * geometry.token_side * space)

    lr = rate.lr_video(num_frames, size, 24, geometry)
    own_tokens = (
        geometry.num_latents(lr.num_frames),
        lr.height // geometry.spatial_stride // geometry.patch,
        lr.width // geometry.spatial_stride // geometry.patch,
    )

    assert rate.token_grid(geometry.latent_grid(num_frames, size), geometry) == own_tokens
    assert lr.num_frames * time - time < num_frames  # no frame is asked for that is not there


@given(st.sampled_from(sorted(GEOMETRIES)), st.sampled_from([1, 2, 4, 8]), st.integers(0, 500))
def test_causal_branches_end_together(base: str, time: int, token: int) -> None:
    """HR and LR token j end with the same frame, and their centres differ by (time - 1) / 2."""
    geometry, rate = GEOMETRIES[base], Rate(height=4, width=4, time=time)

    hr, lr = hr_frames(token, rate, geometry), lr_frames(token, rate, geometry)

    assert hr[1] == lr[1]
    assert sum(lr) / 2 - sum(hr) / 2 == (time - 1) / 2


@pytest.mark.parametrize("token", [0, 1, 29])
def test_symmetric_branches_are_three_and_a_half_frames_apart(token: int) -> None:
    """At 4x4x2 the causal stride puts HR half a frame from LR, the symmetric one 3.5 frames."""
    geometry, rate = GEOMETRIES["hunyuan"], Rate(height=4, width=4, time=2)
    centre_of_lr = sum(lr_frames(token, rate, geometry)) / 2

    causal = sum(hr_frames(token, rate, geometry)) / 2 - centre_of_lr
    symmetric = sum(hr_frames(token, rate, geometry, stride="symmetric")) / 2 - centre_of_lr

    assert (-0.5, 3.5) == (causal, symmetric)


def test_a_video_has_a_latent_of_its_first_frame_and_of_each_stride_after() -> None:
    """477 and 480 frames both are 120 latent frames, 481 are 121."""
    geometry = Geometry(spatial_stride=8, temporal_stride=4, patch=2)

    assert [120, 120, 121, 1] == [geometry.num_latents(n) for n in (477, 480, 481, 1)]


@pytest.mark.parametrize(
    "text", ["4x4", "4x4x2x1", "px(64,64)", "0x4x2", "3x3x2", "px(66,64,8)", ""]
)
def test_a_rate_that_means_nothing_is_refused_with_its_text(text: str) -> None:
    """Nonsense, zero and what is no power of two are errors that quote the rate."""
    with pytest.raises(ConfigError, match="rate"):
        parse_rate(text, GEOMETRIES["tiny"])


@given(st.sampled_from(sorted(GEOMETRIES)), *[st.sampled_from([1, 2, 4, 8])] * 3)
def test_both_notations_give_the_same_rate(base: str, height: int, width: int, time: int) -> None:
    """The pixels per token of a rate, written out, parse to that rate."""
    geometry = GEOMETRIES[base]
    rate = Rate(height=height, width=width, time=time)

    rows, columns, frames = rate.pixels(geometry)

    assert rate == parse_rate(f"px({rows},{columns},{frames})", geometry)
    assert rate == parse_rate(str(rate), geometry)


def test_a_video_smaller_than_a_token_is_refused() -> None:
    """A grid without a single row of tokens is an error, not an empty memory."""
    with pytest.raises(ConfigError, match="smaller than one token"):
        Rate(height=4, width=4, time=2).token_grid((11, 7, 40), GEOMETRIES["tiny"])
