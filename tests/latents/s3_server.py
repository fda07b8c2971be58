"""An S3 on this machine that misbehaves when told to: moto's server, with faults before it.

with S3Server() as server:
    server.fault = every(3, Status(503))
    LatentReader(server.uri("latents"))
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import pytest
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from pyarrow.fs import FileSystem
from werkzeug.serving import make_server

BUCKET: Final = "bucket"
LONGEST_STALL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Status:
    """An answer without the object; S3 tells a code in the body."""

    status: int
    code: str = "ServiceUnavailable"


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends in the middle of the object."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The object comes in pieces, so many seconds apart."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Half of the object comes, then nothing for ``LONGEST_STALL_SECONDS``."""


Fault: TypeAlias = Status | Cut | Slow | Stall | None
Faults: TypeAlias = Callable[[int, str], Fault]


def fine(number: int, method: str) -> Fault:
    """No fault."""
    del number, method


def every(period: int, *faults: Fault) -> Faults:
    """The faults in turn, one at every so many-th request."""

    def fault(number: int, method: str) -> Fault:
        del method
        return faults[number // period % len(faults)] if number % period == 0 else None

    return fault


class S3Server:
    """``fault(number, method)`` says what happens to the number-th request since it was set.

    ``num_faults`` have happened since then.
    """

    def __init__(self) -> None:
        self.num_requests = 0
        self.fault = fine
        self._ended = threading.Event()
        self._s3 = create_backend_app("s3")
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def fault(self) -> Faults:
        """What happens to requests; setting it counts them, and the faults, anew."""
        return self._fault

    @fault.setter
    def fault(self, fault: Faults) -> None:
        self._fault, self._numbers, self.num_faults = fault, itertools.count(1), 0

    def uri(self, path: str) -> str:
        """The URI of a folder in the server's bucket, as a person would write it."""
        return f"s3://{BUCKET}/{path}?region=us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find the server."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.num_requests += 1
        fault = self.fault(next(self._numbers), environ["REQUEST_METHOD"])
        self.num_faults += fault is not None
        if isinstance(fault, Status):
            body = f"<Error><Code>{fault.code}</Code><Message>no</Message></Error>".encode()
            start(f"{fault.status} No", [("Content-Length", str(len(body)))])
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        if fault is None:
            answer: Iterable[bytes] = self._s3(environ, start)
            return answer
        return self._spoilt(fault, environ, start)

    def _spoilt(
        self, fault: Cut | Slow | Stall, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterator[bytes]:
        body = b"".join(self._s3(environ, start))
        middle = len(body) // 2
        yield body[:middle]
        if isinstance(fault, Slow):
            for place in range(middle, len(body), 1 + middle // 3):
                time.sleep(fault.seconds)
                yield body[place : place + 1 + middle // 3]
            return
        if isinstance(fault, Stall):
            self._ended.wait(LONGEST_STALL_SECONDS)
        raise ConnectionAbortedError("a fault that was asked for")

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._thread.start()
        self._patch = pytest.MonkeyPatch()
        for name, value in self.environment.items():
            self._patch.setenv(name, value)
        store, _ = FileSystem.from_uri(self.uri(""))
        rebuild, (options,) = store.__reduce__()
        rebuild({**options, "allow_bucket_creation": True}).create_dir(BUCKET)
        return self

    def stop(self) -> None:
        """Nobody listens any more."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        self.stop()
        self._thread.join()
        s3_backends.reset()  # or its temporary files are left to the collector
