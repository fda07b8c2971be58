"""The worker that generates samples and writes them as videos.

Axes: F video frames, H rows, W columns, C channels, T latent frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pfp.errors import PermanentError
from pfp.eval.leaderboard.methods import VAE_RECONSTRUCTION
from pfp.generate.families import family_of, trained_shift
from pfp.generate.retrieve import decode_alone, retrieve_latents
from pfp.generate.rollout import History, continue_history
from pfp.generate.sampler import is_guidance_distilled
from pfp.generate.settings import SamplerSettings
from pfp.io.digests import sha256_json
from pfp.io.media import Guard, write_video
from pfp.io.prompts import Prompts
from pfp.io.run_tables import has_table
from pfp.io.unchanged import FILE_COLUMNS, FileChangedError, unchanged
from pfp.latents.frames import read_piece
from pfp.latents.preprocess import downscale
from pfp.latents.read import LatentReader
from pfp.models._folders import weights_sha256
from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.checkpoint import read_description
from pfp.models.memory.dit import MemoryDiT
from pfp.models.offload import offload_blocks
from pfp.models.rates import Rate
from pfp.models.text_conditions import text_conditions
from pfp.models.vae import load_vae
from pfp.runtime import map_rows
from pfp.schema import KEPT, Dropped, EvalSample, Failed, Shot
from pfp.schema.eval_sample import CONTINUE, RETRIEVE
from pfp.schema.latent import LatentSpan
from pfp.schema.run_directory import VIDEOS_NAME, RunDirectory
from pfp.schema.windows import latent_frames, num_frames_of, num_lr_latents_of
from pipelines.eval.config import GenerateConfig

DECODE_SECONDS: Final = 120.0
DECODE_BYTES: Final = 2 << 30
DIGITS: Final = 12  # of the digests in names


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """A checkpoint on its base. Prompts and noise levels are those of its training."""

    model: MemoryDiT
    sampler: SamplerSettings
    num_text_tokens: int | None


class GenerateSamples:
    """Samples one row after the other; a clip's frames and each method are loaded once."""

    def __init__(self, config: GenerateConfig, run_directory: str) -> None:
        self._config = config
        self._run = Path(run_directory)
        if config.base_folder is None:
            # One thread: sums in another order are other pixels. Workers are what runs in parallel.
            torch.set_num_threads(1)
        self._vae = load_vae(config.vae, device=config.device)
        run = RunDirectory(run_directory)
        self._latents = LatentReader(run.latents.path, vae_sha256=self._vae.sha256)
        has_pooled = has_table(run.conditions_pooled)
        self._prompts = Prompts(run_directory, pooled=has_pooled)
        self._guard: Guard | None = None
        # Each method stands on a base of its own: of the large ones there is room for one.
        num_methods = 8 if config.base_folder is None else 1
        self._method = lru_cache(maxsize=num_methods)(self._load_method)
        self._history_frames = lru_cache(maxsize=2)(self._read_history)
        self._reader = lru_cache(self._open)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``EvalSample`` row per sample."""
        with Guard(timeout_seconds=DECODE_SECONDS, memory_bytes=DECODE_BYTES) as guard:
            self._guard = guard
            return map_rows(batch, self._generate, failed_generation)

    def _generate(self, row: Mapping[str, Any]) -> EvalSample:
        if row["memory_clip_id"] is None:
            return _sample(
                row,
                verdict=Dropped(
                    reason="no_other_clip",
                    detail="no other held-out clip has this size, so there is no other memory",
                ),
            )
        if row["lost_shot"] is not None:
            verdict = Dropped(reason="shot_without_section", detail=row["lost_shot"])
            return _sample(row, verdict=verdict)
        history_FHWC = self._history(row)
        folder = f"{VIDEOS_NAME}/{row['clip_id']}"
        fps = self._latents.load(row["clip_id"]).record.fps or 0.0
        # Named after all that decides them: another run must not write over what rows are about.
        seen = [row["video_sha256"], row["latent_key"], self._config.history_frames]
        made = f"{_slug(row['method'])}-{row['result_key'][:DIGITS]}.mp4"
        history_uri = self._write(f"{folder}/history-{_digits(seen)}.mp4", history_FHWC, fps)
        if row["task"] == CONTINUE:
            frames_FHWC = self._continue(row, history_FHWC)
            name = f"{folder}/continued-{made}"
            num_tokens = None
            reference_uri = None
            shots = _shots(row["prompts"], len(history_FHWC), len(frames_FHWC), fps)
            # The history leads, so that a person sees what the continuation goes on from.
            uri = self._write(name, np.concatenate([history_FHWC, frames_FHWC]), fps)
        else:
            frames_FHWC, num_tokens = self._retrieve(row)
            shots = []
            true_FHWC = history_FHWC[_frames_of(row["omega"])]
            if frames_FHWC.shape != true_FHWC.shape:
                raise PermanentError(
                    f"retrieved {frames_FHWC.shape} but the clip has {true_FHWC.shape}; "
                    "run pipelines/latents again"
                )
            target = f"{folder}/target-{_digits([*seen, row['omega']])}.mp4"
            reference_uri = self._write(target, true_FHWC, fps, lossless=True)
            uri = self._write(f"{folder}/{made}", frames_FHWC, fps, lossless=True)
        return _sample(
            row,
            num_memory_tokens=num_tokens,
            num_steps=None if row["method"] == VAE_RECONSTRUCTION else self._config.num_steps,
            video_uri=uri,
            reference_uri=reference_uri,
            history_uri=history_uri,
            shots=tuple(shots),
            fps=fps,
            num_frames=len(frames_FHWC),
            verdict=KEPT,
        )

    def _retrieve(self, row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], int | None]:
        """The frames asked for, and how many memory tokens they came from."""
        omega, history = row["omega"], self._config.history_frames
        if row["method"] == VAE_RECONSTRUCTION:
            own = self._latents.load(row["clip_id"]).hr_TCHW[omega].astype(np.float32)
            return decode_alone(self._vae, own, omega), None
        of_memory = self._latents.load(row["memory_clip_id"])
        method = self._method(row["checkpoint_uri"], row["checkpoint_sha256"])
        model = method.model
        latents_TCHW = retrieve_latents(
            model,
            hr_TCHW=of_memory.hr_TCHW[:history],
            lrs_TCHW=self._lrs(model, row["memory_clip_id"], history),
            omega=omega,
            text=self._text(row["prompts"][0], method),
            negative=self._negative(method),
            settings=method.sampler,
            seed=row["seed"],
        )
        size = of_memory.hr_TCHW.shape[2:]
        num_tokens = model.config.num_tokens((history, *size)) or None
        return decode_alone(self._vae, latents_TCHW, omega), num_tokens

    def _lrs(
        self, model: MemoryDiT, clip_id: str, history_frames: int
    ) -> list[NDArray[np.float16]]:
        """The LR latents beside a clip's history, one for each rate of the method."""
        lrs_TCHW = []
        for rate in model.config.rates:
            reader = self._reader(rate)
            num_lr_latents = num_lr_latents_of(history_frames, time_stride=rate.time)
            span = LatentSpan(reader.row_of(clip_id), "lr", 0, num_lr_latents)
            lrs_TCHW += reader.read([span])
        return lrs_TCHW

    def _open(self, rate: Rate) -> LatentReader:
        """The table that has the LR copy of a rate: the run's own, or one for that rate alone."""
        shared = self._latents.shared
        if (shared["lr_factor"], shared["lr_frame_stride"]) == (rate.height, rate.time):
            return self._latents
        return LatentReader(
            RunDirectory(self._run).lr_latents(rate).path,
            lr_factor=rate.height,
            lr_frame_stride=rate.time,
        )

    def _continue(
        self, row: Mapping[str, Any], history_FHWC: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """The further sections, one prompt each."""
        num_latents = self._config.history_frames
        latents = self._latents.load(row["clip_id"])
        method = self._method(row["checkpoint_uri"], row["checkpoint_sha256"])
        sections = continue_history(
            method.model,
            self._vae,
            History(
                hr_TCHW=latents.hr_TCHW[:num_latents].astype(np.float32),
                frames_FHWC=history_FHWC,
            ),
            [self._text(prompt, method) for prompt in row["prompts"]],
            downscale,
            negative=self._negative(method),
            section_latents=self._config.section_latents,
            settings=method.sampler,
            seed=row["seed"],
        )
        return np.concatenate(list(sections))

    def _text(self, prompt: str, method: _Method) -> TextConditions:
        return text_conditions(self._prompts.embedding(prompt, method.num_text_tokens))

    def _negative(self, method: _Method) -> TextConditions | None:
        """The empty prompt, where guidance asks for it."""
        is_asked = self._config.guidance_scale != 1 and not is_guidance_distilled(method.model)
        return self._text("", method) if is_asked else None

    def _history(self, row: Mapping[str, Any]) -> NDArray[np.uint8]:
        names = ("clip_id", "video_uri", "start_seconds", "end_seconds")
        with unchanged(row["video_uri"], **{name: row[name] for name in FILE_COLUMNS}):
            return self._history_frames(*(row[name] for name in names))

    def _read_history(
        self, clip_id: str, uri: str, start_seconds: float, end_seconds: float
    ) -> NDArray[np.uint8]:
        """The history's frames, decoded as the latents stage decoded them."""
        record = self._latents.load(clip_id).record
        fps, height, width = record.fps, record.height, record.width
        assert fps
        assert height
        assert width
        assert self._guard is not None
        frames: NDArray[np.uint8] = self._guard.call(
            read_piece,
            uri,
            fps=fps,
            height=height,
            width=width,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            num_frames=num_frames_of(self._config.history_frames),
        )
        return frames

    def _load_method(self, checkpoint_uri: str, sha256: str) -> _Method:
        folder = self._run / checkpoint_uri
        if weights_sha256(folder) != sha256:
            raise FileChangedError(
                f"the weights in {folder} are not those of the table of checkpoints; run "
                "pipelines/train again"
            )
        config = self._config
        model = MemoryDiT.from_pretrained(
            folder,
            base=config.base_folder,
            dtype=getattr(torch, config.base_dtype),
            device="cpu" if config.offload else config.device,
        )
        if config.offload:
            offload_blocks(model, config.device)
        described = read_description(folder)
        num_text_tokens = described.get(
            "num_text_tokens", family_of(model.config.base).num_text_tokens
        )
        return _Method(
            model=model,
            sampler=config.sampler(trained_shift=trained_shift(described)),
            num_text_tokens=num_text_tokens,
        )

    def _write(
        self, uri: str, frames_FHWC: NDArray[np.uint8], fps: float, *, lossless: bool = False
    ) -> str:
        """Write a video below the run directory and return its path there."""
        path = self._run / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames_FHWC, fps, lossless=lossless)
        return uri


