"""The workers that hold a network: clips to latents, prompts to text conditions."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pfp.errors import PfpError
from pfp.io.media import Guard
from pfp.latents.conditions import encode_prompt
from pfp.latents.encode import encode_clip, encode_frames, encode_group
from pfp.latents.frames import clip_frames
from pfp.models.text import load_text_encoder
from pfp.models.vae import load_vae
from pfp.runtime import map_rows
from pfp.schema import ConditionRecord, Failed, LatentRecord
from pipelines.latents.clips import clip_of
from pipelines.latents.config import LatentsConfig
from pipelines.latents.decode import FRAMES, frames_of, size_bytes


class EncodeClips:
    """Loads the VAE once, then encodes clips one after the other.

    Frames that a decoder handed over are taken as they are. Other clips are decoded here, as a
    stream, in a child of this worker. For the table of a further LR copy ``with_hr`` is False.
    """

    def __init__(self, config: LatentsConfig, *, with_hr: bool = True) -> None:
        """Raise WeightsError or ConfigError when the VAE cannot be loaded here."""
        # Sums in another order are other bits: equal configs must give equal latents.
        torch.set_num_threads(config.num_cpus)
        self._config = config
        self._settings = config.preprocess
        self._options: dict[str, Any] = {"dtype": config.stored_dtype, "with_hr": with_hr}
        self._vae = load_vae(
            config.vae, device=config.device, dtype=config.dtype, tiling=config.tiling
        )
        self._guard = Guard(
            timeout_seconds=config.decode_timeout_seconds, memory_bytes=config.decode_memory_bytes
        )
        weakref.finalize(self, self._guard.close)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``LatentRecord`` row per clip of the batch, in order."""
        frames = {}
        if FRAMES in batch.column_names:
            # Not through the rows, which would copy hundreds of megabytes.
            contents = [scalar.as_buffer() for scalar in batch[FRAMES]]
            frames = dict(zip(batch["clip_id"].to_pylist(), contents, strict=True))
            batch = batch.drop_columns([FRAMES])
        grouped = self._encode_groups(batch) if self._config.clips_per_forward > 1 else {}
        return map_rows(
            batch,
            lambda row: (
                grouped.get(row["clip_id"]) or self._encode(row, frames.get(row["clip_id"]))
            ),
            failed_latents,
        )

    def _encode(self, row: Mapping[str, Any], frames: pa.Buffer | None) -> LatentRecord:
        clip = clip_of(row)
        if frames is None:
            return encode_clip(self._vae, clip, self._settings, guard=self._guard, **self._options)
        return encode_frames(
            self._vae,
            frames_of(frames, clip, self._settings),
            self._settings,
            clip_id=clip.clip_id,
            start_seconds=clip.start_seconds or 0.0,
            **self._options,
        )

    def _encode_groups(self, batch: pa.Table) -> dict[str, LatentRecord]:
        """The records of clips of a batch that have companions of their shape.

        Clips that are left out are encoded alone: those too large to be held, those without
        companions, and those that something was wrong with, so that the error is that clip's.
        """
        size, limit = self._config.clips_per_forward, self._config.handover_bytes
        clips = [clip_of(row) for row in batch.to_pylist()]
        by_shape: dict[tuple[int, ...], dict[str, NDArray[np.uint8]]] = {}
        for clip in clips:
            if 0 < size_bytes(clip, self._settings) <= limit // size:
                with contextlib.suppress(PfpError):
                    video_FHWC = np.stack([*clip_frames(clip, self._settings, self._guard)])
                    by_shape.setdefault(video_FHWC.shape, {})[clip.clip_id] = video_FHWC
        start_seconds = {clip.clip_id: clip.start_seconds or 0.0 for clip in clips}
        records: dict[str, LatentRecord] = {}
        for videos in by_shape.values():
            for start in range(0, len(videos), size):
                ids = list(videos)[start : start + size]
                if len(ids) == 1:
                    continue
                with contextlib.suppress(PfpError):
                    group = encode_group(
                        self._vae,
                        {clip_id: videos[clip_id] for clip_id in ids},
                        self._settings,
                        start_seconds=start_seconds,
                        **self._options,
                    )
                    records |= {record.clip_id: record for record in group}
        return records


class EncodePrompts:
    """Loads the text encoder once, then embeds prompts one after the other."""

    def __init__(self, config: LatentsConfig, text_encoder: str) -> None:
        """Raise WeightsError or ConfigError when the encoder cannot be loaded here."""
        torch.set_num_threads(config.num_cpus)
        dtype = None if text_encoder == "tiny" else config.dtype
        self._encoder = load_text_encoder(text_encoder, device=config.device, dtype=dtype)

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
