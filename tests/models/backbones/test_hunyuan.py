"""HunyuanVideo's DiT with memory tokens, against the stock diffusers forward."""

import pytest
import torch
from diffusers import HunyuanVideoTransformer3DModel

from pfp.errors import ConfigError
from pfp.models.backbones.hunyuan import forward_with_memory
from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.backbones.rotary import target_positions

ROWS, COLUMNS = 4, 6


def prompt(batch: int) -> TextConditions:
    """Seven text tokens, of which the last three are padding in the first sample."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(batch, 7, dtype=torch.bool)
    mask[0, 4:] = False
    return TextConditions(
        torch.randn(batch, 7, 12, generator=generator),
        mask,
        torch.randn(batch, 10, generator=generator),
        torch.full((batch,), 6000.0),
    )


def stock(
    dit: HunyuanVideoTransformer3DModel,
    video: torch.Tensor,
    times: torch.Tensor,
    text: TextConditions,
) -> torch.Tensor:
    """The velocity from diffusers' own forward."""
    out = dit(video, times, text.text_BLD, text.mask_BL, text.pooled_BP, text.guidance_B).sample
    assert isinstance(out, torch.Tensor)
    return out


def memory_of_frame(
    dit: HunyuanVideoTransformer3DModel, frame: torch.Tensor, *, shared_timestep: bool
) -> Memory:
    """A frame's own patches as memory, standing where latent frame 0 does."""
    positions = target_positions(torch.zeros(1, 1), ROWS, COLUMNS)[0][:, None]
    return Memory(dit.x_embedder(frame), positions, shared_timestep=shared_timestep)


@pytest.mark.parametrize("num_times", [1, 3])
def test_without_memory_the_forward_is_the_stock_forward(
    small_hunyuan: HunyuanVideoTransformer3DModel, num_times: int
) -> None:
    """One timestep for all frames, or three equal ones, give diffusers' own output to 1e-5."""
    video, times = torch.randn(2, 16, 3, 8, 12), torch.tensor([900.0, 20.0])

    ours = forward_with_memory(
        small_hunyuan,
        video,
        times[:, None].expand(2, num_times),
        prompt(2),
        frame_index_BT=torch.arange(3).expand(2, 3),
    )

    expected = stock(small_hunyuan, video, times, prompt(2))
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_memory_at_zero_is_the_first_frame_of_diffusers_two_level_class(
    small_hunyuan: HunyuanVideoTransformer3DModel,
    small_hunyuan_token_replace: HunyuanVideoTransformer3DModel,
) -> None:
    """A frame's own patches as clean memory equal that frame under token_replace."""
    video, times = torch.randn(2, 16, 3, 8, 12), torch.tensor([700.0, 300.0])

    ours = forward_with_memory(
        small_hunyuan,
        video[:, :, 1:],
        times[:, None],
        prompt(2),
        frame_index_BT=torch.tensor([[1, 2], [1, 2]]),
        memory=memory_of_frame(small_hunyuan, video[:, :, :1], shared_timestep=False),
    )

    expected = stock(small_hunyuan_token_replace, video, times, prompt(2))[:, :, 1:]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_memory_at_the_targets_timestep_is_one_more_frame(
    small_hunyuan: HunyuanVideoTransformer3DModel,
) -> None:
    """A frame's own patches as memory with shared_timestep equal that frame in the stock model."""
    video, times = torch.randn(1, 16, 3, 8, 12), torch.tensor([700.0])

    ours = forward_with_memory(
        small_hunyuan,
        video[:, :, 1:],
        times[:, None],
        prompt(1),
        frame_index_BT=torch.tensor([[1, 2]]),
        memory=memory_of_frame(small_hunyuan, video[:, :, :1], shared_timestep=True),
    )

    expected = stock(small_hunyuan, video, times, prompt(1))[:, :, 1:]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_samples_of_a_batch_may_ask_for_different_frames(
    small_hunyuan: HunyuanVideoTransformer3DModel,
) -> None:
    """Two samples with their own frame indices give what each gives alone."""
    video = torch.randn(2, 16, 2, 8, 12)
    frames, times, text = torch.tensor([[0, 1], [3, 9]]), torch.full((2, 1), 500.0), prompt(2)

    together = forward_with_memory(small_hunyuan, video, times, text, frame_index_BT=frames)
    alone = forward_with_memory(
        small_hunyuan,
        video[1:],
        times[1:],
        TextConditions(*(part[1:] for part in text if part is not None)),
        frame_index_BT=frames[1:],
    )

    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)


def test_the_order_of_memory_tokens_means_nothing(
    small_hunyuan: HunyuanVideoTransformer3DModel,
) -> None:
    """Tokens permuted with their positions give the same targets; without them, others."""
    video = torch.randn(1, 16, 3, 8, 12)
    memory = memory_of_frame(small_hunyuan, video[:, :, :1], shared_timestep=False)
    order = torch.randperm(ROWS * COLUMNS)
    tokens, positions = memory.tokens_BND[:, order], memory.positions_NK3[order]

    def velocity(memory: Memory) -> torch.Tensor:
        return forward_with_memory(
            small_hunyuan,
            video[:, :, 1:],
            torch.full((1, 1), 400.0),
            prompt(1),
            frame_index_BT=torch.tensor([[1, 2]]),
            memory=memory,
        )

    before = velocity(memory)
    moved = memory._replace(tokens_BND=tokens, positions_NK3=positions)
    torch.testing.assert_close(velocity(moved), before, atol=1e-5, rtol=0)
    assert (velocity(memory._replace(tokens_BND=tokens)) - before).abs().max() > 1e-4


def test_gradient_checkpointing_gives_the_same_gradients(
    small_hunyuan: HunyuanVideoTransformer3DModel,
) -> None:
    """The gradient that reaches memory tokens does not depend on what is computed twice."""
    video = torch.randn(1, 16, 2, 8, 12)

    def gradient() -> torch.Tensor:
        memory = memory_of_frame(small_hunyuan, video[:, :, :1], shared_timestep=False)
        tokens = memory.tokens_BND.detach().requires_grad_()
        forward_with_memory(
            small_hunyuan,
            video[:, :, 1:],
            torch.full((1, 1), 400.0),
            prompt(1),
            frame_index_BT=torch.tensor([[1]]),
            memory=memory._replace(tokens_BND=tokens),
        ).square().mean().backward()
        assert tokens.grad is not None
        return tokens.grad

    plain = gradient()
    small_hunyuan.enable_gradient_checkpointing()

    assert plain.abs().max() > 0
    torch.testing.assert_close(gradient(), plain, atol=1e-7, rtol=1e-5)


def test_a_prompt_without_its_conditions_is_refused(
    small_hunyuan: HunyuanVideoTransformer3DModel,
) -> None:
    """A bare text tensor names the three conditions that are missing."""
    with pytest.raises(ConfigError, match="no mask_BL, pooled_BP, guidance_B; pass them"):
        forward_with_memory(
            small_hunyuan,
            torch.randn(1, 16, 1, 8, 12),
            torch.full((1, 1), 400.0),
            prompt(1).text_BLD,
            frame_index_BT=torch.tensor([[0]]),
        )
