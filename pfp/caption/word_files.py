"""Words and patterns in other languages, which are data and lie in ``words/NAME.txt``."""

from __future__ import annotations

from importlib.resources import files


def lines_of(name: str) -> list[str]:
    """The lines of ``words/NAME.txt`` that are neither empty nor comments (``#``)."""
    text = files("pfp.caption").joinpath("words", f"{name}.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
