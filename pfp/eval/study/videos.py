"""Videos of a study: what browsers play, and served names that tell nothing of who made them."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pfp.errors import ConfigError, InputError, PermanentError
from pfp.io.digests import sha256_file, sha256_json
from pfp.io.filesystems import explain_write_errors
from pfp.io.media import Guard, Probe, probe, uri_to_path
from pfp.io.media.source import open_binary

PLAYABLE: Final = {
    ".mp4": ("mov,mp4,m4a,3gp,3g2,mj2", frozenset({"h264", "av1", "vp9"})),
    ".webm": ("matroska,webm", frozenset({"vp8", "vp9", "av1"})),
}
PIXEL_FORMATS: Final = frozenset({"yuv420p", "yuvj420p"})
MIN_NAME_BYTES: Final = 5  # shorter names of models stand in any video's bytes by chance
CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A video as it is served, what it is, and whether its bytes spell a model's name."""

    name: str
    sha256: str
    probe: Probe
    tells_model: bool


class VideoFolder:
    """The folder of served videos while it is being filled."""

    def __init__(self, folder: Path, *, seed: int, link: bool, names: tuple[str, ...]) -> None:
        """names: what no video's bytes should spell, such as the models' names."""
        self._folder, self._link = folder, link
        self._salt = sha256_json(["study", seed, sorted(names)]).encode()
        self._names = [name.encode() for name in names if len(name.encode()) >= MIN_NAME_BYTES]

    def add(self, uri: str, label: str, guard: Guard) -> Served:
        """Link or copy a video under a blind name; ``label`` makes the name its own.

        Raises:
            InputError: it cannot be read or linked, is no video, or browsers do not play it.
        """
        try:
            found = guard.call(probe, uri)
        except (PermanentError, InputError) as error:
            raise InputError(
                f"{label}: {error}; a study shows MP4 or WebM files, so make one of it"
            ) from error
        suffix = playable_suffix(found, label)
        aside = self._folder / "_new"
        with explain_write_errors(str(self._folder)):
            self._put(uri, aside)
        digest = sha256_file(aside)
        secret = hmac.new(self._salt, f"{label}\n{digest}".encode(), hashlib.sha256).hexdigest()
        name = f"{secret[:24]}{suffix}"
        tells_model = _holds(aside, self._names)
        aside.rename(self._folder / name)
        return Served(name=name, sha256=digest, probe=found, tells_model=tells_model)

    def _put(self, uri: str, target: Path) -> None:
        if not self._link:
            with open_binary(uri) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, CHUNK_BYTES)
            target.chmod(0o644)
            return
        if not uri.startswith("file://"):
            raise ConfigError(f"{uri} is not on this machine and cannot be linked; use --copy")
        try:
            os.link(os.path.realpath(uri_to_path(uri)), target)
        except OSError as error:
            raise ConfigError(f"{uri} cannot be linked ({error.strerror}); use --copy") from error


def playable_suffix(found: Probe, label: str) -> str:
    """``.mp4`` or ``.webm``, by content; ``InputError`` for what browsers do not all play."""
    for suffix, (container, codecs) in PLAYABLE.items():
        if found.container == container and found.codec in codecs:
            if found.pixel_format in PIXEL_FORMATS:
                return suffix
            break
    raise InputError(
        f"{label} is {found.codec} {found.pixel_format} in {found.container}, which not every "
        "browser plays; convert all models' videos alike, say with `ffmpeg -i IN -an -c:v libx264 "
        "-crf 12 -pix_fmt yuv420p OUT.mp4`"
    )


def differing(probes: tuple[Probe, ...]) -> bool:
    """Whether raters could tell videos apart by more than their frames: size, rate or length."""
    looks: tuple[Callable[[Probe], object], ...] = (
        lambda found: (found.width, found.height),
        lambda found: None if found.fps is None else round(found.fps, 1),
        lambda found: None if found.duration_seconds is None else round(found.duration_seconds, 1),
    )
    return any(len({look(found) for found in probes}) > 1 for look in looks)


def _holds(path: Path, names: list[bytes]) -> bool:
    """Whether a file's bytes have one of the names in them, over the edges of chunks, too."""
    if not names:
        return False
    keep = max(map(len, names)) - 1
    with path.open("rb") as file:
        tail = b""
        while chunk := file.read(CHUNK_BYTES):
            window = tail + chunk
            if any(name in window for name in names):
                return True
            tail = window[-keep:]
    return False
