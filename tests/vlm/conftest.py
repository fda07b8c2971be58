"""A short real video, and requests about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pfp.io.media import write_video
from pfp.vlm import Frames, Request, Sampling, VideoSpan

DURATION_SECONDS = 4.0
STORYBOARD_SCHEMA = {
    "type": "object",
    "properties": {
        "shots": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {
                "type": "object",
                "properties": {"index": {"type": "integer"}, "caption": {"type": "string"}},
                "required": ["index", "caption"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["shots"],
    "additionalProperties": False,
}
VERDICT_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}


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
def request_video(video: Path) -> Request:
    """A request about the whole video and its two shots."""
    return Request(
        media=VideoSpan(path=str(video), start_seconds=0.0, end_seconds=DURATION_SECONDS),
        prompt_id="test@1",
        prompt="Describe shots 1 and 2.",
        json_schema=STORYBOARD_SCHEMA,
        schema_name="storyboard",
        sampling=Sampling(fps=2.0, media_resolution="low", temperature=0.5, thinking_level="low"),
    )


@pytest.fixture
def request_frames() -> Request:
    """A yes/no request about a red and a blue frame."""
    frames = np.zeros((2, 40, 64, 3), np.uint8)
    frames[0, ..., 0] = frames[1, ..., 2] = 200
    return Request(
        media=Frames(list(frames), [0.0, 0.5]),
        prompt_id="test@1/it",
        prompt="Is it so?",
        json_schema=VERDICT_SCHEMA,
        schema_name="verdict",
        sampling=Sampling(temperature=0.0, max_output_tokens=4096),
    )
