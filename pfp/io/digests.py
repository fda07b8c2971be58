"""SHA-256 of files and of plain values: the names that results are kept under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from pfp.errors import ConfigError, InputError
from pfp.io.files import Name, chunks_of, open_file


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a local file's bytes, 64 lower-case hex digits; read in chunks of 1 MiB.

    ``InputError`` for what cannot be read, is no file, or changes its length while it is read.
    """
    try:
        with open_file(path) as file:
            return sha256_stream(file, path)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); check the path and its permissions"
        raise InputError(message) from error


def sha256_stream(file: BinaryIO, name: Name) -> str:
    """The SHA-256 of an open file's bytes, 64 hex digits.

    Raises ``UnusableFile`` for one that is too large or changes its length while it is read.
    """
    digest = hashlib.sha256()
    for chunk in chunks_of(file, name):
        digest.update(chunk)
    return digest.hexdigest()


def sha256_files(paths: Iterable[str | Path]) -> str:
    """The SHA-256 of the contents of several files, one after the other; names do not count.

    The order does. It is that of the files' own digests as canonical JSON.
    """
    return sha256_json({"files": [sha256_file(path) for path in paths]})


def sha256_json(obj: object) -> str:
    """The SHA-256 of a value's canonical JSON: keys sorted, no spaces, UTF-8.

    Bytes count by their own digest. NaN and the infinities are written as Python writes them, so
    they are equal to themselves here. Values that JSON has no form for are a ``ConfigError``.
    """
    try:
        text = json.dumps(
            obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_digest_of_bytes
        )
    except TypeError as error:
        message = f"a value cannot be digested: {error}; use plain numbers, strings, lists or dicts"
        raise ConfigError(message) from error
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _digest_of_bytes(value: Any) -> dict[str, str]:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    message = f"{type(value).__name__} {value!r} has no JSON form"
    raise TypeError(message)
