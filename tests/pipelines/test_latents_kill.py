"""The latents stage killed at random moments, and its files damaged: nothing is lost or redone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pfp.io.filesystems import Folder
from pfp.io.manifest import read_manifest
from pfp.io.tables import verify_table
from pfp.runtime import StageReport
from pfp.schema import ClipRecord, LatentRecord
from pipelines.latents.config import LatentsConfig
from tests.pipelines.fork_server import ForkServer, fork_server
from tests.pipelines.test_latents import (
    clip_record,
    config,
    run_local,
    storyboard,
    table_bytes,
    write_run,
)

__all__ = ["config"]  # the fixture

NUM_KILLS = 10
NUM_CLIPS = 40


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[ClipRecord]:
    """Small clips, enough for all kills."""
    folder = tmp_path_factory.mktemp("clips")
    return [clip_record(folder, f"{number:02}", 9) for number in range(NUM_CLIPS)]


def fresh_run(out: Path, clips: list[ClipRecord]) -> Path:
    """A run directory with these clips, captioned."""
    out.mkdir()
    write_run(out, clips, [storyboard(clip.clip_id, ["a pet"]) for clip in clips])
    return out


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """Runs the stage in forks of a process."""
    with fork_server("pipelines.latents.run", "pipelines.latents.worker") as running:
        yield running


def arguments(config: LatentsConfig, out: Path, num_decoders: int) -> list[str]:
    """The stage's command line."""
    settings = {
        "vae": config.vae,
        "preprocess.short_side": config.preprocess.short_side,
        "preprocess.long_side": config.preprocess.long_side,
        "preprocess.min_num_frames": config.preprocess.min_num_frames,
        "batch_size": 1,
        "num_decoders": num_decoders,
    }
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return ["--output", str(out), "--engine", "local", *options]


def num_committed(out: Path) -> int:
    """How many clips lie in staged files."""
    return len(list((out / "latents" / "_pending").glob("part-*")))


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_with_the_same_bytes(
    config: LatentsConfig,
    clips: list[ClipRecord],
    server: ForkServer,
    tmp_path: Path,
) -> None:
    """Ten SIGKILLs, with and without decoders, cost at most the clip that each was at."""
    random_ = random.Random(20261120)
    out = fresh_run(tmp_path / "out", clips)
    for _ in range(NUM_KILLS):
        argv = arguments(config, out, num_decoders=random_.randrange(2))
        wanted = num_committed(out) + random_.randrange(1, 4)
        server.run_and_kill(
            argv,
            when=lambda wanted=wanted: num_committed(out) >= wanted,
            seconds=random_.random() * 0.05,
        )
        assert wanted <= num_committed(out)
    before = num_committed(out)
    assert NUM_KILLS <= before < NUM_CLIPS
    (latents, _) = run_local(config, out)
    assert (NUM_CLIPS, before) == (latents.kept, latents.reused)
    fresh = fresh_run(tmp_path / "fresh", clips)
    run_local(config, fresh)
    assert table_bytes(fresh) == table_bytes(out)


def test_damaged_files_are_found_and_only_their_rows_are_made_again(
    config: LatentsConfig,
    clips: list[ClipRecord],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One file has a wrong byte, one has lost its end; deleting both and running is the cure."""
    monkeypatch.setattr("pfp.runtime.compact.ROWS_PER_FILE", 3)
    out = fresh_run(tmp_path / "out", clips[:12])
    run_local(config, out)
    whole, table = table_bytes(out), out / "latents"
    files = read_manifest(Folder.at(table), LatentRecord).files
    assert [3, 3, 3, 3] == [file.num_rows for file in files]
    corrupt, truncated = table / files[1].name, table / files[3].name
    flip_byte(corrupt)
    truncated.write_bytes(truncated.read_bytes()[:-1000])

    problems = verify_table(table, LatentRecord)
    assert [True, True] == [
        str(path) in problem and "delete it and run the stage again" in problem
        for path, problem in zip((corrupt, truncated), problems, strict=True)
    ]
    corrupt.unlink()
    truncated.unlink()
    report: StageReport = run_local(config, out)[0]
    assert (6, 6) == (report.computed, report.reused)
    assert [] == verify_table(table, LatentRecord)
    assert whole == table_bytes(out)


def flip_byte(path: Path) -> None:
    """Changes one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
