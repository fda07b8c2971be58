"""The estimate of device memory, against what a real small model allocates on the CPU."""

import math

import pytest
import torch
from diffusers import HunyuanVideoTransformer3DModel, WanTransformer3DModel
from peft import LoraConfig
from torch.profiler import ProfilerActivity, profile

from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.backbones.loading import ARCHITECTURES, Architecture, backbone_of
from pfp.models.device_memory import activation_bytes, count_weights, encoder_activation_bytes
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


def allocated_bytes(sizes: Architecture) -> int:
    """The most bytes that a forward and backward held at once, beside weights and gradients."""
    dit = sizes.build().requires_grad_(requires_grad=False)
    for parameter in dit.parameters():
        parameter.data = parameter.data.bfloat16()
    backbone = backbone_of(dit)
    targets = list(backbone.lora_targets["attention_ffn"])
    dit.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=targets))
    dit.enable_gradient_checkpointing()
    for parameter in dit.parameters():
        if parameter.requires_grad:  # as MemoryDiT trains them
            parameter.data = parameter.data.float()
    width = sizes.config["num_attention_heads"] * 128
    tokens = torch.zeros(1, NUM_MEMORY, width, dtype=torch.bfloat16, requires_grad=True)
    text = TextConditions(
        torch.zeros(1, NUM_TEXT, 64, dtype=torch.bfloat16),
        torch.ones(1, NUM_TEXT, dtype=torch.bool),
        torch.zeros(1, 768, dtype=torch.bfloat16),
        torch.ones(1),
    )
    with (
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
        torch.autocast("cpu", torch.bfloat16),
    ):
        out = backbone.forward_with_memory(
            dit,
            torch.zeros(1, 16, 3, 20, 40),
            torch.full((1, 1), 500.0),
            text,
            frame_index_BT=torch.tensor([[0, 1, 2]]),
            memory=Memory(tokens, torch.zeros(NUM_MEMORY, 1, 3)),
        )
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


@pytest.mark.parametrize("sizes", [WAN, HUNYUAN])
def test_activations_are_what_a_real_model_allocates(sizes: Architecture) -> None:
    """Within 15% of the allocations that torch.profiler records."""
    num_tokens = NUM_MEMORY + NUM_TARGET + (NUM_TEXT if sizes is HUNYUAN else 0)

    assert allocated_bytes(sizes) == pytest.approx(activation_bytes(sizes, num_tokens), rel=0.15)


def test_a_14b_base_with_the_papers_rank_has_the_weights_that_are_known() -> None:
    """14.3 billion of its own, and 613.4 million of LoRA."""
    config = MemoryDiTConfig(variant="only_lr", base="wan22_a14b_high", lora_rank=128)

    counts = count_weights(config)

    assert (28_576_983_168 // 2, 613_416_960, 0) == (counts.base, counts.lora, counts.memory)


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
