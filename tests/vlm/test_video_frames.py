"""Frames of a span of a video, for models that are shown no video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import PermanentError
from pfp.io.media import write_video
from pfp.vlm import Frames, Request, Sampling, VideoSpan, video_frames
from pfp.vlm.request import MediaResolution
from pfp.vlm.video_frames import FrameReader, read_frames


def _span(path: Path, start_seconds: float, end_seconds: float) -> VideoSpan:
    return VideoSpan(path=str(path), start_seconds=start_seconds, end_seconds=end_seconds)


def test_frames_are_those_of_the_span_at_its_own_times(video: Path) -> None:
    """The video is red until 2 s and then blue; the span's clock starts where the span does."""
    frames, times = read_frames(_span(video, 1.0, 3.0), Sampling(fps=2.0))

    assert times == [0.0, 0.5, 1.0, 1.5]
    red_and_blue = [(frame[4, 4, 0] > 150, frame[4, 4, 2] > 150) for frame in frames]
    assert red_and_blue == [(True, False)] * 2 + [(False, True)] * 2


def test_long_span_is_shown_at_a_lower_rate(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, in as many frames as one request may have."""
    monkeypatch.setattr(video_frames, "MAX_FRAMES", 4)

    frames, times = read_frames(_span(video, 0.0, 4.0), Sampling(fps=12.0))

    assert times == [0.0, 1.0, 2.0, 3.0]
    assert frames[-1][4, 4, 2] > 150


@pytest.mark.parametrize(
    ("resolution", "size"),
    [("low", (202, 270)), ("medium", (389, 519)), ("high", (480, 640)), (None, (480, 640))],
)
def test_frames_are_as_large_as_the_media_resolution_allows(
    tmp_path: Path, resolution: MediaResolution | None, size: tuple[int, int]
) -> None:
    """In the video's shape, at up to 70 or 258 patches of 28 x 28 pixels; never enlarged."""
    path = tmp_path / "large.mp4"
    write_video(path, np.zeros((2, 480, 640, 3), np.uint8), 2)

    frames, _ = read_frames(_span(path, 0.0, 1.0), Sampling(fps=2.0, media_resolution=resolution))

    assert [frame.shape for frame in frames] == [(*size, 3)] * 2


def test_span_behind_the_videos_end_has_no_frame(video: Path) -> None:
    """That is the row's fault, and says which span."""
    with pytest.raises(PermanentError, match=r"red_blue.mp4 has no frame in \[9.0, 10.0\) s"):
        read_frames(_span(video, 9.0, 10.0), Sampling())


@pytest.mark.parametrize("timeout_seconds", [None, 60.0])
def test_request_about_frames_tells_their_times(
    request_video: Request, timeout_seconds: float | None
) -> None:
    """Before the prompt; all else is asked as it was, and decoding elsewhere changes nothing."""
    reader = FrameReader(timeout_seconds=timeout_seconds)

    asked = reader.frames_request(request_video)
    reader.close()

    assert isinstance(asked.media, Frames)
    assert len(asked.media) == 8
    times = "0.00 s, 0.50 s, 1.00 s, 1.50 s, 2.00 s, 2.50 s, 3.00 s, 3.50 s"
    introduction = f"The video is shown as 8 frames, taken at these times: {times}."
    prompt = f"{introduction}\n\n{request_video.prompt}"
    assert asked == replace(request_video, media=asked.media, prompt=prompt)


def test_closed_reader_can_be_used_again(request_video: Request) -> None:
    """Its child process is another one."""
    reader = FrameReader(timeout_seconds=60.0)
    first = reader.frames_request(request_video).media
    reader.close()

    again = reader.frames_request(request_video).media
    reader.close()

    assert again.sha256 == first.sha256


def test_decoding_that_takes_too_long_is_given_up(request_video: Request) -> None:
    """A video is not waited for without end."""
    reader = FrameReader(timeout_seconds=1e-6)

    with pytest.raises(PermanentError, match=r"took longer than 1e-06 s and was killed"):
        reader.frames_request(request_video)
    reader.close()
