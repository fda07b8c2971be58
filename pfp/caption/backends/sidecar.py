"""Storyboards that people (or other tools) left beside the videos.

``clip.mp4.storyboard.json`` belongs to ``clip.mp4`` by its name. ``clip.storyboard.json`` belongs
to the one video called ``clip``; where there are two, ``clip.mp4`` and ``clip.webm``, nobody can
tell whose it is, and neither gets it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyarrow.fs import FileType

from pfp.caption.storyboard import Storyboard
from pfp.errors import InputError, PermanentError, Rejected, RowError, SchemaError
from pfp.io.digests import sha256_json
from pfp.io.files import leads_out_of
from pfp.io.filesystems import Folder, explain_store_errors, resolve
from pfp.io.media import uri_to_path
from pfp.io.media.source import local_path, open_binary
from pfp.limits import MAX_ANSWER_LENGTH
from pfp.vlm.answer import Answer, Finish

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pfp.caption.backends.backend import StoryboardRequest

SUFFIX: Final = ".storyboard.json"
# What other files called like a video may be besides images, sound and text about it.
VIDEO_SUFFIXES: Final = (
    *(".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mpe", ".m2v"),
    *(".ts", ".mts", ".m2ts", ".m2t", ".ogv", ".ogm", ".flv", ".f4v", ".wmv", ".asf", ".y4m"),
    *(".ivf", ".obu", ".gif", ".apng", ".3gp", ".3g2", ".mxf", ".vob", ".divx", ".dv", ".rm"),
    *(".rmvb", ".nut", ".mjpeg", ".h264", ".264", ".h265", ".265", ".hevc", ".av1"),
)
MAX_SIZE_BYTES: Final = MAX_ANSWER_LENGTH


class SidecarBackend:
    """Answers with the content of ``NAME.mp4.storyboard.json``, else ``NAME.storyboard.json``.

    The file is JSON: ``{"schema_version": 1, "global_caption": TEXT or null, "shots":
    [{"start_seconds": 0.0, "end_seconds": 2.5, "caption": TEXT}, ...]}``, with times counted from
    the video's first frame. Of a clip out of the video, the shots that reach into the clip are the
    answer, cut to it. What it says is checked by the caller, like any backend's answer.
    """

    name: Final = "sidecar"
    model: Final = None
    generative: Final = False
    sampling: Final = None
    fingerprint: Final = sha256_json({"backend": "sidecar", "format": 2})

    def check_ready(self) -> None:
        """Nothing is needed: a missing file is an answer of its own."""

    def ask(self, request: StoryboardRequest) -> Answer:
        """The file's text, or ``Finish.ABSENT`` when there is none.

        Raises PermanentError for a file that cannot be read as text, and Rejected for one that
        may as well belong to another video.
        """
        uri, content = named_sidecar_uri(request.path), None
        if uri != sidecar_uri(request.path):
            content = _read(uri, request.path)
        if content is None:
            uri = sidecar_uri(request.path)
            content = _read(uri, request.path)
            if content is not None:
                _check_whose(request.path, _there(request.path))
        if content is None:
            problem = f"there is no {_shown(uri)}"
            return Answer(backend=self.name, model=None, finish=Finish.ABSENT, problem=problem)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"{_shown(uri)} is not UTF-8 text ({error.reason}); save it as UTF-8"
            raise PermanentError(message) from error
        return Answer(backend=self.name, model=None, raw_text=_of_clip(text, request))

    def close(self) -> None:
        """Nothing is held open."""


def _of_clip(text: str, request: StoryboardRequest) -> str:
    """What a video's storyboard says of the clip; text that is no storyboard stays as it is."""
    if request.is_whole_video:
        return text
    try:
        whole = Storyboard.from_json(text)
    except SchemaError:
        return text
    return whole.within(request.start_seconds, request.end_seconds).to_json()


def sidecar_uri(video_uri: str) -> str:
    """Where the storyboard of a video lies: ``a/b.mp4`` -> ``a/b.storyboard.json``."""
    folder, slash, name = video_uri.rpartition("/")
    return f"{folder}{slash}{_stem(name)}{SUFFIX}"


