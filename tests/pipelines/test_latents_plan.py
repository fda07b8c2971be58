"""``--plan``: what it says is what the run then stores, and it changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pfp.errors import NothingUsable
from pfp.io.digests import sha256_file
from pfp.io.tables import read_records
from pfp.io.unchanged import file_state
from pfp.latents.plan import LatentsPlan
from pfp.schema import ClipRecord, ConditionRecord, LatentRecord
from pipelines.latents.config import LatentsConfig
from pipelines.latents.run import main, plan_run
from tests.pipelines.test_latents import clip_record, config, run_local, storyboard, write_run

__all__ = ["config"]  # the fixture


def damaged(clip: ClipRecord) -> ClipRecord:
    """The clip with a file of zeros, as it was when it was ingested."""
    path = Path(clip.video_uri)
    path.write_bytes(b"\0" * 999)
    state = file_state(path)
    return replace(
        clip,
        video_sha256=sha256_file(path),
        size_bytes=state.size_bytes,
        changed_ns=state.changed_ns,
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Clips of two lengths and orientations, a short one, and one that is damaged."""
    clips = [clip_record(tmp_path, "a", 30), clip_record(tmp_path, "b", 20)]
    clips += [clip_record(tmp_path, "c", 20, width=48, height=64), clip_record(tmp_path, "d", 8)]
    clips += [clip_record(tmp_path, "e", 20)]
    clips[4] = damaged(clips[4])
    boards = [storyboard(clip.clip_id, [f"clip {clip.clip_id}", "a pet"]) for clip in clips]
    write_run(tmp_path, clips, boards)
    return tmp_path


def plan(config: LatentsConfig, out: Path) -> LatentsPlan:
    """The plan at one USD per GB."""
    where = str(out)
    return plan_run(config, input_directory=where, output_directory=where, usd_per_gb_month=1.0)


def stored_bytes(out: Path, name: str = "latents") -> tuple[int, int]:
    """The bytes of all latents of a table and of all embeddings, read back."""
    latents = [row for row in read_records(out / name, LatentRecord) if row.lr is not None]
    conditions = read_records(out / "conditions", ConditionRecord)
    return (
        sum(len(row.hr or b"") + len(row.lr or b"") for row in latents),
        sum(len(row.embedding or b"") for row in conditions),
    )


def test_bytes_are_those_that_the_run_stores(config: LatentsConfig, out: Path) -> None:
    """Latents to the byte once the damaged clip is known; embeddings of few prompts too."""
    before = plan(config, out)
    run_local(config, out)
    after = plan(config, out)

    assert stored_bytes(out) == (after.latent_bytes, after.condition_bytes)
    damaged = (2 * 16 * 5 * 12 * 16) + (2 * 16 * 3 * 3 * 4)
    assert before.latent_bytes == after.latent_bytes + damaged
    assert before.condition_bytes == after.condition_bytes
    assert [5, 5] == [each.tables[0].num_clips for each in (before, after)]


@pytest.mark.parametrize("rate", ["2x2x1", "2x2x2", "2x2x4", "2x2x8"])
def test_bytes_of_every_rate_and_of_further_copies(
    config: LatentsConfig, out: Path, rate: str
) -> None:
    """Once as the LR copy beside HR, once as a further copy alone."""
    (out / "e.mp4").unlink()
    beside = replace(config, preprocess=config.preprocess.with_lr_rate(rate))
    further = replace(config, more_lr=(rate,))
    for settings, names in ((beside, ["latents"]), (further, ["latents", f"latents_lr_{rate}"])):
        run_local(settings, out)
        tables = plan(settings, out).tables
        assert names == [table.name for table in tables]
        assert [0] * len(names) == [table.num_clips_left for table in tables]
        stored = [stored_bytes(out, name)[0] for name in names]
        assert stored == [table.latent_bytes for table in tables]


def test_a_plan_leaves_nothing_behind(config: LatentsConfig, out: Path) -> None:
    """It measures in memory."""
    before = sorted(out.rglob("*"))
    plan(config, out)

    assert before == sorted(out.rglob("*"))


def test_a_finished_run_is_not_measured(config: LatentsConfig, out: Path) -> None:
    """Nothing is left, so there are no rates and no hours."""
    run_local(config, out)
    done = plan(config, out)

    (table,) = done.tables
    assert (0, 0, 0.0) == (table.num_clips_left, done.num_prompts_left, done.hours)
    assert (None, None) == (table.clip_rates, done.prompt_rates)


def test_only_what_is_left_is_counted_and_measured(config: LatentsConfig, out: Path) -> None:
    """After a run, new clips and other settings are what a next one would do."""
    run_local(config, out)
    clips = [clip_record(out, clip_id, 20) for clip_id in ("b", "f")]
    write_run(out, clips, [storyboard("b", ["a pet"]), storyboard("f", ["new"])])
    more = plan(config, out)

    (table,) = more.tables
    assert (1, 20, 1) == (table.num_clips_left, table.num_frames_left, more.num_prompts_left)
    assert table.clip_rates is not None
    assert 1 == table.clip_rates.num_clips
    assert 0 < more.hours < 0.1
    slower = replace(config, preprocess=replace(config.preprocess, fps=6.0))
    assert 2 == plan(slower, out).tables[0].num_clips_left
    twice = plan(replace(config, more_lr=("2x2x8",)), out)
    assert [1, 2] == [each.num_clips_left for each in twice.tables]
    assert twice.tables[1].clip_rates is not None


def test_clips_that_cannot_be_decoded_cannot_be_measured(
    config: LatentsConfig, tmp_path: Path
) -> None:
    """The message names one and says where to go."""
    clip = clip_record(tmp_path, "a", 20)
    Path(clip.video_uri).write_bytes(b"\0" * 999)
    write_run(tmp_path, [clip], [storyboard("a", ["one"])])

    with pytest.raises(NothingUsable, match=r"none of 1 clips could be decoded.*a\.mp4"):
        plan(config, tmp_path)


def test_the_command_line(
    config: LatentsConfig, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the plan, writes it as JSON, and runs nothing."""
    where = ["--input", str(out), "--output", str(out), "--set", f"vae={config.vae}"]
    where += ["--set", "preprocess.min_num_frames=9", "--set", "num_decoders=2"]
    file = out / "plan.json"

    assert 0 == main([*where, "--plan", "--plan-json", str(file), "--usd-per-gb-month", "2"])
    assert "5 clips, 5 to encode" in capsys.readouterr().out
    values = json.loads(file.read_text())
    assert (2, 2.0) == (values["num_decoders"], values["usd_per_gb_month"])
    assert [5] == [table["num_clips"] for table in values["tables"]]
    assert not (out / "latents").exists()
    assert 2 == main([*where, "--plan-json", str(file)])
    assert "give --plan too" in capsys.readouterr().err
