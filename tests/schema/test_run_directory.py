"""The run directory: every table's place and record, written in one file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pfp import schema
from pfp.schema.run_directory import RunDirectory

REPO = Path(__file__).resolve().parents[2]
NAMES = {
    "videos/_measured": schema.MeasuredRecord,
    "videos/_audio": schema.AudioRecord,
    "videos": schema.VideoRecord,
    "clips": schema.ClipRecord,
    "clips/_text": schema.TextRecord,
    "storyboards": schema.StoryboardRecord,
    "latents": schema.LatentRecord,
    "conditions": schema.ConditionRecord,
    "conditions_pooled": schema.ConditionRecord,
    "checkpoints/_index": schema.CheckpointRecord,
    "checkpoints/_finetuned": schema.CheckpointRecord,
    "generations": schema.EvalSample,
    "scores": schema.ScoreRecord,
}
# A table's path put together by hand: f"{run}/clips", run / "clips", "latents_lr_...".
_FOLDERS = "clips|storyboards|latents|conditions|checkpoints|generations|scores|shards"
SPELLED = re.compile(
    rf"""[}}]/(?:{_FOLDERS})\b|/ ["'](?:{_FOLDERS})["'/]|["'](?:{_FOLDERS})/_|latents_lr_\{{"""
)


@pytest.mark.parametrize("uri", ["runs/a", Path("runs/a"), "s3://bucket/a", "runs/a/"])
def test_tables_lie_where_earlier_runs_have_them(uri: str | Path) -> None:
    """Names and records, stage by stage; local folders and object stores alike."""
    run = RunDirectory(uri)
    start = str(uri).rstrip("/")
    expected = {name: (f"{start}/{name}", record) for name, record in NAMES.items()}

    assert expected == run.tables()
    assert list(expected) == list(run.tables())


def test_the_region_of_an_object_store_stays_at_the_end() -> None:
    """Of tables, of those of a shard, and of files; a path may have any character."""
    run = RunDirectory("s3://bucket/a/?region=eu-west-1")

    assert "s3://bucket/a/clips?region=eu-west-1" == run.clips.path
    assert "s3://bucket/a/latents_lr_1x1x1?region=eu-west-1" == run.lr_latents("1x1x1").path
    assert "s3://bucket/a/shards/1-of-2/scores?region=eu-west-1" == run.shard(1, 2).scores.path
    assert "s3://bucket/a/videos/_recipe.yaml?region=eu-west-1" == run.recipe_path
    assert "what?/clips" == RunDirectory("what?").clips.path


def test_tables_that_not_every_run_has_are_named_alike() -> None:
    """The LR copy for another rate, and a shard's tables."""
    run = RunDirectory("runs/a")

    assert ("runs/a/latents_lr_2x2x8", schema.LatentRecord) == run.lr_latents("2x2x8")
    assert run.lr_latents("2x2x8") == run.table("latents_lr_2x2x8")
    assert run.scores == run.table("scores")
    assert run.shard(2, 3).scores == run.table("shards/2-of-3/scores")
    assert ("runs/a/shards/2-of-3/scores", schema.ScoreRecord) == run.shard(2, 3).scores


def test_files_beside_the_tables_are_passed_over_by_readers_of_parquet() -> None:
    """Their names begin with an underscore."""
    run = RunDirectory("runs/a")

    assert "runs/a/videos/_recipe.yaml" == run.recipe_path
    assert "runs/a/generations/_videos" == run.videos_path
    assert "runs/a/checkpoints" == run.checkpoints_path


def test_no_other_file_spells_a_tables_place() -> None:
    """Who needs one asks ``RunDirectory``, so that a name can change in one place."""
    files = [path for name in ("pfp", "pipelines") for path in (REPO / name).rglob("*.py")]
    found = [
        f"{path.relative_to(REPO)}:{number}: {line.strip()}"
        for path in sorted(files)
        if path.name != "run_directory.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if SPELLED.search(line)
    ]

    assert [] == found
