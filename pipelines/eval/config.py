"""What the eval stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pfp.errors import ConfigError
from pfp.eval.measure.score import ScoreSettings
from pfp.eval.report.write import NUM_CLIPS_SHOWN
from pfp.eval.stats.aggregate import Bootstrap
from pfp.generate.settings import SamplerSettings

STEPS: Final = ("generate", "score", "report")
REFERENCE_VARIANT: Final = "proposed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateConfig:
    """What is asked of the checkpoints, and with which weights beside their own.

    Of the clips that every training held out those ``num_clips`` whose ids have the lowest digests
    are taken (None: all).

    ``num_targets`` random latent frames of a history of ``history_frames`` are retrieved in
    ``num_steps`` sampler steps. ``num_continued`` clips get ``num_sections`` further sections of
    ``section_latents`` latent frames each. ``shift``, ``scheduler``, ``sigmas`` and
    ``guidance_scale`` are ``SamplerSettings``'; without a ``shift`` each checkpoint has that of its
    training. Guidance is against the empty prompt, which the run must have embedded
    (``with_empty_prompt`` of the latents stage).

    ``base_folder`` holds the base's own weights (None: the tiny one that comes with pfp), loaded in
    ``base_dtype``; ``vae`` is the one that the run's latents are of, ``NAME`` or ``NAME:FOLDER``.
    Both go to ``device``. ``offload`` keeps the base's blocks off it; they visit one at a time.
    Each of ``num_workers`` workers (None: as many as fit) has ``num_gpus``.
    """

    history_frames: int = 11
    num_clips: int | None = None
    num_targets: int = 2
    num_steps: int = 8
    shift: float | None = None
    scheduler: str = "euler"
    sigmas: str = "scheduler"
    guidance_scale: float = 1.0
    seed: int = 0
    num_continued: int = 6
    num_sections: int = 2
    section_latents: int = 2
    base_folder: str | None = None
    base_dtype: Literal["float32", "bfloat16"] = "float32"
    vae: str = "tiny"
    device: str = "cpu"
    offload: bool = False
    num_workers: int | None = None
    num_gpus: float = 0.0

    def __post_init__(self) -> None:
        """Refuses what cannot be asked."""
        if self.num_clips is not None and self.num_clips < 1:
            raise ConfigError(f"num_clips is {self.num_clips}; give 1 or more, or null for all")
        if self.history_frames < 3 or self.history_frames % 2 == 0:
            message = f"history_frames is {self.history_frames}; give an odd number from 3"
            raise ConfigError(message)
        if not 1 <= self.num_targets < self.history_frames:
            message = f"num_targets is {self.num_targets}; give 1 to {self.history_frames - 1}"
            raise ConfigError(message)
        if self.section_latents < 2 or self.section_latents % 2:
            message = f"section_latents is {self.section_latents}; give an even number from 2"
            raise ConfigError(message)
        if self.offload and self.device == "cpu":
            raise ConfigError("offload keeps weights off a GPU, and device is cpu; give cuda")
        if self.num_gpus < 0:
            raise ConfigError(f"num_gpus is {self.num_gpus}; give 0 or more")
        self.sampler(trained_shift=1.0)

    def sampler(self, *, trained_shift: float) -> SamplerSettings:
        """How frames of a checkpoint are sampled that was trained with this shift."""
        return SamplerSettings(
            num_steps=self.num_steps,
            shift=trained_shift if self.shift is None else self.shift,
            scheduler=self.scheduler,
            sigmas=self.sigmas,
            guidance_scale=self.guidance_scale,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """Settings of the eval stage.

    ``steps`` are run in the order of ``STEPS``; leave some out to score again without generating,
    or to write the report of scores that are there. The page shows ``num_clips_shown`` clips.
    """

    steps: tuple[str, ...] = STEPS
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    num_clips_shown: int = NUM_CLIPS_SHOWN

    def __post_init__(self) -> None:
        """Raise ConfigError for settings that cannot work."""
        unknown = sorted(set(self.steps) - set(STEPS))
        if unknown or not self.steps:
            raise ConfigError(
                f"steps {unknown or '()'} cannot be run; choose from {', '.join(STEPS)}"
            )
        if self.num_clips_shown < 0:
            raise ConfigError(f"num_clips_shown is {self.num_clips_shown}; give 0 or more")


def demo() -> EvalConfig:
    """Some minutes on one CPU core for a dozen clips and four methods."""
    return EvalConfig()


def debug() -> EvalConfig:
    """One target and two sampler steps per sample, one continuation, rough intervals."""
    return replace(
        demo(),
        generate=GenerateConfig(num_targets=1, num_steps=2, num_continued=1),
        bootstrap=Bootstrap(num_draws=200),
    )


def small() -> EvalConfig:
    """More sampler steps, for some hundred clips on a workstation."""
    return replace(demo(), generate=GenerateConfig(num_targets=4, num_steps=25, num_continued=12))


def full() -> EvalConfig:
    """For thousands of held-out clips on a cluster (the paper's Table 1 has 4096)."""
    return replace(
        demo(),
        generate=GenerateConfig(num_clips=4096, num_targets=4, num_steps=50, num_continued=24),
        bootstrap=Bootstrap(num_draws=10_000),
    )


PRESETS: Final = {"demo": demo, "debug": debug, "small": small, "full": full}
