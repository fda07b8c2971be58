"""The video of ``tests/vlm``, and a request for a storyboard of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.caption.backends import StoryboardRequest
from pfp.vlm import Span
from tests.vlm.conftest import DURATION_SECONDS, STORYBOARD_SCHEMA, video

__all__ = ["asked", "video"]


@pytest.fixture
def asked(video: Path) -> StoryboardRequest:
    """A request about the whole video and its two shots."""
    return StoryboardRequest(
        path=str(video),
        start_seconds=0.0,
        end_seconds=DURATION_SECONDS,
        shots=(
            Span(start_seconds=0.0, end_seconds=2.0),
            Span(start_seconds=2.0, end_seconds=4.0),
        ),
        prompt_id="test@1",
        prompt="Describe shots 1 and 2.",
        json_schema=STORYBOARD_SCHEMA,
    )
