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
    names = Folder.at(f"{run.uri}/{SHARDS_NAME}").folder_names()
    return [RunDirectory(f"{run.uri}/{SHARDS_NAME}/{name}") for name in names]


def tables_of(run: RunDirectory) -> dict[str, TableLocation[Record]]:
    """All tables that a run may have, by name, with the LR copies and the shards that it has."""
    found = run.tables()
    for name in Folder.at(run.uri).folder_names():
        if name.startswith(LR_LATENTS_PREFIX):
            found[name] = run.lr_latents(name.removeprefix(LR_LATENTS_PREFIX))
    for shard in shards_of(run):
        prefix = shard.uri.removeprefix(f"{run.uri}/")
        for where in (shard.generations, shard.scores):
            found[f"{prefix}/{where.path.removeprefix(f'{shard.uri}/')}"] = where
    return found
