"""What makes one request another, and which settings no server takes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import ConfigError
from pfp.io.digests import sha256_file, sha256_json
from pfp.io.media import path_to_uri
from pfp.vlm import Frames, Request, Sampling, VideoSpan

YES_OR_NO = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
REQUEST = Request(
    media=Frames([np.zeros((4, 6, 3), np.uint8)], [0.5]),
    prompt_id="test@1/it",
    prompt="Is it?",
    json_schema=YES_OR_NO,
    schema_name="verdict",
    sampling=Sampling(),
)


def test_digest_follows_frames_times_words_schema_and_vote() -> None:
    """The same pixels at the same times with the same words are the same request."""
    other_frame = np.zeros((4, 6, 3), np.uint8)
    other_frame[0, 0, 0] = 1
    others = [
        replace(REQUEST, media=Frames([other_frame], [0.5])),
        replace(REQUEST, media=Frames([np.zeros((6, 4, 3), np.uint8)], [0.5])),
        replace(REQUEST, media=Frames([np.zeros((4, 6, 3), np.uint8)], [0.6])),
        replace(REQUEST, prompt="Is it not?"),
        replace(REQUEST, prompt_id="test@2/it"),
        replace(REQUEST, json_schema={"type": "object", "properties": {}}),
        replace(REQUEST, vote=2),
    ]

    assert len({each.sha256 for each in (REQUEST, *others)}) == 8
    assert replace(REQUEST, sampling=Sampling(temperature=0.0), vote=1).sha256 == REQUEST.sha256


def test_digest_of_yes_or_no_is_the_one_that_kept_answers_have() -> None:
    """Files of answers that earlier versions wrote are found by it."""
    assert isinstance(REQUEST.media, Frames)
    expected = sha256_json([REQUEST.media.sha256, "test@1/it", "Is it?"])

    assert REQUEST.sha256 == expected
    assert replace(REQUEST, vote=3).sha256 == sha256_json(
        [REQUEST.media.sha256, "test@1/it", "Is it?", 3]
    )


def test_digest_of_a_video_is_that_of_its_content_and_span(video: Path, tmp_path: Path) -> None:
    """Where it lies and what it is called do not count; how its frames are taken does."""
    span = VideoSpan(path=str(video), start_seconds=0.0, end_seconds=4.0)
    copy = path_to_uri(shutil.copy(video, tmp_path / "copy.mp4"))
    first = replace(REQUEST, media=span)
    others = [
        replace(first, media=replace(span, end_seconds=3.0)),
        replace(first, media=replace(span, content_sha256="0" * 64)),
        replace(first, sampling=Sampling(fps=2.0)),
        replace(first, sampling=Sampling(media_resolution="low")),
    ]

    assert replace(first, media=replace(span, path=copy)).sha256 == first.sha256
    known = replace(span, path="gone.mp4", content_sha256=sha256_file(video))
    assert replace(first, media=known).sha256 == first.sha256
    assert len({each.sha256 for each in (first, *others)}) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0.0}, r"fps 0.0 is not in \(0, 24\]"),
        ({"fps": 30.0}, r"fps 30.0 is not in \(0, 24\]"),
        ({"media_resolution": "ultra"}, "media resolution 'ultra' is unknown; use one of low"),
        ({"thinking_level": "deep"}, "thinking level 'deep' is unknown; use one of minimal"),
        ({"temperature": -1.0}, "temperature is -1; give 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan; give 0 or more"),
        ({"max_output_tokens": 0}, "max_output_tokens is 0; allow at least 1"),
    ],
)
def test_sampling_that_no_server_takes_is_refused(options: dict[str, object], message: str) -> None:
    """A wrong setting is found before anything is paid for."""
    with pytest.raises(ConfigError, match=message):
        Sampling(**options)  # type: ignore[arg-type]
