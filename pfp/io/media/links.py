"""Symbolic links whose target is not here: tools for large files leave them in place of a video."""

from __future__ import annotations

import errno
import os
from typing import Final

# (part of a link's target, what to do). The target's own name tells which tool made the link.
_CURES: Final = (
    ("annex/objects/", "git annex get it"),
    (".dvc/cache/", "run dvc pull"),
    ("/files/md5/", "run dvc pull"),
    (".git/lfs/objects/", "run git lfs pull"),
    ("../blobs/", "download it again"),
)


def missing_target(path: str | os.PathLike[str]) -> str | None:
    """What a link is whose target is not here, and the cure; None for whatever else it may be."""
    try:
        target = os.readlink(path)  # noqa: PTH115 - a path may hold what Path refuses
    except (OSError, ValueError):
        return None  # no link
    try:
        os.stat(path)  # noqa: PTH116 - pathlib hides loops
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself: remove it"
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
            return None
    else:
        return None
    cure = next((cure for part, cure in _CURES if part in target), "bring its target, or remove it")
    shown = repr(target.encode("utf-8", "backslashreplace").decode())[1:-1]
    return f"a link whose target is not here ({shown}): {cure}"
