"""Manifests of input files: what is read, what travels along, and what is told before work."""

from __future__ import annotations

import csv
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pfp.errors import InputError, PermanentError
from pfp.ingest.inputs import gather_inputs, list_inputs, manifest, manifest_rows
from pfp.io.media import path_to_uri
from tests.latents.s3_server import S3Server, Status, every, fine

ROWS: list[dict[str, Any]] = [
    {"path": "b.mp4", "id": "2", "source": "theirs", "licence": "CC0", "caption": 'a\n"dog"'},
    {
        "path": "sub/a \u00e9.mp4",
        "id": "1",
        "source": None,
        "licence": None,
        "caption": "caf\u00e9",
    },
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows in the format that the name says."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two small files and a folder for manifests beside them."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.mp4").write_bytes(b"12")
    (tmp_path / "sub" / "a \u00e9.mp4").write_bytes(b"1")
    return tmp_path


@pytest.fixture(params=["m.jsonl", "m.csv", "m.parquet"])
def name(request: pytest.FixtureRequest) -> str:
    """A manifest's name in each format."""
    return str(request.param)


def test_rows_are_files_with_what_is_known_of_them(videos: Path, name: str) -> None:
    """Relative paths count from the manifest; sizes and times are looked up; sorted by URI."""
    rows = gather_inputs(write(videos / name, ROWS)).to_pylist()

    states = [(videos / row["path"]).stat() for row in ROWS]
    expected = [
        {
            "video_uri": path_to_uri(videos / row["path"]),
            "size_bytes": state.st_size,
            "changed_ns": state.st_ctime_ns,
            "source_id": row["id"],
            **{key: row[key] for key in ("source", "licence", "caption")},
            "extra": None,
        }
        for row, state in zip(ROWS, states, strict=True)
    ]
    assert sorted(expected, key=lambda row: row["video_uri"]) == rows


def test_other_columns_travel_as_json(videos: Path, name: str) -> None:
    """With their types where the format has some; what is empty is left out."""
    rows = [{"path": "b.mp4", "fps": 24, "tags": "x", "none": None}]

    (row,) = gather_inputs(write(videos / name, rows)).to_pylist()

    fps = "24" if name.endswith(".csv") else 24
    assert {"fps": fps, "tags": "x"} == json.loads(row["extra"])


def test_json_lines_and_parquet_keep_what_is_nested(videos: Path) -> None:
    """In JSON lines a value may be of another kind in each line."""
    nested = {"tags": ["a", {"b": 1.5}], "when": None}
    write(
        videos / "m.jsonl", [{"path": "b.mp4", **nested}, {"path": "sub/a \u00e9.mp4", "tags": 1}]
    )
    table = pa.table(
        {
            "path": ["b.mp4"],
            "tags": [["a", "b"]],
            "score": [float("nan")],
            "day": pa.array([0], pa.date32()),
        }
    )
    pq.write_table(table, videos / "m.parquet")

    lines = gather_inputs(videos / "m.jsonl")["extra"].to_pylist()
    (stored,) = gather_inputs(videos / "m.parquet")["extra"].to_pylist()

    assert [{"tags": nested["tags"]}, {"tags": 1}] == [json.loads(line) for line in lines]
    assert {"tags": ["a", "b"], "day": "1970-01-01"} == json.loads(stored)


def test_known_sizes_and_times_are_not_looked_up(tmp_path: Path, name: str) -> None:
    """So that a manifest of a store's own listing costs no request a file."""
    row = {"uri": "s3://nowhere/a%20b.mp4", "size_bytes": 5, "changed_ns": 7}

    (found,) = gather_inputs(write(tmp_path / name, [row])).to_pylist()

    assert ("s3://nowhere/a%20b.mp4", 5, 7) == tuple(found.values())[:3]


def test_a_time_may_be_a_timestamp(tmp_path: Path) -> None:
    """As listings in Parquet have them."""
    changed = pa.array([1_500], pa.timestamp("ms", "UTC"))
    table = pa.table({"uri": ["s3://b/a"], "size_bytes": [3.0], "changed_ns": changed})
    pq.write_table(table, tmp_path / "m.parquet")

    (row,) = gather_inputs(tmp_path / "m.parquet").to_pylist()

    assert (3, 1_500_000_000) == (row["size_bytes"], row["changed_ns"])


def test_a_missing_file_is_a_row_of_unknown_size(videos: Path, name: str) -> None:
    """Also where the manifest knows a size: nothing is lost, and measuring says what is wrong."""
    rows = [{"path": "b.mp4", "size_bytes": 9}, {"path": "gone.mp4", "size_bytes": 9}]

    table = gather_inputs(write(videos / name, rows))

    assert [2, None] == table["size_bytes"].to_pylist()
    assert [False, True] == table["changed_ns"].is_null().to_pylist()


def test_one_file_has_one_uri_however_it_is_written(videos: Path) -> None:
    """Paths with dots, absolute ones, file URIs, bytes that are no UTF-8, and raw characters."""
    odd = os.fsdecode(b"\xff.mp4")
    paths = [
        "sub/../b.mp4",
        str(videos / "sub/a \u00e9.mp4"),
        odd,
        "s3://b/\u00e9 x.mp4?region=us-east-1",
    ]
    states = {"size_bytes": 1, "changed_ns": 1}
    write(videos / "m.jsonl", [{"path": path, **states} for path in paths])

    uris = gather_inputs(videos / "m.jsonl")["video_uri"].to_pylist()

    expected = [path_to_uri(videos / path) for path in ("b.mp4", "sub/a \u00e9.mp4", odd)]
    assert sorted([*expected, "s3://b/%C3%A9%20x.mp4?region=us-east-1"]) == uris


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"url": "a.mp4"}], r"has no column video_uri, uri or path \(it has .*url.*rename"),
        ([{"path": "a", "uri": "a"}], "has the columns path and uri, which mean the same; keep"),
        ([{"path": "a"}, {"path": ""}], r"m\.\w+, (?:row|line) 2 names no file; give a path"),
        ([{"path": "https://h/a.mp4"}], r" 1: https://h/a.mp4 is an address of the web, .*downl"),
        ([{"path": "s3://k:SECRET@b/a"}], r" 1: s3://\.\.\.@b/a holds credentials"),
        ([{"path": "s3://b/a?endpoint_override=h"}], "has the settings endpoint_override"),
        ([{"path": "a", "size_bytes": "x7"}], r"size_bytes is no whole number .*x7.*leave it empt"),
        ([{"path": "a", "changed_ns": -1}], r" 1: changed_ns is -1; leave it empty where it is un"),
        ([{"path": "a"}, {"path": "./a"}], r"rows 1 and 2 have the same video_uri 'file:.*/a';"),
        (
            [{"path": "a", "id": "7"}, {"path": "b", "id": "8"}, {"path": "c", "id": "7"}],
            "rows 1 and 3 have the same source_id '7'; keep one of them",
        ),
    ],
)
def test_a_wrong_manifest_is_told_before_work(
    tmp_path: Path, name: str, rows: list[dict[str, Any]], said: str
) -> None:
    """In one sentence, by the row, with the value and the cure; secrets are not quoted."""
    with pytest.raises(InputError, match=said) as caught:
        gather_inputs(write(tmp_path / name, rows))

    assert "SECRET" not in str(caught.value).replace("AWS_SECRET_ACCESS_KEY", "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.jsonl", b"", "has no row; write one for each file"),
        ("m.jsonl", b"\n\n", "has no row"),
        ("m.csv", b"path,id\n", "has no row"),
        ("m.csv", b"", "cannot be read .*mpty CSV file"),
        ("m.parquet", b"", "cannot be read .*0 bytes"),
        ("m.parquet", b"PAR1 and no more", "cannot be read"),
        ("m.jsonl", b'{"path": "a"}\n{"path": \n', "line 2 is no JSON object .*; mend or remove"),
        ("m.jsonl", b'\n["a"]\n', r"line 2 is \['a'\], no JSON object"),
        ("m.jsonl", b'{"path": "\xff"}\n', "line 1 is no JSON object .*utf-8"),
        ("m.jsonl", b'{"path": "a", "path": "b"}\n', "'path' is there twice"),
        ("m.jsonl", b'{"path": "a", "size_bytes": true}\n', "size_bytes holds bool; write whole"),
        ("m.jsonl", b'{"path": 7}\n', "column video_uri holds int64, not text"),
        ("m.jsonl", b'{"path": "a", "caption": ["x"]}\n', "column caption holds list.*not text"),
        ("m.jsonl", b'{"path": "a"}\n{"path": 7}\n', "lines 1 to 2: path is not of one type"),
        ("m.jsonl", b'{"path": "' + b"a" * 99 + b'"}\n', "line 1 has more than 64 bytes; shorten"),
        ("m.csv", b"path,id\na,1\nb\n", "cannot be read .*Expected 2 columns, got 1"),
        ("m.csv", b"path,id\n\xff,1\n", "cannot be read .*UTF8"),
        ("m.csv", b"path\n" + b"a" * 999 + b"\nb\n", "cannot be read"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, said: str
) -> None:
    """It names the line where the format has lines."""
    monkeypatch.setattr(manifest_rows, "MAX_LINE_BYTES", 64)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=said) as caught:
        gather_inputs(tmp_path / name)

    assert "\n" not in str(caught.value)


