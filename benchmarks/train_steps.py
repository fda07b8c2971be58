"""What memory costs: a step of training and a step of sampling, with it and without.

Axes: B batch, C latent channels, T latent frames, H rows, W columns, L text tokens.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.figures import ratios
from benchmarks.train_figure import Figure, Setting, Timed, in_turn, peak_bytes, synchronise, timed
from pfp.generate.sampler import sample_frames
from pfp.generate.settings import SamplerSettings
from pfp.models.backbones.interface import Memory
from pfp.models.backbones.loading import Architecture, architecture
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.precision import bf16_products
from pfp.train.loop import train
from pfp.train.objective import Batch, Denoising
from pfp.train.settings import Objective, TrainSettings

VARIANTS: Final = ("proposed", "no_memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A base with random weights and what it is shown, in latents ``(T, H, W)``.

    ``changes`` make the base narrower and shallower than its name says. 20 s of 480p at 24 frames
    per second are 120 latents, which 4x4x2 of 8x8x4 VAEs, px(64,64,8), turns into 5,460 tokens.
    """

    base: str
    rate: str
    history_THW: tuple[int, int, int]
    num_targets: int
    changes: Mapping[str, Any] = field(default_factory=dict)
    num_text_tokens: int = 512
    lora_rank: int = 128
    checkpointing: bool = True

    @property
    def architecture(self) -> Architecture:
        """The base's class and sizes."""
        known = architecture(self.base)
        return replace(known, config={**known.config, **self.changes})

    def __str__(self) -> str:
        """For notes."""
        config, (frames, height, width) = self.architecture.config, self.history_THW
        heads, blocks = config["num_attention_heads"], config["num_layers"]
        return (
            f"{self.base}{' of reduced size' * bool(self.changes)} ({blocks} blocks, width "
            f"{heads * config['attention_head_dim']}), history of {frames} latents of "
            f"{config['in_channels']}x{height}x{width} at {self.rate}, {self.num_targets} target "
            "frames, batch 1"
        )


_5B: Final = Size(base="wan22_5b", rate="px(64,64,8)", history_THW=(120, 30, 52), num_targets=3)
_NARROW: Final = {"num_attention_heads": 4, "num_layers": 1}
# 8x8x4 VAEs, where the rate is 4x4x2 by its own name.
_CPU: Final = Size(
    base="wan22_a14b_high",
    rate="4x4x2",
    history_THW=(120, 60, 104),
    num_targets=3,
    changes={**_NARROW, "ffn_dim": 1408},
)
_TINY: Final = Size(
    base="wan22_5b",
    rate="px(64,64,8)",
    history_THW=(4, 8, 8),
    num_targets=1,
    changes={
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "num_layers": 1,
        "ffn_dim": 32,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 8,
        "freq_dim": 16,
    },
    num_text_tokens=3,
    lora_rank=2,
)


def size_of_training(setting: Setting) -> Size:
    """The true 5B on a GPU."""
    return _TINY if setting.tiny else _5B if setting.on_gpu else _CPU


def size_of_sampling(setting: Setting) -> Size:
    """The true 5B on a GPU, a block of a sixth of its width elsewhere; a section is 1 s."""
    if setting.tiny:
        return _TINY
    return replace(
        _5B, num_targets=6, changes={} if setting.on_gpu else {**_NARROW, "ffn_dim": 2432}
    )


def model_of(
    size: Size, variant: str, device: torch.device, *, dtype: torch.dtype = torch.bfloat16
) -> MemoryDiT:
    """A variant on a base, all weights random; no trainable weight is zero, as after a step."""
    torch.manual_seed(0)
    with torch.device(device):
        dit = size.architecture.build()
        for name, parameter in dit.named_parameters():
            # As from_pretrained does, which leaves these in float32.
            if not set(name.split(".")) & set(dit._keep_in_fp32_modules):  # noqa: SLF001
                parameter.data = parameter.data.to(dtype)
        config = MemoryDiTConfig(
            variant=variant, rate=size.rate, base=size.base, lora_rank=size.lora_rank
        )
        model = MemoryDiT(dit, config)
    for parameter in model.trainable_parameters():
        nn.init.normal_(parameter, std=0.02)
    return model


