"""HTTP with servers that never come to an end, over real sockets on this machine."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from pfp.errors import RetryableError
from pfp.vlm import Request, load_client
from pfp.vlm.providers import bounded_http
from pfp.vlm.providers.bounded_http import bounded_client

Send = Callable[[socket.socket], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class RawServer:
    """Says to everybody what ``send`` says, byte for byte."""

    def __init__(self, send: Send) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._send, self._open = send, True
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        """Listen no more."""
        self._open = False
        self._socket.close()

    def _serve(self) -> None:
        while self._open:
            with suppress(OSError):
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(1 << 16)
            self._send(connection)


@pytest.fixture
def serve() -> Iterator[Callable[[Send], str]]:
    """Starts servers and gives their addresses."""
    servers: list[RawServer] = []

    def start(send: Send) -> str:
        servers.append(RawServer(send))
        return servers[-1].url

    yield start
    for server in servers:
        server.close()


def nothing(connection: socket.socket) -> None:
    """Accepts, and says nothing."""
    connection.recv(1)


def slow_head(connection: socket.socket) -> None:
    """A header a little at a time, each piece well within any timeout between pieces."""
    connection.sendall(HEAD + b"X-Slow: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.1)


def slow_body(connection: socket.socket) -> None:
    """A body of which the same is true."""
    connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.1)


def endless(connection: socket.socket) -> None:
    """A body without end, as fast as it goes."""
    connection.sendall(HEAD + b"Connection: close\r\n\r\n")
    while True:
        connection.sendall(b" " * (1 << 16))


def bomb(connection: socket.socket) -> None:
    """A few bytes that stand for many."""
    body = gzip.compress(b" " * (64 << 20))
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connection.sendall(HEAD + head + body)


def good(connection: socket.socket) -> None:
    """An answer as it should be."""
    connection.sendall(HEAD + b'Content-Length: 8\r\n\r\n{"a": 1}')


@pytest.mark.parametrize("send", [nothing, slow_head, slow_body])
def test_an_answer_that_does_not_end_in_time(serve: Callable[[Send], str], send: Send) -> None:
    """The read timeout holds for the answer as a whole."""
    with bounded_client(timeout=1.0) as client, pytest.raises(httpx.ReadTimeout):
        client.get(serve(send))


def test_an_answer_without_end(
    serve: Callable[[Send], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up at the bound of its bytes, and not kept."""
    monkeypatch.setattr(bounded_http, "MAX_RESPONSE_BYTES", 1 << 20)
    with (
        bounded_client(timeout=60.0) as client,
        pytest.raises(httpx.RemoteProtocolError, match="more than 1048576 bytes"),
    ):
        client.get(serve(endless))


def test_a_compressed_answer_is_refused(serve: Callable[[Send], str]) -> None:
    """It was not asked for, and 64 KB of it can be 64 MB."""
    with (
        bounded_client(timeout=60.0) as client,
        pytest.raises(httpx.RemoteProtocolError, match=r"compressed \(gzip\)"),
    ):
        client.get(serve(bomb))


def test_a_good_answer_is_read(serve: Callable[[Send], str]) -> None:
    """Nothing of the above gets in its way."""
    with bounded_client(timeout=60.0) as client:
        assert {"a": 1} == client.get(serve(good)).json()


def test_proxies_of_the_environment_are_used(
    serve: Callable[[Send], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by ``httpx`` without bounds: labs sit behind them."""
    monkeypatch.setenv("http_proxy", serve(good))
    monkeypatch.setenv("no_proxy", "")
    with bounded_client(timeout=60.0) as client:
        assert {"a": 1} == client.get("http://nowhere.invalid/").json()


@pytest.mark.parametrize("send", [nothing, slow_head, slow_body, bomb])
def test_a_model_that_never_answers_is_tried_again_later(
    serve: Callable[[Send], str], send: Send, request_frames: Request
) -> None:
    """The row fails retryably; the next one's request is sent all the same."""
    client = load_client(
        f"openai:m@{serve(send)}", timeout_seconds=0.5, max_attempts=2, retry_seconds=0.0
    )
    with pytest.raises(RetryableError):
        client.ask(request_frames)
    client.close()
