"""The workers of the latents stage: clips to frames, clips to latents, prompts to text conditions.

Whoever decodes only does not import torch, so the workers with a network import it themselves.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from pfp.io.media import Guard
from pfp.latents.conditions import encode_prompt
from pfp.latents.frames import clip_frames, decoded_bytes
from pfp.latents.inputs import clip_of
from pfp.models.text import TextEncoder, load_text_encoder
from pfp.models.vae import load_vae
from pfp.runtime import map_rows, preprocess_rows
from pfp.schema import ConditionRecord, Failed, LatentRecord
from pipelines.latents.config import LatentsConfig

if TYPE_CHECKING:  # importing it takes torch
    from pfp.models.vae.latent_vae import LatentVAE

FRAMES: Final = "frames_THWC"  # uint8 RGB of the settings' size; null if it is left to the encoder
FRAMES_SCHEMA: Final = pa.schema([pa.field(FRAMES, pa.large_binary())])


class DecodeClips:
    """Decodes clips whole in a killable child, but for those too large to be handed over."""

    def __init__(self, config: LatentsConfig) -> None:
        self._settings = config.preprocess
        self._handover_bytes = config.handover_bytes
        self._guard = decode_guard(config)
        weakref.finalize(self, self._guard.close)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The clips with the column ``FRAMES``."""
        return preprocess_rows(batch, self._decode, FRAMES_SCHEMA)

    def _decode(self, row: Mapping[str, Any]) -> dict[str, bytearray | None]:
        clip = clip_of(row)
        if decoded_bytes(clip, self._settings) > self._handover_bytes:
            return {FRAMES: None}
        frames_THWC = bytearray()
        for frame_HWC in clip_frames(clip, self._settings, self._guard):
            frames_THWC += np.ascontiguousarray(frame_HWC).data
        return {FRAMES: frames_THWC}


class EncodeClips:
    """Loads the VAE once, then encodes clips one after the other.

    Frames that a decoder handed over are taken as they are. Other clips are decoded here, as a
    stream, in a child of this worker. For the table of a further LR copy ``with_hr`` is False.
    """

    def __init__(self, config: LatentsConfig, *, with_hr: bool = True) -> None:
        """Raise WeightsError or ConfigError when the VAE cannot be loaded here."""
        from pfp.latents.clip_encoder import ClipEncoder

        vae = load_vae_here(config)
        guard = decode_guard(config)
        weakref.finalize(self, guard.close)
        self._encoder = ClipEncoder(
            vae,
            config.preprocess,
            guard,
            dtype=config.stored_dtype,
            with_hr=with_hr,
            clips_per_forward=config.clips_per_forward,
            max_held_bytes=config.handover_bytes,
        )

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``LatentRecord`` row per clip of the batch, in order."""
        frames = {}
        if FRAMES in batch.column_names:
            # Not through the rows, which would copy hundreds of megabytes.
            contents = [scalar.as_buffer() for scalar in batch[FRAMES]]
            frames = dict(zip(batch["clip_id"].to_pylist(), contents, strict=True))
            batch = batch.drop_columns([FRAMES])
        grouped = self._encoder.encode_groups([clip_of(row) for row in batch.to_pylist()])

        def encode(row: Mapping[str, Any]) -> LatentRecord:
            clip_id = row["clip_id"]
            return grouped.get(clip_id) or self._encoder.encode(clip_of(row), frames.get(clip_id))

        return map_rows(batch, encode, failed_latents)


class EncodePrompts:
    """Loads the text encoder once, then embeds prompts one after the other."""

    def __init__(self, config: LatentsConfig, text_encoder: str) -> None:
        """Raise WeightsError or ConfigError when the encoder cannot be loaded here."""
        self._encoder = load_text_encoder_here(config, text_encoder)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``ConditionRecord`` row per prompt of the batch, in order."""
        return map_rows(batch, self._encode, failed_condition)

    def _encode(self, row: Mapping[str, Any]) -> ConditionRecord:
        return encode_prompt(self._encoder, row["prompt"])


def load_vae_here(config: LatentsConfig) -> LatentVAE:
    """The config's VAE in this process."""
    import torch

    # Sums in another order are other bits: equal configs must give equal latents.
    torch.set_num_threads(config.num_cpus)
    return load_vae(config.vae, device=config.device, dtype=config.dtype, tiling=config.tiling)


def load_text_encoder_here(config: LatentsConfig, text_encoder: str) -> TextEncoder:
    """A text encoder in this process."""
    import torch

    torch.set_num_threads(config.num_cpus)
    dtype = None if text_encoder == "tiny" else config.dtype
    return load_text_encoder(text_encoder, device=config.device, dtype=dtype)


def decode_guard(config: LatentsConfig) -> Guard:
    """The child process of a worker that decodes, with its limits."""
    return Guard(
        timeout_seconds=config.decode_timeout_seconds, memory_bytes=config.decode_memory_bytes
    )


def failed_latents(row: Mapping[str, Any], verdict: Failed) -> LatentRecord:
    """The record of a clip that could not be decoded or encoded."""
    return LatentRecord(clip_id=row["clip_id"], verdict=verdict)


def failed_condition(row: Mapping[str, Any], verdict: Failed) -> ConditionRecord:
    """The record of a prompt that could not be embedded."""
    names = ("prompt_sha256", "prompt", "encoder_id", "encoder_sha256")
    return ConditionRecord(**{name: row[name] for name in names}, verdict=verdict)
