"""The latents stage at every rate of the paper, up to the tokens of an encoder of that rate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pfp.errors import ConfigError, SchemaError
from pfp.io.media import Guard
from pfp.io.prompts import Embedding
from pfp.io.tables import read_records
from pfp.latents.frames import clip_frames
from pfp.latents.read import LatentReader
from pfp.models.memory.encoder import MemoryEncoder, make_encoder
from pfp.models.rates import GEOMETRIES, parse_rate
from pfp.models.vae import load_vae
from pfp.schema import ClipRecord, LatentRecord
from pfp.schema.latent import LatentSpan
from pfp.train.loader import WindowBatches
from pfp.train.sampler import WindowPlan, WindowSampler
from pipelines.latents.config import LatentsConfig
from pipelines.latents.run import main
from tests.pipelines.test_latents import clip_record, config, run_local, storyboard, write_run

__all__ = ["config"]  # the fixture

RATES = ("2x2x1", "2x2x2", "2x2x4", "2x2x8")
LENGTHS = {"a": 101, "b": 80, "c": 8}  # frames at 12 fps; the last is too short


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[ClipRecord]:
    """Two clips with a lot going on in time, and a short one."""
    folder = tmp_path_factory.mktemp("videos")
    return [clip_record(folder, clip_id, length) for clip_id, length in LENGTHS.items()]


@pytest.fixture(scope="module", params=RATES)
def run(
    request: pytest.FixtureRequest,
    config: LatentsConfig,
    clips: list[ClipRecord],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, LatentsConfig]:
    """A finished run at a rate."""
    out = tmp_path_factory.mktemp(request.param)
    write_run(out, clips, [storyboard(clip.clip_id, ["one", "two"]) for clip in clips])
    settings = replace(config, preprocess=config.preprocess.with_lr_rate(request.param))
    run_local(settings, out)
    return request.param, out, settings


def test_lr_latents_are_those_of_every_so_many_th_frame(
    run: tuple[str, Path, LatentsConfig], clips: list[ClipRecord]
) -> None:
    """Decoded again, thinned out, averaged over 2 x 2 pixels and encoded by hand."""
    rate, out, settings = run
    stride = int(rate[-1])
    reader = LatentReader(out / "latents", lr_factor=2, lr_frame_stride=stride)
    vae = load_vae(settings.vae)

    assert ["a", "b"] == reader.clip_ids
    for clip in clips[:2]:
        latents = reader.load(clip.clip_id)
        with Guard() as guard:
            frames = np.stack(list(clip_frames(clip, settings.preprocess, guard)))
        num_tokens = 1 + (len(latents.hr_TCHW) - 1) // stride
        few = frames[::stride][: 4 * num_tokens - 3].astype(np.float64)
        small = few.reshape(len(few), 24, 2, 32, 2, 3).mean(axis=(2, 4))
        expected = vae.encode(np.floor(small + 0.5).astype(np.uint8)).astype(np.float16)
        np.testing.assert_array_equal(expected, latents.lr_TCHW)


def test_batches_feed_an_encoder_of_the_rate(run: tuple[str, Path, LatentsConfig]) -> None:
    """Loaded windows are in step, and both branches make the tokens that the rate says."""
    rate, out, _ = run
    geometry = GEOMETRIES["tiny"]
    parsed = parse_rate(rate, geometry)
    reader = LatentReader(out / "latents", lr_factor=2, lr_frame_stride=parsed.time)
    plan = WindowPlan(
        batch_size=2,
        history_frames=(9, 17),
        num_targets=2,
        continue_share=0.3,
        section_lengths=(1, 2, 3),
        time_stride=parsed.time,
    )
    sampler = WindowSampler([reader.shape(row) for row in range(2)], plan, seed=0)
    batches = WindowBatches(
        reader, lambda _row, _latent: Embedding(np.zeros((1, 1), np.float16), 1), sampler
    )
    patch = nn.Conv3d(16, 64, (1, 2, 2), (1, 2, 2))
    encoder = make_encoder("proposed", parsed, patch)
    assert isinstance(encoder, MemoryEncoder)

    starts = set()
    for step in range(12):
        batch = batches[step].to("cpu")
        num_latents = batch.hr_BCTHW.shape[2]
        grid = parsed.token_grid((num_latents, 12, 16), geometry)
        with torch.inference_mode():
            tokens_BDTHW = encoder(batch.hr_BCTHW, batch.lr_BCTHW, patch)
        assert (2, 64, *grid) == tokens_BDTHW.shape
        for hr_CTHW, lr_CTHW in zip(batch.hr_BCTHW, batch.lr_BCTHW, strict=True):
            row, start = place_of(reader, hr_CTHW)
            starts.add(start)
            beside = LatentSpan(
                row, "lr", start // parsed.time, start // parsed.time + lr_CTHW.shape[1]
            )
            (expected,) = reader.read([beside])
            assert (expected == lr_CTHW.transpose(0, 1).numpy()).all()
            assert grid[0] == lr_CTHW.shape[1]
    assert len(starts) > 1


def place_of(reader: LatentReader, hr_CTHW: torch.Tensor) -> tuple[int, int]:
    """The clip and the latent that a history begins with, found by its values."""
    for row, clip_id in enumerate(reader.clip_ids):
        for start, latent_CHW in enumerate(reader.load(clip_id).hr_TCHW):
            if (latent_CHW == hr_CTHW[:, 0].numpy()).all():
                return row, start
    raise AssertionError("the history is of no clip")


def test_another_rate_is_refused_with_the_cure(run: tuple[str, Path, LatentsConfig]) -> None:
    """Before a batch is read."""
    rate, out, _ = run
    other = 4 if rate != "2x2x4" else 2
    cure = f"--set preprocess.lr_factor=2 --set preprocess.lr_frame_stride={other}"

    with pytest.raises(SchemaError, match=f"rate {rate}, not of 2x2x{other}; run .* {cure}"):
        LatentReader(out / "latents", lr_factor=2, lr_frame_stride=other)


def test_further_lr_copies_are_tables_of_their_own(
    config: LatentsConfig, clips: list[ClipRecord], tmp_path: Path
) -> None:
    """Beside the table that there was before, of the same clips, with the LR latents alone.

    They are those of a table of that rate, to the byte. Nothing that was there is made again.
    """
    write_run(tmp_path, clips, [storyboard(clip.clip_id, ["one"]) for clip in clips])
    (before, _) = run_local(config, tmp_path)
    both = replace(config, more_lr=("2x2x8", "2x2x1"), num_decoders=1)

    reports = run_local(both, tmp_path)

    names = ["latents", "latents_lr_2x2x8", "latents_lr_2x2x1", "conditions"]
    assert names == [report.name for report in reports]
    assert [0, 3, 3, 0] == [report.computed for report in reports]
    assert [0] * 4 == [report.computed for report in run_local(both, tmp_path)]
    counts = [(each.kept, each.dropped, each.failed) for each in (before, *reports[:3])]
    assert [(2, 1, 0)] * 4 == counts
    assert set(names) == json.loads((tmp_path / "summary.json").read_text())["stages"].keys()
    for rate in both.more_lr:
        alone = {row.clip_id: row for row in of_rate(tmp_path / f"latents_lr_{rate}")}
        settings = replace(config, preprocess=config.preprocess.with_lr_rate(rate))
        whole = tmp_path / rate
        write_run(whole, clips, [storyboard(clip.clip_id, ["one"]) for clip in clips])
        run_local(settings, whole)
        for row in of_rate(whole / "latents"):
            assert row.lr == alone[row.clip_id].lr
            assert row.header().keys() == alone[row.clip_id].header().keys()
            assert row.preproc_sha256 == alone[row.clip_id].preproc_sha256
            assert alone[row.clip_id].hr is None
        reader = LatentReader(tmp_path / f"latents_lr_{rate}", lr_frame_stride=int(rate[-1]))
        assert ["a", "b"] == reader.clip_ids


def of_rate(table: Path) -> list[LatentRecord]:
    """Its rows."""
    return read_records(table, LatentRecord)


def test_a_table_of_an_earlier_version_is_made_again(
    config: LatentsConfig, clips: list[ClipRecord], tmp_path: Path, monkeypatch: Any
) -> None:
    """What the refusal says to do does it."""
    write_run(tmp_path, clips[:1], [storyboard("a", ["one"])])
    with monkeypatch.context() as patch:
        patch.setattr(LatentRecord, "VERSION", 2)
        run_local(config, tmp_path)
    with pytest.raises(SchemaError, match="latent v2, this pfp reads v3; run the stage again"):
        LatentReader(tmp_path / "latents")

    (report, _) = run_local(config, tmp_path)

    assert 1 == report.computed
    assert ["a"] == LatentReader(tmp_path / "latents").clip_ids


class TestRefusals:
    """One sentence, before any work."""

    def test_a_copy_that_the_vae_cannot_encode(
        self, config: LatentsConfig, clips: list[ClipRecord], tmp_path: Path
    ) -> None:
        """An eighth of 48 rows fills no cells of 4 pixels."""
        write_run(tmp_path, clips, [storyboard("a", ["one"])])

        with pytest.raises(ConfigError, match=r"LR \(lr_factor 8\) frames of 8 x 6"):
            run_local(replace(config, more_lr=("8x8x2",)), tmp_path)
        assert not (tmp_path / "latents").exists()

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (("4x4x2",), "rate 4x4x2 is asked for twice"),
            (("2x2x8", "2x2x8"), "rate 2x2x8 is asked for twice"),
            (("2x2x3",), "lr_frame_stride is 3; give a power of two"),
            (("detailed",), "no LR video of rate 'detailed'; give NxNxT"),
        ],
    )
    def test_copies_that_mean_nothing(
        self, config: LatentsConfig, more: tuple[str, ...], message: str
    ) -> None:
        """When the settings are made."""
        with pytest.raises(ConfigError, match=message):
            replace(config, more_lr=more)

    def test_on_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Both kinds of setting are reached, and a bad one is one line."""
        shared = ["--output", str(tmp_path), "--engine", "local"]

        assert 2 == main([*shared, "--set", "preprocess.lr_frame_stride=6"])
        assert 2 == main([*shared, "--set", "more_lr=[2x2x8, 4x4x2]"])
        errors = capsys.readouterr().err.splitlines()
        assert errors[0].endswith("lr_frame_stride is 6; give a power of two: 1, 2, 4, 8 ...")
        assert "rate 4x4x2 is asked for twice" in errors[1]
