"""The stages of latents: what their rows depend on and what their workers need."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Final

from pfp.io.digests import sha256_json
from pfp.latents.inputs import CONTENT_COLUMNS
from pfp.models.text import identify_text_encoder
from pfp.models.vae import vae_digest
from pfp.runtime import Preprocess, Resources, Stage
from pfp.schema import ConditionRecord, LatentRecord
from pfp.schema.run_directory import LR_LATENTS_PREFIX
from pipelines.latents.config import LatentsConfig
from pipelines.latents.worker import (
    FRAMES_SCHEMA,
    DecodeClips,
    EncodeClips,
    EncodePrompts,
    failed_condition,
    failed_latents,
)

PROMPTS_PER_CLIP: Final = 16  # a prompt is that much less work
DECODER_CPUS: Final = 1.0


def latents_stage(config: LatentsConfig) -> Stage:
    """Clips to latents, HR and LR from one decode."""
    return _clips_stage(config, "latents", with_hr=True)


def lr_copy_stage(copy: LatentsConfig) -> Stage:
    """Clips to the LR latents of a further rate; ``copy`` is one of ``config.lr_copies``."""
    return _clips_stage(copy, f"{LR_LATENTS_PREFIX}{copy.preprocess.lr_rate}", with_hr=False)


def conditions_stage(config: LatentsConfig, name: str, text_encoder: str) -> Stage:
    """Distinct prompts to text embeddings; the fingerprint covers the encoder's weights."""
    identity = identify_text_encoder(text_encoder)
    return Stage(
        name=name,
        record=ConditionRecord,
        worker=EncodePrompts,
        worker_args={"config": config, "text_encoder": text_encoder},
        input_key="prompt_sha256",
        content_columns=("prompt_sha256",),
        fingerprint=sha256_json({"encoder": identity, "dtype": config.dtype or "float32"}),
        resources=replace(_resources(config), batch_size=config.batch_size * PROMPTS_PER_CLIP),
        on_error=failed_condition,
        config=config,
    )


def _clips_stage(config: LatentsConfig, name: str, *, with_hr: bool) -> Stage:
    """The fingerprint covers the VAE's weights and constants and the pixels.

    With decoders, they hand decoded clips over, one at a time.
    """
    resources = _resources(config)
    fingerprint = {
        "vae": vae_digest(config.vae, tiling=config.tiling),
        "dtype": config.dtype or "float32",
        "stored_dtype": config.stored_dtype,
        "clips_per_forward": config.clips_per_forward,
        "preprocess": asdict(config.preprocess),
        "preprocess_sha256": config.preprocess.sha256,
        "with_hr": with_hr,
    }
    return Stage(
        name=name,
        record=LatentRecord,
        worker=EncodeClips,
        worker_args={"config": config, "with_hr": with_hr},
        input_key="clip_id",
        content_columns=CONTENT_COLUMNS,
        fingerprint=sha256_json(fingerprint),
        resources=resources if not config.num_decoders else replace(resources, batch_size=1),
        on_error=failed_latents,
        config=config,
        preprocess=_preprocess(config) if config.num_decoders else None,
    )


def _preprocess(config: LatentsConfig) -> Preprocess:
    return Preprocess(
        worker=DecodeClips,
        worker_args={"config": config},
        columns=FRAMES_SCHEMA,
        resources=Resources(
            num_cpus=DECODER_CPUS,
            # The child's, and the clip twice: as it is decoded and as it is handed over.
            memory_bytes=config.decode_memory_bytes + 2 * config.handover_bytes,
            num_workers=config.num_decoders,
        ),
    )


def _resources(config: LatentsConfig) -> Resources:
    return Resources(
        num_cpus=config.num_cpus,
        num_gpus=config.num_gpus,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
    )
