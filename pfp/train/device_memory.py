"""How much device memory a training will take, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from pfp.models.device_memory import estimate_device_memory
from pfp.models.memory.config import MemoryDiTConfig
from pfp.train.sampler import WindowPlan

BaseDtype: TypeAlias = Literal["float32", "bfloat16"]
BYTES_PER_WEIGHT: Final[dict[BaseDtype, int]] = {"float32": 4, "bfloat16": 2}


def device_memory(
    model: MemoryDiTConfig,
    windows: WindowPlan,
    hr_shapes: Iterable[tuple[int, ...]],
    *,
    base_dtype: BaseDtype,
    num_text_tokens: int,
    num_processes: int,
    sharded: bool,
) -> str:
    """One line for the largest of the clips' shapes ``(T, C, H, W)``.

    ``sharded``: the base is spread over the ``num_processes``.
    """
    num_tokens = max(
        num_sequence_tokens(model, windows, shape, num_text_tokens=num_text_tokens)
        for shape in set(hr_shapes)
    )
    made = estimate_device_memory(
        model.base,
        num_tokens=num_tokens,
        lora_rank=model.lora_rank,
        lora_targets=model.lora_targets,
        batch_size=windows.batch_size,
        bytes_per_weight=BYTES_PER_WEIGHT[base_dtype],
    )
    if sharded:
        made = replace(
            made,
            **{
                f"{part}_bytes": getattr(made, f"{part}_bytes") // num_processes
                for part in ("weights", "lora", "gradients", "optimiser")
            },
        )
    processes = "each process" if num_processes > 1 else "the process"
    return (
        f"{model.base}: {made} ({processes}, batch {windows.batch_size}, "
        f"{num_tokens} tokens a sample)"
    )


def num_sequence_tokens(
    model: MemoryDiTConfig, windows: WindowPlan, hr_shape: tuple[int, ...], *, num_text_tokens: int
) -> int:
    """Tokens of one sample's sequence: memory, target, and HunyuanVideo's text."""
    geometry = model.geometry
    _, _, height, width = hr_shape
    memory = model.num_tokens((max(windows.histories), height, width))
    num_targets = max(windows.num_targets, *windows.sections)
    per_frame = (height // geometry.patch) * (width // geometry.patch)
    text = num_text_tokens if model.base == "hunyuan" else 0
    return memory + num_targets * per_frame + text
