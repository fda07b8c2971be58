"""Numbers and names as the page writes them."""

from __future__ import annotations

from typing import Final

from pfp.io.media.source import shown_name

_MAX_NAME: Final = 60


def share(number: float, whole: float) -> str:
    """A part of a whole in percent; a dash where there is no whole."""
    if not whole:
        return "\N{EN DASH}"
    percent = 100 * number / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.9 < percent < 100 else f"{percent:.1f} %"


def hours(value: float) -> str:
    """Hours of video; of less than one, seconds."""
    return f"{value:,.1f} h" if value >= 1 else f"{value * 3600:,.0f} s"


def seconds(value: float | None) -> str:
    """A time in a video."""
    return "unknown" if value is None else f"{value:.2f} s"


def count(number: int, one: str) -> str:
    """A number of things whose plural has an s."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def in_words(reason: str) -> str:
    """A reason without its underscores; longer ones than any rule has are cut."""
    return _cut(reason.replace("_", " "))


def file_name(uri: str) -> str:
    """The last part of a URI, in one line."""
    return _cut(shown_name(uri).rstrip("/").rpartition("/")[2])


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 3]}..."
