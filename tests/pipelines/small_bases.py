"""Pipelines of the large bases at small width, with random weights, and settings that name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