def test_bytes_and_long_values_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture in a column would travel with every row."""
    monkeypatch.setattr(manifest, "MAX_LINE_BYTES", 64)
    for column, said in (
        (pa.array([b"x"]), "column thumbnail holds bytes; leave it out"),
        (pa.array(["x" * 99]), "a value of other columns has .* bytes"),
    ):
        pq.write_table(pa.table({"path": ["a"], "thumbnail": column}), tmp_path / "m.parquet")
        with pytest.raises(InputError, match=said):
            gather_inputs(tmp_path / "m.parquet")


def test_a_manifest_is_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Rows keep their numbers over blocks; the table is sorted whatever the order."""
    monkeypatch.setattr(manifest_rows, "BLOCK_ROWS", 8)
    monkeypatch.setattr(manifest_rows, "MAX_LINE_BYTES", 256)
    numbers = random.Random(0).sample(range(100), 100)
    rows: list[dict[str, Any]] = [
        {
            "path": f"s3://b/{number:03d}",
            "size_bytes": number,
            "changed_ns": 0,
            "id": str(number),
            "caption": "a caption\nof three\nlines",
        }
        for number in numbers
    ]
    write(tmp_path / name, rows)

    blocks = list(list_inputs(tmp_path / name))
    table = gather_inputs(tmp_path / name)

    assert len(blocks) > 5
    assert {rows[0]["caption"]} == set(table["caption"].to_pylist())
    assert list(range(100)) == table["size_bytes"].to_pylist()
    assert [str(number) for number in range(100)] == table["source_id"].to_pylist()
    rows[93]["size_bytes"] = -1
    with pytest.raises(InputError, match=r", (?:row|line) 94: size_bytes is -1"):
        gather_inputs(write(tmp_path / name, rows))


