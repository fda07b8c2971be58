"""Latents in an object store: pyarrow's own S3 client against a server that misbehaves."""

from __future__ import annotations

import multiprocessing
import socket
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pfp.errors import PermanentError, RetryableError
from pfp.io import filesystems, tables
from pfp.io.filesystems import ASIDE_PREFIX, Folder
from pfp.io.prompts import Embedding
from pfp.io.ranges import RemoteRanges, RequestPolicy
from pfp.latents.read import LatentReader
from pfp.schema import KEPT, LatentRecord
from pfp.schema.latent import LatentSpan
from pfp.train.loader import WindowBatches, batch_loader
from pfp.train.sampler import WindowPlan, WindowSampler
from tests.latents.s3_server import (
    LONGEST_STALL_SECONDS,
    Cut,
    Fault,
    Faults,
    S3Server,
    Slow,
    Stall,
    Status,
    every,
    fine,
)

STALL_SECONDS = 1.0
POLICY = RequestPolicy(
    num_connections=8, attempts=25, first_wait_seconds=1e-9, seconds_to_answer=STALL_SECONDS
)
SPANS = [LatentSpan(row, "hr", start, start + 5) for row in range(6) for start in (0, 7, 16)]


def record(number: int) -> LatentRecord:
    """A clip of 21 latents of noise."""
    rng = np.random.default_rng(number)
    hr_TCHW, lr_TCHW = rng.normal(size=(21, 4, 6, 8)), rng.normal(size=(11, 4, 3, 4))
    return LatentRecord(
        clip_id=f"{number:04d}",
        hr=hr_TCHW.astype("<f2").tobytes(),
        hr_shape=list(hr_TCHW.shape),
        lr=lr_TCHW.astype("<f2").tobytes(),
        lr_shape=list(lr_TCHW.shape),
        dtype="float16",
        fps=12.0,
        start_seconds=0.0,
        num_frames=81,
        num_frames_dropped=0,
        temporal_stride=4,
        spatial_stride=8,
        lr_factor=2,
        lr_frame_stride=2,
        vae_id="tiny",
        vae_sha256="0" * 64,
        latents_mean=[0.5] * 4,
        latents_std=[2.0] * 4,
        normalised=True,
        append_exact=True,
        preproc_sha256="1" * 64,
        hr_channel_mean=[0.0] * 4,
        hr_channel_std=[1.0] * 4,
        verdict=KEPT,
    )


def write(directory: str | Path, numbers: range = range(6)) -> str | Path:
    """A table of these clips in several files."""
    table = LatentRecord.table([record(number) for number in numbers])
    tables.write_table(directory, table, LatentRecord, rows_per_file=2)
    return directory


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """A server with a table of six clips at ``latents``."""
    with S3Server() as server:
        Folder.at(server.uri("")).make()
        write(server.uri("latents"))
        yield server


