"""Videos to leaderboard: the five stages one after the other, however they are started."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pfp.runtime.stage_config import read_config
from tests.pipelines.conftest import STAGES
from tests.pipelines.fork_server import fork_server
from tests.pipelines.run_files import TABLES, table_bytes


def test_the_chain_leaves_every_table_and_a_leaderboard(finished_run: Path) -> None:
    """Each table has rows that plain pyarrow reads, each stage's rows are conserved."""
    summary = json.loads((finished_run / "summary.json").read_text())

    for table in TABLES:
        assert pq.read_table(finished_run / table).num_rows > 0, table
    assert {"ingest", "caption", "latents", "train", "eval"} <= summary["stages"].keys()
    for name, stage in summary["stages"].items():
        assert stage["rows_in"] == stage["kept"] + stage["dropped"] + stage["failed"], name
        assert 0 == stage["failed"], (name, stage["reasons"])
    for suffix in ("html", "md", "json"):
        assert (finished_run / f"leaderboard.{suffix}").stat().st_size > 0


def test_every_table_has_the_settings_that_it_was_made_with(finished_run: Path) -> None:
    """Beside it, by the stage that wrote it; equal for tables of one stage."""
    found = {table: read_config(str(finished_run / table)) for table in TABLES}
    stages = {table: None if config is None else config.stage for table, config in found.items()}

    assert {
        "videos/_measured": "measure",
        "videos": "ingest",
        "clips": "ingest",
        "storyboards": "caption",
        "latents": "latents",
        "conditions": "conditions",
        "checkpoints/_index": "train",
        "generations": "generate",
        "scores": "score",
    } == stages
    clips, measured = found["clips"], found["videos/_measured"]
    assert clips is not None
    assert measured is not None
    assert "demo" == clips.config["recipe"]
    assert clips.config == measured.config


def test_no_clip_is_both_trained_on_and_evaluated(finished_run: Path) -> None:
    """The clips of the checkpoints and of the samples are disjoint, and both exist."""
    checkpoints = pq.read_table(finished_run / "checkpoints/_index").to_pylist()
    samples = pq.read_table(finished_run / "generations").to_pylist()

    lists = {row["clip_ids_sha256"] for row in checkpoints}
    trained_on = {
        clip
        for sha256 in lists
        for clip in pq.read_table(finished_run / f"checkpoints/_clips/{sha256}.parquet")
        .column("clip_id")
        .to_pylist()
    }
    evaluated = {row["clip_id"] for row in samples}

    assert trained_on
    assert evaluated
    assert not trained_on & evaluated


def test_every_method_is_asked_for_the_same_frames_from_the_same_noise(finished_run: Path) -> None:
    """Omega and seed of a clip do not depend on the method."""
    samples = pq.read_table(finished_run / "generations").to_pylist()
    asked = {
        (row["clip_id"], tuple(row["omega"]), row["seed"])
        for row in samples
        if row["task"] == "retrieve"
    }

    assert len(asked) == len({row["clip_id"] for row in samples})


def test_a_second_run_computes_nothing_and_changes_nothing(
    small_videos: Path, chain: Callable[..., Path], finished_run: Path, tmp_path: Path
) -> None:
    """All rows are reused and the tables' files are the same, byte for byte."""
    again = shutil.copytree(finished_run, tmp_path / "again")
    chain(small_videos, again)

    summary = json.loads((again / "summary.json").read_text())
    assert all(stage["reused"] == stage["rows_in"] for stage in summary["stages"].values())
    assert table_bytes(finished_run) == table_bytes(again)


@pytest.mark.timeout(900)
def test_a_demo_that_is_killed_again_and_again_ends_with_the_same_tables(
    small_videos: Path, finished_run: Path, tmp_path: Path
) -> None:
    """``kill -9`` of the driver at random moments, then the same command: equal bytes."""
    out = tmp_path / "out"
    arguments = ["--preset", "debug", "--videos", str(small_videos), "--out", str(out)]
    rng = random.Random(0)
    workers = [f"pipelines.{stage}.worker" for stage in STAGES]
    with fork_server("experiments.demo", *workers) as demo:
        for _ in range(3):
            demo.run_and_kill(arguments, seconds=rng.uniform(2.0, 12.0))
        demo.run(arguments)

    expected, resumed = table_bytes(finished_run), table_bytes(out)
    assert sorted(expected) == sorted(resumed)
    assert [name for name in expected if expected[name] != resumed[name]] == []
    assert (out / "leaderboard.html").exists()