def batch_of(size: Size, model: MemoryDiT) -> Batch:
    """Noise: a history, the frames that follow it, and a prompt."""
    frames, height, width = size.history_THW
    channels, rate = model.dit.config.in_channels, model.rate
    lr_THW = (-(-frames // rate.time), height // rate.height, width // rate.width)
    return Batch(
        hr_BCTHW=torch.randn(1, channels, *size.history_THW),
        lr_BCTHW=torch.randn(1, channels, *lr_THW),
        target_BCTHW=torch.randn(1, channels, size.num_targets, height, width),
        frame_index_BT=torch.arange(frames, frames + size.num_targets)[None],
        text_BLD=torch.randn(1, size.num_text_tokens, model.dit.config.text_dim),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A training step: forward, backward and AdamW, through ``pfp.train.loop.train``."""

    size: Size
    denoising: Denoising
    batch: Batch

    @classmethod
    def of(cls, size: Size, variant: str, device: torch.device) -> Step:
        """The variant's model and a batch on the device."""
        model = model_of(size, variant, device)
        batch = batch_of(size, model).to(device)
        return cls(size=size, denoising=Denoising(model, Objective()), batch=batch)

    def __call__(self) -> float:
        """Seconds from when the last batch is asked for to when its step is reported."""
        device = self.batch.hr_BCTHW.device
        # AdamW makes its moments in the first step: on a GPU that is some of a step's time.
        num_steps = 2 if device.type == "cuda" else 1
        clock: list[float] = []

        def note_the_time() -> None:
            synchronise(device)
            clock.append(time.perf_counter())

        def batches() -> Iterator[Batch]:
            for _ in range(num_steps):
                note_the_time()
                yield self.batch

        train(
            self.denoising,
            lambda _: batches(),
            TrainSettings(num_steps=num_steps, gradient_checkpointing=self.size.checkpointing),
            None,
            report=lambda _: note_the_time(),
            accelerator=Accelerator(cpu=device.type == "cpu"),
        )
        return clock[-1] - clock[-2]

    def held_bytes(self) -> int:
        """Bytes of the weights."""
        return sum(parameter.nbytes for parameter in self.denoising.parameters())


def step_flops(size: Size, variant: str) -> int:
    """Operations of forward and backward of a step, counted on the meta device: none is done.

    Products and convolutions only, two for each multiplication and addition. Recomputation counts
    where ``size.checkpointing`` asks for it.
    """
    meta = torch.device("meta")
    model = model_of(size, variant, meta, dtype=torch.float32)
    if size.checkpointing:
        model.dit.enable_gradient_checkpointing()
    model.train()
    batch = batch_of(size, model).to(meta)
    with FlopCounterMode(display=False) as counter:
        error_BT = Denoising(model, Objective())(batch, torch.Generator().manual_seed(0))
        error_BT.mean().backward()
    return int(counter.get_total_flops())


def step_vs_no_memory(setting: Setting) -> list[Figure]:
    """Seconds of a training step of ``proposed`` at 4x4x2, over those of ``no_memory``.

    The same base, LoRA, targets and prompt; forward, backward, clipping and AdamW, with gradient
    checkpointing and bf16 products. The note gives the same ratio of counted operations, which is
    what the tokens of memory ask for.
    """
    size = size_of_training(setting)
    steps: dict[str, Timed] = {
        variant: Step.of(size, variant, setting.device) for variant in VARIANTS
    }
    seconds = in_turn(steps, setting)
    flops = [step_flops(size, variant) for variant in VARIANTS]
    took = ", ".join(
        f"{variant} {statistics.median(each):.3f} s" for variant, each in seconds.items()
    )
    return [
        Figure(
            name="step_vs_no_memory",
            values=tuple(ratios(seconds["proposed"], seconds["no_memory"])),
            note=(
                f"{size}; {setting.name}; {took}; by counted operations "
                f"{flops[0] / flops[1]:.2f}, {flops[0] / 1e12:.3f} over {flops[1] / 1e12:.3f} TFLOP"
            ),
        )
    ]


def memory_vs_no_memory(setting: Setting) -> list[Figure]:
    """The most bytes of tensors at once in such a step, over those without memory; weights count.

    One model at a time lies on the device. Twice, though allocations do not vary. On a CPU
    attention may keep its matrices of scores, which it does not on a GPU.
    """
    size = size_of_training(setting)
    peaks: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(1 if setting.tiny else 2):
        for variant in VARIANTS:
            step = Step.of(size, variant, setting.device)
            peaks[variant].append(peak_bytes(step, step.held_bytes(), setting.device))
            del step
    took = ", ".join(
        f"{variant} {statistics.median(each) / 1e9:.3f} GB" for variant, each in peaks.items()
    )
    return [
        Figure(
            name="memory_vs_no_memory",
            values=tuple(ratios(peaks["proposed"], peaks["no_memory"])),
            note=f"{size}; {setting.name}; {took}",
        )
    ]


def encoded_history(size: Size, model: MemoryDiT) -> tuple[Memory, Batch]:
    """The memory of a history, and the batch on the model's device that it is from."""
    batch = batch_of(size, model).to(model.patch_embedding.weight.device)
    with torch.inference_mode(), bf16_products(batch.hr_BCTHW.device.type):
        memory = model.encode_history(batch.hr_BCTHW, batch.lr_BCTHW)
    assert memory is not None
    return memory, batch


def sampler_step_vs_no_memory(setting: Setting) -> list[Figure]:
    """Seconds of one sampler step of a section with the memory of 20 s in the sequence, over none.

    ``sample_frames`` with one step of UniPC, without guidance; memory is made before.
    """
    size = size_of_sampling(setting)
    model = model_of(size, "proposed", setting.device).eval()
    memory, batch = encoded_history(size, model)

    def step(given: Memory | None) -> Timed:
        return timed(
            lambda: sample_frames(
                model,
                memory=given,
                text=batch.text,
                frame_index_BT=batch.frame_index_BT,
                latent_size=size.history_THW[1:],
                settings=SamplerSettings(num_steps=1, scheduler="unipc", shift=5.0),
                seed=0,
            ),
            setting.device,
        )

    seconds = in_turn({"memory": step(memory), "none": step(None)}, setting)
    took = ", ".join(f"{name} {statistics.median(each):.3f} s" for name, each in seconds.items())
    return [
        Figure(
            name="sampler_step_vs_no_memory",
            values=tuple(ratios(seconds["memory"], seconds["none"])),
            note=f"{size}; {memory.tokens_BND.shape[1]} memory tokens; {setting.name}; {took}",
        )
    ]
