"""``pfp verify``: what is whole, what is not, and what to do."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pfp.cli.eval import main as eval_main
from pfp.cli.main import main
from pfp.eval.scores.origin import Origin
from pfp.io import tables
from pfp.io.digests import sha256_file
from pfp.io.filesystems import Folder
from pfp.io.media import path_to_uri
from pfp.io.unchanged import file_state
from pfp.runtime.stage_config import CONFIG_NAME, StageConfig
from pfp.schema import (
    KEPT,
    ConditionRecord,
    EvalSample,
    LatentRecord,
    ScoreRecord,
    StoryboardRecord,
    VideoRecord,
)
from pfp.schema.run_directory import RunDirectory
from tests.latents.s3_server import S3Server


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two tables."""
    stories = [StoryboardRecord(clip_id="a", backend="sidecar", verdict=KEPT)]
    tables.write_table(tmp_path / "storyboards", StoryboardRecord.table(stories), StoryboardRecord)
    conditions = [
        ConditionRecord(
            prompt_sha256=name,
            prompt=name,
            encoder_id="tiny",
            encoder_sha256="0",
            embedding=bytes(8),
            embedding_shape=[2, 2],
            verdict=KEPT,
        )
        for name in "ab"
    ]
    tables.write_table(
        tmp_path / "conditions", ConditionRecord.table(conditions), ConditionRecord, rows_per_file=1
    )
    return tmp_path


def test_a_whole_run_is_as_it_was_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a table, in the order of the chain, and status 0."""
    assert 0 == main(["verify", str(run)])
    assert ["storyboards: as it was written", "conditions: as it was written"] == (
        capsys.readouterr().out.splitlines()
    )


def test_a_configuration_that_cannot_be_read_is_a_problem(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that can is as good as none."""
    StageConfig.of("caption", {"attempts": 2}).write(str(run / "storyboards"))
    assert 0 == main(["verify", str(run)])

    (run / "storyboards" / CONFIG_NAME).write_text("{")
    assert 1 == main(["verify", str(run)])
    out = capsys.readouterr().out
    assert "storyboards: 1 problems" in out
    assert "_config.json is damaged" in out


def test_a_run_in_an_object_store_is_checked_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """Its tables, an LR copy for a further rate among them, and their configurations."""
    with S3Server() as server:
        run = RunDirectory(server.uri("run"))
        Folder.at(server.uri("")).make()
        for table in (run.storyboards, run.lr_latents("2x2x8")):
            tables.write_table(table.path, table.record.table([]), table.record)
        assert 0 == main(["verify", run.uri])
        assert ["storyboards: as it was written", "latents_lr_2x2x8: as it was written"] == (
            capsys.readouterr().out.splitlines()
        )

        Folder.at(run.storyboards.path).write(CONFIG_NAME, b"{")
        assert 1 == main(["verify", run.uri])
        assert "run/storyboards/_config.json is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("lost", ["manifest", "ended early"])
