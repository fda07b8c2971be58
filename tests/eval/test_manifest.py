"""Manifests: what is read, and what is said about each thing that is wrong with one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pfp.errors import InputError
from pfp.eval.manifest import check_manifest, read_manifest
from pfp.io.media import uri_to_path
from pfp.schema import Shot

SHOT = {"start_seconds": 0, "end_seconds": 1.5, "caption": "A kite rises."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files that a manifest may name."""
    (tmp_path / "sub").mkdir()
    for name in ("a.mp4", "b.webm", "sub/c.mp4", "face.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write(folder: Path, *lines: Any) -> Path:
    """A manifest of these objects, or of these texts as they are."""
    path = folder / "manifest.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n")
    return path


def test_all_fields_are_read(folder: Path) -> None:
    """Paths count from the manifest, everything else is taken as it stands."""
    line = {
        "sample_id": "one",
        "video": "sub/c.mp4",
        "prompt": "A kite.",
        "storyboard": [SHOT],
        "reference": "a.mp4",
        "history": "b.webm",
        "model": "ours",
        "seed": 3,
        "group": "g",
        "reference_faces": ["face.png"],
    }
    sample = read_manifest(write(folder, line)).samples[0]

    assert (sample.sample_id, sample.method, sample.seed, sample.group) == ("one", "ours", 3, "g")
    places = (sample.video, sample.reference_uri, sample.history_uri, *sample.reference_faces)
    assert [uri_to_path(str(place)) for place in places] == [
        str(folder / name) for name in ("sub/c.mp4", "a.mp4", "b.webm", "face.png")
    ]
    assert sample.prompt == "A kite."
    assert sample.shots == (Shot(start_seconds=0.0, end_seconds=1.5, caption="A kite rises."),)


def test_only_a_video_is_needed(folder: Path) -> None:
    """Without an id the path is one, and without a prompt the path without suffix is the group."""
    sample = read_manifest(write(folder, {"video": "sub/c.mp4"})).samples[0]

    assert (sample.sample_id, sample.method, sample.group) == ("sub/c.mp4", "model", "sub/c")
    assert sample.prompt is None


def test_samples_of_one_prompt_are_one_group(folder: Path) -> None:
    """Whoever made them: that is what intervals and comparisons go by."""
    lines = [
        {"video": "a.mp4", "prompt": "A kite.", "model": "x"},
        {"video": "b.webm", "prompt": "A kite.", "model": "y"},
        {"video": "sub/c.mp4", "prompt": "A dog.", "model": "y"},
    ]
    groups = [sample.group for sample in read_manifest(write(folder, *lines)).samples]

    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize("form", ["list", "object", "file"])
def test_storyboards_are_inline_or_in_a_file(folder: Path, form: str) -> None:
    """A list of shots, an object with shots and a global caption, or the path of such a file."""
    board = {"schema_version": 1, "global_caption": "All.", "shots": [SHOT]}
    (folder / "board.json").write_text(json.dumps(board))
    storyboard = {"list": [SHOT], "object": board, "file": "board.json"}[form]
    sample = read_manifest(write(folder, {"video": "a.mp4", "storyboard": storyboard})).samples[0]

    assert [shot.caption for shot in sample.shots] == ["A kite rises."]
    assert sample.prompt == (None if form == "list" else "All.")


def test_a_folder_is_a_manifest(folder: Path) -> None:
    """Every video in it, subfolders too, in the order of names; other files do not count."""
    samples = read_manifest(folder).samples

    assert [sample.sample_id for sample in samples] == ["a.mp4", "b.webm", "sub/c.mp4"]
    assert [sample.group for sample in samples] == ["a", "b", "sub/c"]
    assert {sample.method for sample in samples} == {folder.name}


def test_a_link_that_was_not_fetched_is_told(folder: Path) -> None:
    """In a folder it is a video whose rows will say so; in a manifest it is a fault at once."""
    (folder / "sub" / "d.mp4").symlink_to("../.git/annex/objects/x")

    assert ["c.mp4", "d.mp4"] == [
        sample.sample_id for sample in read_manifest(folder / "sub").samples
    ]
    with pytest.raises(InputError, match=r"is a link whose target is not here .*git annex get it"):
        read_manifest(write(folder, {"video": "sub/d.mp4"}))


