"""What the train stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pfp.errors import ConfigError
from pfp.models.memory.config import VARIANTS, MemoryDiTConfig
from pfp.models.tiny_names import TINY_TEXT_TOKENS, TINY_VARIANTS
from pfp.runtime.run import Engine
from pfp.schema.run_directory import RunDirectory
from pfp.train.sampler import WindowPlan
from pfp.train.settings import Objective, TrainSettings, ValidationPlan

Task: TypeAlias = Literal["pretrain", "finetune"]

# Latent frames of history that the paper's bases are fine-tuned on: a video begins with none, and
# goes on past the 20 s that pretraining sees where clips are longer.
FINETUNE_HISTORIES: Final = (0, 1, 3, 7, 15, 31, 63, 119, 239)

# Fine-tuning of an encoder that was never pretrained (section 4.2), as in the paper's Table 2.
WITHOUT_PRETRAIN: Final = "without_pretrain"


def checkpoint_folder(run_directory: str, title: str) -> Path:
    """Where a checkpoint lies in a run."""
    return Path(RunDirectory(run_directory).checkpoints_path) / title.replace(" ", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of the train stage.

    Each of ``variants`` is ``model`` with that variant's encoder, on the base of ``model.base`` in
    ``base_folder`` (None: the tiny one that comes with pfp). Pretraining starts from ``shipped``
    weights (tiny only) or from ``nothing``; fine-tuning from the run's ``pretrained`` checkpoint of
    the variant, or for ``without_pretrain`` from nothing. ``windows`` says what is cut out of
    clips, ``objective`` what is asked of the model, ``steps`` how it is trained. Fine-tuning takes
    histories of ``finetune_history_frames``, where they are given, up to what its clips hold.

    ``held_out_share`` of the clips, each by the digest of its own id, is not trained on: it is left
    for validation and for evaluation. Prompts have ``num_text_tokens``.

    One process trains a variant, or ``num_processes`` under Ray Train: with ``min_processes`` below
    that, as many as there are machines for, and it goes on with fewer when some are lost. Each has
    ``num_gpus_per_process``; ``sharded`` spreads the base over them. What takes more than
    ``device_memory_gb`` a process (10^9 bytes; None: whatever), or than the GPU at hand has, is
    refused before anything is loaded; the fewest processes count. ``max_restarts`` is how often
    lost processes are replaced. ``num_loader_workers`` read ahead for each process. ``trackers``
    are Accelerate's (``tensorboard``, ``wandb``), written every ``log_every_steps``; every
    ``sample_every_steps`` (0: never) some frames are retrieved, decoded by ``vae`` and shown there.

    Every ``export_every_steps`` (0: only at the end) a checkpoint is left in ``_steps``; of these
    the ``keep_checkpoints`` newest stay, and the one of the lowest held-out loss. That is measured
    every ``validate_every_steps`` (0: never), at the end, and for every checkpoint, as
    ``validation`` says. ``finish_at`` trains no more, and takes as each variant's checkpoint the
    ``best``, the ``last``, or that of a number of steps.
    """

    task: Task = "pretrain"
    variants: tuple[str, ...] = TINY_VARIANTS
    start: Literal["shipped", "nothing", "pretrained"] = "shipped"
    model: MemoryDiTConfig = field(default_factory=lambda: MemoryDiTConfig(variant="proposed"))
    base_folder: str | None = None
    base_dtype: Literal["float32", "bfloat16"] = "float32"
    vae: str | None = "tiny"
    windows: WindowPlan
    objective: Objective = field(default_factory=Objective)
    steps: TrainSettings
    finetune_history_frames: tuple[int, ...] = ()
    held_out_share: float = 0.01
    num_text_tokens: int = TINY_TEXT_TOKENS
    num_workers: int | None = None
    num_processes: int = 1
    min_processes: int | None = None
    num_gpus_per_process: float = 0
    num_cpus_per_process: float = 1
    sharded: bool = False
    device_memory_gb: float | None = None
    max_restarts: int = 3
    num_loader_workers: int = 0
    trackers: tuple[str, ...] = ("tensorboard",)
    log_every_steps: int = 10
    sample_every_steps: int = 0
    export_every_steps: int = 0
    keep_checkpoints: int = 3
    validate_every_steps: int = 0
    validation: ValidationPlan = field(default_factory=ValidationPlan)
    finish_at: str | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be trained."""
        known = (*VARIANTS, WITHOUT_PRETRAIN)
        unknown = sorted(set(self.variants) - set(known))
        if unknown or not self.variants:
            raise ConfigError(
                f"variants {unknown or '()'} cannot be trained; choose from {', '.join(known)}"
            )
        for name in ("num_processes", "log_every_steps", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give 1 or more")
        for name in ("sample_every_steps", "export_every_steps", "validate_every_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; give 0 for never, or more")
        if self.finish_at not in {None, "best", "last"} and not str(self.finish_at).isdecimal():
            raise ConfigError(
                f"finish_at is {self.finish_at!r}; give best, last or a number of steps"
            )
        if not 0 <= self.held_out_share < 1:
            raise ConfigError(
                f"held_out_share is {self.held_out_share}; give 0 or more and less than 1"
            )
        if self.device_memory_gb is not None and not 0 < self.device_memory_gb < float("inf"):
            raise ConfigError(
                f"device_memory_gb is {self.device_memory_gb}; give a positive number"
            )
        if not 1 <= (self.min_processes or 1) <= self.num_processes:
            raise ConfigError(
                f"min_processes is {self.min_processes}; give 1 to num_processes, which is "
                f"{self.num_processes}"
            )

    def check(self, engine: Engine = "ray") -> None:
        """Raise ConfigError for settings that do not go together, or not with the engine."""
        base = self.model.base
        if base != "tiny" and self.base_folder is None:
            raise ConfigError(
                f"the weights of {base} are not part of pfp; give --set base_folder=DIR, the "
                "transformer folder of its diffusers pipeline"
            )
        if WITHOUT_PRETRAIN in self.variants and self.task != "finetune":
            raise ConfigError(f"{WITHOUT_PRETRAIN} is a variant of fine-tuning; name another")
        if self.start == "pretrained" and self.task != "finetune":
            raise ConfigError("pretraining cannot start from pretrained; give start=nothing")
        if self.start == "shipped":
            missing = sorted(set(self.variants) - set(TINY_VARIANTS))
            own = self.model != MemoryDiTConfig(variant=self.model.variant)
            if missing or own or base != "tiny" or self.task != "pretrain":
                raise ConfigError(
                    f"what is shipped are the variants {', '.join(TINY_VARIANTS)} of the tiny "
                    "base, to go on pretraining; give start=nothing for others"
                )
        longest = max(rate.time for rate in self.model.rates)
        if longest != self.windows.time_stride:
            raise ConfigError(
                f"windows.time_stride is {self.windows.time_stride}, and rate {self.model.rate} "
                f"has a stride of {longest}; give windows.time_stride={longest}"
            )
        if self.num_processes > 1 and engine != "ray":
            raise ConfigError(
                f"num_processes is {self.num_processes}, which Ray Train starts; give --engine "
                "ray, or num_processes=1"
            )
        if self.sharded and self.num_processes < 2:
            raise ConfigError("sharded spreads over processes; give num_processes=2 or more")
        if self.sharded and self.steps.compiled:
            raise ConfigError(
                "blocks that are spread over processes are not compiled; give sharded=false or "
                "steps.compiled=false"
            )
        if self.validate_every_steps and not self.held_out_share:
            raise ConfigError(
                "nothing is held out to measure a loss on; give held_out_share=0.01, or "
                "validate_every_steps=0"
            )
        if self.sample_every_steps and (self.sharded or self.vae is None):
            raise ConfigError(
                "frames cannot be shown while training without a vae, or with sharded; give "
                "vae=NAME:DIR, or sample_every_steps=0"
            )

    def model_for(self, name: str) -> MemoryDiTConfig:
        """The model of one of ``variants``."""
        return replace(self.model, variant="proposed" if name == WITHOUT_PRETRAIN else name)

    def title(self, name: str) -> str:
        """What the checkpoint of one of ``variants`` is called."""
        title = self.model_for(name).title
        if self.task == "pretrain":
            return title
        return f"{title} {'without pretrain' if name == WITHOUT_PRETRAIN else 'finetuned'}"


def demo() -> TrainConfig:
    """A short walk from the shipped variants: half a minute or so for each on one CPU core."""
    return TrainConfig(
        windows=WindowPlan(batch_size=2, history_frames=11, num_targets=2, continue_share=0.2),
        steps=TrainSettings(num_steps=24, learning_rate=1e-4, warmup_steps=2, save_every_steps=8),
        held_out_share=0.7,  # most of its clips, so that differences between methods can decide
        trackers=(),
    )


def debug() -> TrainConfig:
    """Two steps of two variants."""
    config = demo()
    return replace(
        config,
        variants=("proposed", "no_memory"),
        windows=replace(config.windows, batch_size=1),
        steps=replace(config.steps, num_steps=2, warmup_steps=1),
    )


def small() -> TrainConfig:
    """An hour or so on a workstation: the tiny family on some hundred clips of one's own."""
    config = demo()
    return replace(
        config,
        windows=replace(config.windows, batch_size=8),
        steps=replace(
            config.steps,
            num_steps=1000,
            learning_rate=3e-4,
            warmup_steps=100,
            save_every_steps=100,
            ema_decay=0.99,
        ),
        held_out_share=0.1,
        trackers=("tensorboard",),
        sample_every_steps=100,
        export_every_steps=200,
        validate_every_steps=100,
    )


