"""The clips of a training are named by a digest, and found again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pfp.errors import SchemaError
from pfp.train.clip_list import write_clip_list

CLIPS = ["5d5202d615cc525c", "82243080e96fa356", "9619414c107f81fe"]


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    """None of the ids is lost, nor their order; an empty list is one, too."""
    for ids in (CLIPS, CLIPS[::-1], []):
        clips = write_clip_list(tmp_path, ids)
        assert ids == clips.read().to_pylist()
        assert len(ids) == clips.num_clips
    assert 3 == len(list(tmp_path.iterdir()))


def test_equal_lists_lie_in_one_file(tmp_path: Path) -> None:
    """It is not written again, and nothing written aside is left."""
    first = write_clip_list(tmp_path, CLIPS)
    written = first.path.stat().st_mtime_ns

    assert first == write_clip_list(tmp_path, tuple(CLIPS))
    assert written == first.path.stat().st_mtime_ns
    assert [first.path] == list(tmp_path.iterdir())


def test_a_damaged_list_is_written_anew(tmp_path: Path) -> None:
    """As its error promises of running the stage again."""
    clips = write_clip_list(tmp_path, CLIPS)
    clips.path.write_bytes(b"PAR1")

    assert CLIPS == write_clip_list(tmp_path, CLIPS).read().to_pylist()


def test_what_is_missing_or_another_list_is_refused(tmp_path: Path) -> None:
    """Or a clip that was trained on would be evaluated on."""
    clips = write_clip_list(tmp_path, CLIPS)
    pq.write_table(pa.table({"clip_id": CLIPS[:2]}), clips.path)
    with pytest.raises(SchemaError, match="does not hold the clips that its name tells; run the"):
        clips.read()
    pq.write_table(pa.table({"id": CLIPS}), clips.path)
    with pytest.raises(SchemaError, match="is no list of clips"):
        clips.read()
    clips.path.write_bytes(b"PAR1")
    with pytest.raises(SchemaError, match="is no list of clips"):
        clips.read()
    clips.path.unlink()
    with pytest.raises(SchemaError, match="is missing; run the train stage again"):
        clips.read()