@pytest.fixture
def server() -> Iterator[S3Server]:
    """A store that is empty."""
    with S3Server() as server:
        yield server


def test_a_manifest_may_lie_in_a_store(server: S3Server, tmp_path: Path, name: str) -> None:
    """Its relative paths count from there, in the same store; a missing object is a row."""
    filesystem = pa.fs.FileSystem.from_uri(server.uri(""))[0]
    content = write(tmp_path / name, [{"path": "../a b.mp4"}, {"path": "gone.mp4"}]).read_bytes()
    for key, written in (("lists/" + name, content), ("a b.mp4", b"123")):
        with filesystem.open_output_stream(f"bucket/{key}") as stream:
            stream.write(written)

    table = gather_inputs(server.uri(f"lists/{name}"))

    expected = [server.uri("a%20b.mp4"), server.uri("lists/gone.mp4")]
    assert expected == table["video_uri"].to_pylist()
    assert [3, None] == table["size_bytes"].to_pylist()


def test_a_store_that_refuses_every_row_stops_before_work(server: S3Server, tmp_path: Path) -> None:
    """One refused row is that row's own matter."""
    rows = [{"path": server.uri(f"{number}.mp4")} for number in range(3)]
    write(tmp_path / "m.jsonl", rows)
    server.fault = every(1, Status(403, "AccessDenied"))

    with pytest.raises(PermanentError, match=r"\.mp4.* is refused .*; check the URI and the cred"):
        gather_inputs(tmp_path / "m.jsonl")

    server.fault = lambda number, method: every(1, Status(403))(1, method) if number == 1 else None
    assert 3 == gather_inputs(tmp_path / "m.jsonl")["size_bytes"].null_count
    server.fault = fine


def test_a_path_in_a_store_stays_in_its_bucket(server: S3Server, tmp_path: Path) -> None:
    """Dots cannot lead to another one."""
    uri_of = manifest._uris_beside(server.uri("lists/m.csv"))

    assert server.uri("a.mp4") == uri_of("../a.mp4")
    assert path_to_uri(tmp_path / "a.mp4") == uri_of(str(tmp_path / "a.mp4"))
    with pytest.raises(InputError, match=r"'../../a.mp4' leads out of the bucket"):
        uri_of("../../a.mp4")
