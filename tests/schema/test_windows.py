"""Time: which frames, seconds, latents and tokens belong together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.errors import ConfigError, InputError
from pfp.schema.windows import (
    Window,
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


@given(NUM_LATENTS)
def test_lr_video_of_any_clip(num_latents: int) -> None:
    """LR video is every second frame, cut to the groups of the VAE, within the encoded frames."""
    frames = list(range(num_frames_of(num_latents)))[::2]
    taken = list(lr_source_frames(num_latents))
    groups = [[taken[i] for i in group] for group in causal_groups(len(taken))]

    assert taken == frames[: len(taken)]
    assert len(taken) % 4 == 1
    assert groups == [list(lr_latent_frames(j)) for j in range(num_lr_latents_of(num_latents))]
    # No whole group of LR frames is left unused.
    assert len(frames) - len(taken) < 4


@given(st.integers(0, 400))
def test_tokens_of_both_branches_end_together(token: int) -> None:
    """HR token j and LR latent j end with the same source frame, 8j."""
    assert token_frames(token)[-1] == lr_latent_frames(token)[-1] == 8 * token


@given(NUM_LATENTS)
def test_tokens_take_every_latent_once(num_latents: int) -> None:
    """The causal stride-2 tokens of a clip cover its HR latents once each; a last odd one waits."""
    tokens = range(num_lr_latents_of(num_latents))
    taken = [latent for token in tokens for latent in token_latents(token)]

    assert taken == list(range(len(taken)))
    assert num_latents - len(taken) in {0, 1}


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, int]:
    """Any window of any clip, with the clip's number of latents."""
    num_clip_latents = draw(NUM_LATENTS)
    first = 2 * draw(st.integers(0, (num_clip_latents - 1) // 2))
    length = draw(st.integers(1, num_clip_latents - first))
    return Window(first_latent=first, num_latents=length), num_clip_latents


@given(windows())
def test_a_window_slices_both_branches_in_step(drawn: tuple[Window, int]) -> None:
    """In any window, HR token j (left-padded) and LR latent j end with the same source frame."""
    window, num_clip_latents = drawn
    hr = list(range(num_clip_latents))[window.hr_slice]
    lr = list(range(num_lr_latents_of(num_clip_latents)))[window.lr_slice]

    assert len(hr) == window.num_latents
    assert len(lr) == num_lr_latents_of(window.num_latents)
    for token, lr_latent in enumerate(lr):
        last_hr_of_token = hr[2 * token]
        assert latent_frames(last_hr_of_token)[-1] == lr_latent_frames(lr_latent)[-1]


@given(windows(), st.sampled_from([6.0, 12.0, 24.0, 30000 / 1001]), st.floats(0, 100), st.data())
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
    [(3, 4, "latent 3; give an even one"), (-2, 4, "latent -2"), (0, 0, "0 latents is empty")],
)
def test_windows_out_of_step_are_refused(first: int, length: int, message: str) -> None:
    """A window that would shift the branches against each other cannot be made."""
    with pytest.raises(ConfigError, match=message):
        Window(first_latent=first, num_latents=length)


def test_latents_outside_the_window_are_refused() -> None:
    """Asking a window for a latent that it does not have is an error, not another clip time."""
    with pytest.raises(InputError, match="no latent 4; give 0 to 3"):
        Window(first_latent=2, num_latents=4).latent_frames(4)
