"""The estimate of device memory that is printed before a training begins, and what it refuses."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from pfp.errors import ConfigError
from pfp.models.memory.config import MemoryDiTConfig
from pfp.train.device_memory import (
    TrainingMemory,
    TrainingPlan,
    check_fits,
    num_sequence_tokens,
    told,
    training_memory,
)
from pfp.train.sampler import WindowPlan
from pfp.train.settings import TrainSettings
from pipelines.train.config import PRESETS, finetuned
from pipelines.train.worker import check_device_memory

WINDOWS = WindowPlan(batch_size=2, history_frames=(7, 11), num_targets=2, continue_share=0.5)
SHAPE = (20, 16, 24, 40)  # T, C, H, W of a clip's latents
PLAN = TrainingPlan(
    model=MemoryDiTConfig(variant="proposed", base="wan22_5b", rate="2x2x2"),
    windows=WINDOWS,
    steps=TrainSettings(num_steps=1, ema_decay=0.9, gradient_checkpointing=True),
    base_dtype="bfloat16",
    num_text_tokens=8,
)
SECONDS_20 = {"wan22_5b": (120, 48, 30, 52), "wan22_a14b_high": (120, 16, 60, 104)}
SECONDS_20["hunyuan"] = SECONDS_20["wan22_a14b_high"]
SPREAD = ("base", "gradients", "optimiser", "averages")


def memory(**changes: Any) -> TrainingMemory:
    """Of the plan with changes, for one shape that Wan 2.2 5B can have."""
    return training_memory(replace(PLAN, **changes), [(20, 48, 24, 40)])


def test_a_sample_has_memory_and_target_tokens() -> None:
    """Memory of the longest history, and two target frames of 12 x 20 patches."""
    model = MemoryDiTConfig(variant="proposed")
    tokens = num_sequence_tokens(model, WINDOWS, SHAPE, num_text_tokens=8)

    assert model.num_tokens((11, 24, 40)) + 2 * 12 * 20 == tokens


def test_longer_sections_count_instead_of_targets() -> None:
    """A section of five frames is asked for at some steps."""
    model = MemoryDiTConfig(variant="proposed")
    sections = replace(WINDOWS, history_frames=11, section_lengths=(1, 5))
    tokens = num_sequence_tokens(model, sections, SHAPE, num_text_tokens=8)

    assert model.num_tokens((11, 24, 40)) + 5 * 12 * 20 == tokens


def test_shortened_histories_count_as_they_are() -> None:
    """Of 20 latent frames 17 are left beside a section of two, whatever is asked for."""
    model = MemoryDiTConfig(variant="proposed")
    growing = replace(WINDOWS, history_frames=(0, 1, 239), continue_share=1.0, shorten_history=True)
    tokens = num_sequence_tokens(model, growing, SHAPE, num_text_tokens=8)

    assert model.num_tokens((17, 24, 40)) + 2 * 12 * 20 == tokens


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


def test_everything_that_is_held_is_counted() -> None:
    """Five billion weights in bf16, and of what is trained weight, gradient, moments, average."""
    found = memory()
    num_trained = found.gradients // 4

    assert 9.9e9 < found.base < 10.1e9
    assert 6 * num_trained == found.trained  # float32, and autocast's bf16 copies
    assert (8 * num_trained, 4 * num_trained) == (found.optimiser, found.averages)
    assert found.history > 0
    assert (0, 0) == (found.gathered, found.vae)
    assert round(1.1 * (found.total - found.reserve)) == found.total
    assert 0 == memory(steps=replace(PLAN.steps, ema_decay=None)).averages
    frozen = memory(steps=replace(PLAN.steps, train_encoder=False))
    assert frozen.gradients < found.gradients
    assert frozen.base - found.base == found.gradients - frozen.gradients


def test_what_is_spread_is_divided() -> None:
    """Spread over four a quarter; activations are each process's own, and blocks are gathered."""
    whole, copied, spread = (
        memory(num_processes=num, sharded=sharded)
        for num, sharded in ((1, False), (4, False), (4, True))
    )

    assert 2 * whole.gradients == copied.gradients  # averaged in buffers of their own
    assert whole == replace(copied, gradients=whole.gradients)
    for part in SPREAD:
        assert getattr(whole, part) / 4 == pytest.approx(getattr(spread, part), rel=1e-6)
    assert (whole.activations, whole.history) == (spread.activations, spread.history)
    assert 0.1 * whole.base > spread.gathered > 0.05 * whole.base  # two of thirty blocks and more


