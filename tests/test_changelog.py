"""The changelog has one form, and its version is the version of everything else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final

import pfp
from tests.checkout import REPO

PARTS: Final = ("Added", "Changed", "Fixed", "Scores change")
VERSION: Final = re.compile(r"\[(\d+\.\d+\.\d+)\] - (unreleased|\d{4}-\d\d-\d\d)")


def versions(text: str) -> dict[str, str]:
    """What stands under the heading of each version, newest first."""
    pieces = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def faults(text: str) -> Iterator[str]:
    """Where a changelog departs from the form that it promises."""
    for heading, body in versions(text).items():
        if not VERSION.fullmatch(heading):
            yield f"## {heading}"
        parts = re.findall(r"^### (.+)$", body, re.MULTILINE)
        if parts != [part for part in PARTS if part in parts]:
            yield f"{heading}: the parts {parts}"
        for part in re.split(r"^### .+\n", body, flags=re.MULTILINE)[1:]:
            lines = part.strip("\n").split("\n")
            yield from (f"{heading}: {line!r}" for line in lines if line[:2] not in {"- ", "  "})
            if not lines[-1].endswith("."):
                yield f"{heading}: {lines[-1]!r} is no sentence"


CHANGELOG: Final = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")


def test_versions_agree() -> None:
    """The package, its metadata and the newest heading of the changelog name one version."""
    metadata = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    newest = VERSION.match(next(iter(versions(CHANGELOG))))

    assert newest is not None
    assert [pfp.__version__] * 2 == [metadata["project"]["version"], newest[1]]


def test_the_changelog_keeps_its_form() -> None:
    """Versions with a date, their parts in order and each once, entries without gaps."""
    assert [] == list(faults(CHANGELOG))


def test_versions_fall() -> None:
    """The newest stands first."""
    numbers = [
        tuple(map(int, found[1].split(".")))
        for found in map(VERSION.match, versions(CHANGELOG))
        if found
    ]

    assert sorted(set(numbers), reverse=True) == numbers


def test_departures_are_seen() -> None:
    """Each kind of fault is told once."""
    text = "## [1.0.0] - 2026-01-01\n\n### {}\n\n- One.\n\n### {}\n\n- Two.\n"

    assert [] == list(faults(text.format("Added", "Fixed")))
    assert 1 == len(list(faults(text.format("Fixed", "Added"))))
    assert 1 == len(list(faults(text.format("Added", "Added"))))
    assert 1 == len(list(faults(text.format("Added", "Removed"))))
    assert 1 == len(list(faults(text.format("Added", "Fixed").replace("Two.", "Two"))))
    assert 1 == len(list(faults(text.format("Added", "Fixed") + "\n- After a gap.\n")))
    assert 1 == len(list(faults(text.format("Added", "Fixed").replace("1.0.0", "Unreleased"))))
