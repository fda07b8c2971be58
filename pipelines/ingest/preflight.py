"""What is tried before the first file is measured: a run of days must not end on its last step."""

from __future__ import annotations

import uuid
from typing import Final

from av.codec import Codec
from av.codec.codec import UnknownCodecError

from pfp.errors import ConfigError, InputError
from pfp.io.filesystems import (
    ASIDE_PREFIX,
    Folder,
    explain_store_errors,
    explain_write_errors,
)
from pfp.schema.run_directory import RunDirectory

# What videos of collections are of; an FFmpeg of one's own may be built without some of them.
DECODERS: Final = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4", "mjpeg", "prores")


def check_decoders(names: tuple[str, ...] = DECODERS) -> None:
    """Raise ConfigError when the FFmpeg of PyAV lacks decoders: their files would all fail."""
    missing = [name for name in names if not _has_decoder(name)]
    if missing:
        message = (
            f"the FFmpeg of PyAV decodes no {', '.join(missing)}; install PyAV from its wheel: "
            "pip install --force-reinstall --only-binary av av"
        )
        raise ConfigError(message)


def check_writable(out: RunDirectory) -> None:
    """Write, read back and delete a file where tables will lie; the folders stay.

    Raises InputError for a folder that cannot be written or that does not return what was written,
    PermanentError for a store that refuses, RetryableError for one that does not answer.
    """
    for table in (out.measured, out.videos, out.clips):
        folder = Folder.at(table.path)
        folder.make()
        name, content = f"{ASIDE_PREFIX}{uuid.uuid4().hex}", uuid.uuid4().bytes
        folder.write(name, content)
        found = folder.read(name)
        with (
            explain_write_errors(folder.path),
            explain_store_errors(folder.filesystem, folder.path),
        ):
            folder.delete(name)
        if found != content:
            message = (
                f"{table.path} gives {len(found)} bytes back that are not the {len(content)} "
                "written; choose another --output"
            )
            raise InputError(message)


def _has_decoder(name: str) -> bool:
    try:
        Codec(name, "r")
    except UnknownCodecError:
        return False
    return True
