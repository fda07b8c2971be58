"""What an arm is trained on, put together from the tables of a run directory."""

from __future__ import annotations

import numpy as np

from pfp.io.prompts import Prompts
from pfp.latents.read import LatentReader
from pfp.models.tiny_names import TINY_TEXT_TOKENS
from pfp.train.windows import TrainClip


def load_train_clips(run_directory: str, clip_ids: list[str], vae_sha256: str) -> list[TrainClip]:
    """Latents of the given clips with the text that holds at each latent frame."""
    reader = LatentReader(f"{run_directory}/latents", vae_sha256=vae_sha256)
    prompts = Prompts(run_directory)
    clips = []
    for clip_id in clip_ids:
        latents = reader.load(clip_id)
        seconds = [latents.record.latent_seconds(index) for index in range(len(latents.hr_TCHW))]
        text_TLD = np.stack(
            [prompts.embedding_LD(prompts.at(clip_id, at), TINY_TEXT_TOKENS) for at in seconds]
        )
        clips.append(
            TrainClip(
                clip_id=clip_id,
                hr_TCHW=latents.hr_TCHW,
                lr_TCHW=latents.lr_TCHW,
                text_TLD=text_TLD,
            )
        )
    return clips
