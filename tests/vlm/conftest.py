"""A short real video, and a question about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pfp.io.media import write_video
from pfp.vlm import Sampling, Span, VideoQuestion

DURATION_SECONDS = 4.0


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 12 fps: two of red, two of blue with a white bar that moves right."""
    frames_THWC = np.zeros((48, 48, 64, 3), np.uint8)
    frames_THWC[:24, ..., 0] = 200
    frames_THWC[24:, ..., 2] = 200
    for t in range(24, 48):
        frames_THWC[t, :, t : t + 4] = 255
    path = tmp_path_factory.mktemp("video") / "red_blue.mp4"
    write_video(path, frames_THWC, 12)
    return path


@pytest.fixture
def question(video: Path) -> VideoQuestion:
    """A question about the whole video and its two shots."""
    return VideoQuestion(
        path=str(video),
        start_seconds=0.0,
        end_seconds=DURATION_SECONDS,
        shots=(
            Span(start_seconds=0.0, end_seconds=2.0),
            Span(start_seconds=2.0, end_seconds=4.0),
        ),
        prompt="Describe shots 1 and 2.",
        json_schema={"type": "object", "properties": {"shots": {"type": "array"}}},
        sampling=Sampling(fps=2.0, media_resolution="low", temperature=0.5, thinking_level="low"),
    )
