"""Folders and patterns of this machine: which names become rows."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest

from pfp.errors import InputError
from pfp.ingest.inputs import INPUT_SCHEMA, blocks, gather_inputs, list_inputs, seen
from pfp.io.media import uri_to_path


def touch(path: Path, content: bytes = b"x") -> Path:
    """A small file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(source: Path, *, below: Path | None = None, skip: tuple[str, ...] = ()) -> set[str]:
    """The paths that are found, relative to a folder, as bytes decoded by the file system."""
    uris = gather_inputs(source, skip=skip)["video_uri"].to_pylist()
    return {os.path.relpath(uri_to_path(uri), below or source) for uri in uris}


def test_every_extension_and_every_depth_counts(tmp_path: Path) -> None:
    """What a file is, its content tells; a folder asks for no extension."""
    names = {"a.mp4", "b.MKV", "c", "d.txt", "deep/er/e.webm"}
    for name in names:
        touch(tmp_path / name)

    assert names == found(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        b"-dash.mp4",
        b"a b.mp4",
        "\u540d\u524d.mp4".encode(),
        b"a\nb.mp4",
        b"\xff\xfe.mp4",
        b"%41.mp4",
    ],
)
def test_any_name_becomes_a_valid_uri(tmp_path: Path, name: bytes) -> None:
    """The URI is plain ASCII, so Parquet takes it, and leads back to the same bytes."""
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(b"x")

    (uri,) = gather_inputs(tmp_path)["video_uri"].to_pylist()

    assert uri.isascii()
    assert path == os.fsencode(uri_to_path(uri))


def test_hidden_names_and_sidecars_are_left_out(tmp_path: Path) -> None:
    """Exactly these: a leading dot, .storyboard.json and .truth.json. Other JSON is a row."""
    for name in (".hidden.mp4", ".git/x.mp4", "a.storyboard.json", "a.truth.json"):
        touch(tmp_path / name)
    for name in ("a.mp4", "a.json"):
        touch(tmp_path / name)

    assert {"a.mp4", "a.json"} == found(tmp_path)


def test_a_file_is_found_once_by_its_own_name(tmp_path: Path) -> None:
    """Links to what is there anyway, files or folders or circles, add nothing."""
    touch(tmp_path / "real" / "a.mp4")
    (tmp_path / "aa-link.mp4").symlink_to(tmp_path / "real" / "a.mp4")
    (tmp_path / "folder-link").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "real" / "circle").symlink_to(tmp_path, target_is_directory=True)

    assert {"real/a.mp4"} == found(tmp_path)


def test_links_that_lead_elsewhere_are_followed_once(tmp_path: Path) -> None:
    """A file or folder outside is a row under the link's name; two links to it make one."""
    touch(tmp_path / "outside" / "b.mp4")
    touch(tmp_path / "single.mp4")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "one").symlink_to(tmp_path / "outside", target_is_directory=True)
    (folder / "two").symlink_to(tmp_path / "outside", target_is_directory=True)
    (folder / "c.mp4").symlink_to(tmp_path / "single.mp4")

    names = found(folder)

    assert 2 == len(names)
    assert "c.mp4" in names


def test_a_link_whose_target_is_not_here_is_a_row(tmp_path: Path) -> None:
    """Nothing vanishes without a word; when the target has come, the row is another."""
    touch(tmp_path / "a.mp4")
    link = tmp_path / "b.mp4"
    link.symlink_to(".git/annex/objects/x")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / ".hidden").symlink_to("none")
    (tmp_path / "a.storyboard.json").symlink_to("none")

    assert {"a.mp4", "b.mp4", "circle"} == found(tmp_path)
    before = gather_inputs(tmp_path).to_pylist()[1]

    touch(tmp_path / ".git/annex/objects/x", b"a video")

    after = gather_inputs(tmp_path).to_pylist()[1]
    assert before["video_uri"] == after["video_uri"]
    assert 7 == after["size_bytes"]
    assert before["changed_ns"] != after["changed_ns"]


def test_hard_links_are_files_of_their_own(tmp_path: Path) -> None:
    """Two names of one content are two rows; deduplication tells them apart."""
    os.link(touch(tmp_path / "a.mp4"), tmp_path / "b.mp4")

    assert {"a.mp4", "b.mp4"} == found(tmp_path)


def test_what_is_no_file_is_no_row(tmp_path: Path) -> None:
    """A pipe would block whoever reads it."""
    touch(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")

    assert {"a.mp4"} == found(tmp_path)


def test_a_run_inside_the_folder_is_not_its_own_input(tmp_path: Path) -> None:
    """Tables of an earlier run are not videos."""
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "run" / "clips" / "part.parquet")

    assert {"a.mp4"} == found(tmp_path, skip=(str(tmp_path / "run"), str(tmp_path / "none")))


