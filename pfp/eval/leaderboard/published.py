"""Numbers that papers report, with where they stand, to be shown beside one's own.

They were measured on other videos, and the papers leave protocols open (docs/decisions), so nothing
here is compared with a measured value: rows stand below the table and take no part in ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from pfp.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """A method and its values, one for each column of its table.

    A cell has no reading where the paper prints none, and several where copies of the paper differ,
    the paper's own text first. Values have the paper's scale: times 100 where it prints shares.
    """

    method: str
    cells: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """A table of a paper; ``columns`` are metrics, by name without variant and version."""

    name: str
    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """All tables that pfp ships."""
    text = files("pfp.eval.leaderboard").joinpath("published.yaml").read_text(encoding="utf-8")
    return tuple(
        PublishedTable(
            name=table["name"],
            title=table["title"],
            source=table["source"],
            columns=tuple(table["columns"]),
            rows=tuple(
                PublishedRow(method=method, cells=tuple(map(_readings, cells)))
                for method, *cells in table["rows"]
            ),
        )
        for table in yaml.safe_load(text)
    )


def published(name: str) -> PublishedTable:
    """The table of that name; ``ConfigError`` names those that there are."""
    tables = {table.name: table for table in published_tables()}
    if name not in tables:
        raise ConfigError(f"no published table {name!r}; choose one of {', '.join(tables)}")
    return tables[name]


def _readings(cell: float | list[float] | None) -> tuple[float, ...]:
    if cell is None:
        return ()
    return tuple(map(float, cell)) if isinstance(cell, list) else (float(cell),)
