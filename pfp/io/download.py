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

OnProgress: TypeAlias = Callable[[int, int | None], None]


def download(
    url: str, part: Path, *, size_bytes: int | None, on_progress: OnProgress | None = None
) -> None:
    """Append to ``part`` until it holds ``size_bytes``; what is there is not asked for again.

    ``part`` stays when the connection is lost, so that a later call goes on from there; it may end
    up longer than ``size_bytes`` by one chunk at most, which tells a foreign file. Where
    ``size_bytes`` is None the file is as long as the server says.
    ``on_progress`` is called with the bytes there and the bytes wanted, None if nobody knows.

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
            wanted = _append(url, part, size_bytes, on_progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size_bytes is None:
                return  # nothing comes after what is there; its digest tells whether it is right
            raise InputError(f"{url}: HTTP {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if wanted is None or _size(part) >= wanted:
            return
        problem = f"the server sent {_size(part)} of {wanted} bytes"
    raise InputError(f"{url}: {problem}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _append(
    url: str, part: Path, size_bytes: int | None, on_progress: OnProgress | None
) -> int | None:
    """One request; returns how many bytes the whole file has, None if nobody said."""
    have = _size(part)
    request = urllib.request.Request(url)  # noqa: S310 - `download` checked the scheme
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server knows no ranges and starts again
        coming = response.headers.get("Content-Length")
        announced = have + int(coming) if coming and coming.isdigit() else None
        wanted = announced if size_bytes is None else size_bytes
        with part.open("ab" if have else "wb") as sink:
            while (wanted is None or have <= wanted) and (chunk := response.read(CHUNK_BYTES)):
                sink.write(chunk)
                have += len(chunk)
                if on_progress:
                    on_progress(have, wanted)
            sink.flush()
            os.fsync(sink.fileno())
    return wanted
