"""Checkpoints of large bases through latents, train and eval as a lab types it, at small width."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pfp.io.tables import read_records
from pfp.models.backbones import loading
from pfp.models.backbones.loading import architecture
from pfp.schema import KEPT, EvalSample, Failed, ScoreRecord
from pipelines.eval.run import main as evaluate
from pipelines.latents.run import main as encode
from pipelines.train.run import main as train
from tests.model_folders import save_hunyuan_vae, save_llama_and_clip, save_umt5, save_wan22_vae

WINDOWS = (
    *("windows.history_frames=3", "windows.num_targets=1", "windows.batch_size=1"),
    *("steps.num_steps=1", "steps.warmup_steps=0", "held_out_share=0.5"),
)
TRAINING = (*WINDOWS, "variants=[proposed]", "start=nothing", "num_text_tokens=16")
SMALL_WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 24,
    "num_layers": 1,
    "text_dim": 16,
    "freq_dim": 32,
    "ffn_dim": 64,
}
SMALL_HUNYUAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 1,
    "text_embed_dim": 16,
    "num_single_layers": 1,
    "num_refiner_layers": 1,
    "pooled_projection_dim": 24,
    "rope_axes_dim": (4, 6, 6),
}
SAMPLES = (
    *("generate.history_frames=3", "generate.num_targets=1", "generate.num_steps=1"),
    *("generate.num_continued=1", "generate.num_sections=1", "score.metrics=[psnr]"),
)


Narrow = Callable[[str, Mapping[str, Any], Path], None]
Save = Callable[[Path, Narrow], tuple[list[str], list[str], list[str]]]


def save_wan22_5b(folder: Path, narrow: Narrow) -> tuple[list[str], list[str], list[str]]:
    """A pipeline of Wan 2.2 5B, and the settings of latents, train and eval that name it."""
    narrow("wan22_5b", SMALL_WAN, folder)
    vae = f"wan22_5b:{save_wan22_vae(folder / 'vae')}"
    base = f"base_folder={folder / 'transformer'}"
    lr = ("preprocess.lr_factor=2", "preprocess.long_side=128", "preprocess.short_side=64")
    return (
        [f"vae={vae}", f"text_encoder=umt5:{save_umt5(folder)}", "with_empty_prompt=true", *lr],
        ["model.base=wan22_5b", "model.rate=2x2x2", base],
        [f"generate.{base}", f"generate.vae={vae}", "generate.guidance_scale=2.0"],
    )


def save_hunyuan(folder: Path, narrow: Narrow) -> tuple[list[str], list[str], list[str]]:
    """A pipeline of HunyuanVideo, which is told each prompt twice, and a guidance scale."""
    narrow("hunyuan", SMALL_HUNYUAN, folder)
    vae = f"hunyuan:{save_hunyuan_vae(folder / 'vae')}"
    save_llama_and_clip(folder)
    base = f"base_folder={folder / 'transformer'}"
    text = [f"text_encoder=hunyuan_llama:{folder}", f"pooled_text_encoder=clip_pooled:{folder}"]
    size = ("preprocess.long_side=128", "preprocess.short_side=64")
    return (
        [f"vae={vae}", *text, *size],
        ["model.base=hunyuan", base, "objective.guidance=1.0"],
        [f"generate.{base}", f"generate.vae={vae}", "generate.guidance_scale=6.0"],
    )


def told(*settings: str) -> list[str]:
    """As on the command line."""
    return [part for setting in settings for part in ("--set", setting)]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Narrow:
    """A function that saves a base's transformer with other sizes, which pfp then takes for it."""

    def save(base: str, sizes: Mapping[str, Any], folder: Path) -> None:
        whole = architecture(base)
        small = replace(whole, config={**whole.config, **sizes})
        monkeypatch.setitem(loading.ARCHITECTURES, base, small)  # type: ignore[arg-type]
        torch.manual_seed(0)
        small.build().save_pretrained(folder / "transformer")

    return save


@pytest.fixture
def captioned_run(finished_run: Path, tmp_path: Path) -> Path:
    """A run directory with clips and storyboards."""
    for table in ("clips", "storyboards"):
        shutil.copytree(finished_run / table, tmp_path / "run" / table)
    return tmp_path / "run"


@pytest.mark.parametrize("save", [save_wan22_5b, save_hunyuan])
def test_a_checkpoint_of_a_large_base_is_evaluated(
    captioned_run: Path,
    tmp_path: Path,
    save: Save,
    narrow: Narrow,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Retrieved, shuffled, continued, scored; without the base's folder, what to type is said."""
    of_latents, of_train, of_eval = save(tmp_path / "pipeline", narrow)
    shared = ["--preset", "debug", "--output", str(captioned_run), "--engine", "local"]
    assert 0 == encode([*shared, *told("preprocess.min_num_frames=9", *of_latents)])
    assert 0 == train([*shared, *told(*TRAINING, *of_train)])

    assert 2 == evaluate([*shared, *told(*SAMPLES)])
    assert "give --set generate.base_folder=FOLDER" in capsys.readouterr().err
    assert 0 == evaluate([*shared, *told(*SAMPLES, *of_eval)])

    made = read_records(captioned_run / "generations", EvalSample)
    scores = read_records(captioned_run / "scores", ScoreRecord)
    assert [] == [record.verdict for record in made if isinstance(record.verdict, Failed)]
    assert {"retrieve", "continue"} == {record.task for record in made}
    assert {of_train[0].partition("=")[2]} == {record.model_id for record in made}
    assert KEPT in [score.verdict for score in scores]
