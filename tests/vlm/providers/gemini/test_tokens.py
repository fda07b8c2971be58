"""VIDEO tokens as proof that a model saw the video."""

from __future__ import annotations

import pytest

from pfp.vlm.providers.gemini.tokens import tokens_per_frame, video_token_problem


@pytest.mark.parametrize(
    ("model", "resolution", "expected"),
    [
        ("gemini-2.5-flash", None, 258),
        ("models/gemini-2.5-pro", "low", 66),
        ("gemini-3-flash-preview", "low", 70),
        ("gemini-3.8-flash", "high", 280),
        ("gemini-30-flash", None, None),
        ("somebody-else", "low", None),
    ],
)
def test_tokens_per_frame_are_those_of_the_family(
    model: str, resolution: str | None, expected: int | None
) -> None:
    """A family's figure is never lent to a model outside it."""
    assert tokens_per_frame(model, resolution) == expected


@pytest.mark.parametrize(
    ("tokens", "fps", "seconds", "is_fine"),
    [
        (0, 1.0, 10.0, False),
        (2580, 1.0, 10.0, True),
        (3354, 1.0, 10.0, True),  # 30 % more
        (3355, 1.0, 10.0, False),
        (1806, 1.0, 10.0, True),  # 30 % less
        (1805, 1.0, 10.0, False),
        (2580, 2.0, 10.0, False),  # the server ignored 2 fps
        (258, 1.0, 0.4, True),  # one frame of a short clip
        (258, 1.0, 1.9, True),  # one frame less than rounding up gives
        (774, 1.0, 0.4, False),
    ],
)
def test_count_must_be_near_what_the_video_makes(
    tokens: int, fps: float, seconds: float, *, is_fine: bool
) -> None:
    """30 % or one frame, whichever is more, and never 0."""
    problem = video_token_problem(tokens, fps=fps, duration_seconds=seconds, frame_tokens=258)

    assert (problem is None) == is_fine


def test_unknown_tokens_per_frame_leave_only_the_zero_check() -> None:
    """Nothing is made up for a model that is not in the table."""
    known = {"fps": 1.0, "duration_seconds": 10.0, "frame_tokens": None}

    assert video_token_problem(1, **known) is None
    assert video_token_problem(0, **known) is not None