def test_rows_carry_size_and_time_in_order(tmp_path: Path) -> None:
    """What resume compares, sorted by URI."""
    touch(tmp_path / "b.mp4", b"12345")
    touch(tmp_path / "a.mp4", b"123")
    os.utime(tmp_path / "a.mp4", ns=(0, 7))  # which anybody can

    rows = gather_inputs(tmp_path).to_pylist()

    times = [(tmp_path / name).stat().st_ctime_ns for name in ("a.mp4", "b.mp4")]
    assert list(zip((3, 5), times, strict=True)) == [
        (row["size_bytes"], row["changed_ns"]) for row in rows
    ]


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    """Missing, empty, a file, an address of the web: each with the cure."""
    touch(tmp_path / "file.mp4")
    (tmp_path / "empty").mkdir()

    for directory, message in (
        (tmp_path / "none", "does not exist; name a folder"),
        (tmp_path / "empty", "holds no file; put video files into it"),
        (tmp_path / "file.mp4", "is not a folder; name a folder"),
        ("https://host/videos", "is an address of the web, .* download the files"),
        (tmp_path / "**" / "*.webm", "matches no file"),
    ):
        with pytest.raises(InputError, match=message):
            gather_inputs(directory)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """Nothing vanishes because of a permission."""
    touch(tmp_path / "a.mp4")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)

    with pytest.raises(InputError, match="closed cannot be read"):
        gather_inputs(tmp_path)


def test_a_pattern_names_files_by_folders_and_extensions(tmp_path: Path) -> None:
    """As the standard library's glob finds them, but for names that begin with a dot."""
    names = ("a.mp4", "b.mkv", "x/a.mp4", "x/y/b.mp4", "x/y/c1.MP4", "x/.h/a.mp4", "[z]/d.mp4")
    for name in names:
        touch(tmp_path / name)

    for pattern in ("*.mp4", "**/*.mp4", "x/*", "*/y/*", "**/y/**", "**/[bc]?.[mM]*", "[[]z]/*"):
        matched = glob.glob(pattern, root_dir=tmp_path, recursive=True)  # noqa: PTH207 - Path's has dots
        expected = {name for name in matched if (tmp_path / name).is_file()}
        assert expected == found(tmp_path / pattern, below=tmp_path), pattern


def test_a_folder_may_have_a_name_like_a_pattern(tmp_path: Path) -> None:
    """What is there is what is meant."""
    touch(tmp_path / "[a]" / "a.mp4")
    touch(tmp_path / "a" / "b.mp4")

    assert {"a.mp4"} == found(tmp_path / "[a]")


def test_a_pattern_looks_no_deeper_than_it_reaches(tmp_path: Path) -> None:
    """A folder that it cannot match is not even read."""
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "deep" / "er" / "b.mp4")
    read: list[str] = []

    with pytest.MonkeyPatch.context() as patch:
        scandir = os.scandir
        patch.setattr(os, "scandir", lambda path: (read.append(path), scandir(path))[1])
        assert {"a.mp4"} == found(tmp_path / "*.mp4", below=tmp_path)

    assert [str(tmp_path)] == read


def test_a_link_is_taken_where_its_target_does_not_match(tmp_path: Path) -> None:
    """It is the only name under which the pattern finds the file."""
    touch(tmp_path / "content" / "0123")
    (tmp_path / "a.mp4").symlink_to(tmp_path / "content" / "0123")

    assert {"a.mp4"} == found(tmp_path / "**" / "*.mp4", below=tmp_path)


def test_a_stream_comes_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files a folder has, few of them are Python objects at a time."""
    for number in range(7):
        touch(tmp_path / f"{number}.mp4")
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 3)

    stream = list(list_inputs(tmp_path))

    assert [3, 3, 1] == [block.num_rows for block in stream]
    assert all(INPUT_SCHEMA == block.schema for block in stream)


def test_files_are_remembered_by_device_and_inode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after they were packed, and inodes of another device are other files."""
    monkeypatch.setattr(seen, "_MAX_RECENT", 3)
    files = seen.SeenFiles()
    met = [(1, 5), (1, 2**63), (2, 7), (2, 3), (1, 1)]
    for identity in met:
        files.add(identity)

    asked = [(device, inode) for device in (1, 2, 3) for inode in (1, 2, 3, 5, 7, 2**63)]
    assert sorted(met) == [identity for identity in asked if identity in files]
