"""Time: which frames, seconds, latents and tokens belong together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.errors import ConfigError, InputError
from pfp.models.rates import GEOMETRIES, parse_rate
from pfp.schema.windows import (
    TIME_STRIDE,
    Window,
    check_time_stride,
    latent_frames,
    lr_latent_frames,
    lr_source_frames,
    num_frames_of,
    num_latents_of,
    num_lr_latents_of,
    token_frames,
    token_latents,
)

NUM_FRAMES = st.integers(1, 3000)
NUM_LATENTS = st.integers(1, 800)
TIME_STRIDES = st.sampled_from([1, 2, 4, 8, 16])
FPS = st.sampled_from([6.0, 12.0, 24.0, 30000 / 1001])


def causal_groups(num_frames: int) -> list[list[int]]:
    """The oracle: what a causal VAE eats, one frame and then fours, by walking along the video."""
    frames = list(range(num_frames))
    groups, rest = [frames[:1]], frames[1:]
    while len(rest) >= 4:
        groups.append(rest[:4])
        rest = rest[4:]
    return groups


@given(NUM_FRAMES)
def test_latents_of_any_clip(num_frames: int) -> None:
    """Counting and indexing agree with walking along the video in groups."""
    groups = causal_groups(num_frames)

    assert groups == [list(latent_frames(j)) for j in range(num_latents_of(num_frames))]
    assert sum(map(len, groups)) == num_frames_of(num_latents_of(num_frames))


@given(NUM_FRAMES, TIME_STRIDES)
def test_lr_video_of_any_clip(num_frames: int, stride: int) -> None:
    """LR video is every T-th frame, cut to the groups of the VAE, within the encoded frames."""
    num_latents = num_latents_of(num_frames)
    frames = list(range(num_frames))[::stride]
    taken = list(lr_source_frames(num_latents, time_stride=stride))
    groups = [[taken[i] for i in group] for group in causal_groups(len(taken))]
    tokens = range(num_lr_latents_of(num_latents, time_stride=stride))

    assert taken == frames[: len(taken)]
    assert taken[-1] < num_frames_of(num_latents)
    assert len(taken) % 4 == 1
    assert groups == [list(lr_latent_frames(j, time_stride=stride)) for j in tokens]
    # No whole group of LR frames is left unused.
    assert len(frames) - len(taken) < 4


@given(st.integers(0, 400), TIME_STRIDES)
def test_tokens_of_both_branches_end_together(token: int, stride: int) -> None:
    """HR token j and LR latent j end with the same source frame, 4Tj."""
    hr = token_frames(token, time_stride=stride)

    assert hr[-1] == lr_latent_frames(token, time_stride=stride)[-1] == 4 * stride * token


@given(NUM_FRAMES, TIME_STRIDES, FPS)
def test_tokens_of_both_branches_cover_the_same_time(
    num_frames: int, stride: int, fps: float
) -> None:
    """Whatever the clip, its rate and T: equally many tokens, of the same seconds.

    An LR frame stands for itself and the T - 1 frames before it, of which LR video has none. What
    the LR token samples of that time is centred (T - 1) / 2 frames later, half a frame at T = 2.
    """
    num_latents = num_latents_of(num_frames)

    for token in range(num_lr_latents_of(num_latents, time_stride=stride)):
        hr = token_frames(token, time_stride=stride)
        sampled = lr_latent_frames(token, time_stride=stride)
        covered = [i for last in sampled for i in range(max(0, last - stride + 1), last + 1)]
        assert hr[-1] < num_frames
        assert [frame / fps for frame in hr] == [frame / fps for frame in covered]
        if token:
            assert (hr[0] + hr[-1]) / 2 + (stride - 1) / 2 == (sampled[0] + sampled[-1]) / 2


@given(NUM_LATENTS, TIME_STRIDES)
def test_tokens_take_every_latent_once(num_latents: int, stride: int) -> None:
    """The causal tokens of a clip cover its HR latents once each; up to T - 1 last ones wait."""
    tokens = range(num_lr_latents_of(num_latents, time_stride=stride))
    taken = [latent for token in tokens for latent in token_latents(token, time_stride=stride)]

    assert taken == list(range(len(taken)))
    assert 0 <= num_latents - len(taken) < stride


@given(NUM_LATENTS, st.sampled_from(["4x4x2", "2x2x1", "2x2x2", "2x2x4", "2x2x8"]))
def test_the_token_grid_has_the_lr_latents(num_latents: int, rate: str) -> None:
    """The paper's rates: an encoder's tokens in time, its LR video and this arithmetic agree."""
    geometry = GEOMETRIES["hunyuan"]
    parsed = parse_rate(rate, geometry)
    taken = lr_source_frames(num_latents, time_stride=parsed.time)

    (num_tokens, _, _) = parsed.token_grid((num_latents, 32, 32), geometry)
    lr = parsed.lr_video(num_frames_of(num_latents), (256, 256), 24.0, geometry)

    assert num_tokens == num_lr_latents_of(num_latents, time_stride=parsed.time)
    assert (len(taken), 24.0 / taken.step) == (lr.num_frames, lr.fps)
    assert num_tokens == num_latents_of(lr.num_frames)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, int]:
    """Any window of any clip at any T, with the clip's number of latents."""
    num_clip_latents, stride = draw(NUM_LATENTS), draw(TIME_STRIDES)
    first = stride * draw(st.integers(0, (num_clip_latents - 1) // stride))
    length = draw(st.integers(1, num_clip_latents - first))
    return Window(first_latent=first, num_latents=length, time_stride=stride), num_clip_latents


@given(windows())
def test_a_window_slices_both_branches_in_step(drawn: tuple[Window, int]) -> None:
    """In any window, HR token j (left-padded) and LR latent j end with the same source frame."""
    window, num_clip_latents = drawn
    stride = window.time_stride
    hr = list(range(num_clip_latents))[window.hr_slice]
    num_lr_latents = num_lr_latents_of(num_clip_latents, time_stride=stride)
    lr = list(range(num_lr_latents))[window.lr_slice]

    assert len(hr) == window.num_latents
    assert len(lr) == num_lr_latents_of(window.num_latents, time_stride=stride)
    for token, lr_latent in enumerate(lr):
        last_hr_of_token = latent_frames(hr[stride * token])[-1]
        assert last_hr_of_token == lr_latent_frames(lr_latent, time_stride=stride)[-1]


@given(windows(), FPS, st.floats(0, 100), st.data())
def test_timestamps_of_any_frame_set(
    drawn: tuple[Window, int], fps: float, start_seconds: float, data: st.DataObject
) -> None:
    """Each latent asked for lies where its frames are shown, and latents tile the window."""
    window, num_clip_latents = drawn
    groups = causal_groups(num_frames_of(num_clip_latents))
    omega = data.draw(st.lists(st.integers(0, window.num_latents - 1), min_size=1, max_size=5))

    for latent in omega:
        frames = groups[window.first_latent + latent]
        start, end = window.latent_seconds(latent, fps=fps, start_seconds=start_seconds)
        assert start == start_seconds + frames[0] / fps
        assert end == start_seconds + (frames[-1] + 1) / fps
        if latent + 1 < window.num_latents:
            following = window.latent_seconds(latent + 1, fps=fps, start_seconds=start_seconds)
            assert following[0] == end
    assert (window.frames[0], window.frames[-1]) == (
        groups[window.first_latent][0],
        groups[window.first_latent + window.num_latents - 1][-1],
    )


def test_the_demo_window() -> None:
    """45 frames make 12 latents, beside 6 LR latents of frames 0, 2, ... 40 (a worked example)."""
    assert (num_latents_of(45), num_frames_of(12), num_lr_latents_of(12)) == (12, 45, 6)
    assert list(lr_source_frames(12)) == list(range(0, 41, 2))
    assert list(lr_latent_frames(5)) == [34, 36, 38, 40]


@pytest.mark.parametrize(
    ("first", "length", "message"),
    [
        (3, 4, "latent 3; give a multiple of 2, 0 or more"),
        (-2, 4, "latent -2"),
        (0, 0, "0 latents is empty"),
    ],
)
def test_windows_out_of_step_are_refused(first: int, length: int, message: str) -> None:
    """A window that would shift the branches against each other cannot be made."""
    with pytest.raises(ConfigError, match=message):
        Window(first_latent=first, num_latents=length)


def test_windows_begin_at_multiples_of_their_stride() -> None:
    """At T = 4 latent 6 is out of step, at T = 1 every latent is in step."""
    with pytest.raises(ConfigError, match="latent 6; give a multiple of 4"):
        Window(first_latent=6, num_latents=5, time_stride=4)
    assert slice(7, 10) == Window(first_latent=7, num_latents=3, time_stride=1).lr_slice


@pytest.mark.parametrize("stride", [0, -2, 3, 6, 12])
def test_a_stride_that_no_encoder_has_is_refused(stride: int) -> None:
    """Encoders halve time, so T is a power of two."""
    with pytest.raises(ConfigError, match=f"some_setting is {stride}; give a power of two"):
        check_time_stride("some_setting", stride)
    with pytest.raises(ConfigError, match=f"time_stride is {stride}"):
        Window(first_latent=0, num_latents=1, time_stride=stride)


def test_the_default_is_that_of_4x4x2() -> None:
    """What is said of no stride is said of T = 2."""
    assert parse_rate("4x4x2", GEOMETRIES["tiny"]).time == TIME_STRIDE
    assert num_lr_latents_of(120) == 60


def test_latents_outside_the_window_are_refused() -> None:
    """Asking a window for a latent that it does not have is an error, not another clip time."""
    with pytest.raises(InputError, match="no latent 4; give 0 to 3"):
        Window(first_latent=2, num_latents=4).latent_frames(4)
