"""The style sheets of pages: colours and type that all share, and the parts of a report."""

from __future__ import annotations

from importlib.resources import files


def tokens() -> str:
    """Colours by day and by night, and the type: what every page of pfp's begins with."""
    return _sheet("tokens.css")


def report_style() -> str:
    """The style of reports."""
    return tokens() + _sheet("page.css")


def _sheet(name: str) -> str:
    return files("pfp.pages").joinpath(name).read_text("utf-8")
