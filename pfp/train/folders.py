"""Folders of a training that are there whole or not at all, by the step that they are of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PREFIX: Final = "step-"
_ASIDE: Final = ".aside"


@contextmanager
def appearing_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into that gets its name, in the place of what had it, when the block ends.

    Whatever kills the process, there is a whole folder of that name or none.
    """
    aside = aside_of(folder)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    yield aside
    put_in_place(aside, folder)


def put_in_place(aside: Path, folder: Path) -> None:
    """Give a folder that was written aside its name."""
    for path in aside.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # the bytes are on the disk before the name is
    remove_whole(folder)
    aside.rename(folder)


def remove_whole(folder: Path) -> None:
    """Remove a folder so that no half of it has its name meanwhile."""
    if folder.exists():
        removed = folder.with_name(f".{folder.name}.removed")
        shutil.rmtree(removed, ignore_errors=True)
        folder.rename(removed)
        shutil.rmtree(removed)


def aside_of(folder: Path) -> Path:
    """Where a folder is written before it gets its name."""
    return folder.with_name(f".{folder.name}{_ASIDE}")


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process was writing or removing in a folder."""
    for pattern in (f".{_PREFIX}*{_ASIDE}", f".{_PREFIX}*.removed"):
        for path in folder.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


def step_folder(folder: Path, step: int) -> Path:
    """The folder of what there is after so many steps."""
    return folder / f"{_PREFIX}{step:08d}"


def step_folders(folder: Path) -> dict[int, Path]:
    """All folders of steps, by the number of steps, in order."""
    found = {int(path.name.removeprefix(_PREFIX)): path for path in folder.glob(f"{_PREFIX}*")}
    return dict(sorted(found.items()))
