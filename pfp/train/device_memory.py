"""How much device memory a training will take, and whether it fits, before anything is loaded.

A process holds, in bytes (``TrainingMemory``):

    base         frozen weights, in the base's dtype
    trained      LoRA, encoder and cross-attention in float32, and their bf16 copies of autocast
    gradients    float32 for each trained weight; twice with several processes that hold copies,
                 whose gradients are averaged in buffers of their own
    optimiser    two float32 for each trained weight (AdamW)
    averages     one more float32 for each, with ``ema_decay``
    gathered     of a base that is spread: what lies outside of blocks, two blocks with their bf16
                 copies (one at work, one fetched ahead), and a block's gradients on their way
    activations  the backbone's, see ``pfp.models.device_memory``
    history      what the encoder keeps of the whole history for its backward pass, and the batch
    vae          its weights, and what decoding holds beyond the activations that are then free
    reserve      a tenth of all that, for what the allocator cannot use, CUDA's context and NCCL

What is spread over processes is divided by their number: base, trained, gradients, optimiser and
averages. The first eight are counted or fitted (within 15% on the CPU), the reserve is a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, TypeAlias

from pfp.errors import ConfigError
from pfp.models.backbones.loading import architecture
from pfp.models.device_memory import (
    activation_bytes,
    count_weights,
    encoder_activation_bytes,
    vae_bytes,
)
from pfp.models.memory.config import MemoryDiTConfig
from pfp.train.sampler import WindowPlan
from pfp.train.settings import TrainSettings

BaseDtype: TypeAlias = Literal["float32", "bfloat16"]
BYTES_PER_WEIGHT: Final[dict[BaseDtype, int]] = {"float32": 4, "bfloat16": 2}
RESERVED_SHARE: Final = 0.1
_FLOAT32: Final = 4
_BFLOAT16: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """All that decides how much memory a process takes; names are those of the train stage.

    ``vae`` is the name of the VAE that decodes frames while training, None for none.
    """

    model: MemoryDiTConfig
    windows: WindowPlan
    steps: TrainSettings
    base_dtype: BaseDtype
    num_text_tokens: int
    num_processes: int = 1
    sharded: bool = False
    vae: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMemory:
    """Bytes that each process holds, by what they are for; see the top of this module."""

    base: int
    trained: int
    gradients: int
    optimiser: int
    averages: int
    gathered: int
    activations: int
    history: int
    vae: int

    @property
    def reserve(self) -> int:
        """What is left free on purpose."""
        return round(RESERVED_SHARE * self._counted)

    @property
    def total(self) -> int:
        """All of it, the reserve included."""
        return self._counted + self.reserve

    @property
    def _counted(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        """One line, in GB of 10^9 bytes, without parts that are nothing."""
        names = [*(field.name for field in fields(self)), "reserve"]
        said = ", ".join(
            f"{name} {getattr(self, name) / 1e9:.2f}" for name in names if getattr(self, name)
        )
        return f"about {self.total / 1e9:.1f} GB of device memory: {said}"


def training_memory(plan: TrainingPlan, hr_shapes: Iterable[tuple[int, ...]]) -> TrainingMemory:
    """For the largest of the clips' shapes ``(T, C, H, W)``."""
    shapes = set(hr_shapes)
    counts, sizes = count_weights(plan.model), architecture(plan.model.base)
    per_weight = BYTES_PER_WEIGHT[plan.base_dtype]
    held_by = plan.num_processes if plan.sharded else 1
    memory = counts.memory if plan.steps.train_encoder else 0
    num_trained = counts.lora + memory
    copies = plan.num_processes > 1 and not plan.sharded
    activations = activation_bytes(
        sizes,
        plan.windows.batch_size * num_tokens_of(plan, shapes),
        checkpointed=plan.steps.gradient_checkpointing,
    )
    gathered = 0
    if plan.sharded:
        block = counts.block_base * per_weight + counts.block_lora * (_FLOAT32 + _BFLOAT16)
        outside = counts.rest_base * per_weight + counts.memory * (_FLOAT32 + _BFLOAT16)
        gathered = outside + 2 * block + 2 * _FLOAT32 * counts.block_lora
    return TrainingMemory(
        base=(counts.base * per_weight + (counts.memory - memory) * _FLOAT32) // held_by,
        trained=_FLOAT32 * num_trained // held_by + _BFLOAT16 * num_trained * (not plan.sharded),
        gradients=_FLOAT32 * num_trained * (1 + copies) // held_by,
        optimiser=2 * _FLOAT32 * num_trained // held_by,
        averages=_FLOAT32 * num_trained // held_by if plan.steps.ema_decay is not None else 0,
        gathered=gathered,
        activations=activations,
        history=plan.windows.batch_size * max(_history_bytes(plan, shape) for shape in shapes),
        vae=max(_vae_beside(plan, shape, activations) for shape in shapes),
    )


