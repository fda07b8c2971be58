"""Storyboards that people (or other tools) left beside the videos: ``NAME.storyboard.json``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pfp.errors import InputError, PermanentError
from pfp.io.digests import sha256_json
from pfp.io.filesystems import Folder
from pfp.io.media import uri_to_path
from pfp.io.media.source import open_binary
from pfp.vlm.answer import Answer, Finish, parse_object_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pfp.vlm.question import VideoQuestion

SUFFIX: Final = ".storyboard.json"
MAX_SIZE_BYTES: Final = 4 << 20  # a storyboard of hours stays far below


class SidecarBackend:
    """Answers with the content of ``NAME.storyboard.json`` beside ``NAME.mp4``.

    The file is JSON: ``{"schema_version": 1, "global_caption": TEXT or null, "shots":
    [{"start_seconds": 0.0, "end_seconds": 2.5, "caption": TEXT}, ...]}``, with times counted from
    the video's first frame. What it says is checked by the caller, like any backend's answer.
    """

    name: Final = "sidecar"
    model: Final = None
    generative: Final = False
    fingerprint: Final = sha256_json({"backend": "sidecar", "format": 1})

    def check_ready(self) -> None:
        """Nothing is needed: a missing file is an answer of its own."""

    def ask(self, question: VideoQuestion) -> Answer:
        """The file's text, or ``Finish.ABSENT`` when there is none.

        Raises PermanentError for a file that cannot be read as text.
        """
        uri = sidecar_uri(question.path)
        content = _read(uri)
        if content is None:
            problem = f"there is no {_shown(uri)}"
            return Answer(backend=self.name, model=None, finish=Finish.ABSENT, problem=problem)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"{_shown(uri)} is not UTF-8 text ({error.reason}); save it as UTF-8"
            raise PermanentError(message) from error
        parsed = parse_object_or_none(text)
        return Answer(backend=self.name, model=None, raw_text=text, parsed=parsed)

    def close(self) -> None:
        """Nothing is held open."""


def sidecar_uri(video_uri: str) -> str:
    """Where the storyboard of a video lies: ``a/b.mp4`` -> ``a/b.storyboard.json``."""
    folder, slash, name = video_uri.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}{SUFFIX}"


def sidecar_digests(video_uris: Iterable[str]) -> list[str | None]:
    """SHA-256 of the storyboard beside each video, None where there is none.

    Every folder is listed once, so a video without a storyboard costs nothing. A storyboard that
    cannot be read counts by its message, which is what asking for it will say too.
    """
    present: dict[str, frozenset[str]] = {}
    digests: list[str | None] = []
    for video_uri in video_uris:
        uri = sidecar_uri(video_uri)
        folder, name = _folder_and_name(uri)
        if folder not in present:
            present[folder] = _names_in(folder)
        digests.append(_digest(uri) if name in present[folder] else None)
    return digests


def _digest(uri: str) -> str | None:
    try:
        content = _read(uri)
    except PermanentError as error:
        content = str(error).encode("utf-8", "backslashreplace")
    return None if content is None else hashlib.sha256(content).hexdigest()


def _folder_and_name(uri: str) -> tuple[str, str]:
    if "://" in uri and not uri.startswith("file://"):
        folder, _, name = uri.rpartition("/")
        return folder, name
    path = uri_to_path(uri) if uri.startswith("file://") else uri
    folder, name = os.path.split(path)
    return folder or ".", name


def _names_in(folder: str) -> frozenset[str]:
    if "://" in folder:
        return frozenset(Folder.at(folder).names())
    try:
        return frozenset(entry.name for entry in Path(folder).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _read(uri: str) -> bytes | None:
    """The file's bytes, None when there is no such file."""
    try:
        with open_binary(uri) as file:
            content = file.read(MAX_SIZE_BYTES + 1)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise PermanentError(str(error)) from error
    if len(content) > MAX_SIZE_BYTES:
        message = f"{_shown(uri)} is larger than {MAX_SIZE_BYTES} bytes: it is no storyboard"
        raise PermanentError(message)
    return content


def _shown(uri: str) -> str:
    return uri.rpartition("/")[2].encode("utf-8", "backslashreplace").decode()
