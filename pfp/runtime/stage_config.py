"""``_config.json`` beside a table: the whole configuration of the stage that wrote the table.

    {"schema_version": 1, "pfp_version": "0.2.0", "stage": "caption", "config": {...}}

It tells the settings of the run that finished the table, every one of them, with the defaults.
Where a run with other settings brings a table up to date, its settings take the place of the
earlier ones, and what is different is told before it begins: rows whose results depend on it are
computed again, so that the whole table is of the settings beside it. (Scores are kept by metric,
and each row names its own parameters.) Equal settings make equal bytes: there is no date in it, and
no place but those that are settings. Secrets are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import PurePath
from typing import Any, Final

from pfp import __version__
from pfp.errors import SchemaError
from pfp.io.filesystems import Folder
from pfp.redaction import redact

CONFIG_NAME: Final = "_config.json"  # readers of Parquet pass over names that begin so
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """The settings of a stage as plain values, and by which pfp they were meant."""

    stage: str
    config: Mapping[str, Any]
    pfp_version: str = __version__

    @classmethod
    def of(cls, stage: str, config: object) -> StageConfig:
        """The settings in a dataclass or a mapping; ``TypeError`` for one that JSON cannot hold."""
        values = asdict(config) if is_dataclass(config) else config  # type: ignore[arg-type]
        plain = _plain(stage, values)
        assert isinstance(plain, dict)  # a configuration has names
        return cls(stage=stage, config=plain)

    def write(self, table: str) -> None:
        """Put it into a table's folder, in one step."""
        content = {
            "schema_version": VERSION,
            "pfp_version": self.pfp_version,
            "stage": self.stage,
            "config": self.config,
        }
        folder = Folder.at(table)
        folder.make()
        folder.write(CONFIG_NAME, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def changes_since(self, earlier: StageConfig) -> list[str]:
        """Each setting that has another value now: ``sampling.fps is 2.0, was 1.0``."""
        now, before = dict(_leaves(self.config)), dict(_leaves(earlier.config))
        return [
            f"{name} is {_text(now, name)}, was {_text(before, name)}"
            for name in dict.fromkeys([*now, *before])
            if now.get(name, ...) != before.get(name, ...)
        ]


def read_config(table: str) -> StageConfig | None:
    """The configuration beside a table; None for a table that was written without one.

    ``SchemaError`` when it is damaged or of another version.
    """
    folder = Folder.at(table)
    try:
        content = json.loads(folder.read(CONFIG_NAME))
        version = content.pop("schema_version")
        if version == VERSION:
            return StageConfig(**content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{folder.file(CONFIG_NAME)} is damaged ({error}); run the stage again"
        raise SchemaError(message) from error
    raise SchemaError(
        f"{folder.file(CONFIG_NAME)} is v{version}, this pfp reads v{VERSION}; run the stage again"
    )


def changes_since(table: str, now: StageConfig) -> list[str]:
    """What a run with these settings changes; nothing where the earlier ones are not known."""
    try:
        earlier = read_config(table)
    except SchemaError:
        return []
    return [] if earlier is None else now.changes_since(earlier)


def _plain(name: str, value: object) -> object:
    """A value as JSON has it, without secrets. ``name`` is that of the setting."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str() | PurePath():
            # With its name, since by that a secret is known that looks like any word.
            return redact(f"{name}={value}").removeprefix(f"{name}=")
        case Mapping():
            return {str(key): _plain(str(key), each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(name, each) for each in value]
        case set() | frozenset():
            return sorted((_plain(name, each) for each in value), key=str)
    raise TypeError(f"setting {name} is {value!r}, which JSON cannot hold; make it a plain value")


def _leaves(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _text(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name]) if name in settings else "not there"