@pytest.mark.parametrize("kind", ["folder", "raw bytes", "escaped"])
def test_names_that_are_not_utf_8_work(folder: Path, kind: str) -> None:
    """The file is found by its bytes; ids and groups are text that any table can hold."""
    name = b"caf\xe9.mp4"
    path = os.path.join(os.fsencode(folder / "sub"), name)  # noqa: PTH118 - bytes
    Path(os.fsdecode(path)).write_bytes(b"x")
    if kind == "folder":
        sample = read_manifest(folder / "sub").samples[1]
    else:
        line = b'{"video": "sub/caf\xe9.mp4"}' if kind == "raw bytes" else None
        manifest = folder / "m.jsonl"
        manifest.write_bytes(line or json.dumps({"video": "sub/" + os.fsdecode(name)}).encode())
        sample = read_manifest(manifest).samples[0]

    assert os.fsencode(uri_to_path(sample.video)) == path
    assert sample.sample_id.endswith("caf\\xe9.mp4")
    assert sample.sample_id.encode() + sample.group.encode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"video": "a.mp4", "promt": "x"}, "line 2: unknown fields 'promt'; known are"),
        ({"prompt": "x"}, "line 2: no video; add `video`"),
        ({"video": "gone.mp4"}, "line 2: video 'gone.mp4' is no file in"),
        ({"video": "sub"}, "video 'sub' is a folder without images (.bmp"),
        ({"video": "b.webm", "history": "sub"}, "line 2: history 'sub' is a folder without"),
        ({"video": "b.webm", "reference_faces": ["sub"]}, "reference_faces 'sub' is no file in"),
        ({"video": "b.webm", "fps": 0}, "line 2: fps is 0; write frames per second, over 0 and"),
        ({"video": "b.webm", "fps": True}, "line 2: fps is True; write frames per second"),
        ({"video": "b.webm", "fps": float("nan")}, "line 2: not JSON (NaN is not JSON)"),
        ({"video": "b.webm", "fps": 24}, "has a rate of its own; leave fps to folders of images"),
        ({"video": "b.webm", "reference": "gone.mp4"}, "line 2: reference 'gone.mp4' is no file"),
        ({"video": "b.webm", "reference_faces": ["no.png"]}, "reference_faces 'no.png' is no file"),
        ({"video": "b.webm", "reference_faces": "face.png"}, "give a list of paths"),
        ({"video": "a.mp4"}, "line 2: sample_id 'a.mp4' is that of line 1, too"),
        ({"video": "b.webm", "prompt": ""}, "line 2: prompt is ''; write text, or leave it out"),
        ({"video": "b.webm", "prompt": 7}, "line 2: prompt is 7; write text"),
        ({"video": "b.webm", "prompt": "\udce9"}, "is not UTF-8; save the manifest as UTF-8"),
        ({"video": "b.webm", "seed": "x"}, "line 2: seed is 'x'; write a whole number"),
        ({"video": "b.webm", "seed": True}, "line 2: seed is True; write a whole number"),
        ({"video": "b\0"}, "is no file in"),
        ({"video": "b\ud800"}, "cannot be a file's name"),
        ({"video": 3}, "line 2: video is 3; write text"),
        ('{"video": "b.webm", "video": "a.mp4"}', "line 2: 'video' is there twice; keep one"),
        ("[1]", "line 2: '[1]' is no JSON object"),
        ("video.mp4", "line 2: not JSON"),
        ({"video": "b.webm", "storyboard": "no.json"}, "cannot be read"),
        ({"video": "b.webm", "storyboard": "notes.txt"}, "notes.txt': not JSON"),
        ({"video": "b.webm", "storyboard": 5}, "storyboard is 5; give its shots"),
        ({"video": "b.webm", "storyboard": [{"caption": "x"}]}, "shot 0 is"),
        ({"video": "b.webm", "storyboard": [{**SHOT, "end_seconds": 0}]}, "not empty"),
        ({"video": "b.webm", "storyboard": [{**SHOT, "end_seconds": "1"}]}, "write seconds"),
        ({"video": "b.webm", "storyboard": {"shots": [SHOT], "x": 1}}, "unknown fields 'x'"),
        ({"video": "b.webm", "storyboard": {"shots": [SHOT], "schema_version": 2}}, "write 1"),
    ],
)
def test_each_fault_names_its_line_and_its_cure(folder: Path, line: Any, expected: str) -> None:
    """A wrong line is never skipped in silence."""
    manifest = write(folder, {"video": "a.mp4"}, line)

    with pytest.raises(InputError) as caught:
        read_manifest(manifest)
    assert expected in str(caught.value)
    assert len(check_manifest(manifest)[1]) == 1


