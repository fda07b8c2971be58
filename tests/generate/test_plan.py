"""Sections of a storyboard: where they begin, how long they are, and what they are told."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import ConfigError
from pfp.generate.plan import PlannedSection, find_lost_shot, plan_sections, section_seed

SHOTS = [
    {"start_seconds": 0.0, "end_seconds": 2.0, "caption": "one"},
    {"start_seconds": 2.0, "end_seconds": 5.0, "caption": "two"},
]


def plan(**changed: Any) -> list[PlannedSection]:
    """Sections of two latents, 8 frames, at 4 frames a second."""
    options = {"num_frames": 20, "fps": 4.0, "section_latents": 2, "has_history": True, "seed": 0}
    return plan_sections(SHOTS, **{**options, **changed})


def test_a_section_is_told_the_prompt_that_holds_when_it_begins() -> None:
    """Frame 8 is at 2 s exactly, where the second shot begins."""
    assert [("one", 0.0), ("two", 2.0), ("two", 4.0)] == [
        (section.prompt, section.start_seconds) for section in plan()
    ]


def test_without_a_history_the_first_section_has_the_video_s_first_frame_too() -> None:
    """One latent more, which stands for one frame."""
    sections = plan(has_history=False)

    assert [(0, 9, 3), (9, 8, 2), (17, 3, 1)] == [
        (section.first_frame, section.num_frames, section.num_latents) for section in sections
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"num_frames": 1, "has_history": False}, [(1, 1)]),
        ({"num_frames": 2, "has_history": False}, [(2, 2)]),
        ({"num_frames": 9, "has_history": False}, [(9, 3)]),
        ({"num_frames": 10, "has_history": False}, [(9, 3), (1, 1)]),
        ({"num_frames": 1}, [(1, 1)]),
        ({"num_frames": 8}, [(8, 2)]),
        ({"num_frames": 13}, [(8, 2), (5, 2)]),
    ],
)
def test_the_last_section_is_as_short_as_need_be(
    changed: Any, expected: list[tuple[int, int]]
) -> None:
    """Its latents are the fewest that hold its frames, and the frames are exactly those asked."""
    sections = plan(**changed)

    assert expected == [(section.num_frames, section.num_latents) for section in sections]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [(8, "one"), (12, "two")]),
        ({"has_history": False}, [(9, "one"), (11, "two")]),
        ({"token_latents": 4}, [(16, "one"), (4, "two")]),
        ({"num_frames": 6}, [(6, "one")]),
        ({"fps": 4.5, "num_frames": 22}, [(12, "one"), (10, "two")]),
    ],
)
def test_a_long_section_is_a_whole_shot(changed: Any, expected: list[tuple[int, str]]) -> None:
    """It ends with the shot, rounded up to a whole token, or with the video."""
    sections = plan(**{"section_latents": 1000, "token_latents": 1, **changed})

    assert expected == [(section.num_frames, section.prompt) for section in sections]
    assert all(section.num_latents * 4 >= section.num_frames for section in sections)


def test_an_hour_of_a_third_of_a_rate_keeps_time() -> None:
    """At 30000/1001 frames a second sections begin where their first frames do."""
    sections = plan(num_frames=108_000, fps=30_000 / 1001)

    assert sections[-1].start_seconds == pytest.approx(sections[-1].first_frame * 1001 / 30_000)
    assert 108_000 == sum(section.num_frames for section in sections)


def test_no_two_sections_of_any_seeds_share_their_noise() -> None:
    """Neither within a video nor between videos of neighbouring seeds."""
    seeds = [section_seed(seed, number) for seed in range(20) for number in range(50)]

    assert 1000 == len(set(seeds))
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert [section_seed(3, 0), section_seed(3, 1)] == [s.seed for s in plan(seed=3)][:2]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"num_frames": 0}, "a video of 0 frames is none"),
        ({"section_latents": 0}, "section_latents is 0; give 1 or more"),
    ],
)
def test_what_makes_no_section_is_refused(changed: Any, sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(ConfigError, match=sentence):
        plan(**changed)


def _shots(*spans: tuple[float, float]) -> list[dict[str, Any]]:
    return [
        {"start_seconds": start, "end_seconds": end, "caption": str(number)}
        for number, (start, end) in enumerate(spans)
    ]


def test_a_shot_that_begins_with_the_second_frame_is_not_passed_over() -> None:
    """The first section ends with its first token, however long sections may be."""
    shots = _shots((0, 0.25), (0.25, 20))
    options = {"num_frames": 80, "fps": 4.0, "section_latents": 1000, "seed": 0}

    sections = plan_sections(shots, has_history=False, **options)

    assert [(0, "0"), (5, "1")] == [(each.first_frame, each.prompt) for each in sections]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 2), (2, 4)], None),
        ([(0, 2), (2, 2.2), (2.2, 4)], 1),  # within the first frame of a token
        ([(0, 2), (2.5, 3.0), (3.0, 4)], 1),  # between two beginnings of tokens
        ([(0, 2), (3.5, 4), (4.5, 5)], 1),  # after a gap, and over when its section begins
        ([(0, 2), (3, 4), (5, 8)], None),
        ([(1, 1.5), (1.5, 4)], None),  # the first shot's prompt holds before it, too
        ([(0, 0.25), (0.25, 1.25), (1.25, 4)], 1),
        ([(0, 4), (4, 9)], None),  # cut off by the end of the video
        ([(0, 4), (9, 10)], None),  # left out by it
        ([(0, 2), (2, 2.001), (2.001, 4)], 1),
    ],
)
def test_a_shot_that_passes_without_its_prompt_is_found(
    spans: list[tuple[float, float]], expected: int | None
) -> None:
    """At 4 frames a second and tokens of one latent, sections begin with frames 0, 5, 9, ..."""
    shots = _shots(*spans)
    num_frames = min(20, round(4 * spans[-1][1]))
    sections = plan_sections(
        shots, num_frames=num_frames, fps=4.0, section_latents=1, has_history=False, seed=0
    )

    found = find_lost_shot(
        shots, [each.first_frame for each in sections], num_frames=num_frames, fps=4.0, is_cut=True
    )

    assert found == expected


@settings(max_examples=300, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    gaps=st.lists(st.integers(0, 20), min_size=8, max_size=8),
    token_latents=st.sampled_from([1, 2, 4]),
    per_section=st.sampled_from([1, 3, 1000]),
    has_history=st.booleans(),
)
def test_lost_shots_are_those_whose_frames_have_other_prompts(
    lengths: list[int], gaps: list[int], token_latents: int, per_section: int, *, has_history: bool
) -> None:
    """By looking at every frame; and a shot of a token and a frame is never among them."""
    fps, first, spans = 12.0, 0, []
    for length, gap in zip(lengths, gaps, strict=False):
        spans.append((first / fps, (first + length) / fps))
        first += length + gap
    shots, num_frames = _shots(*spans), round(spans[-1][1] * fps)
    sections = plan_sections(
        shots,
        num_frames=num_frames,
        fps=fps,
        section_latents=per_section * token_latents,
        token_latents=token_latents,
        has_history=has_history,
        seed=0,
    )
    prompts = [each.prompt for each in sections for _ in range(each.num_frames)]
    frames = [range(round(start * fps), round(end * fps)) for start, end in spans]
    lost = [k for k, own in enumerate(frames) if all(prompts[f] != str(k) for f in own)]

    found = find_lost_shot(
        shots, [each.first_frame for each in sections], num_frames=num_frames, fps=fps, is_cut=False
    )

    assert found == (lost[0] if lost else None)
    assert all(lengths[k] <= 4 * token_latents for k in lost)
