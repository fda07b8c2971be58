"""What is to be made, with all defaults filled in and everything checked that needs no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch

from pfp.errors import ConfigError, InputError, WeightsError
from pfp.generate.conditions import encoder_specs
from pfp.generate.families import Family, family_of, spec_of, trained_shift
from pfp.generate.plan import PlannedSection, find_lost_shot, plan_sections
from pfp.generate.settings import GenerateSettings, SamplerSettings
from pfp.io.digests import sha256_file
from pfp.models._folders import weights_sha256
from pfp.models.memory.checkpoint import read_description
from pfp.models.memory.config import MemoryDiTConfig
from pfp.models.text import identify_text_encoder
from pfp.models.vae.latent_vae import LatentVAE
from pfp.schema.windows import TEMPORAL_STRIDE

VERSION: Final = 2  # raise it when equal settings come to mean other frames
MAX_OVERLAP_SECONDS: Final = 0.25  # of shots: as in storyboards of videos, the later one wins
MAX_IMPLIED_SECONDS: Final = 600.0  # of a video whose length nobody has asked for
WITHOUT_RATE: Final = ("no_memory", "sliding_window")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A generation with nothing left to choose.

    ``token_latents`` is how many latent frames the longest memory token takes; histories and
    sections are whole numbers of it.
    """

    checkpoint: Path
    described: Mapping[str, Any]
    config: MemoryDiTConfig
    vae: str
    text_encoders: tuple[str, ...]
    num_text_tokens: int | None
    history: str | None
    history_sha256: str | None
    size: tuple[int, int]
    fps: float
    num_frames: int
    token_latents: int
    section_latents: int
    sampler: SamplerSettings
    negative_prompt: str
    seed: int
    device: str
    shots: tuple[tuple[float, str], ...]
    sections: tuple[PlannedSection, ...]

    @property
    def latent_size(self) -> tuple[int, int]:
        """Rows and columns of latents."""
        return self.config.geometry.latent_grid(1, self.size)[1:]

    @property
    def dtype(self) -> torch.dtype:
        """Of the base and its text encoder: large ones are published, and fit, in bf16."""
        return torch.float32 if self.config.base == "tiny" else torch.bfloat16

    def facts(self, vae: LatentVAE) -> dict[str, Any]:
        """All that decides the video's bytes on one machine, as plain values.

        Raises WeightsError where the VAE is not the one that the checkpoint was trained with.
        """
        wanted = self.described.get("vae_sha256")
        if wanted is not None and wanted != vae.sha256:
            raise WeightsError(
                f"{self.checkpoint} was trained on latents of VAE {wanted}, not of {vae.vae_id} "
                f"{vae.sha256}; name the VAE that it belongs to"
            )
        return {
            "version": VERSION,
            "checkpoint_sha256": weights_sha256(self.checkpoint),
            "config": asdict(self.config),
            "base_sha256": self.described.get("base_sha256"),
            "vae": {"id": vae.vae_id, "sha256": vae.sha256},
            "text_encoders": [list(identify_text_encoder(spec)) for spec in self.text_encoders],
            "num_text_tokens": self.num_text_tokens,
            "history_sha256": self.history_sha256,
            "size": list(self.size),
            "fps": self.fps,
            "num_frames": self.num_frames,
            "section_latents": self.section_latents,
            "sampler": asdict(self.sampler),
            "negative_prompt": self.negative_prompt,
            "seed": self.seed,
            "device": self.device.partition(":")[0],
            "storyboard": [list(shot) for shot in self.shots],
        }

    def sections_told(self) -> list[dict[str, Any]]:
        """The sections as the record lists them."""
        return [asdict(section) for section in self.sections]


def make_request(
    shots: Sequence[Mapping[str, Any]], checkpoint: Path, settings: GenerateSettings
) -> Request:
    """Fill in the family's values and check what can be without loading a network."""
    described = read_description(checkpoint)
    config = MemoryDiTConfig.from_dict(described)
    family = family_of(config.base)
    if settings.base is None and config.base != "tiny":
        raise ConfigError(
            f"{checkpoint} is trained on {config.base}, whose own weights are elsewhere; give "
            "base, the folder of its transformer"
        )
    ordered = _ordered(shots)
    token_latents = 1 if config.variant in WITHOUT_RATE else max(rate.time for rate in config.rates)
    fps = family.fps if settings.fps is None else settings.fps
    size = settings.size or family.size
    check_size(config, size)
    num_frames = _num_frames(ordered, settings.seconds, fps)
    section_latents = _section_latents(settings, family, config, token_latents)
    sections = plan_sections(
        ordered,
        num_frames=num_frames,
        fps=fps,
        section_latents=section_latents,
        token_latents=token_latents,
        has_history=settings.history is not None,
        seed=settings.seed,
    )
    _check_prompts(
        ordered,
        sections,
        fps=fps,
        num_frames=num_frames,
        token_latents=token_latents,
        is_cut=settings.seconds is not None,
    )
    return Request(
        checkpoint=checkpoint,
        described=described,
        config=config,
        vae=spec_of("vae", family.vae, settings.vae),
        text_encoders=encoder_specs(
            spec_of("text_encoder", family.text_encoder, settings.text_encoder)
        ),
        num_text_tokens=described.get("num_text_tokens", family.num_text_tokens),
        history=settings.history,
        history_sha256=None if settings.history is None else sha256_file(settings.history),
        size=size,
        fps=fps,
        num_frames=num_frames,
        token_latents=token_latents,
        section_latents=section_latents,
        sampler=_sampler(family, described, settings),
        negative_prompt=settings.negative_prompt,
        seed=settings.seed,
        device=settings.device,
        shots=tuple((float(shot["start_seconds"]), str(shot["caption"])) for shot in ordered),
        sections=tuple(sections),
    )


