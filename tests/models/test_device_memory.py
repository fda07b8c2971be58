"""The estimate of device memory, against what a real small model allocates on the CPU."""

import math

import pytest
import torch
from diffusers import HunyuanVideoTransformer3DModel, WanTransformer3DModel
from peft import LoraConfig
from torch.profiler import ProfilerActivity, profile

from pfp.errors import ConfigError
from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.backbones.loading import ARCHITECTURES, Architecture, backbone_of
from pfp.models.device_memory import (
    count_weights,
    encoder_activation_bytes,
    estimate_device_memory,
)
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.precision import bf16_products

NUM_MEMORY, NUM_TARGET, NUM_TEXT = 200, 600, 32
WAN = Architecture(
    model_class=WanTransformer3DModel,
    config={
        "num_attention_heads": 4,
        "attention_head_dim": 128,
        "num_layers": 2,
        "ffn_dim": 1536,
        "text_dim": 64,
    },
)
HUNYUAN = Architecture(
    model_class=HunyuanVideoTransformer3DModel,
    config={
        "num_attention_heads": 4,
        "attention_head_dim": 128,
        "num_layers": 1,
        "num_single_layers": 1,
        "mlp_ratio": 4.0,
        "text_embed_dim": 64,
    },
)


def allocated_bytes(sizes: Architecture, *, training: bool) -> int:
    """The most bytes that one forward (and backward) held at once, beside weights and gradients."""
    dit = sizes.build().requires_grad_(requires_grad=False)
    for parameter in dit.parameters():
        parameter.data = parameter.data.bfloat16()
    backbone = backbone_of(dit)
    if training:
        targets = list(backbone.lora_targets["attention_ffn"])
        dit.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=targets))
        dit.enable_gradient_checkpointing()
        for parameter in dit.parameters():
            if parameter.requires_grad:  # as MemoryDiT trains them
                parameter.data = parameter.data.float()
    width = sizes.config["num_attention_heads"] * 128
    tokens = torch.zeros(1, NUM_MEMORY, width, dtype=torch.bfloat16, requires_grad=training)
    text = TextConditions(
        torch.zeros(1, NUM_TEXT, 64, dtype=torch.bfloat16),
        torch.ones(1, NUM_TEXT, dtype=torch.bool),
        torch.zeros(1, 768, dtype=torch.bfloat16),
        torch.ones(1),
    )
    with (
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
        torch.autocast("cpu", torch.bfloat16),
        torch.set_grad_enabled(training),
    ):
        out = backbone.forward_with_memory(
            dit,
            torch.zeros(1, 16, 3, 20, 40),
            torch.full((1, 1), 500.0),
            text,
            frame_index_BT=torch.tensor([[0, 1, 2]]),
            memory=Memory(tokens, torch.zeros(NUM_MEMORY, 1, 3)),
        )
        if training:
            out.float().mean().backward()
    gradients = sum(p.grad.nbytes for p in dit.parameters() if p.grad is not None)
    return most_at_once(profiler) - gradients


def most_at_once(profiler: profile) -> int:
    """The highest sum of allocations less what was freed."""
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    events = profiler.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    held = most = 0
    for _, change in changes:
        held += change
        most = max(most, held)
    return most


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("sizes", [WAN, HUNYUAN])
def test_activations_are_what_a_real_model_allocates(
    sizes: Architecture, *, training: bool
) -> None:
    """Within 15% of the allocations that torch.profiler records."""
    num_tokens = NUM_MEMORY + NUM_TARGET + (NUM_TEXT if sizes is HUNYUAN else 0)

    estimate = estimate_device_memory(sizes, num_tokens=num_tokens, lora_rank=4, training=training)

    assert estimate.activations_bytes == pytest.approx(
        allocated_bytes(sizes, training=training), rel=0.15
    )


