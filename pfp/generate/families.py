"""What goes with each base model: its VAE, its text encoder, and how it is sampled. No torch here.

Rates, shifts, steps and guidance are those of the models' own repositories and diffusers'
pipelines; 480 x 832 is the paper's size. A section is 2 latent frames, a whole memory token at
4x4x2, because the paper trains with windows of 2 or 3 (section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pfp.errors import ConfigError
from pfp.models.tiny_names import TINY_TEXT_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Defaults of a base, where the checkpoint does not say otherwise.

    Prompts are padded with zeros to ``num_text_tokens``, None: not at all. ``size`` is (height,
    width) in pixels.
    """

    vae: str
    text_encoder: str
    num_text_tokens: int | None
    fps: float
    scheduler: str
    num_steps: int
    shift: float
    guidance_scale: float
    size: tuple[int, int] = (480, 832)
    section_latents: int = 2


FAMILIES: Final[Mapping[str, Family]] = {
    "tiny": Family(
        vae="tiny",
        text_encoder="tiny",
        num_text_tokens=TINY_TEXT_TOKENS,
        fps=12.0,
        scheduler="euler",
        num_steps=8,
        shift=3.0,
        guidance_scale=1.0,
        size=(96, 160),
    ),
    "wan22_5b": Family(
        vae="wan22_5b",
        text_encoder="umt5",
        num_text_tokens=512,
        fps=24.0,
        scheduler="unipc",
        num_steps=50,
        shift=5.0,
        guidance_scale=5.0,
    ),
    "wan22_a14b_high": Family(
        vae="wan21",
        text_encoder="umt5",
        num_text_tokens=512,
        fps=16.0,
        scheduler="unipc",
        num_steps=40,
        shift=12.0,
        guidance_scale=4.0,
    ),
    "hunyuan": Family(
        vae="hunyuan",
        text_encoder="hunyuan_llama",
        num_text_tokens=None,
        fps=24.0,
        scheduler="euler",
        num_steps=50,
        shift=7.0,
        guidance_scale=6.0,
    ),
}


def family_of(base: str) -> Family:
    """The family of a base model by its name; ``ConfigError`` names those that there are."""
    if base not in FAMILIES:
        raise ConfigError(f"base {base!r} is unknown; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[base]


def trained_shift(described: Mapping[str, Any]) -> float:
    """The shift that a checkpoint is sampled with: its training's where its config says so.

    ``described`` is its config.json. Without a word in it, the shift is that of the base's family.
    """
    family = family_of(described.get("base", "tiny"))
    return float(described.get("objective", {}).get("shift", family.shift))


def spec_of(part: str, name: str, given: str | None) -> str:
    """The ``NAME`` or ``NAME:FOLDER`` of a family's part, ``vae`` or ``text_encoder``.

    ``given`` must name it, ``ConfigError`` otherwise; tiny parts ship with pfp and need no folder.
    """
    if given is None and name == "tiny":
        return name
    if given is None or given.partition(":")[0] != name:
        found = "none is given" if given is None else f"{given!r} is another"
        raise ConfigError(
            f"the {part} of this checkpoint's base is {name}, and {found}; write {name}:FOLDER"
        )
    return given
