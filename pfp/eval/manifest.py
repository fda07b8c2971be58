"""Manifests: which videos are to be scored, and what is known of each.

One JSON object a line. ``video`` is all that it must have; paths count from the manifest's folder::

    {"video": "a/0001.mp4", "prompt": "A red kite.", "model": "ours", "seed": 1}
    {"video": "b/0001.mp4", "prompt": "A red kite.", "model": "theirs", "reference": "true/1.mp4"}

``sample_id`` names the row (default: the path), ``group`` what samples have in common and are
compared by (default: the prompt, else the path without its suffix). ``storyboard`` is a list of
shots, an object with ``shots``, or the path of a JSON file with one. File names are bytes: those
that are not UTF-8 work.

``video``, ``reference`` and ``history`` are videos, animated images (GIF, PNG, WebP), folders of
images in the natural order of their names, or images. The last two have no rate, so ``fps``
gives it (24 without it).

A folder is a manifest, too: of the videos and animations in it, and of its subfolders that hold
images and no video, unless they are hidden. A folder of nothing but images is one video.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pfp.errors import InputError, PfpError
from pfp.io.digests import sha256_json
from pfp.io.files import read_file, read_lines
from pfp.io.filesystems import check_uri
from pfp.io.json_text import RepeatedKey, parse_json
from pfp.io.media import DEFAULT_IMAGE_FPS, has_rate, images_in, path_to_uri
from pfp.io.media.frame_folder import SUFFIXES as IMAGE_SUFFIXES
from pfp.io.media.links import missing_target
from pfp.limits import MAX_LINE_BYTES, MAX_LINES_BYTES, MAX_SHOTS
from pfp.schema import EvalSample, Shot
from pfp.texts import listed, quoted

FIELDS: Final = frozenset(
    {
        *("sample_id", "video", "prompt", "storyboard", "reference", "history", "model", "seed"),
        *("group", "reference_faces", "fps"),
    }
)
SHOT_FIELDS: Final = frozenset({"start_seconds", "end_seconds", "caption"})
BOARD_FIELDS: Final = frozenset({"schema_version", "global_caption", "shots"})
SUFFIXES: Final = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv"),
        *(".flv", ".wmv", ".y4m", ".ivf", ".gif", ".apng"),
    }
)
DEFAULT_MODEL: Final = "model"
PROMPT_GROUP: Final = "prompt-"  # and a digest: what groups are called that only share a prompt
MAX_FPS: Final = 1000.0
MAX_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The samples in order; places are ``file://`` URIs, or URIs as the manifest gave them.

    ``sha256`` is the digest of what the lines and their storyboards say, in whatever order, which
    is the same wherever the manifest lies.
    """

    samples: tuple[EvalSample, ...]
    sha256: str

    @classmethod
    def of(cls, lines: Sequence[_Line]) -> Manifest:
        """The manifest of its lines."""
        return cls(
            samples=tuple(line.sample for line in lines),
            sha256=sha256_json(sorted(line.sha256 for line in lines)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A sample, and the digest of what was written of it."""

    sample: EvalSample
    sha256: str


class _Problem(Exception):  # noqa: N818 - collected, and told all together
    """What is wrong with one line."""


def read_manifest(path: str | Path) -> Manifest:
    """A manifest, or a folder of videos as one.

    Raises:
        InputError: anything is wrong with it; the message names the first lines, values and cures.
    """
    manifest, problems = check_manifest(path)
    if problems:
        more = len(problems) - MAX_SHOWN
        shown = "; ".join(problems[:MAX_SHOWN])
        rest = f"; and {more} more, see `pfp-eval validate`" if more > 0 else ""
        raise InputError(f"{shown_path(path)}: {shown}{rest}")
    return manifest


def check_manifest(path: str | Path) -> tuple[Manifest, list[str]]:
    """The manifest of the lines that are right, and one sentence for each thing that is wrong.

    Raises:
        InputError: there is no such file, or nothing in it.
    """
    path = Path(path)
    if path.is_dir():
        return _of_folder(path), []
    lines: list[_Line] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, text in _lines(path):
        try:
            line = _line(text.removeprefix(b"\xef\xbb\xbf"), path.parent)
        except _Problem as problem:
            problems.append(f"line {number}: {problem}")
            continue
        sample_id = line.sample.sample_id
        if sample_id in seen:
            problems.append(
                f"line {number}: sample_id {quoted(sample_id)} is that of line "
                f"{seen[sample_id]}, too; give each line one of its own"
            )
            continue
        seen[sample_id] = number
        lines.append(line)
    if not lines and not problems:
        raise InputError(f"{shown_path(path)} is empty; write one JSON object a line, see validate")
    return Manifest.of(lines), problems


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, by number from 1."""
    try:
        lines = read_lines(path, max_bytes=MAX_LINES_BYTES, max_line_bytes=MAX_LINE_BYTES)
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, line
    except OSError as error:
        raise InputError(
            f"{shown_path(path)} cannot be read ({error.strerror}); give a manifest or a folder"
        ) from error


def shown_path(path: str | bytes | os.PathLike[str]) -> str:
    """A path for messages and tables: bytes that are not UTF-8 are written in hex digits."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _of_folder(folder: Path) -> Manifest:
    below = list(folder.rglob("*"))
    # A link whose target is not here is a video that was not fetched: its rows say so.
    files = [
        path
        for path in below
        if path.suffix.lower() in SUFFIXES and (path.is_file() or missing_target(path) is not None)
    ]
    beside_videos = {path.parent for path in files}
    folders = [
        path
        for path in below
        if path.is_dir()
        and path not in beside_videos
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and _has_images(path)
    ]
    videos = sorted(path.relative_to(folder) for path in files + folders)
    if not videos and _has_images(folder):
        videos = [Path()]
    if not videos:
        raise InputError(
            f"{shown_path(folder)} holds no video ({' '.join(sorted(SUFFIXES))}) and no folder of "
            "images; give another folder, or a manifest"
        )
    name = shown_path(folder.resolve().name) or DEFAULT_MODEL
    return Manifest.of(
        [
            _Line(
                sample=EvalSample(
                    sample_id=shown_path(video) if video.name else name,
                    group=_stem_of(folder / video, shown_path(video)) if video.name else name,
                    method=name,
                    model_id=name,
                    video_uri=path_to_uri(folder / video),
                ),
                sha256=_digest_of_written({"video": os.fspath(video)}, ()),
            )
            for video in videos
        ]
    )


def _has_images(folder: Path) -> bool:
    """Whether a folder is a video; one whose names are doubtful is, and its rows will say so."""
    try:
        return bool(images_in(folder))
    except InputError:
        return True


def _line(text: bytes, folder: Path) -> _Line:
    item = _object(text)
    if unknown := sorted(item.keys() - FIELDS):
        raise _Problem(f"unknown fields {listed(unknown)}; known are {', '.join(sorted(FIELDS))}")
    video = _text(item, "video")
    if video is None:
        raise _Problem("no video; add `video`")
    shots, caption = _storyboard(item.get("storyboard"), folder)
    prompt = _words(item, "prompt") or caption
    faces = item.get("reference_faces", [])
    if not isinstance(faces, list):
        raise _Problem(f"reference_faces is {quoted(faces)}; give a list of paths")
    model = _words(item, "model") or DEFAULT_MODEL
    video_uri = _video("video", video, folder)
    reference_uri = _optional_video(item, "reference", folder)
    history_uri = _optional_video(item, "history", folder)
    sample = EvalSample(
        video_uri=video_uri,
        reference_uri=reference_uri,
        history_uri=history_uri,
        prompt=prompt,
        shots=shots,
        reference_faces=tuple(_place("reference_faces", face, folder) for face in faces),
        fps=_fps(item.get("fps"), video_uri, history_uri),
        sample_id=_words(item, "sample_id") or shown_path(video),
        model_id=model,
        method=model,
        seed=_seed(item.get("seed", 0)),
        group=(
            _words(item, "group")
            or _group_of_texts(prompt, shots)
            or (shown_path(reference_uri) if reference_uri else _stem_of(folder / video, video))
        ),
    )
    return _Line(sample=sample, sha256=_digest_of_written(item, (prompt, *map(asdict, shots))))


def _digest_of_written(item: Mapping[str, Any], story: Sequence[object]) -> str:
    """ASCII, since bytes of file names that are not UTF-8 have no other form in JSON."""
    return sha256_json(json.dumps([item, *story], sort_keys=True))


def _object(line: bytes) -> dict[str, Any]:
    try:
        # Bytes of file names that are not UTF-8 travel as lone surrogates, as Python's paths do.
        item = parse_json(line.decode("utf-8", "surrogateescape"), max_length=MAX_LINE_BYTES)
    except RepeatedKey as error:
        raise _Problem(f"{quoted(error.key)} is there twice; keep one") from error
    except ValueError as error:
        raise _Problem(f"not JSON ({error}); write one object a line") from error
    if not isinstance(item, dict):
        raise _Problem(f"{quoted(shown_path(line.strip()))} is no JSON object; write {{...}}")
    return item


def _text(item: Mapping[str, Any], name: str) -> str | None:
    """A field that is text, or None if it is not there."""
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise _Problem(f"{name} is {quoted(value)}; write text, or leave it out")
    return value


def _words(item: Mapping[str, Any], name: str) -> str | None:
    """Text that goes into tables and models, so that it must be UTF-8."""
    value = _text(item, name)
    if value is not None and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _Problem(
            f"{name} {quoted(shown_path(value))} is not UTF-8; save the manifest as UTF-8"
        )
    return value


def _seed(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise _Problem(f"seed is {quoted(value)}; write a whole number, or leave it out")
    return value


def _fps(value: object, video_uri: str, history_uri: str | None) -> float | None:
    """The rate of a sample's images; None is the usual one, so that saying it changes nothing."""
    if value is None:
        return None
    fps = 0.0 if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    if not 0 < fps <= MAX_FPS:  # also for NaN
        raise _Problem(
            f"fps is {quoted(value)}; write frames per second, over 0 and up to {MAX_FPS:g}"
        )
    with suppress(PfpError):  # where nobody can tell, each of the sample's rows says why
        if has_rate(video_uri) and (history_uri is None or has_rate(history_uri)):
            raise _Problem(
                f"fps is {quoted(value)}, but {shown_path(video_uri)} has a rate of its own; "
                "leave fps to folders of images and to still images"
            )
    return None if fps == DEFAULT_IMAGE_FPS else fps


def _optional_video(item: Mapping[str, Any], name: str, folder: Path) -> str | None:
    value = _text(item, name)
    return None if value is None else _video(name, value, folder)


def _video(name: str, value: str, folder: Path) -> str:
    """The URI of a file or of a folder of images."""
    try:
        path = folder / value
        if "://" in value or not path.is_dir():
            return _place(name, value, folder)
        if not images_in(path):
            raise _Problem(
                f"{name} {quoted(shown_path(value))} is a folder without images "
                f"({' '.join(IMAGE_SUFFIXES)}); give a file, or such a folder"
            )
        return path_to_uri(path)
    except (InputError, OSError, ValueError) as error:
        raise _Problem(f"{name} {quoted(value)} cannot be used ({error}); mend it") from error


def _place(name: str, value: object, folder: Path) -> str:
    """The URI of a file that is there; URIs are taken at their word."""
    if not isinstance(value, str):
        raise _Problem(f"{name} is {quoted(value)}; write a path")
    if "://" in value:
        try:
            check_uri(value)
        except InputError as error:
            raise _Problem(f"{name}: {error}") from error
        return value
    try:
        path = folder / value
        link = missing_target(path)
        if link is not None:
            raise _Problem(f"{name} {shown_path(value)!r} is {link}")
        if not path.is_file():
            raise _Problem(
                f"{name} {quoted(shown_path(value))} is no file in "
                f"{shown_path(folder.absolute())}; paths count from the manifest"
            )
        return path_to_uri(path)
    except OSError as error:
        raise _Problem(
            f"{name} {quoted(shown_path(value))} cannot be looked at ({error.strerror}); mend it"
        ) from error
    except ValueError as error:  # a NUL byte, or a surrogate that stands for no byte
        raise _Problem(
            f"{name} {quoted(value)} cannot be a file's name ({error}); mend it"
        ) from error


def _group_of_texts(prompt: str | None, shots: Sequence[Shot]) -> str | None:
    """Samples of one prompt belong together, whoever made them; None without any text."""
    texts = [prompt, *(shot.caption for shot in shots)]
    return f"{PROMPT_GROUP}{sha256_json(texts)[:16]}" if any(texts) else None


def _stem_of(place: Path, video: str) -> str:
    """The path as it was written, without a file's suffix; what follows a folder's dot is name."""
    is_folder = "://" not in video and place.is_dir()
    return shown_path(Path(video) if is_folder else Path(video).with_suffix(""))


def _storyboard(value: object, folder: Path) -> tuple[tuple[Shot, ...], str | None]:
    """The shots and the global caption of a storyboard, inline or in a file."""
    if value is None:
        return (), None
    if isinstance(value, str):
        place = folder / value
        try:
            value = _object(read_file(place, MAX_LINE_BYTES))
        except (OSError, ValueError) as error:
            raise _Problem(
                f"storyboard {shown_path(place)!r} cannot be read ({error}); paths count from the "
                "manifest"
            ) from error
        except _Problem as problem:
            raise _Problem(f"storyboard {shown_path(place)!r}: {problem}") from problem
    board = {"shots": value} if isinstance(value, list) else value
    if not isinstance(board, dict) or not isinstance(board.get("shots"), list):
        raise _Problem(f"storyboard is {quoted(value)}; give its shots, or the path of a JSON file")
    if len(board["shots"]) > MAX_SHOTS:
        raise _Problem(f"storyboard has {len(board['shots'])} shots, more than {MAX_SHOTS}")
    if unknown := sorted(board.keys() - BOARD_FIELDS):
        raise _Problem(f"storyboard has unknown fields {listed(unknown)}")
    if board.get("schema_version", 1) != 1:
        raise _Problem(
            f"storyboard is of schema_version {quoted(board['schema_version'])}; write 1"
        )
    shots = tuple(_shot(number, shot) for number, shot in enumerate(board["shots"]))
    return shots, _words(board, "global_caption")


def _shot(number: int, shot: object) -> Shot:
    if not isinstance(shot, dict) or shot.keys() != SHOT_FIELDS:
        raise _Problem(
            f"shot {number} is {quoted(shot)}; give it exactly {', '.join(sorted(SHOT_FIELDS))}"
        )
    start, end = (_seconds(number, shot, name) for name in ("start_seconds", "end_seconds"))
    caption = _words(shot, "caption")
    if end <= start or caption is None:
        raise _Problem(
            f"shot {number} is {quoted(shot)}; give a span that is not empty, and a caption"
        )
    return Shot(start_seconds=start, end_seconds=end, caption=caption)


def _seconds(number: int, shot: Mapping[str, Any], name: str) -> float:
    value = shot[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise _Problem(f"{name} of shot {number} is {quoted(value)}; write seconds from 0 on")
    return float(value)
