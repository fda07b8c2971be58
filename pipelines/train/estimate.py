"""How much device memory a training will take, said before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pfp.models.device_memory import estimate_device_memory
from pipelines.train.config import TrainConfig

BYTES_PER_WEIGHT = {"float32": 4, "bfloat16": 2}


def device_memory(config: TrainConfig, hr_shapes: Iterable[tuple[int, ...]]) -> str:
    """One line for the largest of the clips' shapes ``(T, C, H, W)``."""
    num_tokens = max(num_sequence_tokens(config, shape) for shape in set(hr_shapes))
    made = estimate_device_memory(
        config.model.base,
        num_tokens=num_tokens,
        lora_rank=config.model.lora_rank,
        lora_targets=config.model.lora_targets,
        batch_size=config.windows.batch_size,
        bytes_per_weight=BYTES_PER_WEIGHT[config.base_dtype],
    )
    if config.sharded:
        made = replace(
            made,
            **{
                f"{part}_bytes": getattr(made, f"{part}_bytes") // config.num_processes
                for part in ("weights", "lora", "gradients", "optimiser")
            },
        )
    processes = "each process" if config.num_processes > 1 else "the process"
    return (
        f"{config.model.base}: {made} ({processes}, batch {config.windows.batch_size}, "
        f"{num_tokens} tokens a sample)"
    )


def num_sequence_tokens(config: TrainConfig, hr_shape: tuple[int, ...]) -> int:
    """Tokens of one sample's sequence: memory, target, and HunyuanVideo's text."""
    geometry = config.model.geometry
    _, _, height, width = hr_shape
    memory = config.model.num_tokens((max(config.windows.histories), height, width))
    num_targets = max(config.windows.num_targets, *config.windows.sections)
    per_frame = (height // geometry.patch) * (width // geometry.patch)
    text = config.num_text_tokens if config.model.base == "hunyuan" else 0
    return memory + num_targets * per_frame + text
