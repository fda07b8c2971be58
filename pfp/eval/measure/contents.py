"""What videos hold, as digests: of files, and of folders of images."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from pathlib import Path

from pfp.errors import InputError
from pfp.io.digests import sha256_file, sha256_files, sha256_json
from pfp.io.locate import local_path
from pfp.io.media import images_in


class Contents:
    """What places hold, each looked at once: it has many metrics, and a reference many samples."""

    def __init__(self) -> None:
        self.digest_of = cache(digest_of)
        self.state_of = cache(state_of)


def digest_of(place: str) -> str | None:
    """The digest of a file or a folder of images on this machine.

    None where there is none, or where reading it will tell what is wrong.
    """
    path = local_path(place)
    try:
        if path is not None and path.is_dir():
            return _digest_of_folder(path)
        if path is None or not path.is_file():
            return None
        return _digest_once(path, _state(path.stat()))
    except (InputError, OSError):
        return None


def state_of(place: str) -> str | None:
    """What is known of a file or a folder of images without reading it; None of what is not here.

    It changes with the bytes: the time of a file's status cannot be set back.
    """
    path = local_path(place)
    try:
        if path is None:
            return None
        if path.is_dir():
            return sha256_json([_state(image.stat()) for image in images_in(path)])
        return _state(path.stat())
    except (InputError, OSError):
        return None


def _state(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


@lru_cache(maxsize=1 << 16)  # a reference serves many samples
def _digest_once(path: Path, state: str) -> str:
    """The file's digest; the state is only part of the key under which it is cached."""
    del state
    return sha256_file(path)


def _digest_of_folder(folder: Path) -> str:
    """The digest of the images in a folder."""
    images = tuple(images_in(folder))
    state = sha256_json([_state(path.stat()) for path in images])
    return _folder_digest_once(images, state)


@lru_cache(maxsize=1 << 8)
def _folder_digest_once(images: tuple[Path, ...], state: str) -> str:
    """The digest of the images' contents; the state is only part of the key."""
    del state
    return sha256_files(images)
