"""Parts of Markdown pages that a command writes, between two marks that name it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pfp.errors import InputError

END: Final = "<!-- until here. -->"


def begin_mark(command: str) -> str:
    """The line before what ``command`` writes."""
    return f"<!-- Written by `{command}`: -->"


def write_part(page: Path, command: str, text: str) -> None:
    """Put ``text`` between the page's marks of ``command``; InputError when they are not there."""
    before, _, after = _parts(page, command)
    page.write_text(f"{before}{begin_mark(command)}\n\n{text.strip(chr(10))}\n\n{END}{after}")


def check_part(page: Path, command: str, text: str) -> None:
    """Raise InputError when the page says something other than ``text`` between the marks."""
    if _parts(page, command)[1].strip("\n") != text.strip("\n"):
        raise InputError(
            f"{page} shows other results than `{command}` has now; write them into it with "
            f"--page {page}"
        )


def _parts(page: Path, command: str) -> tuple[str, str, str]:
    before, begin, rest = page.read_text().partition(begin_mark(command))
    part, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(
            f"{page} has no lines {begin_mark(command)!r} and {END!r}; add them around the results"
        )
    return before, part, after
