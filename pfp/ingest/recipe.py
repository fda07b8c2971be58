"""Recipes: named sets of thresholds in YAML files, checked key by key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from pfp.errors import ConfigError
from pfp.ingest.filters import FILTERS, Filter
from pfp.ingest.near_duplicates import NearDuplicates
from pfp.io.digests import sha256_json
from pfp.io.files import read_file
from pfp.io.yaml_text import parse_yaml
from pfp.limits import MAX_YAML_LENGTH
from pfp.texts import quoted

_FOLDER: Final = Path(__file__).parent / "recipes"
_KEYS: Final = ("name", "filters", "near_duplicates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Filters in the order in which they are asked, and how near duplicates are told, if at all."""

    name: str
    filters: Mapping[str, Filter]
    near_duplicates: NearDuplicates | None

    @property
    def sha256(self) -> str:
        """The digest of all names and thresholds; comments and spelling do not count."""
        return sha256_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values, as its YAML has them."""
        near = self.near_duplicates
        return {
            "name": self.name,
            "filters": {name: asdict(one) for name, one in self.filters.items()},  # type: ignore[call-overload]
            "near_duplicates": None if near is None else asdict(near),
        }


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with pfp."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe by its shipped name (``demo``) or from a YAML file.

    Raises ``ConfigError`` when there is none, when it is not YAML, and for a key that is unknown,
    missing or not a number.
    """
    path = Path(name_or_path)
    if name_or_path in shipped_recipes():
        path = _FOLDER / f"{name_or_path}.yaml"
    try:
        text = read_file(path, MAX_YAML_LENGTH).decode()
    except (OSError, UnicodeDecodeError) as error:
        message = (
            f"there is no recipe {name_or_path!r}; use one of {', '.join(shipped_recipes())}, "
            "or the path of a YAML file"
        )
        raise ConfigError(message) from error
    try:
        values = parse_yaml(text)
    except ValueError as error:
        message = f"recipe {name_or_path} is not YAML ({error}); correct it"
        raise ConfigError(message) from error
    return parse_recipe(values, name_or_path)


def parse_recipe(values: object, source: str) -> Recipe:
    """The recipe in the plain values of a YAML file. ``source`` names it in messages."""
    table = _mapping(values, f"recipe {source}")
    _check_keys(table, _KEYS, f"recipe {source}")
    name = table.get("name")
    if not isinstance(name, str) or not name:
        message = f"recipe {source} has no name; write name: and a word for it"
        raise ConfigError(message)
    filters = _mapping(table.get("filters", {}), f"filters of recipe {source}")
    _check_keys(filters, tuple(FILTERS), f"filters of recipe {source}")
    near = table.get("near_duplicates")
    where = f"near_duplicates of recipe {source}"
    return Recipe(
        name=name,
        filters={
            key: _build(FILTERS[key], settings, f"filter {key} of recipe {source}")
            for key, settings in filters.items()
        },
        near_duplicates=None if near is None else _build(NearDuplicates, near, where),
    )


def _build(kind: type[Any], settings: object, where: str) -> Any:
    """An object of a dataclass of numbers, each of which must be given."""
    table = _mapping(settings, where)
    names = tuple(item.name for item in fields(kind))
    _check_keys(table, names, where)
    missing = [name for name in names if name not in table]
    if missing:
        message = f"{where} lacks {', '.join(missing)}; give a number"
        raise ConfigError(message)
    for name, value in table.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or math.isnan(value):
            message = f"{where}: {name} is {quoted(value)}; give a number"
            raise ConfigError(message)
    return kind(**{name: float(value) for name, value in table.items()})


def _mapping(values: object, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        message = f"{where} is {quoted(values)}; write key: value lines"
        raise ConfigError(message)
    return values


def _check_keys(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [str(key) for key in table if key not in known]
    if unknown:
        message = f"{where}: there is no {unknown[0]!r}; use {', '.join(known) or 'no keys'}"
        raise ConfigError(message)
