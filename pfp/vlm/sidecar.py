"""Storyboards that people (or other tools) left beside the videos: ``NAME.storyboard.json``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pfp.errors import InputError, PermanentError, RowError
from pfp.io.digests import sha256_json
from pfp.io.files import leads_out_of
from pfp.io.filesystems import Folder
from pfp.io.media import uri_to_path
from pfp.io.media.source import local_path, open_binary
from pfp.limits import MAX_ANSWER_LENGTH
from pfp.vlm.answer import Answer, Finish, parse_object_or_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pfp.vlm.question import VideoQuestion

SUFFIX: Final = ".storyboard.json"
MAX_SIZE_BYTES: Final = MAX_ANSWER_LENGTH


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
        content = _read(uri, question.path)
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
    present: dict[str, frozenset[str] | None] = {}
    digests: list[str | None] = []
    for video_uri in video_uris:
        uri = sidecar_uri(video_uri)
        folder, name = _folder_and_name(uri)
        if folder not in present:
            present[folder] = _names_in(folder)
        names = present[folder]
        digests.append(_digest(uri, video_uri) if names is None or name in names else None)
    return digests


def _digest(uri: str, video_uri: str) -> str | None:
    try:
        content = _read(uri, video_uri)
    except RowError as error:
        content = str(error).encode("utf-8", "backslashreplace")
    return None if content is None else hashlib.sha256(content).hexdigest()


def _folder_and_name(uri: str) -> tuple[str, str]:
    if not _is_local(uri):
        folder, _, name = uri.rpartition("/")
        return folder, name
    path = uri_to_path(uri) if uri.startswith("file://") else uri
    folder, name = os.path.split(path)
    return folder or ".", name


def _names_in(folder: str) -> frozenset[str] | None:
    """The names in a folder; None where it cannot be listed, so that each must be tried."""
    if "://" in folder:
        return frozenset(Folder.at(folder).names())
    try:
        return frozenset(entry.name for entry in Path(folder).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError:
        return None


def _read(uri: str, video_uri: str) -> bytes | None:
    """The file's bytes, None when there is no such file.

    A link is followed to a file beside the video or beside what the video is a link to, where data
    sets keep both. One that leads elsewhere would show a stranger's file to whoever reads captions.
    """
    _refuse_stray_link(uri, video_uri)
    try:
        with open_binary(uri) as file:
            content = file.read(MAX_SIZE_BYTES + 1)
    except InputError as error:
        is_missing = isinstance(error.__cause__, FileNotFoundError)
        if is_missing and not _is_link(uri):
            return None
        raise PermanentError(str(error)) from error
    if len(content) > MAX_SIZE_BYTES:
        message = f"{_shown(uri)} is larger than {MAX_SIZE_BYTES} bytes: it is no storyboard"
        raise PermanentError(message)
    return content


def _is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")


def _is_link(uri: str) -> bool:
    return _is_local(uri) and Path(local_path(uri)).is_symlink()


def _refuse_stray_link(uri: str, video_uri: str) -> None:
    if not _is_link(uri):
        return
    path, video = local_path(uri), local_path(video_uri)
    places = (os.path.dirname(path) or ".", os.path.dirname(os.path.realpath(video)))  # noqa: PTH120
    if leads_out_of(path, places):
        message = f"{_shown(uri)} is a link out of its folder; put a copy beside the video"
        raise PermanentError(message)


def _shown(uri: str) -> str:
    return uri.rpartition("/")[2].encode("utf-8", "backslashreplace").decode()
