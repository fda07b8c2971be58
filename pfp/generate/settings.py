"""How frames are sampled. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pfp.errors import ConfigError

SCHEDULERS: Final = ("euler", "unipc")
SIGMAS: Final = ("scheduler", "even")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSettings:
    """Steps from pure noise; ``shift`` moves them towards high noise, as in training.

    ``scheduler`` is ``"euler"`` (first order) or ``"unipc"`` (second order with a corrector, arXiv
    2302.04867; what Wan is sampled with). ``sigmas`` are Euler's own (``"scheduler"``), whose last
    is the smallest of training, so that the last step moves next to nothing, or ``"even"``: from 1
    down in equal parts, each shifted once, as the stock pipeline of HunyuanVideo gives them.
    ``guidance_scale`` is that of classifier-free guidance
    against the negative prompt, with 1 for none, which saves half of the model's work; a model that
    was distilled to guidance (HunyuanVideo) takes the scale as a condition instead. ``autocast``
    computes products in bf16 on the CPU.
    """

    num_steps: int = 16
    shift: float = 3.0
    scheduler: str = "euler"
    sigmas: str = "scheduler"
    guidance_scale: float = 1.0
    autocast: bool = True

    def __post_init__(self) -> None:
        """Refuses what cannot sample."""
        if self.num_steps < 1:
            raise ConfigError(f"num_steps is {self.num_steps}; give 1 or more")
        if self.scheduler not in SCHEDULERS:
            raise ConfigError(
                f"there is no scheduler {self.scheduler!r}; choose {' or '.join(SCHEDULERS)}"
            )
        if self.sigmas not in SIGMAS:
            raise ConfigError(f"sigmas {self.sigmas!r} are unknown; choose {' or '.join(SIGMAS)}")
        if self.sigmas == "even" and self.scheduler != "euler":
            raise ConfigError(
                f"sigmas 'even' are those of euler, and scheduler is {self.scheduler}; "
                "leave one of them out"
            )
        if not 0 < self.shift < float("inf"):
            raise ConfigError(f"shift is {self.shift}; give a positive number, 1 for no shift")
        if not 0 <= self.guidance_scale < float("inf"):
            raise ConfigError(
                f"guidance_scale is {self.guidance_scale}; give 0 or more, 1 for no guidance"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateSettings:
    """What is asked of a checkpoint beside the storyboard; None takes the family's value.

    ``history`` is a video to continue. ``base``, ``vae`` and ``text_encoder`` say where the
    weights lie that are not the checkpoint's own (a folder; ``NAME`` or ``NAME:FOLDER``). ``size``
    is (height, width) in pixels; ``seconds`` the length of the video, by default to the
    storyboard's end. ``section_latents`` latent frames are sampled at once. ``ema`` takes the
    averaged weights. ``offload`` keeps the DiT's blocks and the text encoder in CPU memory; a block
    is copied to ``device`` while it runs.
    """

    history: str | None = None
    base: str | None = None
    vae: str | None = None
    text_encoder: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    seconds: float | None = None
    section_latents: int | None = None
    scheduler: str | None = None
    sigmas: str | None = None
    num_steps: int | None = None
    shift: float | None = None
    guidance_scale: float | None = None
    negative_prompt: str = ""
    seed: int = 0
    device: str = "cpu"
    offload: bool = False
    ema: bool = False
    keep_state: bool = False

    def __post_init__(self) -> None:
        """Refuses what makes no video, before anything is loaded."""
        for name in ("fps", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} is {value:g}; give a positive number")
        if self.section_latents is not None and self.section_latents < 1:
            raise ConfigError(f"section_latents is {self.section_latents}; give 1 or more")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; give 0 or more")
        if self.offload and self.device == "cpu":
            raise ConfigError("offload keeps weights off a GPU, and device is cpu; give cuda")
