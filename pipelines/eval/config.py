"""What the eval stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from pfp.errors import ConfigError
from pfp.eval.aggregate import Bootstrap
from pfp.eval.report.write import NUM_CLIPS_SHOWN
from pfp.eval.score import ScoreSettings
from pipelines.eval.generate import GenerateConfig

STEPS: Final = ("generate", "score", "report")


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
    """Some minutes on one CPU core for a dozen clips and four arms."""
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
        generate=GenerateConfig(num_targets=4, num_steps=50, num_continued=24),
        bootstrap=Bootstrap(num_draws=10_000),
    )


PRESETS: Final = {"demo": demo, "debug": debug, "small": small, "full": full}
