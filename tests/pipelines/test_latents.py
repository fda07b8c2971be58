"""The latents stage over a run directory, from clips and storyboards to two tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from pfp.errors import ConfigError, NothingUsable, WeightsError
from pfp.io.digests import sha256_file
from pfp.io.media import Guard, write_video
from pfp.io.tables import read_records, write_table
from pfp.latents.frames import clip_frames
from pfp.latents.inputs import CLIP_COLUMNS
from pfp.latents.read import LatentReader
from pfp.models.vae.tiny import TinyCausalVAE
from pfp.runtime.stage_config import CONFIG_NAME
from pfp.schema import KEPT, ClipRecord, ConditionRecord, Dropped, LatentRecord, StoryboardRecord
from pfp.schema.verdict import verdict_to_struct
from pipelines.latents.config import PRESETS, LatentsConfig, demo, full
from pipelines.latents.run import main, run
from pipelines.latents.worker import FRAMES, DecodeClips

DROPPED = Dropped(reason="some_rule", detail="")


def clip_record(folder: Path, clip_id: str, num_frames: int, **changes: Any) -> ClipRecord:
    """A clip of 12 fps, 64 x 48 pixels, with its file."""
    path = folder / f"{clip_id}.mp4"
    rng = np.random.default_rng(ord(clip_id[0]))
    still = rng.integers(0, 256, (1, 6, 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    frames = np.concatenate([np.roll(still, index, axis=2) for index in range(num_frames)])
    write_video(path, frames.astype(np.uint8), 12.0)
    values: dict[str, Any] = {
        "clip_id": clip_id,
        "video_uri": str(path),
        "video_sha256": sha256_file(path),
        "size_bytes": path.stat().st_size,
        "start_seconds": 0.0,
        "end_seconds": num_frames / 12,
        "width": 64,
        "height": 48,
        "verdict": KEPT,
    }
    return ClipRecord(**{**values, **changes})


def storyboard(clip_id: str, captions: Sequence[str], **changes: Any) -> StoryboardRecord:
    """A storyboard of one-second shots."""
    shots = [
        {"start_seconds": float(i), "end_seconds": i + 1.0, "caption": caption}
        for i, caption in enumerate(captions)
    ]
    values: dict[str, Any] = {"clip_id": clip_id, "shots": shots, "backend": "sidecar"}
    return StoryboardRecord(**{**values, "verdict": KEPT, **changes})


def write_run(out: Path, clips: list[ClipRecord], boards: list[StoryboardRecord]) -> None:
    """The two tables that the stage reads."""
    write_table(out / "clips", ClipRecord.table(clips), ClipRecord)
    write_table(out / "storyboards", StoryboardRecord.table(boards), StoryboardRecord)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> LatentsConfig:
    """The demo's settings with a narrow random VAE and small frames."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    network = TinyCausalVAE(hidden_channels=8, latents_mean=[0.0] * 16, latents_std=[1.0] * 16)
    network.save_pretrained(folder)
    preprocess = replace(demo().preprocess, long_side=64, short_side=48, min_num_frames=9)
    return replace(demo(), vae=f"tiny:{folder}", preprocess=preprocess)


def run_local(config: LatentsConfig, out: Path) -> list[Any]:
    """The stage in this process."""
    return run(config, input_directory=str(out), output_directory=str(out), engine="local")


