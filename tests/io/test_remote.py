"""Stores that never answer, over real sockets on this machine: the reader is told in time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from pfp.errors import PermanentError, RetryableError
from pfp.io import filesystems, remote
from pfp.io.media.source import open_binary
from pfp.io.remote import buffered, in_time

Answer = Callable[[socket.socket], None]


def nothing(connection: socket.socket) -> None:
    """Takes the request and says nothing."""
    while connection.recv(1 << 16):
        pass


def trickle(connection: socket.socket) -> None:
    """Promises a file and sends a byte of it now and then."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.2)


@pytest.fixture
def store() -> Iterator[Callable[[Answer], int]]:
    """Starts servers and gives their ports."""
    sockets: list[socket.socket] = []

    def start(answer: Answer) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)

        def handle(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                answer(connection)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    sockets.append(connection)
                    threading.Thread(target=handle, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return int(listening.getsockname()[1])

    yield start
    # Requests that were given up must end: while one is under way Arrow makes no further S3 client.
    for opened in sockets:
        with suppress(OSError):
            opened.shutdown(socket.SHUT_RDWR)
        opened.close()


def uri(scheme: str, port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file in a bucket of that server, which the environment names."""
    server = f"http://127.0.0.1:{port}"
    if scheme == "gs":
        monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", server)
        return "gs://anonymous@bucket/v.mp4"
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return "s3://bucket/v.mp4?region=us-east-1"


@pytest.mark.parametrize("answer", [nothing, trickle])
@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_store_that_does_not_answer_in_time(
    store: Callable[[Answer], int], monkeypatch: pytest.MonkeyPatch, scheme: str, answer: Answer
) -> None:
    """The row fails, and a later run tries it again."""
    monkeypatch.setattr(remote, "SECONDS_TO_ANSWER", 1.0)
    with pytest.raises(RetryableError, match="did not answer within 1 s; run again later"):
        open_binary(uri(scheme, store(answer), monkeypatch)).read(1)


def test_what_came_in_time_is_returned() -> None:
    """As is what was raised in time."""
    assert 7 == in_time(lambda: 7, "x")
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, "x")


def test_google_is_not_asked_again_for_a_quarter_of_an_hour() -> None:
    """Pyarrow's own limit; a store that is down is the row's failure long before."""
    filesystem, path = filesystems.resolve("gs://anonymous@bucket/v.mp4")
    options = filesystem.__reduce__()[1][0]
    assert ("bucket/v.mp4", 30.0) == (path, options["retry_time_limit"].total_seconds())


def test_a_call_that_hangs_does_not_keep_the_process(
    store: Callable[[Answer], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has told all its rows ends, though a request is still under way."""
    program = (
        "import sys; from pfp.errors import RetryableError; from pfp.io import remote\n"
        "from pfp.io.media.source import open_binary\n"
        "remote.SECONDS_TO_ANSWER = 0.5\n"
        "try: open_binary(sys.argv[1])\n"
        "except RetryableError as error: print(error)\n"
    )
    place = uri("gs", store(nothing), monkeypatch)
    command = [sys.executable, "-c", program, place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert f"{place} did not answer within 0.5 s; run again later\n" == done.stdout


CONTENT = bytes(range(256)) * 12_000  # three pieces


class Stored:
    """An object of ``CONTENT`` that notes what it is asked for."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error
        self.asked: list[tuple[int, int]] = []

    def size(self) -> int:
        """How many bytes it has."""
        self.asked.append((-1, -1))
        return len(CONTENT)

    def read_at(self, num_bytes: int, offset: int) -> bytes:
        """Some of them."""
        self.asked.append((num_bytes, offset))
        if self.error is not None:
            raise self.error
        return CONTENT[offset : offset + num_bytes]


def test_a_remote_file_is_read_in_pieces() -> None:
    """Each a request of at most a mebibyte, in order, until one is empty; the size is not asked."""
    stored = Stored()
    with buffered(lambda: stored, "s3://b/x") as file:
        assert CONTENT == file.read()
        assert len(CONTENT) == file.tell()

    assert max(size for size, _ in stored.asked) <= 1 << 20
    assert [0, 1 << 20, 2 << 20, len(CONTENT)] == [at for _, at in stored.asked]


def test_any_byte_of_a_remote_file_can_be_sought() -> None:
    """From the start, from here, and from the end, which alone asks for the size."""
    stored = Stored()
    with buffered(lambda: stored, "s3://b/x") as file:
        assert (file.seekable(), file.readable(), file.writable()) == (True, True, False)
        assert 1000 == file.seek(1000)
        assert CONTENT[1000:1010] == file.read(10)
        assert 1015 == file.seek(5, os.SEEK_CUR)
        assert CONTENT[1015:1025] == file.read(10)
        assert (-1, -1) not in stored.asked
        assert len(CONTENT) - 7 == file.seek(-7, os.SEEK_END)
        assert CONTENT[-7:] == file.read()
        assert 1 == stored.asked.count((-1, -1))


@pytest.mark.parametrize(
    ("said", "kind"), [("503 slow down", RetryableError), ("ACCESS_DENIED", PermanentError)]
)
def test_a_piece_that_does_not_come_is_told_as_the_stores(said: str, kind: type[Exception]) -> None:
    """With the name that the user gave."""
    with (
        buffered(lambda: Stored(OSError(said)), "s3://b/x") as file,
        pytest.raises(kind, match=r"s3://b/x (?:is refused|cannot be reached)"),
    ):
        file.read(1)


def test_opening_may_fail_as_it_does() -> None:
    """What is not there is not retried."""

    def gone() -> Any:
        raise FileNotFoundError("no such key")

    with pytest.raises(FileNotFoundError):
        buffered(gone, "s3://b/x")
