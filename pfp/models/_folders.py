"""Local folders of pretrained weights, as diffusers and transformers save them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pfp.errors import WeightsError
from pfp.io.digests import sha256_file, sha256_json
from pfp.io.files import read_file
from pfp.io.json_text import parse_json
from pfp.limits import MAX_JSON_LENGTH


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's ``config.json``; a folder without one is a ``WeightsError``."""
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError(
            f"{folder} holds no config.json; give the folder that holds config.json and the "
            "*.safetensors files"
        )
    try:
        config = parse_json(read_file(path, MAX_JSON_LENGTH).decode())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not JSON ({error}); download the weights again") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path} is not a JSON object; download the weights again")
    return config


def weights_sha256(folder: Path) -> str:
    """The digest of the folder's ``*.safetensors`` files.

    For a single file it is the file's own SHA-256 (as ``sha256sum`` prints it), for several the
    digest of ``{file name: SHA-256}``. Files are hashed once per process unless they change.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(
            f"{folder} holds no *.safetensors file; download or convert the weights to safetensors"
        )
    digests = {path.name: _cached_sha256(path, *_stamp(path)) for path in files}
    return next(iter(digests.values())) if len(digests) == 1 else sha256_json(digests)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=256)
def _cached_sha256(path: Path, size_bytes: int, modified_ns: int) -> str:
    del size_bytes, modified_ns  # they are here to miss the cache when the file changed
    return sha256_file(path)