def failed_generation(row: Mapping[str, Any], verdict: Failed) -> EvalSample:
    """The record of a sample that broke."""
    return _sample(row, verdict=verdict)


def _sample(row: Mapping[str, Any], **made: Any) -> EvalSample:
    """The sample of a row of ``generation_inputs``, and what came of it."""
    shared = ("sample_id", "task", "clip_id", "memory_clip_id", "method", "seed", "rate")
    return EvalSample(
        **{name: row[name] for name in shared},
        group=row["clip_id"],
        model_id=row["base"],
        checkpoint_sha256=row["checkpoint_sha256"],
        omega=tuple(row["omega"]),
        prompt=row["prompts"][0] if row["task"] == RETRIEVE else None,
        **made,
    )


def _shots(prompts: Sequence[str], num_history: int, num_frames: int, fps: float) -> list[Shot]:
    """The sections of a continuation, one prompt each, after the history that leads the video."""
    edges = [(num_history + num_frames * k / len(prompts)) / fps for k in range(len(prompts) + 1)]
    return [
        Shot(start_seconds=start, end_seconds=end, caption=prompt)
        for prompt, (start, end) in zip(prompts, pairwise(edges), strict=True)
    ]


def _frames_of(omega: list[int]) -> list[int]:
    return [frame for latent in omega for frame in latent_frames(latent)]


def _slug(method: str) -> str:
    """The name without what some file systems and shells mind."""
    return re.sub(r"[^A-Za-z0-9._,-]+", "-", method).strip("-")


def _digits(content: list[Any]) -> str:
    return sha256_json(content)[:DIGITS]