def test_long_histories_cost_the_encoder_more() -> None:
    """Its branch sees all of the history; a variant without one keeps the history alone."""
    short, long = (memory(windows=replace(WINDOWS, history_frames=n)) for n in (7, 15))
    lr = memory(model=replace(PLAN.model, variant="only_lr"))

    assert 1.9 < long.history / short.history < 2.4
    assert lr.history < short.history


def test_a_vae_counts_beside_what_sampling_leaves_free() -> None:
    """Its weights always, what decoding holds only beyond the activations that are not there."""
    weights = 4 * 704_688_668

    assert weights < memory(vae="wan22_5b").vae < weights + 22_522 * 384 * 640
    many = memory(vae="wan22_5b", windows=replace(WINDOWS, batch_size=64))
    assert weights == many.vae


def test_blocks_that_are_not_computed_again_keep_everything() -> None:
    """Many times the activations."""
    kept = memory(steps=replace(PLAN.steps, gradient_checkpointing=False))

    assert kept.activations > 10 * memory().activations


def test_the_line_names_parts_and_processes() -> None:
    """Parts that are nothing are left out."""
    line = told(replace(PLAN, num_processes=4, sharded=True), [(20, 48, 24, 40)])

    assert line.startswith("wan22_5b: about ")
    assert all(f" {field.name} " in line for field in fields(TrainingMemory) if field.name != "vae")
    assert " vae " not in line
    assert "(each of 4 processes, batch 2, " in line


@pytest.mark.parametrize("name", SECONDS_20)
@pytest.mark.parametrize("task", ["pretrain", "finetune"])
def test_presets_fit_the_card_that_they_are_for(name: str, task: str) -> None:
    """20 s at 480p, with all processes and with the fewest."""
    config = PRESETS[name]()
    config = finetuned(config) if task == "finetune" else config

    for num in (config.num_processes, config.min_processes or 1):
        check_device_memory(config, [SECONDS_20[name]], num)


@pytest.mark.parametrize(
    ("changes", "gigabytes", "cure"),
    [
        ({"sharded": False}, 80, "takes about 105.* has 80.0; give sharded=true"),
        ({"sharded": False}, 30, "give sharded=true, windows.batch_size=[1-3]$"),
        ({"num_processes": 1, "sharded": False}, 60, "give windows.batch_size=[1-4]$"),
        ({}, 5, "give shorter histories, more processes with sharded=true, or larger devices"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    changes: dict[str, Any], gigabytes: float, cure: str
) -> None:
    """HunyuanVideo unsharded is more than a card of 80 GB."""
    config = PRESETS["hunyuan"]()
    plan = TrainingPlan(
        model=config.model,
        windows=config.windows,
        steps=config.steps,
        base_dtype=config.base_dtype,
        num_text_tokens=config.num_text_tokens,
        num_processes=config.num_processes,
        sharded=config.sharded,
    )

    with pytest.raises(ConfigError, match=cure):
        check_fits(replace(plan, **changes), [SECONDS_20["hunyuan"]], gigabytes * 1e9, "it")


def test_checkpointing_is_a_cure() -> None:
    """Where that is enough."""
    plan = replace(PLAN, steps=replace(PLAN.steps, gradient_checkpointing=False))

    with pytest.raises(ConfigError, match=r"give steps\.gradient_checkpointing=true"):
        check_fits(plan, [(20, 48, 24, 40)], 25e9, "it")


def test_a_real_gpu_counts_by_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the preset says of the card that it is for."""
    config = PRESETS["hunyuan"]()
    shape = SECONDS_20["hunyuan"]

    monkeypatch.setattr("pipelines.train.worker.gpu_memory", lambda: (48 * 10**9, "NVIDIA L40"))
    with pytest.raises(ConfigError, match="this NVIDIA L40 has 48"):
        check_device_memory(config, [shape], 8)
    monkeypatch.setattr("pipelines.train.worker.gpu_memory", lambda: (141 * 10**9, "NVIDIA H200"))
    check_device_memory(replace(config, device_memory_gb=20), [shape], 8)
