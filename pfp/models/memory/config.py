"""What an arm is, apart from its weights: the words of a checkpoint's config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from pfp.errors import ConfigError
from pfp.models.rates import Geometry, Rate, Rounding, TimeStride, geometry_of, parse_rate

ARMS: Final = (
    "proposed",
    "large_patchifier",
    "only_lr",
    "without_lr",
    "sliding_window",
    "no_memory",
)

# What config.json meant before it said so, where that is not today's default: memory of the first
# arms was trained to query the prompt.
UNSAID: Final[Mapping[str, Any]] = {"memory_attends_to_text": True}

# How memory stands in the sequence. It changes no weight's shape, so the checkpoint decides it.
STANDING: Final = ("history_timestep", "positions", "memory_attends_to_text")

_WORDS: Final = {"history_timestep": ("zero", "shared"), "positions": ("centre", "pooled")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmConfig:
    """An arm on a base. The paper's LoRA rank is 128 on its large bases.

    ``rate`` is one rate, or several joined by ``+`` for as many encoders at once
    (``4x4x2+2x2x8``, section 4.5). ``also_window`` puts a sliding window of ``window`` latent
    frames beside them (section 4.5), which is also the length of the arm ``sliding_window``.
    ``cross_attention`` lets every block read the encoder's last hidden state (section 4.5).

    The paper does not say what LoRA is put on, at which timestep history stands, where its tokens
    stand, or whether they query the prompt. ``history_timestep`` and ``positions`` are by default
    what the arm is known for: the target's and FramePack's pooling for ``large_patchifier``, 0 and
    the centre of what a token covers for all others. ``stride`` and ``rounding`` are those of
    ``make_encoder``.
    """

    arm: str  # one of ARMS
    rate: str = "4x4x2"
    base: str = "tiny"
    lora_rank: int = 32
    lora_targets: str = "attention_ffn"  # or attention
    history_timestep: str | None = None  # zero | shared
    positions: str | None = None  # centre | pooled
    memory_attends_to_text: bool = False
    stride: TimeStride = "causal"
    rounding: Rounding = "floor"
    window: int = 3
    also_window: bool = False
    cross_attention: bool = False

    def __post_init__(self) -> None:
        """Refuses words that mean nothing."""
        for name, words in _WORDS.items():
            if (word := getattr(self, name)) not in (None, *words):
                raise ConfigError(f"{name} {word!r} is unknown; choose {' or '.join(words)}")
        if self.lora_rank < 1:
            raise ConfigError(f"lora_rank is {self.lora_rank}; give 1 or more")
        if self.positions is not None and (self.arm == "sliding_window" or self.num_encoders > 1):
            raise ConfigError(
                f"positions {self.positions!r} means nothing to sliding_window, whose tokens are "
                "single patches, nor to several encoders; leave it out"
            )
        if self.also_window and self.arm in ("sliding_window", "no_memory"):
            raise ConfigError(
                f"also_window puts a window beside a compressed memory, and {self.arm} has none; "
                "leave it out"
            )

    @property
    def geometry(self) -> Geometry:
        """The base's strides."""
        return geometry_of(self.base)

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The rate of each compressing encoder."""
        return tuple(parse_rate(part, self.geometry) for part in self.rate.split("+"))

    @property
    def num_encoders(self) -> int:
        """How many runs of tokens the memory is made of, the window's included."""
        return len(self.rate.split("+")) + self.also_window

    def num_tokens(self, latents_THW: tuple[int, int, int]) -> int:
        """Memory tokens of a history of so many latent frames, rows and columns."""
        num_frames, height, width = latents_THW
        if self.arm == "no_memory":
            return 0
        patch = self.geometry.patch
        window = min(self.window, num_frames) * (height // patch) * (width // patch)
        if self.arm == "sliding_window":
            return window
        grids = [
            rate.token_grid(latents_THW, self.geometry, rounding=self.rounding)
            for rate in self.rates
        ]
        return sum(map(math.prod, grids)) + window * self.also_window

    @property
    def title(self) -> str:
        """How tables call the arm."""
        if self.arm == "no_memory":
            return self.arm
        extras = [
            word
            for word, there in (
                (f"window {self.window}", self.also_window),
                ("cross-attention", self.cross_attention),
            )
            if there
        ]
        return " + ".join([f"{self.arm} {self.rate}", *extras])


def arm_config(described: Mapping[str, Any]) -> ArmConfig:
    """The ``ArmConfig`` that a folder's config.json describes, whenever it was written."""
    stated = {**UNSAID, **described}
    names = [field.name for field in fields(ArmConfig)]
    return ArmConfig(**{name: stated[name] for name in names if name in stated})