@pytest.fixture(scope="module")
def out(config: LatentsConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over good, short, damaged, dropped and uncaptioned clips."""
    out = tmp_path_factory.mktemp("run")
    clips = [
        clip_record(out, "good", 30),
        clip_record(out, "short", 8),
        clip_record(out, "damaged", 20),
        clip_record(out, "rejected", 20, verdict=DROPPED),
        clip_record(out, "uncaptioned", 20),
    ]
    damaged = Path(clips[2].video_uri)
    damaged.write_bytes(b"\0" * 999)
    clips[2] = replace(clips[2], video_sha256=sha256_file(damaged), size_bytes=999)
    boards = [storyboard("good", ["a cat", "a dog"], global_caption="pets")]
    boards += [storyboard(clip_id, ["a dog"]) for clip_id in ("short", "damaged", "rejected")]
    boards += [storyboard("uncaptioned", [], verdict=DROPPED)]
    write_run(out, clips, boards)
    run_local(config, out)
    return out


class TestRun:
    """What comes out, row by row."""

    def test_each_captioned_clip_has_a_row(self, out: Path) -> None:
        """Kept, dropped and failed are three things; clips dropped before are none of them."""
        rows = {
            record.clip_id: record.verdict for record in read_records(out / "latents", LatentRecord)
        }

        assert sorted(rows) == ["damaged", "good", "short"]
        assert rows["good"] == KEPT
        assert rows["short"].reason == "num_frames_below_min"
        assert not rows["damaged"].retryable

    def test_latents_can_be_read(self, out: Path) -> None:
        """The reader accepts what the stage wrote, and shapes follow the settings."""
        latents = LatentReader(out / "latents").load("good")

        assert latents.hr_TCHW.shape == (8, 16, 12, 16)
        assert latents.lr_TCHW.shape == (4, 16, 3, 4)
        assert latents.record.num_frames_dropped == 1

    def test_each_distinct_prompt_has_a_condition(self, out: Path) -> None:
        """Prompts of the encoded clips are embedded once each."""
        records = read_records(out / "conditions", ConditionRecord)

        assert sorted(record.prompt for record in records) == ["a cat", "a dog", "pets"]
        assert {record.embedding_shape[1] for record in records} == {64}

    def test_the_summary_has_both_reports(self, out: Path) -> None:
        """summary.json conserves the rows of latents and of conditions."""
        stages = json.loads((out / "summary.json").read_text())["stages"]

        counts = {
            name: [stage[key] for key in ("rows_in", "kept", "dropped", "failed")]
            for name, stage in stages.items()
        }
        assert counts == {"latents": [3, 1, 1, 1], "conditions": [3, 3, 0, 0]}

    def test_a_second_run_computes_nothing(self, out: Path, config: LatentsConfig) -> None:
        """All rows are reused, and the tables keep their bytes."""
        before = {path: path.read_bytes() for path in out.glob("*/*.parquet")}

        reports = run_local(config, out)

        assert [(report.reused, report.computed) for report in reports] == [(3, 0), (3, 0)]
        assert {path: path.read_bytes() for path in out.glob("*/*.parquet")} == before


def test_only_what_changed_is_computed_again(config: LatentsConfig, tmp_path: Path) -> None:
    """Other content, other pixels or another VAE recompute; a moved file or a caption do not."""
    clips = [clip_record(tmp_path, "a", 20), clip_record(tmp_path, "b", 20)]
    boards = [storyboard("a", ["one"]), storyboard("b", ["two"])]
    write_run(tmp_path, clips, boards)
    run_local(config, tmp_path)

    moved = tmp_path / "moved.mp4"
    Path(clips[0].video_uri).rename(moved)
    clips[0] = replace(clips[0], video_uri=str(moved))
    write_run(tmp_path, clips, [boards[0], storyboard("b", ["two", "three"])])
    assert [r.computed for r in run_local(config, tmp_path)] == [0, 1]

    names = ("video_uri", "video_sha256", "size_bytes")
    other = clip_record(tmp_path, "c", 20)
    clips[1] = replace(clips[1], **{name: getattr(other, name) for name in names})
    write_run(tmp_path, clips, boards)
    assert [r.computed for r in run_local(config, tmp_path)] == [1, 0]

    clips[1] = replace(clips[1], start_seconds=0.1)
    write_run(tmp_path, clips, boards)
    assert [r.computed for r in run_local(config, tmp_path)] == [1, 0]

    assert [r.computed for r in run_local(replace(config, stored_dtype="int8"), tmp_path)] == [2, 0]
    assert [r.computed for r in run_local(config, tmp_path)] == [2, 0]

    faster = replace(config, preprocess=replace(config.preprocess, fps=6.0))
    assert [r.computed for r in run_local(faster, tmp_path)] == [2, 0]

    folder = tmp_path / "vae"
    TinyCausalVAE(
        hidden_channels=8, latents_mean=[0.0] * 16, latents_std=[1.0] * 16
    ).save_pretrained(folder)
    retrained = replace(faster, vae=f"tiny:{folder}")
    assert [r.computed for r in run_local(retrained, tmp_path)] == [2, 0]


@pytest.mark.parametrize(("num_decoders", "clips_per_forward"), [(0, 1), (0, 2), (1, 1)])
def test_a_replaced_video_is_no_latents_of_the_old_one(
    config: LatentsConfig, tmp_path: Path, num_decoders: int, clips_per_forward: int
) -> None:
    """Wherever it is decoded; its row says what happened and what to do, the other is kept."""
    clips = [clip_record(tmp_path, name, 20) for name in "abc"]
    write_run(tmp_path, clips, [storyboard(name, [name]) for name in "abc"])
    Path(clips[1].video_uri).write_bytes(Path(clips[2].video_uri).read_bytes())
    batch_size = 1 if num_decoders else 2
    config = replace(config, num_decoders=num_decoders, batch_size=batch_size)

    run_local(replace(config, clips_per_forward=clips_per_forward), tmp_path)

    rows = {row.clip_id: row for row in read_records(tmp_path / "latents", LatentRecord)}
    failed = rows.pop("b").verdict
    assert {"kept"} == {verdict_to_struct(row.verdict)["kind"] for row in rows.values()}
    assert "FileChangedError" == getattr(failed, "error", None)
    assert "b.mp4 is not the file that was ingested" in failed.message
    assert "run pipelines/ingest again" in failed.message


def table_bytes(out: Path) -> dict[str, bytes]:
    """The files of both tables, but for the settings beside them."""
    tables = [*out.glob("latents/*"), *out.glob("conditions/*")]
    files = [path for path in tables if path.is_file() and path.name != CONFIG_NAME]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.mark.usefixtures("ray_cluster")
def test_engines_and_decoders_change_no_byte(config: LatentsConfig, tmp_path: Path) -> None:
    """Where clips are decoded and encoded decides nothing, for good, short and damaged ones."""
    clips = [clip_record(tmp_path, "a", 20), clip_record(tmp_path, "b", 8)]
    clips += [clip_record(tmp_path, "c", 20), clip_record(tmp_path, "d", 20, end_seconds=None)]
    Path(clips[2].video_uri).write_bytes(b"\0" * 999)
    boards = [storyboard(clip.clip_id, ["one"]) for clip in clips]
    handing_over = replace(config, num_decoders=1, handover_bytes=1 << 20, num_workers=1)
    tables = []
    for engine, settings in (("local", config), ("local", handing_over), ("ray", handing_over)):
        out = tmp_path / f"{engine}-{settings.num_decoders}"
        out.mkdir()
        write_run(out, clips, boards)
        (latents, _) = run(
            settings,
            input_directory=str(out),
            output_directory=str(out),
            engine=engine,  # type: ignore[arg-type]
        )
        assert (1, 1, 2) == (latents.kept, latents.dropped, latents.failed)
        tables.append(table_bytes(out))
    assert tables[0] == tables[1] == tables[2]


class TestDecoders:
    """What is handed over, and what is left to the worker that encodes."""

    def prepared(self, config: LatentsConfig, clip: ClipRecord) -> Any:
        """What a decoder hands over for a clip: bytes, or None."""
        row = {name: [getattr(clip, name)] for name in CLIP_COLUMNS}
        return DecodeClips(config)(pa.table(row))[FRAMES][0].as_py()

    def test_frames_are_those_of_the_stream(self, config: LatentsConfig, tmp_path: Path) -> None:
        """All frames of the settings' size, one after the other."""
        clip = clip_record(tmp_path, "a", 20)

        with Guard() as guard:
            frames = list(clip_frames(clip, config.preprocess, guard))
        assert np.stack(frames).tobytes() == self.prepared(config, clip)

    def test_a_clip_as_large_as_the_limit_is_handed_over(
        self, config: LatentsConfig, tmp_path: Path
    ) -> None:
        """One byte less and it is left to the encoder, which streams it."""
        clip, size_bytes = clip_record(tmp_path, "a", 20), 20 * 64 * 48 * 3

        assert self.prepared(replace(config, handover_bytes=size_bytes), clip) is not None
        assert self.prepared(replace(config, handover_bytes=size_bytes - 1), clip) is None

    def test_a_clip_that_is_left_has_the_same_latents(
        self, config: LatentsConfig, tmp_path: Path
    ) -> None:
        """The limit decides nothing but memory."""
        write_run(tmp_path, [clip_record(tmp_path, "a", 20)], [storyboard("a", ["one"])])
        run_local(replace(config, num_decoders=1), tmp_path)
        before = table_bytes(tmp_path)
        (tmp_path / "latents" / "_manifest.json").unlink()

        (report, _) = run_local(replace(config, num_decoders=1, handover_bytes=1), tmp_path)
        assert 1 == report.computed
        assert table_bytes(tmp_path) == before

    def test_rejected_settings(self, config: LatentsConfig) -> None:
        """Numbers that mean nothing are refused at once."""
        with pytest.raises(ConfigError, match="num_decoders -1 and handover_bytes 1"):
            replace(config, num_decoders=-1)
        with pytest.raises(ConfigError, match="clips_per_forward is 2 with 1 decoders"):
            replace(config, num_decoders=1, clips_per_forward=2)
        with pytest.raises(ConfigError, match="stored_dtype 'bfloat16' is unknown; give one of"):
            replace(config, stored_dtype="bfloat16")


def test_clips_of_a_shape_are_encoded_together(config: LatentsConfig, tmp_path: Path) -> None:
    """Four of one shape, one upright, one longer, one short and one damaged: the same but for bits.

    Verdicts, shapes and headers are those of clips encoded alone.
    """
    clips = [clip_record(tmp_path, name, 20) for name in "abcd"]
    clips += [clip_record(tmp_path, "longer", 26), clip_record(tmp_path, "short", 8)]
    clips += [clip_record(tmp_path, "broken", 20)]
    Path(clips[-1].video_uri).write_bytes(b"\0" * 999)
    write_run(tmp_path, clips, [storyboard(clip.clip_id, ["one"]) for clip in clips])
    runs = {}
    for name, size in (("alone", 1), ("grouped", 3)):
        out = tmp_path / name
        settings = replace(config, clips_per_forward=size, batch_size=8)
        run(settings, input_directory=str(tmp_path), output_directory=str(out), engine="local")
        runs[name] = read_records(out / "latents", LatentRecord)

    blank = {"hr": None, "lr": None, "result_key": "", "hr_channel_mean": [], "hr_channel_std": []}
    for alone, grouped in zip(runs["alone"], runs["grouped"], strict=True):
        assert replace(alone, **blank) == replace(grouped, **blank)
        for ours, theirs in ((alone.hr, grouped.hr), (alone.lr, grouped.lr)):
            values = [
                np.frombuffer(content or b"", "<f2").astype(float) for content in (ours, theirs)
            ]
            np.testing.assert_allclose(*values, rtol=2e-3, atol=2e-3)


def test_a_second_text_encoder_has_its_own_table(config: LatentsConfig, tmp_path: Path) -> None:
    """HunyuanVideo's pooled condition lies beside the other one, for the same prompts."""
    write_run(tmp_path, [clip_record(tmp_path, "a", 20)], [storyboard("a", ["one", "two"])])

    reports = run_local(replace(config, pooled_text_encoder="tiny"), tmp_path)

    assert ["latents", "conditions", "conditions_pooled"] == [report.name for report in reports]
    tables = [
        read_records(tmp_path / name, ConditionRecord)
        for name in ("conditions", "conditions_pooled")
    ]
    assert ["one", "two"] == sorted(record.prompt for record in tables[1])
    assert tables[0] == tables[1]


class TestRefusals:
    """What is said before any work is done."""

    def test_nothing_captioned(self, config: LatentsConfig, tmp_path: Path) -> None:
        """Without a captioned clip there is nothing to encode, and the counts say why."""
        write_run(tmp_path, [clip_record(tmp_path, "a", 9)], [storyboard("a", [], verdict=DROPPED)])

        with pytest.raises(NothingUsable, match="1 kept clips, none with a kept storyboard"):
            run_local(config, tmp_path)

    def test_full_needs_its_folders(self, tmp_path: Path) -> None:
        """The full preset names no folder of anybody's machine; it asks for one."""
        with pytest.raises(ConfigError, match="write wan21:/path/to"):
            run_local(full(), tmp_path)

    def test_the_5b_trap(self, tmp_path: Path) -> None:
        """A quarter of 480 rows does not fit the 5B VAE's stride; a half does and is asked for."""
        config = replace(full(), vae=f"wan22_5b:{tmp_path}")

        with pytest.raises(ConfigError, match=r"LR \(lr_factor 4\) frames of 208 x 120"):
            run_local(config, tmp_path)

    def test_missing_weights(self, config: LatentsConfig, tmp_path: Path) -> None:
        """A folder without weights is noticed in the driver, before workers start."""
        with pytest.raises(WeightsError, match=r"config\.json"):
            run_local(replace(config, vae=f"tiny:{tmp_path}"), tmp_path)


def test_the_command_line(
    config: LatentsConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--set`` reaches the preprocessing; a bad value is one sentence and status 2."""
    write_run(tmp_path, [clip_record(tmp_path, "a", 20)], [storyboard("a", ["one"])])
    shared = ["--output", str(tmp_path), "--engine", "local", "--set", f"vae={config.vae}"]

    assert (
        main([*shared, "--set", "preprocess.min_num_frames=20", "--set", "preprocess.fps=6"]) == 0
    )
    assert main([*shared, "--set", "device=tpu9"]) == 2
    assert "there is no device 'tpu9'; give cpu or cuda" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_complete(name: str) -> None:
    """A preset is a whole config that fits its VAE's stride."""
    config = PRESETS[name]()

    config.preprocess.check_stride(8 if name == "full" else 4)
    assert config.preprocess.min_num_frames % 4 == 1
