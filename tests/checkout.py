"""The checkout that the tests run in: where it lies, and which files are part of it."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

REPO: Final = Path(__file__).resolve().parent.parent


@cache
def files_of_the_checkout() -> tuple[Path, ...]:
    """What git tracks or would track; without git, everything but hidden folders and results."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=REPO, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(REPO) for path in REPO.rglob("*"))
        names = [p for p in found if not p.parts[0].startswith(".") and p.parts[0] != "runs"]
    else:
        names = [Path(os.fsdecode(name)) for name in listing.split(b"\0") if name]
    return tuple(path for name in names if (path := REPO / name).is_file())
