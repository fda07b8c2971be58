"""Tables: what is written is read, equal rows are equal bytes, and damage is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import InputError, RetryableError, SchemaError
from pfp.io import table_writer, tables
from pfp.io.filesystems import Folder
from pfp.io.manifest import MANIFEST_NAME
from pfp.io.table_writer import TableWriter, row_sizes
from pfp.schema import KEPT, ConditionRecord, Dropped, Failed, Record, StoryboardRecord

VERDICTS = [
    KEPT,
    Dropped(reason="too_short", detail="0.4 s", score=0.4, threshold=2.0),
    Failed(error="OSError", message="gone", attempts=2, retryable=True),
]


def conditions(num_rows: int, size_bytes: int = 8) -> pa.Table:
    """Rows in key order, each with an embedding of ``size_bytes`` that tells it from the others."""
    random = np.random.default_rng(7)
    return ConditionRecord.table(
        [
            ConditionRecord(
                prompt_sha256=f"{number:06d}",
                prompt=f"prompt {number}",
                encoder_id="tiny",
                encoder_sha256="0",
                embedding=random.bytes(size_bytes) if number % 5 else None,
                embedding_shape=[1, size_bytes // 2] if number % 5 else [],
                verdict=VERDICTS[number % 3],
            )
            for number in range(num_rows)
        ]
    )


def parts(directory: Path) -> list[Path]:
    """The data files of a table, in order."""
    return sorted(directory.glob("part-*.parquet"))


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a table."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def edit_manifest(directory: Path, **changes: Any) -> None:
    """Changes values in a table's manifest."""
    path = directory / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 25 rows in three files."""
    tables.write_table(tmp_path / "t", conditions(25), ConditionRecord, rows_per_file=10)
    return tmp_path / "t"


def test_a_table_comes_back_as_it_was_written(table: Path) -> None:
    """Values, types, order and metadata are those that went in."""
    read = tables.read_table(table, ConditionRecord)
    assert read.schema.equals(ConditionRecord.SCHEMA, check_metadata=True)
    assert conditions(25).to_pylist() == read.to_pylist()


def test_rows_are_sorted_by_key(tmp_path: Path) -> None:
    """The order in which rows were computed leaves no trace."""
    rows = conditions(25)
    shuffled = rows.take(pa.array(np.random.default_rng(3).permutation(25)))
    tables.write_table(tmp_path / "a", rows, ConditionRecord)
    tables.write_table(tmp_path / "b", shuffled, ConditionRecord)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_table_may_come_in_parts(table: Path, tmp_path: Path, size: int) -> None:
    """In the order of the key; the files are those of a table that came whole."""
    whole = conditions(25)
    some = (whole.slice(first, size) for first in range(0, 25, size))

    tables.write_tables(tmp_path / "parts", some, ConditionRecord, rows_per_file=10)

    assert contents(table) == contents(tmp_path / "parts")


def test_parts_in_no_order_and_keys_of_two_parts_are_refused(table: Path) -> None:
    """With the key; what was there stays."""
    before = contents(table)
    first, second = conditions(8).slice(0, 4), conditions(8).slice(4)

    with pytest.raises(SchemaError, match=r"condition '000000' comes after a later prompt_sha256"):
        tables.write_tables(table, [second, first], ConditionRecord)
    with pytest.raises(SchemaError, match=r"two condition rows share prompt_sha256 '000003'"):
        tables.write_tables(table, [first, first.slice(3)], ConditionRecord)

    assert before == contents(table)


def test_plain_pyarrow_reads_a_table(table: Path) -> None:
    """The manifest does not disturb a reader that knows nothing of it."""
    assert (
        tables.read_table(table, ConditionRecord)["prompt"].to_pylist()
        == pq.read_table(table)["prompt"].to_pylist()
    )


def test_columns_and_rows_can_be_chosen(table: Path) -> None:
    """The named columns of the rows that pass the filter, in their order."""
    read = tables.read_table(
        table,
        ConditionRecord,
        columns=["prompt", "prompt_sha256"],
        filter=pc.field("prompt_sha256") >= "000020",
    )
    assert ["prompt", "prompt_sha256"] == read.column_names
    assert [f"prompt {number}" for number in range(20, 25)] == read["prompt"].to_pylist()


def test_records_can_be_chosen_by_verdict(table: Path) -> None:
    """``"kept"`` gives the kept rows only, as records."""
    everything = tables.read_records(table, ConditionRecord)
    kept = tables.read_records(table, ConditionRecord, verdict="kept")
    assert [record for record in everything if record.verdict == KEPT] == kept
    assert VERDICTS == [record.verdict for record in everything[:3]]


def test_a_table_is_read_in_pieces(table: Path) -> None:
    """Row group after row group gives the same rows as all at once."""
    pieces = list(tables.iter_tables(table, ConditionRecord, columns=["prompt"]))
    assert [10, 10, 5] == [piece.num_rows for piece in pieces]
    expected = tables.read_table(table, ConditionRecord, columns=["prompt"])
    assert expected["prompt"].to_pylist() == pa.concat_tables(pieces)["prompt"].to_pylist()


def test_an_empty_table_can_be_written_and_read(tmp_path: Path) -> None:
    """No rows are still a table, with its columns, for plain readers too."""
    tables.write_table(tmp_path / "t", ConditionRecord.table([]), ConditionRecord)
    read = tables.read_table(tmp_path / "t", ConditionRecord)
    assert (0, ConditionRecord.SCHEMA.names) == (read.num_rows, read.column_names)
    assert 0 == pq.read_table(tmp_path / "t").num_rows


def test_writing_again_replaces_the_table_and_its_files(table: Path) -> None:
    """Old data files go, and the folder is that of the new table alone."""
    tables.write_table(table, conditions(3), ConditionRecord)
    assert 1 == len(parts(table))
    assert 3 == tables.read_table(table, ConditionRecord).num_rows
    assert [] == tables.verify_table(table, ConditionRecord)


def test_an_empty_list_of_columns_is_not_all_columns(table: Path) -> None:
    """Asking for no columns gives the rows without any."""
    assert 0 == tables.read_table(table, ConditionRecord, columns=[]).num_columns


# ------------------------------------------------------------------------------------ refusals


def test_a_missing_table_is_a_schema_error(tmp_path: Path) -> None:
    """The cure is to run the stage that writes it."""
    with pytest.raises(SchemaError, match="holds no condition table; run the stage that writes it"):
        tables.read_table(tmp_path / "nowhere", ConditionRecord)


def test_another_records_table_is_a_schema_error(table: Path) -> None:
    """Both names are in the message."""
    with pytest.raises(SchemaError, match="holds condition records, not storyboard records"):
        tables.read_table(table, StoryboardRecord)


def test_another_version_is_a_schema_error(table: Path) -> None:
    """Both versions are in the message."""
    edit_manifest(table, version=99)
    with pytest.raises(SchemaError, match="holds condition v99, this pfp reads v2; run the stage"):
        tables.read_table(table, ConditionRecord)


def test_an_unknown_column_is_a_schema_error(table: Path) -> None:
    """The message lists the columns there are."""
    with pytest.raises(SchemaError, match=r"no columns \['promt'\]; choose from \['prompt_sha256'"):
        tables.read_table(table, ConditionRecord, columns=["promt"])


@pytest.mark.parametrize("change", ["extra", "missing", "type", "null", "verdict", "key"])
def test_rows_that_do_not_fit_the_record_are_refused(tmp_path: Path, change: str) -> None:
    """Columns, types, nulls, verdicts and keys are checked before anything is written."""
    rows = conditions(4)
    position = rows.schema.get_field_index
    match change:
        case "extra":
            rows, message = rows.append_column("x", pa.array(range(4))), r"unknown columns \['x'\]"
        case "missing":
            rows, message = rows.drop_columns(["prompt"]), r"lacks \['prompt'\]"
        case "type":
            rows = rows.set_column(position("prompt"), "prompt", pa.array(range(4)))
            message = "prompt is int64, the schema says string"
        case "null":
            rows = rows.set_column(position("prompt"), "prompt", pa.nulls(4, pa.string()))
            message = "prompt is null in 4 rows"
        case "verdict":
            verdicts = [{**verdict, "kind": "maybe"} for verdict in rows["verdict"].to_pylist()]
            column = pa.array(verdicts, rows.schema.field("verdict").type)
            rows = rows.set_column(position("verdict"), "verdict", column)
            message = r"verdict is \['maybe'\]"
        case _:
            rows, message = pa.concat_tables([rows, rows.slice(2, 1)]), "share .* '000002'"
    with pytest.raises(SchemaError, match=message):
        tables.write_table(tmp_path / "t", rows, ConditionRecord)
    assert not (tmp_path / "t").exists()


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    """A size of zero would never end."""
    with pytest.raises(InputError, match="rows_per_file is 0"):
        tables.write_table(tmp_path, conditions(1), ConditionRecord, rows_per_file=0)


# -------------------------------------------------------------------------------------- damage


def test_every_damaged_byte_is_noticed(table: Path) -> None:
    """One byte changed anywhere in a file: reading all columns and verifying both say so."""
    path = parts(table)[1]
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(SchemaError, match=f"{path.name} is damaged .* run the stage again"):
            tables.read_table(table, ConditionRecord)
        assert 1 == len(tables.verify_table(table, ConditionRecord))


def test_damage_in_a_column_is_noticed_by_those_who_read_that_column(table: Path) -> None:
    """Page checksums tell without a pass over the whole file."""
    path = parts(table)[0]
    metadata = pq.read_metadata(path).row_group(0)
    chunk = next(
        metadata.column(index)
        for index in range(metadata.num_columns)
        if metadata.column(index).path_in_schema == "embedding"
    )
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size - 4] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SchemaError, match=r"missing or damaged .*CRC"):
        tables.read_table(table, ConditionRecord, columns=["embedding"])
    assert 25 == tables.read_table(table, ConditionRecord, columns=["prompt"]).num_rows


@pytest.mark.parametrize("columns", [None, ["prompt"]])
def test_a_cut_or_missing_file_is_a_schema_error(table: Path, columns: list[str] | None) -> None:
    """The cure is to delete it and run the stage again."""
    path = parts(table)[2]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SchemaError, match="damaged"):
        tables.read_table(table, ConditionRecord, columns=columns)
    path.unlink()
    with pytest.raises(SchemaError, match=r"missing or damaged .* run the stage again"):
        tables.read_table(table, ConditionRecord, columns=columns)


def test_a_damaged_manifest_is_a_schema_error(table: Path) -> None:
    """Half a manifest is not taken for a small table."""
    path = table / MANIFEST_NAME
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SchemaError, match=r"_manifest\.json is damaged"):
        tables.read_table(table, ConditionRecord)
    assert 1 == len(tables.verify_table(table, ConditionRecord))


def test_a_file_of_another_table_is_noticed(table: Path, tmp_path: Path) -> None:
    """A file that was put in place of another is not read as if it belonged."""
    tables.write_table(tmp_path / "u", conditions(7), ConditionRecord)
    parts(table)[0].write_bytes(parts(tmp_path / "u")[0].read_bytes())
    with pytest.raises(SchemaError, match="has 7 rows, the manifest says 10"):
        tables.read_table(table, ConditionRecord, columns=["prompt"])


def test_verify_names_files_that_do_not_belong(table: Path) -> None:
    """A leftover of a crash is a problem for plain readers, so it is named."""
    parts(table)[0].with_name(f"part-00009-{'0' * 16}.parquet").write_bytes(b"")
    (problem,) = tables.verify_table(table, ConditionRecord)
    assert "is not in the manifest" in problem


# ---------------------------------------------------------------------------------------- cuts


def cut(rows: pa.Table, pieces: list[int], folder: Path, rows_per_file: int) -> list[list[int]]:
    """Writes rows handed over in pieces; the number of rows of each group of each file."""
    folder.mkdir()
    with TableWriter(Folder.at(folder), ConditionRecord, rows_per_file=rows_per_file) as writer:
        start = 0
        for piece in [*pieces, rows.num_rows]:
            writer.append(rows.slice(start, piece))
            start += piece
        writer.finish()
    metadata = [pq.read_metadata(path) for path in parts(folder)]
    return [[m.row_group(g).num_rows for g in range(m.num_row_groups)] for m in metadata]


def expected_cut(sizes: list[int], rows_per_file: int, limits: dict[str, int]) -> list[list[int]]:
    """The rule in its plainest form: row after row, close what is full."""
    files: list[list[int]] = [[]]
    group_bytes = file_bytes = 0
    open_group = False
    for size in sizes:
        if not open_group:
            files[-1].append(0)
            open_group, group_bytes = True, 0
        files[-1][-1] += 1
        group_bytes += size
        file_bytes += size
        file_full = sum(files[-1]) == rows_per_file or file_bytes >= limits["FILE_BYTES"]
        group_full = files[-1][-1] == limits["ROWS_PER_GROUP"]
        if file_full or group_full or group_bytes >= limits["BLOB_GROUP_BYTES"]:
            open_group = False
        if file_full:
            files.append([])
            file_bytes = 0
    return files if files[-1] or len(files) == 1 else files[:-1]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=40),
    pieces=st.lists(st.integers(0, 9), max_size=8),
    rows_per_file=st.integers(1, 15),
    rows_per_group=st.integers(1, 15),
    group_bytes=st.integers(1, 700),
    file_bytes=st.integers(1, 1500),
)
def test_cuts_follow_the_rule_however_rows_are_handed_over(  # noqa: PLR0917
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    pieces: list[int],
    rows_per_file: int,
    rows_per_group: int,
    group_bytes: int,
    file_bytes: int,
) -> None:
    """The same rows make the same groups, files and bytes, in one piece or in many."""
    tmp_path = tmp_path_factory.mktemp("cuts")
    limits = {
        "ROWS_PER_GROUP": rows_per_group,
        "BLOB_GROUP_BYTES": group_bytes,
        "FILE_BYTES": file_bytes,
    }
    rows = sized_rows(sizes)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(table_writer, name, value)
        in_pieces = cut(rows, pieces, tmp_path / "pieces", rows_per_file)
        at_once = cut(rows, [], tmp_path / "once", rows_per_file)
    assert expected_cut(row_sizes(rows, ConditionRecord).tolist(), rows_per_file, limits) == at_once
    assert at_once == in_pieces
    assert contents(tmp_path / "once") == contents(tmp_path / "pieces")


def test_groups_of_large_rows_do_not_depend_on_the_pieces(tmp_path: Path) -> None:
    """Rows of 200 KiB fill several groups; where one ends is for the rows alone to say."""
    rows = conditions(30, size_bytes=200 << 10)
    assert cut(rows, [], tmp_path / "once", 100) == cut(rows, [7, 1, 9], tmp_path / "pieces", 100)
    assert contents(tmp_path / "once") == contents(tmp_path / "pieces")


def sized_rows(sizes: list[int]) -> pa.Table:
    """One row with an embedding of each size."""
    return ConditionRecord.table(
        [
            ConditionRecord(
                prompt_sha256=f"{number:04d}",
                prompt="",
                encoder_id="",
                encoder_sha256="",
                embedding=bytes(size),
                verdict=KEPT,
            )
            for number, size in enumerate(sizes)
        ]
    )


def test_row_sizes_count_strings_and_bytes() -> None:
    """Four characters of the key, and the embedding or nothing."""
    rows = sized_rows([0, 5, 1000])
    assert [4, 9, 1004] == row_sizes(rows).tolist()
    assert [9, 1004] == row_sizes(rows.slice(1)).tolist()
    assert [0, 5, 1000] == row_sizes(rows, ConditionRecord).tolist()


def test_a_table_larger_than_a_row_group_is_cut_by_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers hold about ``BLOB_GROUP_BYTES`` at a time, even when a file has many times that."""
    monkeypatch.setattr(table_writer, "BLOB_GROUP_BYTES", 1 << 16)
    tables.write_table(tmp_path / "t", conditions(100, size_bytes=5000), ConditionRecord)
    sizes = [
        int(row_sizes(piece).sum()) for piece in tables.iter_tables(tmp_path / "t", ConditionRecord)
    ]
    assert len(sizes) >= 5
    assert all(size < (1 << 16) + 5100 for size in sizes)


def test_every_record_has_a_name_a_version_and_a_key() -> None:
    """A table of any record can be written: its key is one of its columns and never null."""
    for record in Record.__subclasses__():
        assert not record.SCHEMA.field(record.KEY).nullable
        assert record.VERSION >= 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OSError("503 slow down"), RetryableError),
        (FileNotFoundError("no such key"), SchemaError),
        (pa.ArrowInvalid("no magic bytes"), SchemaError),
    ],
)
def test_a_store_that_does_not_answer_has_damaged_nothing(
    answer: Exception, expected: type[Exception]
) -> None:
    """Only what is gone or is no Parquet is to be deleted; the rest is to be tried again."""
    store: Any = object()  # anything but the local disk

    with pytest.raises(expected), tables._opening(Folder(store, "bucket"), "part"):
        raise answer
