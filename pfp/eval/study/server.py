"""Serve a study folder and take in ballots: Python's own HTTP server, with byte ranges.

Nothing but the plan's own files is served, and no ballot is acknowledged before it is on the disk.
There is no authentication: who reaches the port can vote. Pages of other sites cannot: neither
under a name of theirs that leads here nor from where they are.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

from pfp.errors import InputError
from pfp.eval.study.ballots import Ballot, parse_ballot
from pfp.eval.study.log import BallotLog
from pfp.eval.study.plan import (
    BALLOTS_NAME,
    PAGE_NAME,
    PLAN_NAME,
    PUBLIC,
    VIDEOS,
    Plan,
    read_study,
)
from pfp.io.filesystems import Folder
from pfp.io.locks import locked

MAX_BODY_BYTES: Final = 256 << 10
MAX_BALLOTS: Final = 500  # of one request
IDLE_SECONDS: Final = 60.0
# What a refused request may still send before the connection is cut.
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 16 << 20
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; media-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOT_THIS_HOST: Final = "this is another host's name; open the address that the server printed"
RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes ``start`` to ``end`` of a file; ``is_range`` if that is what was asked for."""

    start: int
    end: int
    is_range: bool


def part_of(header: str | None, size_bytes: int) -> Part | None:
    """What a Range header asks of a file; None if no byte of the file is in it (RFC 9110, 14.1.2).

    Several ranges at once, other units and nonsense are answered with the whole file, as the
    standard allows.
    """
    whole = Part(start=0, end=size_bytes, is_range=False)
    match = RANGE.fullmatch((header or "").strip().replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return whole
    if match[1] == "":
        start, end = max(0, size_bytes - int(match[2])), size_bytes
    else:
        start = int(match[1])
        last = int(match[2]) if match[2] else size_bytes - 1
        if last < start and match[2]:
            return whole
        end = min(last + 1, size_bytes)
    return Part(start=start, end=end, is_range=True) if start < end else None


def is_own_host(header: str | None, names: Collection[str]) -> bool:
    """Whether a request's Host header is an address or one of the server's names.

    Otherwise some page elsewhere lets its own name lead here (DNS rebinding), and its scripts read
    the study and vote. An address cannot be made to lead elsewhere. Requests of HTTP/1.0 have none.
    """
    if header is None:
        return True
    host = host_of(header)
    if host is None:
        return False
    try:
        ip_address(host)
    except ValueError:
        return host in names
    return True


def host_of(authority: str) -> str | None:
    """The host of ``host``, ``host:port`` or ``[v6]:port`` in lower case; None for nonsense."""
    try:
        parts = urlsplit(f"//{authority}")
        _ = parts.port  # checks it, too
    except ValueError:
        return None
    return parts.hostname if parts.netloc == authority and not parts.username else None


def _parse(found: object, plan: Plan) -> list[Ballot]:
    items = found if isinstance(found, list) else [found]
    if not 1 <= len(items) <= MAX_BALLOTS:
        raise InputError(f"{len(items)} ballots; send 1 to {MAX_BALLOTS} at once")
    return [parse_ballot(item, plan) for item in items]


class StudyServer(ThreadingHTTPServer):
    """The server of one study; each request has its thread."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        folder: Path,
        plan: Plan,
        log: BallotLog,
        *,
        host_names: Collection[str] = (),
    ) -> None:
        """Listen on the address; port 0 takes a free one. ``host_names`` are its own."""
        self.plan, self.log = plan, log
        self.host_names = frozenset({"localhost", address[0].lower(), *map(str.lower, host_names)})
        public = folder / PUBLIC
        self.files = {
            "/": public / PAGE_NAME,
            f"/{PAGE_NAME}": public / PAGE_NAME,
            f"/{PLAN_NAME}": public / PLAN_NAME,
            **{f"/{VIDEOS}/{name}": public / VIDEOS / name for name in plan.videos},
        }
        super().__init__(address, _Handler)

    @property
    def address(self) -> str:
        """Where the page is."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a video is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def open_server(
    folder: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    host_names: Collection[str] = (),
) -> Iterator[StudyServer]:
    """A server of that folder, which holds the folder's lock; call ``serve_forever`` on it.

    ``host_names`` are further names by which browsers reach it, such as a proxy's.

    Raises:
        InputError: it is no study folder, another server has it, or the address cannot be used.
    """
    plan, _ = read_study(folder)
    root = Path(folder)
    for name in plan.videos:
        if not (root / PUBLIC / VIDEOS / name).is_file():
            raise InputError(f"{root} lacks the video {name}; copy the whole folder, or build it")
    with locked(Folder.at(root)), BallotLog(root / BALLOTS_NAME, plan) as log:
        try:
            server = StudyServer((host, port), root, plan, log, host_names=host_names)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"{host}:{port} cannot be listened on ({error}); choose another --host or --port"
            ) from error
        with server:
            yield server


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: StudyServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pfp-study", ""
    timeout = IDLE_SECONDS

    def finish(self) -> None:
        """Close the connection, but not while its client still sends (RFC 9112, 9.6).

        A socket that is closed with bytes unread resets the connection, and a client whose request
        was refused before it had sent all of it loses the answer.
        """
        deadline = time.monotonic() + LINGER_SECONDS
        num_left = LINGER_BYTES
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            while num_left > 0 and (seconds := deadline - time.monotonic()) > 0:
                self.connection.settimeout(seconds)
                chunk = self.rfile.read1(num_left)
                if not chunk:
                    break
                num_left -= len(chunk)
        super().finish()

    def do_GET(self) -> None:
        """A file of the plan, or whether votes are taken here."""
        if not self._is_asked_for_here():
            return self._answer(HTTPStatus.MISDIRECTED_REQUEST, NOT_THIS_HOST)
        path = self._asked_path()
        if path == "/votes":
            answer = {"study": self.server.plan.study, "ballots": len(self.server.log)}
            return self._answer(HTTPStatus.OK, json.dumps(answer), TYPES[".json"])
        file = self.server.files.get(path)
        if file is None:
            return self._answer(HTTPStatus.NOT_FOUND, "there is no such page")
        try:
            with file.open("rb") as opened:
                return self._send_file(file, opened)
        except FileNotFoundError:
            return self._answer(HTTPStatus.NOT_FOUND, "the file is gone")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Ballots: one, or a list of them; all are stored or none."""
        self.close_connection = True  # until the body is read, nothing else can be
        if not self._is_asked_for_here():
            return self._answer(HTTPStatus.MISDIRECTED_REQUEST, NOT_THIS_HOST)
        # Scripts of other pages say where they are from; the study's own page says this host.
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != self.headers.get("Host"):
            return self._answer(HTTPStatus.FORBIDDEN, "votes come from the study's own page only")
        if self._asked_path() != "/votes":
            return self._answer(HTTPStatus.NOT_FOUND, "post votes to /votes")
        # Pages of other sites cannot send this type without asking first, and are not answered.
        if self.headers.get_content_type() != "application/json":
            return self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length):
            return self._answer(HTTPStatus.LENGTH_REQUIRED, "say the Content-Length")
        if int(length) > MAX_BODY_BYTES:
            return self._answer(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MAX_BODY_BYTES} bytes at once"
            )
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return None  # the browser is gone
        self.close_connection = self.request_version < "HTTP/1.1"
        return self._take(body)

    def _is_asked_for_here(self) -> bool:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) > 1 or (not hosts and self.request_version >= "HTTP/1.1"):
            return False
        return is_own_host(hosts[0] if hosts else None, self.server.host_names)

    def _asked_path(self) -> str:
        """The path of the address; that of no page if the address is none."""
        try:
            return unquote(urlsplit(self.path).path)
        except ValueError:
            return ""

    def _take(self, body: bytes) -> None:
        try:
            ballots = _parse(json.loads(body), self.server.plan)
        except InputError as error:
            return self._answer(HTTPStatus.BAD_REQUEST, str(error))
        except (ValueError, RecursionError) as error:
            return self._answer(HTTPStatus.BAD_REQUEST, f"not JSON ({error})")
        try:
            num_new = self.server.log.append(ballots)
        except InputError as error:
            is_full = isinstance(error.__cause__, OSError)
            status = HTTPStatus.INSUFFICIENT_STORAGE if is_full else HTTPStatus.CONFLICT
            return self._answer(status, str(error))
        return self._answer(HTTPStatus.OK, json.dumps({"stored": num_new}), TYPES[".json"])

    def _send_file(self, path: Path, file: BinaryIO) -> None:
        size_bytes = file.seek(0, 2)
        part = part_of(self.headers.get("Range"), size_bytes)
        if part is None:
            return self._answer(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                "no byte of the file is in that range",
                extra={"Content-Range": f"bytes */{size_bytes}"},
            )
        status = HTTPStatus.PARTIAL_CONTENT if part.is_range else HTTPStatus.OK
        headers = {"Content-Length": str(part.end - part.start), "Accept-Ranges": "bytes"}
        if part.is_range:
            headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size_bytes}"
        # Names of videos are digests, so what is behind one never changes; the page may be rebuilt.
        is_video = path.parent.name == VIDEOS
        headers["Cache-Control"] = "private, max-age=86400, immutable" if is_video else "no-cache"
        self._head(status, TYPES[path.suffix], headers)
        if self.command == "HEAD":
            return None
        file.seek(part.start)
        return self._copy(file, part.end - part.start)

    def _copy(self, file: BinaryIO, num_bytes: int) -> None:
        while num_bytes:
            chunk = file.read(min(num_bytes, shutil.COPY_BUFSIZE))  # type: ignore[attr-defined]
            if not chunk:
                self.close_connection = True  # the file shrank: less comes than was promised
                return
            self.wfile.write(chunk)
            num_bytes -= len(chunk)

    def _answer(
        self,
        status: HTTPStatus,
        text: str,
        kind: str = "text/plain; charset=utf-8",
        extra: dict[str, str] | None = None,
    ) -> None:
        body = f"{text}\n".encode("utf-8", "backslashreplace")
        headers = {"Content-Length": str(len(body)), "Cache-Control": "no-store", **(extra or {})}
        if self.close_connection:
            headers["Connection"] = "close"
        self._head(status, kind, headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        safe = {
            "Content-Type": kind,
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        for name, value in {**safe, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server calls it so
        """Browsers keep connections open and silent; that is no error."""
        if not format.startswith("Request timed out"):
            super().log_error(format, *args)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Only what failed is worth a line; ids of raters stand in addresses."""
        if isinstance(code, HTTPStatus) and code >= HTTPStatus.BAD_REQUEST:
            super().log_request(code.value, str(size))
