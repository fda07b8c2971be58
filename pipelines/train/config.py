"""What the train stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pfp.errors import ConfigError
from pfp.models.tiny_names import TINY_ARMS


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of the train stage.

    Every arm starts from its shipped weights and is trained for ``num_steps`` on windows of
    ``history_frames`` latent frames from one clip in ``clips_per_train_clip``, chosen by clip id;
    the others are left for evaluation. ``num_targets`` latent frames are asked for at a time, and
    ``continue_share`` of the batches ask for what follows the history.
    """

    arms: tuple[str, ...] = TINY_ARMS
    num_steps: int = 24
    batch_size: int = 2
    num_targets: int = 2
    history_frames: int = 11
    continue_share: float = 0.2
    learning_rate: float = 1e-4
    seed: int = 0
    clips_per_train_clip: int = 4
    save_every_steps: int = 8
    num_workers: int | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be trained."""
        unknown = sorted(set(self.arms) - set(TINY_ARMS))
        if unknown or not self.arms:
            message = (
                f"arms {unknown or '()'} cannot be trained; choose from {', '.join(TINY_ARMS)}"
            )
            raise ConfigError(message)
        if self.history_frames < 3 or self.history_frames % 2 == 0:
            message = (
                f"history_frames is {self.history_frames}; give an odd number of latent frames "
                "from 3, so that the high- and the low-resolution history end together"
            )
            raise ConfigError(message)
        if not 1 <= self.num_targets <= self.history_frames:
            message = f"num_targets is {self.num_targets}; give 1 to {self.history_frames}"
            raise ConfigError(message)
        for name in ("num_steps", "batch_size", "clips_per_train_clip", "save_every_steps"):
            if getattr(self, name) < 1:
                message = f"{name} is {getattr(self, name)}; give 1 or more"
                raise ConfigError(message)


def demo() -> TrainConfig:
    """A short walk from the shipped arms: half a minute or so for each on one CPU core."""
    return TrainConfig()


def debug() -> TrainConfig:
    """Two steps of two arms."""
    return replace(demo(), arms=("proposed", "no_memory"), num_steps=2, batch_size=1)


def small() -> TrainConfig:
    """An hour or so on a workstation: the tiny family on some hundred clips of one's own."""
    return replace(demo(), num_steps=1000, batch_size=8, learning_rate=3e-4, save_every_steps=100)


PRESETS: Final = {"demo": demo, "debug": debug, "small": small}
