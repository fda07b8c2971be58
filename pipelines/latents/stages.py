"""The two stages of latents: their workers, and what their rows depend on."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import pyarrow as pa
import torch

from pfp.io.digests import sha256_json
from pfp.io.media import Guard
from pfp.latents.conditions import encode_prompt
from pfp.latents.encode import encode_clip
from pfp.models.text import identify_text_encoder, load_text_encoder
from pfp.models.vae import load_vae, vae_digest
from pfp.runtime import Resources, Stage, map_rows
from pfp.schema import KEPT, ClipRecord, ConditionRecord, Failed, LatentRecord
from pipelines.latents.config import LatentsConfig

# What is read of a clip. Where the video lies is not part of its content.
CLIP_COLUMNS: Final = (
    *("clip_id", "video_uri", "video_sha256", "size_bytes"),
    *("start_seconds", "end_seconds", "width", "height"),
)
CONTENT_COLUMNS: Final = (
    *("clip_id", "video_sha256", "start_seconds", "end_seconds", "width", "height"),
)
PROMPTS_PER_CLIP: Final = 16  # a prompt is that much less work


def latents_stage(config: LatentsConfig) -> Stage:
    """Clips to latents; the fingerprint covers the VAE's weights and constants and the pixels."""
    fingerprint = {
        "vae": vae_digest(config.vae),
        "dtype": config.dtype or "float32",
        "preprocess": asdict(config.preprocess),
        "preprocess_sha256": config.preprocess.sha256,
    }
    return Stage(
        name="latents",
        record=LatentRecord,
        worker=EncodeClips,
        worker_args={"config": config},
        input_key="clip_id",
        content_columns=CONTENT_COLUMNS,
        fingerprint=sha256_json(fingerprint),
        resources=_resources(config),
        on_error=failed_latents,
    )


def conditions_stage(config: LatentsConfig) -> Stage:
    """Distinct prompts to text embeddings; the fingerprint covers the encoder's weights."""
    identity = identify_text_encoder(config.text_encoder)
    return Stage(
        name="conditions",
        record=ConditionRecord,
        worker=EncodePrompts,
        worker_args={"config": config},
        input_key="prompt_sha256",
        content_columns=("prompt_sha256",),
        fingerprint=sha256_json({"encoder": identity, "dtype": config.dtype or "float32"}),
        resources=replace(_resources(config), batch_size=config.batch_size * PROMPTS_PER_CLIP),
        on_error=failed_condition,
    )


class EncodeClips:
    """Loads the VAE and a decoder child once, then encodes clips one after the other."""

    def __init__(self, config: LatentsConfig) -> None:
        """Raise WeightsError or ConfigError when the VAE cannot be loaded here."""
        # Sums in another order are other bits: equal configs must give equal latents.
        torch.set_num_threads(config.num_cpus)
        self._settings = config.preprocess
        self._vae = load_vae(config.vae, device=config.device, dtype=config.dtype)
        self._guard = Guard(
            timeout_seconds=config.decode_timeout_seconds, memory_bytes=config.decode_memory_bytes
        )
        weakref.finalize(self, self._guard.close)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``LatentRecord`` row per clip of the batch, in order."""
        return map_rows(batch, self._encode, failed_latents)

    def _encode(self, row: Mapping[str, Any]) -> LatentRecord:
        clip = ClipRecord(**{name: row[name] for name in CLIP_COLUMNS}, verdict=KEPT)
        return encode_clip(self._vae, clip, self._settings, guard=self._guard)


class EncodePrompts:
    """Loads the text encoder once, then embeds prompts one after the other."""

    def __init__(self, config: LatentsConfig) -> None:
        """Raise WeightsError or ConfigError when the encoder cannot be loaded here."""
        torch.set_num_threads(config.num_cpus)
        dtype = None if config.text_encoder == "tiny" else config.dtype
        self._encoder = load_text_encoder(config.text_encoder, device=config.device, dtype=dtype)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``ConditionRecord`` row per prompt of the batch, in order."""
        return map_rows(batch, self._encode, failed_condition)

    def _encode(self, row: Mapping[str, Any]) -> ConditionRecord:
        return encode_prompt(self._encoder, row["prompt"])


def failed_latents(row: Mapping[str, Any], verdict: Failed) -> LatentRecord:
    """The record of a clip that could not be decoded or encoded."""
    return LatentRecord(clip_id=row["clip_id"], verdict=verdict)


def failed_condition(row: Mapping[str, Any], verdict: Failed) -> ConditionRecord:
    """The record of a prompt that could not be embedded."""
    names = ("prompt_sha256", "prompt", "encoder_id", "encoder_sha256")
    return ConditionRecord(**{name: row[name] for name in names}, verdict=verdict)


def _resources(config: LatentsConfig) -> Resources:
    return Resources(
        num_cpus=config.num_cpus,
        num_gpus=config.num_gpus,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
    )
