"""Recipes: named sets of thresholds in YAML files, checked key by key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, get_type_hints

from pfp.errors import ConfigError
from pfp.ingest.filters import FILTERS, NETWORK_FILTERS, Filter
from pfp.ingest.near_duplicates import NearDuplicates
from pfp.ingest.quotas import Quota
from pfp.ingest.windows import Avoid, Windows
from pfp.io.digests import sha256_json
from pfp.io.files import read_file
from pfp.io.yaml_text import parse_yaml
from pfp.limits import MAX_YAML_LENGTH
from pfp.texts import quoted

# What is measured of every second, and so of every window.
WINDOW_FILTERS: Final = ("black", "uniform", "frozen", "motion")
# Whole videos are not shown to networks.
VIDEO_FILTERS: Final = tuple(name for name in FILTERS if name not in NETWORK_FILTERS)
# What tiers may be told by: that, and what is the same for all windows of a video.
TIER_FILTERS: Final = (*WINDOW_FILTERS, "resolution", "aspect", "frame_rate", "bars")
QUOTA_COLUMNS: Final = ("orientation", "codec", "tier", "source")
_FOLDER: Final = Path(__file__).parent / "recipes"
_KEYS: Final = ("name", "filters", "windows", "near_duplicates", "tiers", "quotas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How videos are judged and cut.

    ``filters`` are asked of whole videos in their order. ``windows`` says how clips are cut out of
    those that are kept; None: each is one clip, whole. ``near_duplicates`` says how copies are
    told; None: they are not. ``tiers`` has the filters of each tier, the best first: a clip is of
    the first that takes it, or of none. ``quotas`` are kept to one after the other.
    """

    name: str
    filters: Mapping[str, Filter]
    windows: Windows | None = None
    near_duplicates: NearDuplicates | None = None
    tiers: Mapping[str, Mapping[str, Filter]] = field(default_factory=dict)
    quotas: tuple[Quota, ...] = ()

    @property
    def sha256(self) -> str:
        """The digest of all names and thresholds; comments and spelling do not count."""
        return sha256_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain values, as its YAML has them."""
        return {
            "name": self.name,
            "filters": _plain(self.filters),
            "windows": self.windows and asdict(self.windows),
            "near_duplicates": self.near_duplicates and asdict(self.near_duplicates),
            "tiers": {tier: _plain(filters) for tier, filters in self.tiers.items()},
            "quotas": {quota.column: dict(quota.shares) for quota in self.quotas},
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
    windows, near = table.get("windows"), table.get("near_duplicates")
    where = f"of recipe {source}"
    return Recipe(
        name=name,
        filters=_filters(table.get("filters", {}), VIDEO_FILTERS, where),
        windows=None if windows is None else _windows(windows, where),
        near_duplicates=None
        if near is None
        else _build(NearDuplicates, near, f"near_duplicates {where}"),
        tiers={
            tier: _filters(filters, TIER_FILTERS, f"of tier {tier} {where}")
            for tier, filters in _mapping(table.get("tiers", {}), f"tiers {where}").items()
        },
        quotas=_quotas(table.get("quotas", {}), f"quotas {where}"),
    )


def _quotas(values: object, where: str) -> tuple[Quota, ...]:
    table = _mapping(values, where)
    _check_keys(table, QUOTA_COLUMNS, where)
    return tuple(
        Quota(
            column=column,
            shares={
                str(kind): _value(share, float, f"{where}: {column}: {kind}")
                for kind, share in _mapping(shares, f"{where}: {column}").items()
            },
        )
        for column, shares in table.items()
    )


def _filters(values: object, known: tuple[str, ...], where: str) -> dict[str, Filter]:
    table = _mapping(values, f"filters {where}")
    _check_keys(table, known, f"filters {where}")
    return {
        name: _build(FILTERS[name], settings, f"filter {name} {where}")
        for name, settings in table.items()
    }


def _windows(values: object, where: str) -> Windows:
    table = dict(_mapping(values, f"windows {where}"))
    avoid = _build(Avoid, table.pop("avoid", {}), f"avoid of windows {where}")
    known = (*WINDOW_FILTERS, *NETWORK_FILTERS)
    filters = _filters(table.pop("filters", {}), known, f"of windows {where}")
    windows: Windows = _build(Windows, table, f"windows {where}", avoid=avoid, filters=filters)
    return windows


def _build(kind: type[Any], settings: object, where: str, **given: object) -> Any:
    """An object of a dataclass of numbers and switches, each of which must be given."""
    table = _mapping(settings, where)
    kinds = {name: hint for name, hint in get_type_hints(kind).items() if name not in given}
    _check_keys(table, tuple(kinds), where)
    missing = [name for name in kinds if name not in table]
    if missing:
        message = f"{where} lacks {', '.join(missing)}; give {_wanted(kinds[missing[0]])}"
        raise ConfigError(message)
    values = {name: _value(value, kinds[name], f"{where}: {name}") for name, value in table.items()}
    return kind(**values, **given)


def _value(value: object, kind: type, where: str) -> float | bool:
    if kind is bool and isinstance(value, bool):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is bool or not is_number or math.isnan(value):  # type: ignore[arg-type]
        message = f"{where} is {quoted(value)}; give {_wanted(kind)}"
        raise ConfigError(message)
    return float(value)  # type: ignore[arg-type]


def _wanted(kind: type) -> str:
    return "true or false" if kind is bool else "a number"


def _plain(filters: Mapping[str, Filter]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in filters.items()}  # type: ignore[call-overload]


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
