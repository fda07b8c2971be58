"""Storyboard files beside videos."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem

from pfp.caption.backends import StoryboardRequest, sidecar
from pfp.caption.backends.sidecar import (
    MAX_SIZE_BYTES,
    SidecarBackend,
    sidecar_digests,
    sidecar_uri,
)
from pfp.caption.storyboard import Storyboard, StoryShot
from pfp.errors import PermanentError, Rejected
from pfp.io.media import path_to_uri
from pfp.vlm import Finish

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
    asked: StoryboardRequest, tmp_path: Path, name: str, *, as_uri: bool
) -> None:
    """The text comes back as it is, and its digest is seen by path and by URI."""
    video = tmp_path / name
    video.with_suffix(".storyboard.json").write_text("\ufeff" + TEXT, encoding="utf-8")
    source = path_to_uri(video) if as_uri else str(video)

    result = SidecarBackend().ask(replace(asked, path=source))

    assert (result.finish, result.raw_text) == (Finish.ANSWERED, TEXT)
    assert result.parsed == {"schema_version": 1, "shots": []}
    expected = hashlib.sha256(("\ufeff" + TEXT).encode()).hexdigest()
    assert sidecar_digests([source]) == [expected]


def test_missing_file_is_absent_not_an_error(asked: StoryboardRequest, tmp_path: Path) -> None:
    """The answer names the file that was looked for, so that the next backend can be asked."""
    source = str(tmp_path / "clip.mp4")

    result = SidecarBackend().ask(replace(asked, path=source))

    assert result.finish is Finish.ABSENT
    assert result.problem == "there is no clip.storyboard.json"
    assert sidecar_digests([source, str(tmp_path / "no_folder" / "x.mp4")]) == [None, None]


def test_text_that_is_not_json_is_answered_unparsed(
    asked: StoryboardRequest, tmp_path: Path
) -> None:
    """What is wrong with it is for the checks to say."""
    (tmp_path / "clip.storyboard.json").write_text("{broken", encoding="utf-8")

    result = SidecarBackend().ask(replace(asked, path=str(tmp_path / "clip.mp4")))

    assert (result.raw_text, result.parsed) == ("{broken", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": "\xff"}', r"clip.storyboard.json is not UTF-8 text"),
        (b" " * (MAX_SIZE_BYTES + 1), r"is larger than \d+ bytes: it is no storyboard"),
    ],
)
def test_unreadable_file_is_a_permanent_error_with_a_digest(
    asked: StoryboardRequest, tmp_path: Path, content: bytes, message: str
) -> None:
    """The row says what is wrong; taking the digest of the same file does not fail."""
    (tmp_path / "clip.storyboard.json").write_bytes(content)
    source = str(tmp_path / "clip.mp4")

    with pytest.raises(PermanentError, match=message):
        SidecarBackend().ask(replace(asked, path=source))

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


def _files(folder: Path, *names: str) -> None:
    for name in names:
        text = TEXT if name.endswith(".json") else name
        (folder / name).write_text(text, encoding="utf-8")


class TestWhose:
    """Whose a storyboard is where several videos lie side by side."""

    @pytest.mark.parametrize(
        ("video", "others"),
        [
            ("clip.mp4", ["clip.webm"]),
            ("clip.mp4", ["clip.MOV"]),
            ("clip.MP4", ["clip.mp4"]),
            ("clip.webm", ["clip.mp4", "clip.mkv"]),
            ("clip", ["clip.mp4"]),
            ("clip.mp4", ["clip"]),
            ("clip.bin", ["clip.mp4"]),
            ("clip.v2.mp4", ["clip.v2.gif"]),
            ("\u540d 'x'.mp4", ["\u540d 'x'.m2ts"]),
            ("clip.mp4.mkv", ["clip.mp4", "clip.webm", "clip.webm.storyboard.json"]),
        ],
    )
    @pytest.mark.parametrize("as_uri", [False, True])
    def test_storyboard_of_two_videos_belongs_to_neither(
        self,
        asked: StoryboardRequest,
        tmp_path: Path,
        video: str,
        others: list[str],
        *,
        as_uri: bool,
    ) -> None:
        """The row says which videos, and what to call the file."""
        stem = video.rpartition(".")[0] or video
        _files(tmp_path, video, *others, f"{stem}.storyboard.json")
        path = tmp_path / video
        source = path_to_uri(path) if as_uri else str(path)

        with pytest.raises(Rejected) as caught:
            SidecarBackend().ask(replace(asked, path=source))

        assert caught.value.reason == "storyboard_ambiguous"
        assert f"{stem}.storyboard.json may belong to " in str(caught.value)
        assert f"name its video in it: {video}.storyboard.json" in str(caught.value)

    @pytest.mark.parametrize(
        "others",
        [
            [],
            ["clip.jpg", "clip.wav", "clip.srt", "clip.json", "clip.truth.json", "clip.txt"],
            ["clips.webm", "clip.1.webm", "CLIP.webm", "other.mp4", "other.webm"],
            ["clip.webm", "clip.webm.storyboard.json"],
        ],
    )
    def test_storyboard_of_one_video_is_its_own(
        self, asked: StoryboardRequest, tmp_path: Path, others: list[str]
    ) -> None:
        """Images, sound and text are no videos; a video with its own file wants no other."""
        _files(tmp_path, "clip.mp4", "clip.storyboard.json", *others)
        source = str(tmp_path / "clip.mp4")

        assert SidecarBackend().ask(replace(asked, path=source)).raw_text == TEXT
        assert sidecar_digests([source]) == [hashlib.sha256(TEXT.encode()).hexdigest()]

    @pytest.mark.parametrize("video", ["clip.mp4", "clip.MP4", "clip.webm"])
    def test_storyboard_that_names_its_video_is_the_one(
        self, asked: StoryboardRequest, tmp_path: Path, video: str
    ) -> None:
        """Whatever else lies beside it."""
        _files(tmp_path, "clip.mp4", "clip.MP4", "clip.webm", "clip.storyboard.json")
        (tmp_path / f"{video}.storyboard.json").write_text('{"mine": 1}', encoding="utf-8")
        source = str(tmp_path / video)

        assert SidecarBackend().ask(replace(asked, path=source)).parsed == {"mine": 1}
        assert sidecar_digests([source]) == [hashlib.sha256(b'{"mine": 1}').hexdigest()]

    def test_second_name_of_one_file_is_no_second_video(
        self, asked: StoryboardRequest, tmp_path: Path
    ) -> None:
        """A link beside the video is the video."""
        _files(tmp_path, "clip.mp4", "clip.storyboard.json")
        (tmp_path / "clip.mov").symlink_to("clip.mp4")

        answer = SidecarBackend().ask(replace(asked, path=str(tmp_path / "clip.mp4")))

        assert answer.raw_text == TEXT

    def test_of_a_clip_out_of_a_video_its_own_part_is_the_answer(
        self, tmp_path: Path, asked: StoryboardRequest
    ) -> None:
        """Shots that reach into it, cut to it; what is no storyboard stays for the checks."""
        _files(tmp_path, "clip.mp4")
        beside = tmp_path / "clip.storyboard.json"
        edges = [0.0, 3.0, 7.0, 9.0]
        shots = tuple(
            StoryShot(start_seconds=start, end_seconds=end, caption=f"from {start}")
            for start, end in pairwise(edges)
        )
        beside.write_text(Storyboard(shots=shots, global_caption="all of it").to_json())
        part = replace(
            asked,
            path=str(tmp_path / "clip.mp4"),
            start_seconds=4.0,
            end_seconds=8.0,
            is_whole_video=False,
        )

        answer = SidecarBackend().ask(part)

        board = Storyboard.from_json(answer.raw_text or "")
        assert "all of it" == board.global_caption
        assert [(4.0, 7.0, "from 3.0"), (7.0, 8.0, "from 7.0")] == [
            (shot.start_seconds, shot.end_seconds, shot.caption) for shot in board.shots
        ]
        beside.write_text("no storyboard")
        assert "no storyboard" == SidecarBackend().ask(part).raw_text

    def test_object_store_is_asked_for_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a listing, and with the same answer."""
        _files(tmp_path, "clip.webm", "clip.storyboard.json", "other.storyboard.json")
        folders: list[str] = []

        def resolve(uri: str) -> tuple[LocalFileSystem, str]:
            folders.append(uri)
            return LocalFileSystem(), str(tmp_path)

        def read(uri: str, video_uri: str) -> bytes | None:
            del video_uri
            path = tmp_path / uri.rpartition("/")[2]
            return path.read_bytes() if path.exists() else None

        monkeypatch.setattr(sidecar, "resolve", resolve)
        monkeypatch.setattr(sidecar, "_read", read)
        asked = StoryboardRequest(
            path="s3://bucket/x/other.mp4",
            start_seconds=0.0,
            end_seconds=1.0,
            shots=(),
            prompt="",
            json_schema={},
            prompt_id="p",
        )

        assert SidecarBackend().ask(asked).raw_text == TEXT
        with pytest.raises(Rejected, match=r"clip.storyboard.json may belong to clip.mp4 and clip"):
            SidecarBackend().ask(replace(asked, path="s3://bucket/x/clip.mp4"))
        assert set(folders) == {"s3://bucket/x"}

    def test_second_video_changes_the_digest_of_both(self, tmp_path: Path) -> None:
        """So that rows are computed anew when it comes and when it goes."""
        _files(tmp_path, "clip.mp4", "clip.storyboard.json")
        videos = [str(tmp_path / "clip.mp4"), str(tmp_path / "clip.webm")]
        before = sidecar_digests(videos[:1])
        _files(tmp_path, "clip.webm")

        both = sidecar_digests(videos)
        (tmp_path / "clip.webm").unlink()

        assert both[0] != before[0]
        assert None not in both
        assert sidecar_digests(videos[:1]) == before


