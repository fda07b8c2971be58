"""Where tensors lie in a table's files: found without reading them, and never guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import InputError, SchemaError
from pfp.io import blob_index, table_writer, tables
from pfp.io.blob_index import INDEX_NAME
from pfp.io.blobs import Blobs
from pfp.io.filesystems import Folder
from pfp.io.manifest import read_manifest
from pfp.schema import KEPT, ConditionRecord, LatentRecord, Record


def latents(sizes: list[int | None]) -> list[LatentRecord]:
    """A row for each size: that many HR values and half as many LR values, or no tensors."""
    rng = np.random.default_rng(3)
    return [
        LatentRecord(clip_id=f"{number:04d}", verdict=KEPT)
        if size is None
        else LatentRecord(
            clip_id=f"{number:04d}",
            hr=rng.bytes(2 * size),
            hr_shape=[1, 1, 1, size],
            lr=rng.bytes(size - size % 2),
            lr_shape=[1, 1, 1, size // 2],
            dtype="float16",
            verdict=KEPT,
        )
        for number, size in enumerate(sizes)
    ]


def write(folder: Path, records: list[LatentRecord], rows_per_file: int = 1000) -> Path:
    """The records as a table."""
    tables.write_table(
        folder, LatentRecord.table(records), LatentRecord, rows_per_file=rows_per_file
    )
    return folder


def contents(blobs: Blobs) -> dict[str, tuple[bytes, bytes]]:
    """Both tensors of every row that has them."""
    return {
        key: (blobs.whole(row, "hr").tobytes(), blobs.whole(row, "lr").tobytes())
        for row, key in enumerate(blobs.keys.to_pylist())
    }


def expected(records: list[LatentRecord]) -> dict[str, tuple[bytes | None, bytes | None]]:
    """The same, from the records."""
    return {record.clip_id: (record.hr, record.lr) for record in records if record.hr is not None}


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.none() | st.integers(1, 3000), max_size=25),
    rows_per_file=st.integers(1, 9),
    group_bytes=st.integers(1, 9000),
)
def test_every_tensor_is_found_wherever_the_cuts_fall(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int | None],
    rows_per_file: int,
    group_bytes: int,
) -> None:
    """Many or few rows in a group, groups in a file, rows without tensors in between."""
    folder = tmp_path_factory.mktemp("t")
    records = latents(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_writer, "BLOB_GROUP_BYTES", group_bytes)
        write(folder, records, rows_per_file)

    assert expected(records) == contents(Blobs(folder, LatentRecord))


def test_a_tensor_larger_than_parquet_s_usual_page_is_one_range(tmp_path: Path) -> None:
    """Readers rely on one page per column and group, also for 12 MB beside 5 bytes."""
    records = latents([5, 6_000_000, 7, 700_000])

    blobs = Blobs(write(tmp_path / "t", records), LatentRecord)

    assert expected(records) == contents(blobs)
    part = np.empty(1000, np.uint8)
    blobs.read([blobs.part(1, "hr", 9_000_001, part)])
    assert (records[1].hr or b"")[9_000_001:9_001_001] == part.tobytes()


def test_a_key_is_found_among_many(tmp_path: Path) -> None:
    """Rows are numbered in the order of the key; those without tensors have no number."""
    blobs = Blobs(write(tmp_path / "t", latents([3, None, 3, 3, 3])), LatentRecord)

    assert [0, 1, 3] == [blobs.row_of(key) for key in ("0000", "0002", "0004")]
    for key in ("0001", "", "9"):
        with pytest.raises(InputError, match=f"holds no latent '{key}'; give one of its 4"):
            blobs.row_of(key)


def test_an_index_that_is_gone_or_damaged_is_made_anew(tmp_path: Path) -> None:
    """It holds nothing that the data files do not say; a reader does without."""
    records = latents([5, 9, 4000])
    folder = write(tmp_path / "t", records)

    (folder / INDEX_NAME).write_bytes(b"PAR1 but not for long")
    assert expected(records) == contents(Blobs(folder, LatentRecord))
    (folder / INDEX_NAME).unlink()
    assert expected(records) == contents(Blobs(folder, LatentRecord))


def test_an_index_of_another_table_is_not_used(tmp_path: Path) -> None:
    """A crash between the new index and the new manifest leaves the old table with a new index."""
    old, new = latents([5, 9, 4000]), latents([600, 2, 2, 50])
    folder, other = write(tmp_path / "old", old), write(tmp_path / "new", new)
    (folder / INDEX_NAME).write_bytes((other / INDEX_NAME).read_bytes())

    assert expected(old) == contents(Blobs(folder, LatentRecord))


def test_files_that_stay_are_not_read_for_the_next_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adding rows to a large table costs reading the new files' footers only."""
    records = latents([5] * 6)
    folder = write(tmp_path / "t", records, rows_per_file=2)
    place = Folder.at(folder)
    manifest = read_manifest(place, LatentRecord)
    earlier = pq.read_table(folder / INDEX_NAME)
    read: list[str] = []
    original = blob_index._read_places

    def watched(
        place: Folder, name: str, record: type[Record]
    ) -> tuple[pa.Table, dict[str, object]]:
        read.append(name)
        return original(place, name, record)

    monkeypatch.setattr(blob_index, "_read_places", watched)
    files = manifest.files
    later = blob_index.make_index(place, LatentRecord, files[1:], b"m", earlier=earlier)
    assert [] == read
    anew = blob_index.make_index(place, LatentRecord, files[1:], b"m")
    assert [file.name for file in files[1:]] == read
    assert later.equals(anew, check_metadata=True)


