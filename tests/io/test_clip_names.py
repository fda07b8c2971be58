"""Clips by the names that people know."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.errors import InputError
from pfp.io.clip_names import find_clips
from pfp.io.media import path_to_uri
from pfp.io.tables import write_table
from pfp.schema import KEPT, ClipRecord


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """Fourteen clips."""
    names = {"beach one": "aa01", "dd ee": "aa02", "caf\u00e9": "dd03"}
    names |= {f"many{index}": f"ee{index:02}" for index in range(11)}
    clips = [
        ClipRecord(
            clip_id=clip_id,
            video_uri=path_to_uri(f"/films/{name}.mp4"),
            video_sha256=None,
            size_bytes=None,
            verdict=KEPT,
        )
        for name, clip_id in names.items()
    ]
    write_table(tmp_path / "clips", ClipRecord.table(clips), ClipRecord)
    return tmp_path


@pytest.mark.parametrize(
    ("clip", "ids"),
    [
        ("aa01", ["aa01"]),
        ("aa", ["aa01", "aa02"]),
        ("dd", ["dd03"]),  # an id goes before a path
        ("beach one", ["aa01"]),  # as the path reads, not as the URI
        ("caf\u00e9.mp4", ["dd03"]),
        ("/films/dd", ["aa02"]),
    ],
)
def test_a_name_finds_its_clips(run_directory: Path, clip: str, ids: list[str]) -> None:
    """By the beginning of the id, else by part of the path."""
    assert ids == sorted(record.clip_id for record in find_clips(clip, run_directory))


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ("", "no clip matches ''"),
        ("nothing", "no clip matches 'nothing' in .*; give a clip id"),
        ("many", "11 clips match 'many' in .*; give more of the name"),
    ],
)
def test_no_clip_or_too_many_is_one_sentence(run_directory: Path, clip: str, message: str) -> None:
    """With what to give instead."""
    with pytest.raises(InputError, match=message):
        find_clips(clip, run_directory)


def test_a_folder_without_clips_is_named(tmp_path: Path) -> None:
    """It says which stage makes them."""
    with pytest.raises(InputError, match="holds no clips table; name a run directory, or run"):
        find_clips("a", tmp_path)
