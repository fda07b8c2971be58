"""Pages, and what stands beside them, to their places."""

from __future__ import annotations

from pathlib import Path

from pfp.io.filesystems import Folder, explain_write_errors


def write_whole(path: str | Path, text: str) -> None:
    """The whole file or the old one, on this machine or in an object store."""
    directory, _, name = str(path).rpartition("/")
    with explain_write_errors(str(path)):
        folder = Folder.at(directory or ".")
        folder.make()
        folder.write(name, text.encode())
