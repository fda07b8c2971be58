"""Storyboard files beside videos."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pfp.errors import PermanentError
from pfp.io.media import path_to_uri
from pfp.vlm import Finish, VideoQuestion
from pfp.vlm.sidecar import MAX_SIZE_BYTES, SidecarBackend, sidecar_digests, sidecar_uri

TEXT = '{"schema_version": 1, "shots": []}'


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ("a/b.mp4", "a/b.storyboard.json"),
        ("b.tar.mkv", "b.tar.storyboard.json"),
        ("/data.v2/clip", "/data.v2/clip.storyboard.json"),
        ("/data/.hidden", "/data/.hidden.storyboard.json"),
        ("file:///a/%C3%BC%20b.mp4", "file:///a/%C3%BC%20b.storyboard.json"),
        ("s3://bucket/x/y.webm", "s3://bucket/x/y.storyboard.json"),
    ],
)
def test_storyboard_lies_beside_the_video(video: str, expected: str) -> None:
    """The video's last extension is replaced, in paths and in URIs."""
    assert sidecar_uri(video) == expected


@pytest.mark.parametrize(
    "name", ["clip.mp4", "\u540d\u524d & 'quote'.MP4", "-dash.mp4", "a%20b.mp4"]
)
@pytest.mark.parametrize("as_uri", [False, True])
def test_file_is_found_under_any_name(
    question: VideoQuestion, tmp_path: Path, name: str, *, as_uri: bool
) -> None:
    """The text comes back as it is, and its digest is seen by path and by URI."""
    video = tmp_path / name
    video.with_suffix(".storyboard.json").write_text("\ufeff" + TEXT, encoding="utf-8")
    source = path_to_uri(video) if as_uri else str(video)

    result = SidecarBackend().ask(replace(question, path=source))

    assert (result.finish, result.raw_text) == (Finish.ANSWERED, TEXT)
    assert result.parsed == {"schema_version": 1, "shots": []}
    expected = hashlib.sha256(("\ufeff" + TEXT).encode()).hexdigest()
    assert sidecar_digests([source]) == [expected]


def test_missing_file_is_absent_not_an_error(question: VideoQuestion, tmp_path: Path) -> None:
    """The answer names the file that was looked for, so that the next backend can be asked."""
    source = str(tmp_path / "clip.mp4")

    result = SidecarBackend().ask(replace(question, path=source))

    assert result.finish is Finish.ABSENT
    assert result.problem == "there is no clip.storyboard.json"
    assert sidecar_digests([source, str(tmp_path / "no_folder" / "x.mp4")]) == [None, None]


def test_text_that_is_not_json_is_answered_unparsed(
    question: VideoQuestion, tmp_path: Path
) -> None:
    """What is wrong with it is for the checks to say."""
    (tmp_path / "clip.storyboard.json").write_text("{broken", encoding="utf-8")

    result = SidecarBackend().ask(replace(question, path=str(tmp_path / "clip.mp4")))

    assert (result.raw_text, result.parsed) == ("{broken", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": "\xff"}', r"clip.storyboard.json is not UTF-8 text"),
        (b" " * (MAX_SIZE_BYTES + 1), r"is larger than \d+ bytes: it is no storyboard"),
    ],
)
def test_unreadable_file_is_a_permanent_error_with_a_digest(
    question: VideoQuestion, tmp_path: Path, content: bytes, message: str
) -> None:
    """The row says what is wrong; taking the digest of the same file does not fail."""
    (tmp_path / "clip.storyboard.json").write_bytes(content)
    source = str(tmp_path / "clip.mp4")

    with pytest.raises(PermanentError, match=message):
        SidecarBackend().ask(replace(question, path=source))

    assert sidecar_digests([source])[0] is not None


def test_digest_follows_the_content(tmp_path: Path) -> None:
    """Editing one file changes its own digest only."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.storyboard.json").write_text(TEXT, encoding="utf-8")
    videos = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    before = sidecar_digests(videos)

    (tmp_path / "a.storyboard.json").write_text(TEXT + " ", encoding="utf-8")

    after = sidecar_digests(videos)
    assert before[0] == before[1] == after[1]
    assert after[0] != before[0]