def a_pipe(path: Path, elsewhere: Path) -> str:
    """Nobody writes to it."""
    del elsewhere
    os.mkfifo(path)
    return "it is a pipe, not a file"


def a_folder(path: Path, elsewhere: Path) -> str:
    """A folder of that name."""
    del elsewhere
    path.mkdir()
    return "Is a directory"


def a_loop(path: Path, elsewhere: Path) -> str:
    """A link to itself."""
    del elsewhere
    path.symlink_to(path)
    return "is a link that leads back to itself"


def a_device(path: Path, elsewhere: Path) -> str:
    """A link to what never ends."""
    del elsewhere
    path.symlink_to("/dev/zero")
    return "is a link out of its folder"


def a_link_out(path: Path, elsewhere: Path) -> str:
    """A link to somebody else's file."""
    (elsewhere / "secret").write_text(TEXT)
    path.symlink_to(elsewhere / "secret")
    return "is a link out of its folder; put a copy beside the video"


def a_dangling_link(path: Path, elsewhere: Path) -> str:
    """A link whose target was not fetched: a storyboard is meant to be there."""
    del elsewhere
    path.symlink_to(path.parent / "gone.json")
    return "is a link whose target is not here"


@pytest.mark.parametrize("make", [a_pipe, a_folder, a_loop, a_device, a_link_out, a_dangling_link])
def test_what_is_no_storyboard_is_the_rows_verdict(
    asked: StoryboardRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    make: Callable[[Path, Path], str],
) -> None:
    """Nobody waits for it, nobody follows it away, and the digests of a folder are taken."""
    said = make(tmp_path / "clip.storyboard.json", tmp_path_factory.mktemp("elsewhere"))
    (tmp_path / "other.storyboard.json").write_text(TEXT, encoding="utf-8")
    source, other = str(tmp_path / "clip.mp4"), str(tmp_path / "other.mp4")

    with pytest.raises(PermanentError, match=said):
        SidecarBackend().ask(replace(asked, path=source))

    assert None not in sidecar_digests([source, other])


@pytest.mark.parametrize("video_is_link", [False, True])
def test_links_within_a_data_set_are_followed(
    asked: StoryboardRequest,
    tmp_path: Path,
    video_is_link: bool,  # noqa: FBT001
) -> None:
    """Beside the video, and where the video itself is a link, as in a cache of downloads."""
    store = tmp_path / "store"
    folder = store / "names" if not video_is_link else tmp_path / "names"
    folder.mkdir(parents=True)
    target = folder if not video_is_link else store
    target.mkdir(exist_ok=True)
    (target / "0123").write_text(TEXT, encoding="utf-8")
    (target / "4567").write_bytes(b"video")
    (folder / "clip.storyboard.json").symlink_to(target / "0123")
    (folder / "clip.mp4").symlink_to(target / "4567")

    answer = SidecarBackend().ask(replace(asked, path=str(folder / "clip.mp4")))

    assert TEXT == answer.raw_text