@pytest.mark.parametrize("compression", ["zstd", "snappy"])
def test_files_of_another_layout_are_refused(tmp_path: Path, compression: str) -> None:
    """A compressed column has no byte ranges: better an error than noise for latents."""
    folder = write(tmp_path / "t", latents([500, 600]))
    (file,) = folder.glob("part-*.parquet")
    pq.write_table(pq.read_table(file), file, compression=compression)
    (folder / INDEX_NAME).unlink()

    with pytest.raises(SchemaError, match=r"does not hold \w\w as plain bytes"):
        Blobs(folder, LatentRecord)


def test_verify_finds_an_index_that_does_not_fit(tmp_path: Path) -> None:
    """An offset that is wrong by one is found by comparing with the files."""
    folder = write(tmp_path / "t", latents([5, 9]))
    assert [] == tables.verify_table(folder, LatentRecord)
    index = pq.read_table(folder / INDEX_NAME)
    moved = pa.array([1 + offset for offset in index["hr_offset"].to_pylist()])
    position = index.schema.get_field_index("hr_offset")
    pq.write_table(index.set_column(position, "hr_offset", moved), folder / INDEX_NAME)

    (problem,) = tables.verify_table(folder, LatentRecord)
    assert f"{INDEX_NAME} does not fit the files" in problem


def test_parts_go_into_contiguous_memory_only(tmp_path: Path) -> None:
    """Bytes read into a copy would be lost without a word."""
    blobs = Blobs(write(tmp_path / "t", latents([500])), LatentRecord)

    with pytest.raises(ValueError, match="contiguous"):
        blobs.part(0, "hr", 0, np.zeros((4, 4), np.uint8)[:, :2])


def test_conditions_are_found_too(tmp_path: Path) -> None:
    """Any record that names its blobs has an index."""
    embedding = np.arange(12, dtype="<f2")
    record = ConditionRecord(
        prompt_sha256="a",
        prompt="p",
        encoder_id="e",
        encoder_sha256="s",
        embedding=embedding.tobytes(),
        embedding_shape=[3, 4],
        verdict=KEPT,
    )
    tables.write_table(tmp_path / "t", ConditionRecord.table([record]), ConditionRecord)

    found = Blobs(tmp_path / "t", ConditionRecord).whole(0, "embedding")

    assert embedding.tobytes() == found.tobytes()


def test_small_columns_are_held_in_the_order_of_the_key(tmp_path: Path) -> None:
    """Whoever plans reads of a table needs no file for it."""
    blobs = Blobs(write(tmp_path / "t", latents([30, None, 4])), LatentRecord)

    assert 2 == len(blobs)
    assert set(LatentRecord.INDEXED) == blobs.columns.keys()
    assert [[1, 1, 1, 30], [1, 1, 1, 4]] == blobs.columns["hr_shape"].to_pylist()
    assert [60, 8] == [blobs.num_bytes(row, "hr") for row in range(2)]
    assert [30, 4] == [blobs.num_bytes(row, "lr") for row in range(2)]


def test_a_row_without_one_of_its_tensors_has_none_of_its_bytes(tmp_path: Path) -> None:
    """LR alone, as tables of further rates hold it."""
    record = LatentRecord(
        clip_id="a", lr=bytes(range(8)), lr_shape=[1, 1, 1, 4], dtype="float16", verdict=KEPT
    )
    blobs = Blobs(write(tmp_path / "t", [record]), LatentRecord)

    assert (0, 8) == (blobs.num_bytes(0, "hr"), blobs.num_bytes(0, "lr"))
    assert 0 == blobs.whole(0, "hr").size
    assert bytes(range(8)) == blobs.whole(0, "lr").tobytes()


def test_a_part_may_be_of_any_type_and_of_no_bytes(tmp_path: Path) -> None:
    """What is filled is the caller's array, in its own type."""
    (record,) = latents([50])
    blobs = Blobs(write(tmp_path / "t", [record]), LatentRecord)
    values, none = np.empty((3, 4), "<u2"), np.empty((0, 7), np.float32)

    blobs.read([blobs.part(0, "hr", 6, values), blobs.part(0, "hr", 0, none)])

    assert (record.hr or b"")[6:30] == values.tobytes()
