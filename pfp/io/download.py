"""One file over HTTP, taken up again where it broke off. Knows sizes, not digests."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

from pfp.errors import InputError

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0
MAX_RESUMES = 4
FIRST_WAIT_SECONDS = 0.1  # doubled after each connection that broke off

OnProgress: TypeAlias = Callable[[int, int], None]


def download(
    url: str, part: Path, *, size_bytes: int, on_progress: OnProgress | None = None
) -> None:
    """Append to ``part`` until it holds ``size_bytes``; what is there is not asked for again.

    ``part`` stays when the connection is lost, so that a later call goes on from there; it may end
    up longer than ``size_bytes`` by one chunk at most, which tells a foreign file.
    ``on_progress`` is called with the bytes there and the bytes wanted.

    Raises:
        InputError: the address is not HTTP, the server refused, or the connection broke off more
            than ``MAX_RESUMES`` times.
    """
    if urllib.parse.urlparse(url).scheme not in {"http", "https"}:
        raise InputError(f"{url}: only http and https are downloaded")
    problem = ""
    for attempt in range(1 + MAX_RESUMES):
        if attempt:
            time.sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
        try:
            _append(url, part, size_bytes, on_progress)
        except urllib.error.HTTPError as error:
            error.close()
            raise InputError(f"{url}: HTTP {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if _size(part) >= size_bytes:
            return
        problem = f"the server sent {_size(part)} of {size_bytes} bytes"
    raise InputError(f"{url}: {problem}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _append(url: str, part: Path, size_bytes: int, on_progress: OnProgress | None) -> None:
    have = _size(part)
    request = urllib.request.Request(url)  # noqa: S310 - `download` checked the scheme
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server knows no ranges and starts again
        with part.open("ab" if have else "wb") as sink:
            while have <= size_bytes and (chunk := response.read(CHUNK_BYTES)):
                sink.write(chunk)
                have += len(chunk)
                if on_progress:
                    on_progress(have, size_bytes)
            sink.flush()
            os.fsync(sink.fileno())
