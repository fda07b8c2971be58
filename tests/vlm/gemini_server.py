"""A Gemini API on this machine: the real protocol over HTTP, with scripted answers.

Speaks ``models/*:generateContent`` and the Files API (resumable upload, get, delete) as the
google-genai SDK does. Every request is kept, so that tests can look at what was sent.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The request's JSON, with names in camel case.

        Google's servers take both spellings of a name, and the SDK sends a mixture.
        """
        return _camel_case(json.loads(self.content))


def _camel_case(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {
        re.sub("_([a-z])", lambda m: m[1].upper(), name): item for name, item in value.items()
    }
    return {
        # A JSON schema's names are the user's.
        name: item if name == "responseJsonSchema" else _camel_case(item)
        for name, item in renamed.items()
    }


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What to answer: a status, a body (JSON, or bytes as they are), and how long to wait first.

    With ``hangs_up`` the connection is closed after half of the body, which was promised whole.
    """

    status: int = 200
    body: Any = None
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs_up: bool = False


@dataclass
class Upload:
    """A file of the Files API."""

    mime_type: str
    size_bytes: int
    content: bytes = b""
    num_polls: int = 0
    deleted: bool = False


def answer(
    text: str | None,
    *,
    finish: str = "STOP",
    tokens: Mapping[str, int] | None = None,
    tokens_out: int = 40,
    tokens_thought: int | None = None,
    thought: str | None = None,
) -> Reply:
    """A ``GenerateContentResponse``. ``tokens`` are the prompt's by modality; None: not told."""
    parts = [{"text": thought, "thought": True}] if thought is not None else []
    parts += [{"text": text}] if text is not None else []
    usage: dict[str, Any] = {"promptTokenCount": 700, "candidatesTokenCount": tokens_out}
    if tokens is not None:
        usage["promptTokenCount"] = sum(tokens.values())
        usage["promptTokensDetails"] = [
            {"modality": modality, "tokenCount": count} for modality, count in tokens.items()
        ]
    if tokens_thought is not None:
        usage["thoughtsTokenCount"] = tokens_thought
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}
    return Reply(
        body={
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "gemini-test-001",
            "responseId": "r1",
        }
    )


def error(status: int, word: str, message: str, **details: Any) -> Reply:
    """An error as Google's servers write it."""
    return Reply(
        status=status,
        body={"error": {"code": status, "message": message, "status": word, **details}},
    )


@dataclass
class GeminiServer:
    """Runs while it is a context manager. ``replies`` are used up in order, the last one again.

    An uploaded file is PROCESSING for ``polls_until_active`` looks at it, then ``final_state``.
    Nothing is answered before ``hold_until_open`` requests have been open at the same time, which
    proves that they can be, on however busy a machine.
    """

    polls_until_active: int = 1
    final_state: str = "ACTIVE"
    delete_status: int = 200
    hold_until_open: int = 1
    replies: deque[Reply] = field(default_factory=deque)
    sent: list[Sent] = field(default_factory=list)
    num_open: int = 0
    most_open: int = 0  # requests that were being answered at the same time
    uploads: dict[str, Upload] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._enough_open = threading.Event()
        handler = type("Handler", (_Handler,), {"gemini": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def requests(self) -> list[Sent]:
        """The ``generateContent`` requests."""
        return [sent for sent in self.sent if sent.path.endswith(":generateContent")]

    def script(self, *replies: Reply) -> None:
        """The answers to the next requests."""
        self.replies = deque(replies)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts a request as open."""
        with self._lock:
            self.num_open += 1
            self.most_open = max(self.most_open, self.num_open)
            if self.most_open >= self.hold_until_open:
                self._enough_open.set()
        self._enough_open.wait(60)
        try:
            yield
        finally:
            with self._lock:
                self.num_open -= 1

    def respond(self, sent: Sent) -> tuple[Reply, dict[str, str]]:
        """The reply to a request, and its extra headers."""
        with self._lock:
            self.sent.append(sent)
            path = sent.path.partition("?")[0]
            if sent.method == "POST" and path.endswith(":generateContent"):
                reply = self.replies.popleft() if len(self.replies) > 1 else self.replies[0]
                return reply, dict(reply.headers)
            if sent.method == "POST" and path == "/upload/v1beta/files":
                return self._start(sent)
            if sent.method == "POST" and path.startswith("/upload-session/"):
                return self._receive(sent, path.rpartition("/")[2])
            name = path.removeprefix("/v1beta/files/")
            if sent.method == "GET" and name in self.uploads:
                self.uploads[name].num_polls += 1
                return Reply(body=self._file(name)), {}
            if sent.method == "DELETE" and name in self.uploads:
                self.uploads[name].deleted = self.delete_status == 200
                return Reply(status=self.delete_status, body={}), {}
            return error(404, "NOT_FOUND", f"there is no {sent.method} {path}"), {}

    def _start(self, sent: Sent) -> tuple[Reply, dict[str, str]]:
        headers = sent.headers
        assert headers["x-goog-upload-protocol"] == "resumable"
        assert headers["x-goog-upload-command"] == "start"
        name = f"clip{len(self.uploads)}"
        self.uploads[name] = Upload(
            mime_type=headers["x-goog-upload-header-content-type"],
            size_bytes=int(headers["x-goog-upload-header-content-length"]),
        )
        return Reply(body={}), {"X-Goog-Upload-URL": f"{self.base_url}/upload-session/{name}"}

    def _receive(self, sent: Sent, name: str) -> tuple[Reply, dict[str, str]]:
        upload = self.uploads[name]
        assert int(sent.headers["x-goog-upload-offset"]) == len(upload.content)
        upload.content += sent.content
        if "finalize" not in sent.headers["x-goog-upload-command"]:
            return Reply(body={}), {"X-Goog-Upload-Status": "active"}
        assert len(upload.content) == upload.size_bytes
        return Reply(body={"file": self._file(name)}), {"X-Goog-Upload-Status": "final"}

    def _file(self, name: str) -> dict[str, Any]:
        upload = self.uploads[name]
        is_done = upload.num_polls >= self.polls_until_active
        file = {
            "name": f"files/{name}",
            "uri": f"{self.base_url}/v1beta/files/{name}",
            "mimeType": upload.mime_type,
            "sizeBytes": str(upload.size_bytes),
            "state": self.final_state if is_done else "PROCESSING",
        }
        if file["state"] == "FAILED":
            file["error"] = {"code": 3, "message": "the video has no frames"}
        return file


class _Handler(BaseHTTPRequestHandler):
    gemini: GeminiServer
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = Sent(method=self.command, path=self.path, headers=headers, content=content)
        with self.gemini.counting():
            reply, extra = self.gemini.respond(sent)
            time.sleep(reply.seconds)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **extra}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if reply.hangs_up:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            else:
                self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the client did not wait

    do_POST = do_GET = do_DELETE = _answer  # names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Tests speak for themselves."""
