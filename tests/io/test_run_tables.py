"""Which tables of a run directory are there, further LR copies and shards among them."""

from __future__ import annotations

from pathlib import Path

from pfp.io.run_tables import has_table, shards_of, tables_of
from pfp.io.tables import write_table
from pfp.schema import EvalSample, LatentRecord
from pfp.schema.run_directory import RunDirectory


def test_a_table_is_there_once_its_manifest_is(tmp_path: Path) -> None:
    """A folder alone, or one with rows to be joined, is no table yet."""
    clips = RunDirectory(tmp_path).clips
    (tmp_path / "clips" / "_pending").mkdir(parents=True)
    assert not has_table(clips)

    write_table(clips.path, clips.record.table([]), clips.record)
    assert has_table(clips)


def test_an_empty_run_may_have_the_tables_that_every_run_may_have(tmp_path: Path) -> None:
    """Nothing need be there, not even the folder."""
    run = RunDirectory(tmp_path / "none")

    assert run.tables() == tables_of(run)
    assert [] == shards_of(run)


def test_copies_for_further_rates_and_shards_are_found(tmp_path: Path) -> None:
    """By their folders, after the tables that every run may have."""
    for name in ("latents_lr_4x4x2", "latents_lr_2x2x8", "shards/2-of-3", "others"):
        (tmp_path / name).mkdir(parents=True)
    run = RunDirectory(tmp_path)
    found = tables_of(run)

    assert ["latents_lr_2x2x8", "latents_lr_4x4x2", "shards/2-of-3/generations"] == [
        name for name in found if name not in run.tables()
    ][:3]
    assert (f"{tmp_path}/latents_lr_2x2x8", LatentRecord) == found["latents_lr_2x2x8"]
    assert (f"{tmp_path}/shards/2-of-3/generations", EvalSample) == (
        found["shards/2-of-3/generations"]
    )
    assert [run.shard(2, 3).uri] == [shard.uri for shard in shards_of(run)]