def images(folder: Path, *names: str) -> None:
    """Images of one pixel."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1, 1)).save(folder / name)


def test_a_folder_of_images_is_a_video(folder: Path) -> None:
    """Wherever a video may be named; what follows its last dot is part of its name."""
    images(folder, "v1.5/1.png", "true/1.png", "past/1.png", "one.png")
    lines = [
        {"video": "v1.5", "reference": "true", "history": "past", "fps": 12},
        {"video": "v1.5/", "sample_id": "x", "fps": 24},
        {"video": "one.png", "fps": 12.5},
        {"video": "a.mp4", "history": "past", "fps": 12},
    ]
    samples = read_manifest(write(folder, *lines)).samples

    sample = samples[0]
    places = [
        uri_to_path(str(place))
        for place in (sample.video, sample.reference_uri, sample.history_uri)
    ]
    assert places == [str(folder / name) for name in ("v1.5", "true", "past")]
    assert [sample.fps for sample in samples] == [12.0, None, 12.5, 12.0]
    assert [sample.group for sample in samples[1:3]] == ["v1.5", "one"]


def test_subfolders_of_images_are_videos_of_a_folder(folder: Path) -> None:
    """Images beside videos and in hidden folders are no video, and animations are."""
    images(folder, "v.1/1.png", "v.1/2.jpg", "deep/er/1.webp", "sub/poster.png", "move.gif")
    images(folder, ".cache/1.png", "v.1/.ipynb_checkpoints/1.png", "deep/.old/er/1.webp")
    samples = read_manifest(folder).samples

    expected = ["a.mp4", "b.webm", "deep/er", "move.gif", "sub/c.mp4", "v.1"]
    assert [sample.sample_id for sample in samples] == expected
    assert [sample.group for sample in samples][2:] == ["deep/er", "move", "sub/c", "v.1"]
    assert {sample.method for sample in samples} == {folder.name}


def test_a_folder_of_nothing_but_images_is_one_video(tmp_path: Path) -> None:
    """It is called as the folder is."""
    images(tmp_path, "kite/1.png", "kite/2.png")
    (sample,) = read_manifest(tmp_path / "kite").samples

    assert (sample.sample_id, sample.group, sample.method) == ("kite", "kite", "kite")
    assert uri_to_path(sample.video) == str(tmp_path / "kite")


def test_many_faults_are_counted(folder: Path) -> None:
    """The error shows the first three and says how many more there are."""
    manifest = write(folder, *[{"video": f"gone{k}.mp4"} for k in range(5)])

    with pytest.raises(InputError, match=r"gone2\.mp4.*; and 2 more, see `pfp-eval validate`"):
        read_manifest(manifest)


def test_nothing_to_score_is_said(tmp_path: Path) -> None:
    """An empty manifest, an empty folder and no file are three errors."""
    (tmp_path / "empty.jsonl").write_text("\n\n")
    for path, expected in (
        (tmp_path / "empty.jsonl", "is empty"),
        (tmp_path / "gone.jsonl", "cannot be read"),
        (tmp_path, "holds no video"),
    ):
        with pytest.raises(InputError, match=expected):
            read_manifest(path)