def num_tokens_of(plan: TrainingPlan, hr_shapes: Iterable[tuple[int, ...]]) -> int:
    """Tokens of the longest sample's sequence."""
    return max(
        num_sequence_tokens(plan.model, plan.windows, shape, num_text_tokens=plan.num_text_tokens)
        for shape in hr_shapes
    )


def num_sequence_tokens(
    model: MemoryDiTConfig, windows: WindowPlan, hr_shape: tuple[int, ...], *, num_text_tokens: int
) -> int:
    """Tokens of one sample's sequence: memory, target, and HunyuanVideo's text."""
    geometry = model.geometry
    num_latents, _, height, width = hr_shape
    per_frame = (height // geometry.patch) * (width // geometry.patch)
    text = num_text_tokens if model.base == "hunyuan" else 0
    return text + max(
        model.num_tokens((history, height, width)) + num_targets * per_frame
        for history, num_targets in _lengths(windows, num_latents)
    )


def _lengths(windows: WindowPlan, num_latents: int) -> Iterator[tuple[int, int]]:
    """The longest histories that a clip may have, with the targets that go with them."""
    longest = max(windows.histories)
    if not windows.shorten_history:
        yield longest, max(windows.num_targets, *windows.sections)
        return
    for section in windows.sections:
        yield windows.fitting(longest, num_latents - section), section


def _history_bytes(plan: TrainingPlan, hr_shape: tuple[int, ...]) -> int:
    num_latents, channels, height, width = hr_shape
    history = max(length for length, _ in _lengths(plan.windows, num_latents))
    return encoder_activation_bytes(plan.model, (channels, history, height, width))


def _vae_beside(plan: TrainingPlan, hr_shape: tuple[int, ...], activations: int) -> int:
    if plan.vae is None:
        return 0
    stride = plan.model.geometry.spatial_stride
    vae = vae_bytes(plan.vae, (stride * hr_shape[2], stride * hr_shape[3]))
    return vae.weights + max(0, vae.decoding - activations)


def told(plan: TrainingPlan, hr_shapes: Iterable[tuple[int, ...]]) -> str:
    """One line of what each process takes."""
    shapes = set(hr_shapes)
    processes = (
        f"each of {plan.num_processes} processes" if plan.num_processes > 1 else "one process"
    )
    return (
        f"{plan.model.base}: {training_memory(plan, shapes)} ({processes}, batch "
        f"{plan.windows.batch_size}, {num_tokens_of(plan, shapes)} tokens a sample)"
    )


def check_fits(
    plan: TrainingPlan, hr_shapes: Iterable[tuple[int, ...]], limit_bytes: float, device: str
) -> None:
    """Raise ConfigError when a process needs more than ``limit_bytes``, with what would fit.

    ``device`` says whose memory that is.
    """
    shapes = set(hr_shapes)
    needed = training_memory(plan, shapes).total
    if needed > limit_bytes:
        raise ConfigError(
            f"{plan.model.base} takes about {needed / 1e9:.1f} GB of device memory a process, and "
            f"{device} has {limit_bytes / 1e9:.1f}; give {_cure(plan, shapes, limit_bytes)}"
        )


def _cure(plan: TrainingPlan, hr_shapes: set[tuple[int, ...]], limit_bytes: float) -> str:
    """The first change that fits: spread the base, compute again, or smaller batches as well."""
    spread = replace(plan, sharded=True)
    again = replace(plan.steps, gradient_checkpointing=True)
    ways = [("", plan), ("steps.gradient_checkpointing=true", replace(plan, steps=again))]
    if plan.num_processes > 1:
        ways[1:1] = [("sharded=true", spread)]
        ways.append(
            ("sharded=true, steps.gradient_checkpointing=true", replace(spread, steps=again))
        )
    for said, way in ways:
        if training_memory(way, hr_shapes).total <= limit_bytes:
            return said
    for said, way in ways:
        for batch_size in range(plan.windows.batch_size - 1, 0, -1):
            smaller = replace(way, windows=replace(way.windows, batch_size=batch_size))
            if training_memory(smaller, hr_shapes).total <= limit_bytes:
                return f"{said}{', ' * bool(said)}windows.batch_size={batch_size}"
    return "shorter histories, more processes with sharded=true, or larger devices"