def tiny() -> TrainConfig:
    """Frame-preservation pretraining from nothing on the tiny base: minutes on CPU cores."""
    config = small()
    return replace(
        config,
        variants=("proposed", "only_lr", "without_lr", "large_patchifier"),
        start="nothing",
        windows=replace(config.windows, batch_size=4, continue_share=0.0),
        steps=replace(config.steps, num_steps=300, learning_rate=1e-3, warmup_steps=30),
        export_every_steps=100,
    )


def wan22_5b() -> TrainConfig:
    """Wan 2.2 TI2V 5B, 20 s at 480p: 64x64x8 pixels a token are 2x2x2 of its latents."""
    return _paper("wan22_5b", rate="px(64,64,8)", shift=5.0)


def wan22_a14b_high() -> TrainConfig:
    """Wan 2.2 A14B, the high-noise model alone, as the paper trains it; spread over 8 GPUs.

    Windows of 2, because those of 3 take more than 80 GB.
    """
    config = _paper("wan22_a14b_high", rate="4x4x2", shift=12.0)
    windows = replace(config.windows, num_targets=2)
    return replace(config, windows=windows, sharded=True, min_processes=6)


def hunyuan() -> TrainConfig:
    """HunyuanVideo 12.8B, spread over 8 GPUs: batch 64 with windows of 3 (section 4.1)."""
    config = _paper("hunyuan", rate="4x4x2", shift=7.0)
    objective = replace(config.objective, guidance=1.0)
    spread = replace(config, sharded=True, min_processes=4)
    return replace(spread, num_text_tokens=256, objective=objective)