def named_sidecar_uri(video_uri: str) -> str:
    """Where a storyboard lies that names its video: ``a/b.mp4`` -> ``a/b.mp4.storyboard.json``."""
    return f"{video_uri}{SUFFIX}"


def sidecar_digests(video_uris: Iterable[str]) -> list[str | None]:
    """SHA-256 of the storyboard beside each video, None where there is none.

    Every folder is listed once, so a video without a storyboard costs nothing. A storyboard that
    cannot be read counts by its message, which is what asking for it will say too.
    """
    present: dict[str, frozenset[str] | None] = {}
    digests: list[str | None] = []
    for video_uri in video_uris:
        folder, _ = _folder_and_name(video_uri)
        if folder not in present:
            present[folder] = _names_in(folder)
        digests.append(_digest_of_own(video_uri, present[folder]))
    return digests


def _digest_of_own(video_uri: str, names: frozenset[str] | None) -> str | None:
    """The digest of the storyboard that a video would get; ``names``: those beside it, if known."""
    named, uri = named_sidecar_uri(video_uri), sidecar_uri(video_uri)
    if named != uri and (names is None or _folder_and_name(named)[1] in names):
        found = _digest(named, video_uri)
        if found is not None or names is not None:
            return found
    if names is not None and _folder_and_name(uri)[1] not in names:
        return None
    return _digest(uri, video_uri, whose=_there(video_uri) if names is None else names)


def _digest(uri: str, video_uri: str, whose: Collection[str] | None = None) -> str | None:
    try:
        content = _read(uri, video_uri)
        if content is not None and whose is not None:
            _check_whose(video_uri, whose)
    except RowError as error:
        content = str(error).encode("utf-8", "backslashreplace")
    return None if content is None else hashlib.sha256(content).hexdigest()


def _check_whose(video_uri: str, names: Collection[str]) -> None:
    """Raise Rejected when another video beside this one has as good a claim to its storyboard.

    names: of files beside the video; more than those of videos do no harm.
    """
    _, own = _folder_and_name(video_uri)
    others = [
        name
        for name in _claimants(own)
        if name in names and f"{name}{SUFFIX}" not in names and not _is_same(video_uri, name)
    ]
    stem = _stem(own)
    if stem != own and stem in names and Path(stem).suffix.lower() in {"", *VIDEO_SUFFIXES}:
        others.append(stem)  # the storyboard of clip.mp4.mkv names clip.mp4
    if others:
        both = _printable(" and ".join(sorted([own, *others])[:3]))
        raise Rejected(
            "storyboard_ambiguous",
            f"{_printable(stem)}{SUFFIX} may belong to {both}; name its video in it: "
            f"{_printable(own)}{SUFFIX}",
        )


def _claimants(own: str) -> list[str]:
    """The names of other videos that a storyboard with this video's stem may belong to."""
    stem = _stem(own)
    suffixes = dict.fromkeys(case for one in VIDEO_SUFFIXES for case in (one, one.upper()))
    return [name for suffix in suffixes if (name := f"{stem}{suffix}") != own]


def _there(video_uri: str) -> frozenset[str]:
    """Which of the names that decide whose a storyboard is are there, without a listing.

    A folder may hold millions of files, and this is asked for each of its storyboards.
    """
    folder, own = _folder_and_name(video_uri)
    videos = _files_of(folder, [_stem(own), *_claimants(own)])
    return videos | _files_of(folder, [f"{name}{SUFFIX}" for name in videos])


def _files_of(folder: str, names: Collection[str]) -> frozenset[str]:
    """Those of the names that are files in the folder."""
    if "://" not in folder:
        return frozenset(name for name in names if Path(folder, name).is_file())
    filesystem, path = resolve(folder)
    with explain_store_errors(filesystem, folder):
        infos = filesystem.get_file_info([f"{path}/{name}" for name in names])
    found = zip(names, infos, strict=True)
    return frozenset(name for name, info in found if info.type == FileType.File)


def _is_same(video_uri: str, name: str) -> bool:
    """Whether a name beside a local video is another one of the same file."""
    folder, own = _folder_and_name(video_uri)
    if "://" in folder:
        return False
    try:
        return Path(folder, own).samefile(Path(folder, name))
    except OSError:
        return False


def _stem(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


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
    return _printable(uri.rpartition("/")[2])


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
