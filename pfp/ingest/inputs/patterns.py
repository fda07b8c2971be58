"""Which files a listing is about: all below a folder, or those that a pattern names.

``*`` and ``?`` stand for characters of one name and ``**`` for any folders, as in ``glob``. Names
that begin with a dot and sidecars are in no listing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

# What stands beside a video and describes it. Nothing else is left out by its name.
SIDECAR_SUFFIXES: Final = (".storyboard.json", ".truth.json")

_MAGIC: Final = re.compile(r"[*?\[]")


def is_listed(name: str) -> bool:
    """Whether a file or folder of that name, without its path, is looked at."""
    return not name.startswith(".") and not name.endswith(SIDECAR_SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Which paths below a folder count; without ``names`` all of them.

    names: one pattern a name of the path, ``**`` for any number of folders.
    """

    names: tuple[str, ...] = ()

    @property
    def max_depth(self) -> int | None:
        """How deep files that count can lie, 1 right inside the folder; None without a bound."""
        return len(self.names) if self.names and "**" not in self.names else None

    def matches(self, relative_path: str) -> bool:
        """Whether a file counts; its path is relative to the folder, with ``/`` between names."""
        return not self.names or _matches(relative_path.split("/"), self.names)


EVERYTHING: Final = Pattern()


def split_pattern(path: str) -> tuple[str, Pattern]:
    """The folder before the first name that holds ``*``, ``?`` or ``[``, and what comes below it.

    A path without any of them is a folder, of which everything counts.
    """
    names = path.split("/")
    first = next((place for place, name in enumerate(names) if _MAGIC.search(name)), len(names))
    if first == len(names):
        return path, EVERYTHING
    folder = "/".join(names[:first]) or ("/" if path.startswith("/") else ".")
    below = names[first:]
    return folder, Pattern(names=tuple(below if below[-1] != "**" else [*below, "*"]))


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns or not names:
        return not patterns and not names
    if patterns[0] == "**":
        return any(_matches(names[skip:], patterns[1:]) for skip in range(len(names)))
    return fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])