def _paper(base: str, *, rate: str, shift: float) -> TrainConfig:
    """What section 4.1 says, and our guesses where it does not.

    It says: LoRA of rank 128, 20 s of history, about 64 samples on one node of eight GPUs with
    windows of 2 or 3, no gradient accumulation, 100k steps (section 4.2). We infer the learning
    rate, LoRA on attention and feed-forward, each base's own shift, and masks on both branches.
    """
    return TrainConfig(
        variants=("proposed",),
        start="nothing",
        model=MemoryDiTConfig(variant="proposed", rate=rate, base=base, lora_rank=128),
        base_dtype="bfloat16",
        windows=WindowPlan(batch_size=8, history_frames=119, num_targets=3, continue_share=0.0),
        objective=Objective(shift=shift, mask_scope="hr+lr"),
        steps=TrainSettings(
            num_steps=100_000,
            learning_rate=1e-4,
            warmup_steps=1000,
            ema_decay=0.999,
            gradient_checkpointing=True,
            save_every_steps=500,
        ),
        finetune_history_frames=FINETUNE_HISTORIES,
        num_text_tokens=512,
        num_workers=1,
        num_processes=8,
        min_processes=1,
        num_gpus_per_process=1,
        device_memory_gb=80,
        num_cpus_per_process=4,
        num_loader_workers=4,
        vae=None,
        export_every_steps=2000,
        keep_checkpoints=5,
        validate_every_steps=500,
        validation=ValidationPlan(num_windows=64, num_psnr_windows=4),
    )


def finetuned(config: TrainConfig) -> TrainConfig:
    """The preset's fine-tuning (section 3.2): the next section, from the compressed history.

    Sections are one to as many latent frames as targets in pretraining; the history is clean, and
    shorter where a clip is too short for it and the section.
    """
    sections = tuple(range(1, config.windows.num_targets + 1))
    return replace(
        config,
        task="finetune",
        start="pretrained",
        windows=replace(
            config.windows,
            continue_share=1.0,
            section_lengths=sections,
            shorten_history=True,
            history_frames=config.finetune_history_frames or config.windows.history_frames,
        ),
        objective=replace(config.objective, mask_scope="none"),
    )


PRESETS: Final = {
    "demo": demo,
    "debug": debug,
    "small": small,
    "tiny": tiny,
    "wan22_5b": wan22_5b,
    "wan22_a14b_high": wan22_a14b_high,
    "hunyuan": hunyuan,
}
