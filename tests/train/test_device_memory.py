"""The estimate of device memory that is printed before a training begins."""

from __future__ import annotations

import re

import pytest

from pfp.models.memory.config import MemoryDiTConfig
from pfp.train.device_memory import device_memory, num_sequence_tokens
from pfp.train.sampler import WindowPlan

WINDOWS = WindowPlan(batch_size=2, history_frames=(7, 11), num_targets=2, continue_share=0.5)
SHAPE = (20, 16, 24, 40)  # T, C, H, W of a clip's latents


def test_a_sample_has_memory_and_target_tokens() -> None:
    """Memory of the longest history, and two target frames of 12 x 20 patches."""
    model = MemoryDiTConfig(variant="proposed")
    tokens = num_sequence_tokens(model, WINDOWS, SHAPE, num_text_tokens=8)

    assert model.num_tokens((11, 24, 40)) + 2 * 12 * 20 == tokens


def test_longer_sections_count_instead_of_targets() -> None:
    """A section of five frames is asked for at some steps."""
    model = MemoryDiTConfig(variant="proposed")
    sections = WindowPlan(
        batch_size=2, history_frames=11, num_targets=2, continue_share=0.5, section_lengths=(1, 5)
    )
    tokens = num_sequence_tokens(model, sections, SHAPE, num_text_tokens=8)

    assert model.num_tokens((11, 24, 40)) + 5 * 12 * 20 == tokens


def test_hunyuan_has_its_text_in_the_sequence() -> None:
    """The other bases look at text from the side."""
    with_text, without = (
        num_sequence_tokens(
            MemoryDiTConfig(variant="proposed", base="hunyuan", rate="4x4x2"),
            WINDOWS,
            SHAPE,
            num_text_tokens=num,
        )
        for num in (256, 0)
    )

    assert 256 == with_text - without


def told(*, num_processes: int, sharded: bool) -> str:
    """The line for a base of 5 billion weights."""
    return device_memory(
        MemoryDiTConfig(variant="proposed", base="wan22_5b", rate="2x2x2"),
        WINDOWS,
        [SHAPE],
        base_dtype="bfloat16",
        num_text_tokens=8,
        num_processes=num_processes,
        sharded=sharded,
    )


def gigabytes(line: str) -> dict[str, float]:
    """What the line says of each part."""
    return {part: float(number) for part, number in re.findall(r"(\w+) (\d+\.\d\d)\b", line)}


def test_what_is_spread_is_divided() -> None:
    """Copies cost every process the whole base; spread over four, a quarter, activations apart."""
    one, copied, spread = (
        told(num_processes=num, sharded=sharded)
        for num, sharded in ((1, False), (4, False), (4, True))
    )
    whole, share = gigabytes(copied), gigabytes(spread)

    assert one.replace("the process", "each process") == copied
    assert whole["activations"] == share["activations"] > 0
    for part in ("weights", "lora", "gradients", "optimiser"):
        assert whole[part] / 4 == pytest.approx(share[part], abs=0.01)