def test_a_table_without_a_manifest_is_a_problem(
    run: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    """Its rows are there and no reader finds them; a killed stage leaves such ones, too."""
    if lost == "manifest":
        (run / "conditions" / "_manifest.json").unlink()
    else:
        shutil.rmtree(run / "conditions")
        (run / "conditions" / "_pending").mkdir(parents=True)

    assert 1 == main(["verify", str(run)])
    problem = (
        f"{run}/conditions holds rows and no manifest: its stage did not end, or the manifest was "
        "lost; run the stage again"
    )
    assert ["storyboards: as it was written", problem] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_a_damaged_file_is_named_with_the_cure(
    run: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    """A bit in the tensor's bytes is found as well as a file that ends early or is not there."""
    first, second = sorted((run / "conditions").glob("part-*"))
    content = bytearray(first.read_bytes())
    if damage == "flipped":
        content[content.index(bytes(8))] ^= 1
        first.write_bytes(content)
    elif damage == "truncated":
        first.write_bytes(content[:-20])
    else:
        first.unlink()

    assert 1 == main(["verify", str(run)])

    output = capsys.readouterr().out
    assert "storyboards: as it was written" in output
    assert "conditions: 1 problems" in output
    assert first.name in output
    assert second.name not in output
    assert "delete it and run the stage again" in output


def test_one_table_can_be_asked_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what is not there, or no table at all, is said."""
    assert 0 == main(["verify", str(run), "--table", "conditions"])
    assert "storyboards" not in capsys.readouterr().out
    assert 2 == main(["verify", str(run), "--table", "nope"])
    assert "give one of videos/_measured, videos/_audio, videos" in capsys.readouterr().err
    assert 2 == main(["verify", str(run / "conditions")])
    assert "give a run directory" in capsys.readouterr().err
    (file := run / "a_file").touch()
    assert 2 == main(["verify", str(file)])
    assert f"{file} is a file; give a run directory" in capsys.readouterr().err


def test_further_lr_copies_are_tables_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run may have any number of them, one for each further rate."""
    empty = LatentRecord.SCHEMA.empty_table()
    tables.write_table(run / "latents_lr_2x2x8", empty, LatentRecord)

    assert 0 == main(["verify", str(run), "--table", "latents_lr_2x2x8"])

    assert "latents_lr_2x2x8: as it was written\n" == capsys.readouterr().out


def write_video(run: Path, video: Path) -> None:
    """A table of one video, whose file this is."""
    state = file_state(video)
    record = VideoRecord(
        video_uri=path_to_uri(video),
        video_sha256=sha256_file(video),
        size_bytes=state.size_bytes,
        changed_ns=state.changed_ns,
        verdict=KEPT,
    )
    tables.write_table(run / "videos", VideoRecord.table([record]), VideoRecord)


def test_a_replaced_video_is_a_problem(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is made of it now would be filed under the old one; one that is gone is only told."""
    video = run / "v.mp4"
    video.write_bytes(b"old")
    write_video(run, video)
    assert 0 == main(["verify", str(run)])
    assert "files: as they were ingested\n" in capsys.readouterr().out

    video.write_bytes(b"new")
    assert 1 == main(["verify", str(run)])
    output = capsys.readouterr().out
    assert "files: 1 problems\n" in output
    assert "v.mp4 is not the file that was ingested" in output

    video.unlink()
    assert 0 == main(["verify", str(run)])
    assert "files: as they were ingested, 1 are not here\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "trouble", [None, "protocols", "judges", "metric", "nothing", "manifests", "no samples"]
)
@pytest.mark.parametrize("part", ["", "shards/1-of-1/"])
def test_what_makes_a_report_fail_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trouble: str | None, part: str
) -> None:
    """The same sentence, though each table is as it was written."""
    made = [made_by("a"), made_by("b")]
    scores = [scored("a"), scored("b")]
    changes = {
        "protocols": {"protocol": "vbench"},
        "judges": {"params": '{"judge": {"fingerprint": "1", "model_id": "m"}}'},
        "metric": {"metric": "gone@1"},
    }
    if trouble == "judges":
        changes["judges"]["params"] = '{"judge": {"fingerprint": "2", "model_id": "n"}}'
        scores[0] = replace(scores[0], params='{"judge": {"fingerprint": "1", "model_id": "m"}}')
    scores[1] = replace(scores[1], **changes.get(trouble or "", {}))
    write_run(tmp_path / part, made, [] if trouble == "nothing" else scores)
    if trouble == "manifests":
        Origin(manifest_sha256="1", num_samples=2, shard=None).write(tmp_path / part)
        write_run(tmp_path / "shards/1-of-2", made, scores)
        Origin(manifest_sha256="2", num_samples=2, shard=(1, 2)).write(tmp_path / "shards/1-of-2")

    if trouble == "no samples":
        shutil.rmtree(tmp_path / part / "generations")

    status = main(["verify", str(tmp_path)])
    output = capsys.readouterr().out
    failed = eval_main(["report", str(tmp_path), "--json", str(tmp_path / "x.json")])

    assert (status, failed) == ((0, 0) if trouble is None else (1, 2))
    assert f"report: {'can' if trouble is None else 'cannot'} be written\n" in output
    if trouble is not None:
        sentence = capsys.readouterr().err.splitlines()[-1].removeprefix("pfp-eval: ")
        assert sentence == output.splitlines()[-1]


def write_run(directory: Path, made: list[EvalSample], scores: list[ScoreRecord]) -> None:
    """Both tables of an evaluation."""
    tables.write_table(directory / "generations", EvalSample.table(made), EvalSample)
    tables.write_table(directory / "scores", ScoreRecord.table(scores), ScoreRecord)


def made_by(name: str) -> EvalSample:
    """A given video."""
    return EvalSample(
        sample_id=name,
        task="given",
        group=name,
        method="ours",
        model_id="ours",
        checkpoint_sha256=None,
        seed=0,
        rate=None,
        video_uri=f"file:///{name}.mp4",
        verdict=KEPT,
    )


def scored(name: str) -> ScoreRecord:
    """Its PSNR."""
    return ScoreRecord(
        score_id=f"{name}/psnr@1",
        sample_id=name,
        metric="psnr@1",
        value=30.0,
        unscored_reason=None,
        num_frames=4,
        params="{}",
        protocol="whole",
        decoder="pyav 1",
        verdict=KEPT,
    )
