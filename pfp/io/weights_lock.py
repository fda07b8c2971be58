"""What ``weights.lock`` says: a name, where the file comes from, and what it must be."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from pfp.errors import ConfigError

LOCK_PATH = Path(__file__).with_name("weights.lock")
LOCK_VERSION = 1
DIGEST_DIGITS = 64
MIN_PREFIX_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One line of the lock: a single file, known by its digest and its size.

    ``sha256`` is the whole digest, its first 8 or more digits, or None; ``bytes`` None is a size
    that nobody published. ``file`` names the file where no URL does.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str | None
    bytes: int | None
    licence: str
    non_commercial: bool
    cite: str
    file: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no digest and a file without a name."""
        digits = self.sha256
        if digits is not None and not re.fullmatch("[0-9a-f]{8,64}", digits):
            raise ConfigError(
                f"weights {self.name}: sha256 {digits!r} is not {MIN_PREFIX_DIGITS} to "
                f"{DIGEST_DIGITS} lower-case hex digits; give null if it is unknown"
            )
        if not self.urls and self.file is None:
            raise ConfigError(f"weights {self.name}: no URL names the file; give it as `file`")

    @property
    def file_name(self) -> str:
        """The last part of the first URL: what people who have the file already call it."""
        return self.file or Path(urllib.parse.urlparse(self.urls[0]).path).name

    @property
    def is_exact(self) -> bool:
        """Whether the whole digest is known, so that nothing has to be taken on trust."""
        return self.sha256 is not None and len(self.sha256) == DIGEST_DIGITS


Lock: TypeAlias = Mapping[str, Weights]


def read_lock(path: Path = LOCK_PATH) -> Lock:
    """The lock file's entries by name; an unknown or a missing field is a ``ConfigError``."""
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("version") != LOCK_VERSION:
        message = f"{path}: version {document.get('version')!r}, this pfp reads {LOCK_VERSION}"
        raise ConfigError(message)
    entries = [_entry(path, item) for item in document["weights"]]
    return {entry.name: entry for entry in entries}


def _entry(path: Path, item: dict[str, Any]) -> Weights:
    known = {field.name for field in fields(Weights)}
    needed = {field.name for field in fields(Weights) if field.default is MISSING}
    if not needed <= item.keys() <= known:
        message = (
            f"{path}: entry {item.get('name')!r} must have exactly the fields {sorted(needed)}"
        )
        raise ConfigError(f"{message}, and may have {sorted(known - needed)}")
    return Weights(**{**item, "urls": tuple(item["urls"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where a base, a VAE or a text encoder is published in the layout that its loader reads.

    ``files`` is a pattern of names in ``folder``. ``revision`` and ``sha256`` None are not known
    here: pfp has read none of these files, and states no digest that nobody has published.
    """

    name: str
    part: str  # base, vae or text_encoder
    repository: str
    revision: str | None
    folder: str
    files: str
    sha256: str | None

    def __str__(self) -> str:
        """What to download: ``transformer/diffusion_pytorch_model*.safetensors of OWNER/NAME``."""
        at = f" at {self.revision}" if self.revision is not None else ""
        return f"{self.folder}/{self.files} of {self.repository}{at}"


def read_repositories(path: Path = LOCK_PATH) -> Mapping[tuple[str, str], Repository]:
    """The lock file's repositories by part and name."""
    document = json.loads(path.read_text(encoding="utf-8"))
    entries = [Repository(**item) for item in document["repositories"]]
    return {(entry.part, entry.name): entry for entry in entries}


def published_at(part: str, name: str) -> str:
    """``"; NAME is published as ..."`` for the end of an error; empty where nothing is known."""
    found = read_repositories().get((part, name))
    return "" if found is None else f"; {name} is published as {found}"
