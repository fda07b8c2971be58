"""Folders and patterns of an object store, listed by pyarrow's own client from moto's server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from pfp.errors import InputError, PermanentError, RetryableError
from pfp.ingest.inputs import gather_inputs, list_inputs, store_files
from pfp.ingest.measure import MeasureSettings, measure
from pfp.io.digests import sha256_file
from pfp.io.media import write_video
from pfp.io.unchanged import file_state
from pfp.schema import Kept
from tests.latents.s3_server import BUCKET, Fault, S3Server, Status, every, fine
from tests.media_files import numbered


def put(key: str, content: bytes = b"x") -> None:
    """An object in the server's bucket, without a request."""
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(BUCKET, key, content)


@pytest.fixture(scope="module")
def stored() -> Iterator[S3Server]:
    """A server with videos, a run's table, hidden names, sidecars and a mark of a folder."""
    with S3Server() as server:
        for key in (
            "a.mp4",
            "b \u00e9#%.mp4",
            "deep/er/c.mkv",
            "deep/d.mp4",
            "run/clips/part.parquet",
        ):
            put(f"videos/{key}", key.encode())
        for key in (".hidden/e.mp4", ".f.mp4", "deep/a.truth.json", "a.storyboard.json", "deep/"):
            put(f"videos/{key}")
        put("videos2/g.mp4")
        yield server


@pytest.fixture
def server(stored: S3Server) -> Iterator[S3Server]:
    """It, without faults before and after."""
    yield stored
    stored.fault = fine


def found(source: str, *, skip: tuple[str, ...] = ()) -> set[str]:
    """The keys below ``videos`` that opening the URIs that are found leads to."""
    uris = gather_inputs(source, skip=skip)["video_uri"].to_pylist()
    return {pafs.FileSystem.from_uri(uri)[1].removeprefix(f"{BUCKET}/videos/") for uri in uris}


@pytest.mark.parametrize("max_folders", [0, 1000])
def test_a_folder_is_all_that_lies_below_it(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, max_folders: int
) -> None:
    """Without what a disk leaves out; by its subfolders, or at once if they are many."""
    monkeypatch.setattr(store_files, "_MAX_FOLDERS", max_folders)
    run = server.uri("videos/run")

    keys = found(server.uri("videos"), skip=(run, "/elsewhere", "gs://bucket/videos/deep"))

    assert {"a.mp4", "b \u00e9#%.mp4", "deep/er/c.mkv", "deep/d.mp4"} == keys


def test_a_folder_of_several_pages_is_whole(server: S3Server) -> None:
    """A page of S3's has a thousand objects."""
    for number in range(1001):
        put(f"many/{number}")

    assert 1001 == gather_inputs(server.uri("many")).num_rows


def test_a_pattern_names_objects(server: S3Server) -> None:
    """By folders and extensions, as on a disk."""
    assert {"a.mp4", "b \u00e9#%.mp4"} == found(server.uri("videos/*.mp4"))
    assert {"deep/er/c.mkv"} == found(server.uri("videos/**/*.mkv"))
    assert {"deep/d.mp4"} == found(server.uri("videos/d*/*"))


def test_a_pattern_that_reaches_one_folder_lists_one(server: S3Server) -> None:
    """Its subfolders, of which there may be millions of files, cost nothing."""
    server.fault = fine
    before = server.num_requests
    found(server.uri("videos/*.mp4"))

    assert 1 == server.num_requests - before


def test_rows_have_the_size_and_time_that_files_are_known_by(server: S3Server) -> None:
    """What measuring compares later; and the URI names the region as the source did."""
    (row,) = gather_inputs(server.uri("videos/b*")).to_pylist()

    state = file_state(row["video_uri"])
    assert (state.size_bytes, state.changed_ns) == (row["size_bytes"], row["changed_ns"])
    assert "s3://bucket/videos/b%20%C3%A9%23%25.mp4?region=us-east-1" == row["video_uri"]


def test_a_public_bucket_is_asked_without_credentials(server: S3Server) -> None:
    """As ``anonymous@`` says; the files' URIs say so, too."""
    signed: list[bool] = []
    answer = server._s3

    def watched(environ: dict[str, Any], start: Any) -> Any:
        signed.append("HTTP_AUTHORIZATION" in environ)
        return answer(environ, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "_s3", watched)
        source = server.uri("videos/a*").replace("://", "://anonymous@")
        (uri,) = gather_inputs(source)["video_uri"].to_pylist()

    assert uri.startswith("s3://anonymous@bucket/")
    assert {False} == set(signed)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Status(403, "AccessDenied"), PermanentError, "is refused .*; check the URI and the cred"),
        (Status(503), RetryableError, "cannot be reached .*; run again later"),
    ],
)
def test_a_listing_that_breaks_off_is_not_taken_for_all(
    server: S3Server, fault: Fault, kind: type[Exception], said: str
) -> None:
    """Also when whole pages came before."""
    asked = every(1, fault)
    server.fault = lambda number, method: asked(number, method) if number > 2 else None
    blocks = list_inputs(server.uri("videos"))

    next(blocks)
    with pytest.raises(kind, match=f"the listing of s3://bucket/videos.* {said}"):
        list(blocks)


def test_what_is_not_there_is_one_sentence(server: S3Server) -> None:
    """A bucket, a folder, and one in which nothing counts."""
    for uri, kind, said in (
        ("s3://nowhere/videos?region=us-east-1", PermanentError, "NO_SUCH_BUCKET.* check the URI"),
        (server.uri("nothing"), InputError, "there is no folder s3://bucket/nothing"),
        (server.uri("videos/.hidden/*.mkv"), InputError, "matches no file"),
        ("s3://key:word@bucket/videos", InputError, "holds credentials"),
        ("s3://bucket/videos?endpoint_override=h:9", InputError, "AWS_ENDPOINT_URL"),
    ):
        with pytest.raises(kind, match=said):
            gather_inputs(uri)


def test_folders_come_in_turn_while_few_are_listed_ahead() -> None:
    """A reader that is slower than the store does not make the listing pile up."""
    listed: list[str] = []
    listing: Any = SimpleNamespace(folder_blocks=lambda path: (listed.append(path), [path])[1])
    folders = [f"{number:02d}" for number in range(40)]

    blocks = store_files._ahead(listing, folders)
    first = next(blocks)
    time.sleep(0.05)

    assert "00" == first
    assert len(listed) <= 1 + store_files._THREADS
    assert folders[1:] == list(blocks)


def test_a_stored_video_is_measured_as_the_local_one(server: S3Server, tmp_path: Path) -> None:
    """Its state before and after, its digest and its frames, all by ranges."""
    path = tmp_path / "v.mp4"
    write_video(path, np.stack([numbered(number) for number in range(30)]), 24)
    put("clips/v.mp4", path.read_bytes())
    (row,) = gather_inputs(server.uri("clips")).to_pylist()
    settings = MeasureSettings(memory_bytes=3 << 30)
    guard = settings.guard()

    record = measure(row["video_uri"], row["size_bytes"], guard, settings)

    assert isinstance(record.verdict, Kept)
    assert (sha256_file(path), row["changed_ns"]) == (record.video_sha256, record.changed_ns)
    local = measure(path.as_uri(), None, guard, settings)
    assert (local.num_frames, local.motion) == (record.num_frames, record.motion)
