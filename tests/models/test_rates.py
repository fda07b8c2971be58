"""Rate arithmetic against the paper's own token counts (section 4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.errors import ConfigError
from pfp.models.rates import GEOMETRIES, Rate, parse_rate

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


@pytest.mark.parametrize(
    "text", ["4x4", "4x4x2x1", "px(64,64)", "0x4x2", "3x3x2", "px(60,64,8)", ""]
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
