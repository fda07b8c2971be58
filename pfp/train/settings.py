"""What a training can be told. No torch here, because a command line needs no more than this."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pfp.errors import ConfigError

# How L(low, high) is meant where it is not L(0, 1). The paper does not say, and the two differ: at
# shift 5, L(0.2, 1) has the mean 0.84 when rescaled and 0.80 when truncated.
RangeMode: TypeAlias = Literal["truncated", "rescaled"]
RANGE_MODES: Final = ("truncated", "rescaled")


MaskScope: TypeAlias = Literal["none", "hr", "hr+lr"]
MASK_SCOPES: Final = ("none", "hr", "hr+lr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is asked of the model at a step; equations 3 and 4 differ only in the batch.

    Diffusion times are L(``low``, ``high``) with ``shift``: 14B's high-noise expert was trained on
    times from 0.875. Wan's and HunyuanVideo's own shifts lie between 3 and 12 for whole videos; a
    shift follows the target's length, the history's does not enter.

    ``mask_scope`` is the paper's noise-as-mask (section 3.1): frames of the history outside Omega
    get noise of the levels L(``mask_low``, ``mask_high``), one level for each sample. Figure 2
    shows the masked history entering phi, equation 3 writes phi(H): hence ``hr`` (the HR branch
    only), ``hr+lr``, or ``none``. Evaluation always sees the clean history.

    ``text_free_share`` of the samples get the empty prompt, as MAG trains on its history, so that
    text cannot stand in for memory. ``guidance`` is what a guidance-distilled model is told.
    """

    shift: float = 3.0
    low: float = 0.0
    high: float = 1.0
    range_mode: RangeMode = "truncated"
    mask_scope: MaskScope = "none"
    mask_low: float = 0.2
    mask_high: float = 1.0
    mask_shift: float = 1.0
    text_free_share: float = 0.0
    guidance: float | None = None

    def __post_init__(self) -> None:
        """Refuses ranges and words that mean nothing."""
        check_range(self.low, self.high, self.range_mode, self.shift)
        check_range(self.mask_low, self.mask_high, self.range_mode, self.mask_shift)
        if self.mask_scope not in MASK_SCOPES:
            raise ConfigError(
                f"mask_scope {self.mask_scope!r} is unknown; choose {', '.join(MASK_SCOPES)}"
            )
        if not 0 <= self.text_free_share <= 1:
            raise ConfigError(f"text_free_share is {self.text_free_share}; give 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How a variant is trained. The learning rate warms up and then falls to zero as a cosine.

    ``encoder_learning_rate`` is that of what is not LoRA (None: the same). ``train_encoder`` False
    leaves the encoder as it is, which the paper's fine-tuning allows (section 3.2). ``ema_decay``
    keeps a running average of what is trained. ``compiled`` has torch compile the blocks, which
    takes a minute on a CPU and pays after some hundred steps of one shape. ``divergence_factor`` is
    that of ``DivergenceCheck``.
    """

    num_steps: int
    learning_rate: float = 1e-3
    encoder_learning_rate: float | None = None
    train_encoder: bool = True
    warmup_steps: int = 50
    max_grad_norm: float = 1.0
    weight_decay: float = 0.01
    ema_decay: float | None = None
    seed: int = 0
    autocast: bool = True  # bf16 products, fp32 weights: several times faster on CPUs with bf16
    gradient_checkpointing: bool = False
    compiled: bool = False
    divergence_factor: float | None = 4.0
    save_every_steps: int = 200

    def learning_rate_share_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine; times the learning rate."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return warm * 0.5 * (1 + math.cos(math.pi * step / self.num_steps))

    def __post_init__(self) -> None:
        """Refuses numbers that no training can have."""
        for name in ("num_steps", "save_every_steps"):
            if getattr(self, name) < (name == "save_every_steps"):
                raise ConfigError(f"{name} is {getattr(self, name)}; give 1 or more")
        rates = (self.learning_rate, self.encoder_learning_rate or self.learning_rate)
        if not all(0 < rate < math.inf for rate in rates):
            raise ConfigError(f"learning rates {rates} must be positive numbers; give others")
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay is {self.ema_decay}; give 0 to 1, or leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationPlan:
    """What is measured on held-out clips.

    ``num_windows`` windows, of as many clips where there are so many, at each of the diffusion
    ``times``: memory is worth most near 1. Of pretraining, with a VAE, ``num_psnr_windows`` of them
    are sampled and decoded, and compared with the decoded true latents.
    """

    num_windows: int = 8
    times: tuple[float, ...] = (0.5, 0.75, 0.9, 0.999)
    num_psnr_windows: int = 2

    def __post_init__(self) -> None:
        """Refuses what cannot be measured."""
        if self.num_windows < 1 or self.num_psnr_windows < 0:
            raise ConfigError(
                f"num_windows is {self.num_windows} and num_psnr_windows {self.num_psnr_windows}; "
                "give 1 or more, and 0 or more"
            )
        if not self.times or not all(0 < time <= 1 for time in self.times):
            raise ConfigError(f"times is {self.times}; give some in (0, 1]")


def check_range(low: float, high: float, mode: str, shift: float) -> None:
    """Raise ConfigError for a range or a shift that times cannot have."""
    if not 0 <= low < high <= 1:
        raise ConfigError(f"times in ({low}, {high}) cannot be; give 0 <= low < high <= 1")
    if mode not in RANGE_MODES:
        raise ConfigError(f"range mode {mode!r} is unknown; choose {' or '.join(RANGE_MODES)}")
    if not 0 < shift < math.inf:
        raise ConfigError(f"shift is {shift}; give a positive number, 1 for none")
