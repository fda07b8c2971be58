"""A server of OpenAI's chat completions on this machine, with scripted answers.

Every request is kept, so that tests can look at what was sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What to answer: a status, a body (JSON, or bytes as they are), and how long to wait first."""

    status: int = 200
    body: Any = None
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


def completion(
    content: str | None,
    *,
    finish: str | None = "stop",
    refusal: str | None = None,
    usage: Mapping[str, Any] | None = None,
) -> Reply:
    """A chat completion."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    body: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "model": "qwen-test-001",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    if usage is not None:
        body["usage"] = usage
    return Reply(body=body)


def error(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI's servers write it."""
    return Reply(
        status=status,
        body={"error": {"message": message, "type": "an_error", "code": code}},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


@dataclass
class OpenAIServer:
    """Runs while it is a context manager. ``replies`` are used up in order, the last one again."""

    replies: deque[Reply] = field(default_factory=deque)
    sent: list[Sent] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"server_state": self})
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
        """Where the server listens, as a spec names it."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def script(self, *replies: Reply) -> None:
        """The answers to the next requests."""
        self.replies = deque(replies)

    def respond(self, sent: Sent) -> Reply:
        """The reply to a request."""
        with self._lock:
            self.sent.append(sent)
            return self.replies.popleft() if len(self.replies) > 1 else self.replies[0]


class _Handler(BaseHTTPRequestHandler):
    server_state: OpenAIServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers as scripted."""
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = Sent(path=self.path, headers=headers, body=json.loads(content))
        reply = self.server_state.respond(sent)
        time.sleep(reply.seconds)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the client did not wait

    def log_message(self, *_: object) -> None:
        """Tests speak for themselves."""