@pytest.fixture
def uri(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """That table's URI; the server behaves before and after."""
    monkeypatch.setattr(filesystems, "S3_STALL_SECONDS", STALL_SECONDS)
    yield server.uri("latents")
    server.fault = fine


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The spans as a local table of the same clips gives them."""
    reader = LatentReader(write(tmp_path_factory.mktemp("local")))
    return [latents_TCHW.tobytes() for latents_TCHW in reader.read(SPANS)]


def opened(uri: str, policy: RequestPolicy = POLICY) -> LatentReader:
    """A reader of the stored table that tries again as the policy says."""
    return LatentReader(uri, ranges=RemoteRanges(Folder.at(uri), policy))


def read(reader: LatentReader) -> list[bytes]:
    """The bytes of ``SPANS``."""
    return [latents_TCHW.tobytes() for latents_TCHW in reader.read(SPANS)]


def test_a_table_is_written_read_and_verified(server: S3Server, uri: str) -> None:
    """Rename is copy and delete there; nothing written aside is left, and old files go."""
    folder = Folder.at(server.uri("other"))

    for numbers in (range(5), range(3, 7)):
        other = write(server.uri("other"), numbers)

        table = tables.read_table(other, LatentRecord)
        assert LatentRecord.table([record(number) for number in numbers]).equals(table)
        assert [] == tables.verify_table(other, LatentRecord)
    assert 2 == len([name for name in folder.names() if name.startswith("part-")])
    assert [] == [name for name in folder.names() if name.startswith(ASIDE_PREFIX)]
    del uri


def test_a_window_is_one_request(server: S3Server, uri: str) -> None:
    """After a file's size is known, which takes one more."""
    reader = LatentReader(uri)
    reader.read(SPANS[:1])
    before = server.num_requests

    reader.read(SPANS[1:5])

    assert 4 == server.num_requests - before


@pytest.mark.parametrize(
    "fault",
    [
        every(2, Status(503)),
        every(2, Status(500, "InternalError")),
        every(2, Cut()),
        every(2, Slow(0.02)),
        every(8, Stall()),
        every(3, Status(503), Cut(), Status(500), Slow(0.01)),
    ],
    ids=["503", "500", "cut", "slow", "stall", "all"],
)
def test_windows_are_right_whatever_the_store_does(
    server: S3Server, uri: str, expected: list[bytes], fault: Faults
) -> None:
    """Every window read through faults is the local one, opening the table included."""
    server.fault = fault

    found = read(opened(uri))

    assert expected == found
    assert server.num_faults > 1


def test_three_requests_in_four_fail(server: S3Server, uri: str, expected: list[bytes]) -> None:
    """Only what failed is asked for again."""
    reader = opened(uri)

    def mostly_down(number: int, method: str) -> Fault:
        del method
        return None if number % 4 == 0 else Status(503)

    server.fault = mostly_down

    assert expected == read(reader)


@pytest.mark.parametrize("fault", [Status(503), Cut(), Stall()], ids=["503", "cut", "stall"])
def test_a_store_that_stays_down_is_said_in_bounded_time(
    server: S3Server, uri: str, fault: Fault
) -> None:
    """Reading gives up after its attempts of a second, long before a stalled answer would end."""
    reader = opened(uri, replace(POLICY, attempts=2))
    server.fault = every(1, fault)
    start = time.monotonic()

    with pytest.raises(RetryableError, match=r"part-.* could not be read in 2 attempts"):
        reader.read(SPANS)

    assert time.monotonic() - start < LONGEST_STALL_SECONDS / 2


def test_a_table_that_cannot_be_opened_is_retryable(server: S3Server, uri: str) -> None:
    """It is not called missing or damaged because the store is down."""
    server.fault = every(1, Status(503))
    with pytest.raises(RetryableError, match=r"_manifest\.json cannot be reached .*503"):
        LatentReader(uri)


def test_a_store_that_is_gone_is_retryable(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", gone)
        with pytest.raises(RetryableError, match="cannot be reached"):
            LatentReader(uri)


def test_refused_credentials_are_not_retryable(server: S3Server, uri: str) -> None:
    """No later attempt would help; neither the key nor the secret is in the message."""
    reader = opened(uri)
    server.fault = every(1, Status(403, "AccessDenied"))

    for attempt in (lambda: LatentReader(uri), lambda: reader.read(SPANS)):
        with pytest.raises(
            PermanentError, match=r"is refused .*check the URI and the cred"
        ) as caught:
            attempt()
        assert "secret" not in str(caught.value)


def test_a_write_that_fails_leaves_the_old_table(server: S3Server, uri: str) -> None:
    """Files appear whole, and the manifest last."""
    target = write(server.uri("third"))
    old = tables.read_table(target, LatentRecord)

    puts: list[int] = []

    def puts_fail_later(number: int, method: str) -> Fault:
        if method == "PUT":
            puts.append(number)
        return Status(503) if len(puts) > 4 else None

    server.fault = puts_fail_later
    with pytest.raises(RetryableError, match="cannot be reached"):
        write(target, range(2, 9))
    server.fault = fine

    assert old.equals(tables.read_table(target, LatentRecord))
    write(target, range(2, 9))
    assert [] == tables.verify_table(target, LatentRecord)
    del uri


def test_forked_workers_read(uri: str, expected: list[bytes]) -> None:
    """As in a DataLoader: read here, then there and here at once, all of it right."""
    reader = opened(uri, replace(POLICY, attempts=1, seconds_to_answer=20.0))
    assert expected == read(reader)
    context = multiprocessing.get_context("fork")
    found: multiprocessing.SimpleQueue[bool] = context.SimpleQueue()

    def read_there() -> None:
        found.put(all(expected == read(reader) for _ in range(10)))

    workers = [context.Process(target=read_there) for _ in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads about
        for worker in workers:
            worker.start()
    here = [read(reader) for _ in range(10)]
    for worker in workers:
        worker.join(60)

    assert [expected] * 10 == here
    assert [0] * 3 == [worker.exitcode for worker in workers]
    assert [True] * 3 == [found.get() for _ in workers]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_batches_are_those_of_a_local_table(
    uri: str, tmp_path: Path, num_workers: int
) -> None:
    """The loader reads from a store as from a disk, in workers too."""
    write(tmp_path / "latents", range(6))
    plan = WindowPlan(batch_size=3, history_frames=5, num_targets=2, continue_share=0.5)
    near, far = LatentReader(tmp_path / "latents"), opened(uri, replace(POLICY, attempts=3))
    sampler = WindowSampler([near.shape(row) for row in range(6)], plan, seed=0)

    def text_at(row: int, latent: int) -> Embedding:
        return Embedding(np.full((2, 2), 100 * row + latent, np.float16), 2)

    expected, found = (
        list(batch_loader(WindowBatches(reader, text_at, sampler), range(5), num_workers=count))
        for reader, count in ((near, 0), (far, num_workers))
    )

    for ours, theirs in zip(expected, found, strict=True):
        assert torch.equal(ours.hr_BCTHW, theirs.hr_BCTHW)
        assert torch.equal(ours.lr_BCTHW, theirs.lr_BCTHW)
        assert torch.equal(ours.target_BCTHW, theirs.target_BCTHW)
