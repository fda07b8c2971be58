"""What a MemoryDiT is, apart from its weights: the settings in a checkpoint's config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from pfp.errors import ConfigError
from pfp.models.rates import Geometry, Rate, Rounding, TimeStride, geometry_of, parse_rate

# The memory encoders of the paper's ablations (section 4.2).
VARIANTS: Final = (
    "proposed",
    "large_patchifier",
    "only_lr",
    "without_lr",
    "sliding_window",
    "no_memory",
)

FORMAT_VERSION: Final = 3  # of config.json
# What a config.json of version 1 means where it says nothing and today's default is another.
VERSION_1_DEFAULTS: Final[Mapping[str, Any]] = {"memory_attends_to_text": True}

# Where memory tokens are placed in the DiT's sequence. It changes no weight's shape, so the
# checkpoint decides it.
PLACEMENT: Final = (
    *("history_timestep", "positions", "memory_attends_to_text"),
    "cross_attention_positions",
)

_CHOICES: Final = {
    "history_timestep": ("zero", "shared"),
    "positions": ("centre", "pooled"),
    "cross_attention_positions": ("rotary", "none"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDiTConfig:
    """A memory encoder of one variant and LoRA on a base. The paper's LoRA rank is 128.

    ``rate`` is one rate, or more joined by ``+`` for a multi-rate encoder
    (``4x4x2+2x2x8``, section 4.5). ``also_window`` puts a sliding window of ``window`` latent
    frames beside them (section 4.5), which is also the length of the variant ``sliding_window``.
    ``cross_attention`` lets every block read the encoder's last hidden state (section 4.5); its
    queries and keys have the rotary positions of target and memory tokens, or with
    ``cross_attention_positions`` ``none`` no place at all, as checkpoints before format 3.

    The paper does not say what LoRA is put on, which timestep and positions the history's tokens
    have, or whether they query the prompt. ``history_timestep`` and ``positions`` are by default
    what the variant is known for: the target's timestep and FramePack's pooled positions for
    ``large_patchifier``, timestep 0 and the centre of what a token covers for all others.
    ``stride`` and ``rounding`` are those of ``make_encoder``, ``temporal_kernel`` and
    ``attention_frames`` those of its HR branch: how far a token looks back.
    """

    variant: str  # one of VARIANTS
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
    cross_attention_positions: str = "rotary"  # rotary | none
    temporal_kernel: int = 2
    attention_frames: int = 1

    def __post_init__(self) -> None:
        """Raise ConfigError for values that mean nothing."""
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in (None, *choices):
                raise ConfigError(f"{name} {value!r} is unknown; choose {' or '.join(choices)}")
        if self.temporal_kernel not in (2, 3) or self.attention_frames < 1:
            raise ConfigError(
                f"temporal_kernel {self.temporal_kernel} is 2 or 3, attention_frames "
                f"{self.attention_frames} starts at 1; give other values"
            )
        looks_back = (self.temporal_kernel, self.attention_frames) != (2, 1)
        if looks_back and self.variant not in ("proposed", "without_lr"):
            raise ConfigError(
                f"temporal_kernel and attention_frames are the HR branch's, and {self.variant} "
                "has none; use them with proposed or without_lr"
            )
        if self.lora_rank < 1:
            raise ConfigError(f"lora_rank is {self.lora_rank}; give 1 or more")
        is_window = self.variant == "sliding_window"
        if self.positions is not None and (is_window or self.num_encoders > 1):
            raise ConfigError(
                f"positions {self.positions!r} means nothing to sliding_window, whose tokens are "
                "single patches, nor to a multi-rate encoder; leave it out"
            )
        if self.also_window and self.variant in ("sliding_window", "no_memory"):
            raise ConfigError(
                "also_window puts a window beside a compressed memory, and "
                f"{self.variant} has none; leave it out"
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
        if self.variant == "no_memory" or not num_frames:
            return 0
        patch = self.geometry.patch
        window = min(self.window, num_frames) * (height // patch) * (width // patch)
        if self.variant == "sliding_window":
            return window
        grids = [
            rate.token_grid(latents_THW, self.geometry, rounding=self.rounding)
            for rate in self.rates
        ]
        return sum(map(math.prod, grids)) + window * self.also_window

    @property
    def title(self) -> str:
        """The name in tables: ``proposed 4x4x2``."""
        if self.variant == "no_memory":
            return self.variant
        extras = [
            word
            for word, there in (
                (f"window {self.window}", self.also_window),
                (self._cross_attention_title, self.cross_attention),
                (f"temporal kernel {self.temporal_kernel}", self.temporal_kernel != 2),
                (f"attention over {self.attention_frames} frames", self.attention_frames != 1),
            )
            if there
        ]
        return " + ".join([f"{self.variant} {self.rate}", *extras])

    @property
    def _cross_attention_title(self) -> str:
        without = self.cross_attention_positions == "none"
        return f"cross-attention{' without positions' * without}"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings among the ``values`` of a config.json of any version so far."""
        version = values.get("format_version", 1)
        if version == 1:
            values = {**VERSION_1_DEFAULTS, "variant": values.get("arm"), **values}
        if version < 3 and values.get("cross_attention"):
            values = {"cross_attention_positions": "none", **values}
        names = [field.name for field in fields(cls)]
        return cls(**{name: values[name] for name in names if name in values})
