"""HTML from function calls: text is escaped unless it was made here, so nothing slips in."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

VOID = {"circle", "img", "line", "meta", "path", "rect"}

# Narrow screens lay tables out as grids, and browsers then forget that they are tables.
TABLE_ROLES = {
    "table": "table",
    "thead": "rowgroup",
    "tbody": "rowgroup",
    "tr": "row",
    "td": "cell",
}
HEADER_ROLES = {"col": "columnheader", "row": "rowheader", "rowgroup": "rowheader"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """One element: ``class_`` is class, ``data_x`` data-x; True is bare, None and False absent."""
    role = HEADER_ROLES[str(attributes["scope"])] if name == "th" else TABLE_ROLES.get(name)
    attributes = {**attributes, "role": role} if role else attributes
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID and not children:
        return Markup(f"<{name}{written}>" if name in {"img", "meta"} else f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{text(*children)}</{name}>")


def text(*children: Child) -> Markup:
    """Children one after the other, escaped where they are plain text."""
    parts = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(str(child))
        elif isinstance(child, str):
            parts.append(escape(child))
        elif child is not None:
            parts.append(text(*child))
    return Markup("".join(parts))


def coded(sentence: str) -> Markup:
    """A sentence in which what stands between backticks is code."""
    parts = sentence.split("`")
    return text(tag("code", part) if i % 2 else part for i, part in enumerate(parts))


def _attribute(key: str, value: str | float | bool | None) -> str:  # noqa: FBT001 - HTML has bare attributes
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