def test_a_14b_base_with_the_papers_rank_is_the_sum_of_its_parts() -> None:
    """Weights in bf16, then 613.4 M LoRA weights with gradient and two moments in float32."""
    estimate = estimate_device_memory("wan22_a14b_high", num_tokens=14_820, lora_rank=128)

    assert 28_576_983_168 == estimate.weights_bytes
    assert 4 * 613_416_960 == estimate.lora_bytes == estimate.gradients_bytes
    assert 8 * 613_416_960 == estimate.optimiser_bytes
    assert str(estimate).startswith("about ")
    assert "weights 28.58, lora 2.45, gradients 2.45, optimiser 4.91" in str(estimate)


def test_sampling_needs_no_gradients() -> None:
    """Only weights, LoRA and a block's activations."""
    estimate = estimate_device_memory("tiny", num_tokens=100, lora_rank=32, training=False)

    assert (0, 0) == (estimate.gradients_bytes, estimate.optimiser_bytes)
    assert estimate.total_bytes == (
        estimate.weights_bytes + estimate.lora_bytes + estimate.activations_bytes
    )


def test_activations_grow_with_tokens_and_batch() -> None:
    """Twice the batch is twice the tokens."""
    wide = estimate_device_memory("tiny", num_tokens=100, batch_size=2, lora_rank=4)
    long = estimate_device_memory("tiny", num_tokens=200, lora_rank=4)

    assert wide == long


@pytest.mark.parametrize("wrong", [{"num_tokens": 0}, {"lora_rank": 0}, {"lora_targets": "all"}])
def test_what_cannot_be_is_refused(wrong: dict[str, int | str]) -> None:
    """A size below one, or unknown targets."""
    asked = {"num_tokens": 10, "lora_rank": 4, **wrong}

    with pytest.raises(ConfigError, match=r"1 or more|choose attention or attention_ffn"):
        estimate_device_memory("tiny", **asked)


@pytest.mark.parametrize(
    "config",
    [
        MemoryDiTConfig(variant="proposed"),
        MemoryDiTConfig(variant="proposed", rate="2x2x1", cross_attention=True),
        MemoryDiTConfig(variant="large_patchifier"),
        MemoryDiTConfig(variant="proposed", rate="4x4x2+2x2x8", also_window=True),
    ],
    ids=["proposed", "cross-attention", "large_patchifier", "multi-rate"],
)
def test_an_encoder_keeps_what_is_counted(config: MemoryDiTConfig) -> None:
    """What a real forward holds for its backward pass when it has ended, within 15%.

    Of two samples, less of one. The batch is counted three times: as it came, noised, its noise.
    """
    torch.manual_seed(0)
    dit: torch.nn.Module = WanTransformer3DModel(**ARCHITECTURES["tiny"].config)
    model = MemoryDiT(dit, config)
    shape = (16, 17, 32, 48)

    def held(batch_size: int) -> int:
        hr_BCTHW = torch.zeros(batch_size, *shape)
        lrs = [
            torch.zeros(batch_size, 16, -(-17 // r.time), 32 // r.height, 48 // r.width)
            for r in config.rates
        ]
        with (
            profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
            bf16_products(),
        ):
            memory = model.encode_history(hr_BCTHW, *lrs)
        assert memory is not None
        return held_at_the_end(profiler) - memory.tokens_BND.nbytes

    counted = encoder_activation_bytes(config, shape) - 3 * 4 * math.prod(shape)

    assert counted == pytest.approx(held(2) - held(1), rel=0.15)


def held_at_the_end(profiler: profile) -> int:
    """Allocations less what was freed."""
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    events = profiler.profiler.kineto_results.events()
    return sum(event.nbytes() for event in events if event.name() == "[memory]")


def test_weights_are_counted_as_they_are() -> None:
    """The tiny base's own, on the meta device."""
    config = MemoryDiTConfig(variant="proposed", cross_attention=True, lora_rank=4)
    model = MemoryDiT(WanTransformer3DModel(**ARCHITECTURES["tiny"].config), config)

    counts = count_weights(config)

    parameters = list(model.parameters())
    assert counts.base == sum(p.numel() for p in parameters if not p.requires_grad)
    assert counts.lora + counts.memory == sum(p.numel() for p in model.trainable_parameters())
    assert counts.base == counts.rest_base + 5 * counts.block_base
    assert counts.lora == 5 * counts.block_lora
