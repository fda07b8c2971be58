"""Which tables of a run directory are there."""

from __future__ import annotations

from typing import Any

from pfp.io.filesystems import Folder
from pfp.io.manifest import MANIFEST_NAME
from pfp.schema.record import Record
from pfp.schema.run_directory import (
    LR_LATENTS_PREFIX,
    SHARDS_NAME,
    RunDirectory,
    TableLocation,
)


def has_table(where: TableLocation[Any]) -> bool:
    """Whether a finished table lies there."""
    return Folder.at(where.path).has(MANIFEST_NAME)


def shards_of(run: RunDirectory) -> list[RunDirectory]:
    """The runs of a manifest's parts that lie in a run directory."""
    return [run.named_shard(name) for name in _shard_names(run)]


def tables_of(run: RunDirectory) -> dict[str, TableLocation[Record]]:
    """All tables that a run may have, by name, with the LR copies and the shards that it has."""
    copies = [
        name for name in Folder.at(run.uri).folder_names() if name.startswith(LR_LATENTS_PREFIX)
    ]
    shards = [
        f"{SHARDS_NAME}/{name}/{table}"
        for name in _shard_names(run)
        for table in ("generations", "scores")
    ]
    return run.tables() | {name: run.table(name) for name in (*copies, *shards)}


def _shard_names(run: RunDirectory) -> list[str]:
    return Folder.at(run.place(SHARDS_NAME)).folder_names()