def check_size(config: MemoryDiTConfig, size: tuple[int, int]) -> None:
    """A ``ConfigError`` for frames that the VAE, the patches or the memory's rates cannot hold."""
    latents_THW = config.geometry.latent_grid(1, size)
    if config.variant in WITHOUT_RATE:
        return
    for rate in config.rates:
        rate.token_grid(latents_THW, config.geometry, rounding=config.rounding)
        if config.variant in ("proposed", "only_lr"):
            rate.lr_video(1, size, 1.0, config.geometry)


def _sampler(
    family: Family, described: Mapping[str, Any], settings: GenerateSettings
) -> SamplerSettings:
    """The family's, at the shift of the checkpoint's training where it says so."""
    own = {name: getattr(family, name) for name in ("scheduler", "num_steps", "guidance_scale")}
    own["shift"] = trained_shift(described)
    names = (*own, "sigmas")
    given = {name: value for name in names if (value := getattr(settings, name)) is not None}
    return SamplerSettings(**{**own, **given})


def _section_latents(
    settings: GenerateSettings, family: Family, config: MemoryDiTConfig, token_latents: int
) -> int:
    """Those asked for, or the family's, rounded up to whole memory tokens."""
    asked = settings.section_latents
    if asked is None:
        return -(-family.section_latents // token_latents) * token_latents
    if asked % token_latents:
        lower = max(asked // token_latents, 1) * token_latents
        raise ConfigError(
            f"section_latents {asked} is no multiple of the {token_latents} latent frames of a "
            f"memory token at {config.rate}; give {lower} or {lower + token_latents}"
        )
    return asked


def _ordered(shots: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The shots in order of time; an ``InputError`` for shots that cannot be made one by one."""
    if not shots:
        raise InputError("the storyboard has no shots; give it at least one")
    for number, shot in enumerate(shots):
        if not 0 <= shot["start_seconds"] < shot["end_seconds"] < math.inf:
            raise InputError(
                f"shot {number} of the storyboard lasts from {shot['start_seconds']:g} to "
                f"{shot['end_seconds']:g} s; give times from 0 on, the end after the start"
            )
        if not str(shot["caption"]).strip():
            raise InputError(
                f"{_told(number, shot)}, has no caption; write what is to be seen in it"
            )
    ordered = sorted(enumerate(shots), key=lambda pair: float(pair[1]["start_seconds"]))
    for (_, earlier), (number, later) in pairwise(ordered):
        if earlier["end_seconds"] - later["start_seconds"] > MAX_OVERLAP_SECONDS:
            raise InputError(
                f"{_told(number, later)}, begins before the one in front of it ends at "
                f"{earlier['end_seconds']:g} s; give each moment one shot"
            )
    return [shot for _, shot in ordered]


def _told(number: int, shot: Mapping[str, Any]) -> str:
    """A shot's number and span, as messages name it."""
    span = f"{shot['start_seconds']:g} to {shot['end_seconds']:g} s"
    return f"shot {number} of the storyboard, {span}"


def _check_prompts(
    shots: Sequence[Mapping[str, Any]],
    sections: Sequence[PlannedSection],
    *,
    fps: float,
    num_frames: int,
    token_latents: int,
    is_cut: bool,
) -> None:
    """An ``InputError`` for a shot that would pass without a section made from its prompt."""
    first_frames = [section.first_frame for section in sections]
    number = find_lost_shot(shots, first_frames, num_frames=num_frames, fps=fps, is_cut=is_cut)
    if number is None:
        return
    # The first section cannot end before its first token does, a frame later than others.
    token_frames = token_latents * TEMPORAL_STRIDE + int(0 < number < 2)
    shortest = math.ceil(token_frames / fps * 1000 - 1e-6) / 1000
    raise InputError(
        f"{_told(number, shots[number])}, is too short for a section of its own, so its prompt "
        f"would not be used; let it last {shortest:g} s or more ({token_frames} frames at {fps:g} "
        "fps, about as far apart as sections can begin), or take it out"
    )


def _num_frames(shots: Sequence[Mapping[str, Any]], seconds: float | None, fps: float) -> int:
    length = max(shot["end_seconds"] for shot in shots) if seconds is None else seconds
    if seconds is None and length > MAX_IMPLIED_SECONDS:
        raise InputError(
            f"the storyboard ends at {length:g}, and times are in seconds: mend them if they are "
            f"milliseconds or frames, or give the length (seconds) if {length:g} s are meant"
        )
    num_frames = round(length * fps)
    if num_frames < 1:
        raise ConfigError(f"{length:g} seconds at {fps:g} fps are no frame; give more of either")
    return num_frames
