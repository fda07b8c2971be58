"""Wan's DiT with memory tokens, against the stock diffusers forward."""

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch.utils._python_dispatch import TorchDispatchMode

from pfp.models.backbones.rotary import sequence_rotary
from pfp.models.backbones.wan import (
    Conditions,
    Memory,
    block_forward,
    forward_with_memory,
    rotary_embedding,
    target_positions,
)


def test_without_memory_the_forward_is_the_stock_forward(small_dit: WanTransformer3DModel) -> None:
    """Equal timesteps and frames 0..T-1 give diffusers' own output to 1e-5."""
    video, text = torch.randn(2, 16, 3, 8, 12), torch.randn(2, 5, 8)
    times = torch.tensor([900.0, 20.0])

    stock = small_dit(video, times, text).sample
    ours = forward_with_memory(
        small_dit,
        video,
        times[:, None].expand(2, 3),
        text,
        frame_index_BT=torch.arange(3).expand(2, 3),
    )

    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=0)


def test_rotary_angles_at_whole_positions_are_the_models_own_table(
    small_dit: WanTransformer3DModel,
) -> None:
    """The computed cosines and sines equal Wan's buffers where those exist."""
    video = torch.zeros(1, 16, 3, 8, 12)

    cosine, sine = small_dit.rope(video)
    ours = rotary_embedding(small_dit, target_positions(torch.arange(3)[None], 4, 6))

    torch.testing.assert_close(ours[0], cosine, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours[1], sine, atol=1e-6, rtol=0)


def test_memory_stands_at_timestep_zero_and_only_targets_come_out(
    small_dit: WanTransformer3DModel,
) -> None:
    """Memory made of a frame's own patches equals that frame given clean in the stock forward."""
    video, text = torch.randn(1, 16, 3, 8, 12), torch.randn(1, 5, 8)
    tokens_per_frame = 4 * 6
    times = torch.tensor([0.0, 700.0, 700.0]).repeat_interleave(tokens_per_frame)[None]

    stock = small_dit(video, times, text).sample[:, :, 1:]
    memory = small_dit.patch_embedding(video[:, :, :1]).flatten(2).transpose(1, 2)
    ours = forward_with_memory(
        small_dit,
        video[:, :, 1:],
        torch.full((1, 2), 700.0),
        text,
        frame_index_BT=torch.tensor([[1, 2]]),
        memory=Memory(
            memory, target_positions(torch.zeros(1, 1), 4, 6)[0][:, None], attends_to_text=True
        ),
    )

    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=0)


def test_a_crop_at_an_origin_has_the_positions_of_its_place(
    small_dit: WanTransformer3DModel,
) -> None:
    """Shifting targets and origin against each other changes nothing."""
    video, text = torch.randn(1, 16, 1, 8, 8), torch.randn(1, 5, 8)
    at = torch.tensor([[3]])

    shifted = target_positions(at, 4, 4) + torch.tensor([0.0, 2.0, 5.0])
    with_origin = forward_with_memory(
        small_dit,
        video,
        torch.tensor([[500.0]]),
        text,
        frame_index_BT=at,
        origin_B2=torch.tensor([[2.0, 5.0]]),
    )
    without = forward_with_memory(
        small_dit, video, torch.tensor([[500.0]]), text, frame_index_BT=at
    )

    assert tuple(shifted[0, 0].int().tolist()) == (3, 2, 5)
    # One frame alone sees only distances between tokens, which an origin does not change.
    torch.testing.assert_close(with_origin, without, atol=1e-4, rtol=0)


def make_dit(*, channels: int = 16) -> WanTransformer3DModel:
    """A real Wan DiT of two narrow layers with random weights."""
    torch.manual_seed(0)
    dit = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=24,
        in_channels=channels,
        out_channels=channels,
        text_dim=8,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
    )
    with torch.no_grad():
        for parameter in dit.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return dit.eval()


def frame_memory(dit: WanTransformer3DModel, frame: torch.Tensor, **standing: bool) -> Memory:
    """A frame's own patches as memory, standing where latent frame 0 does."""
    tokens = dit.patch_embedding(frame).flatten(2).transpose(1, 2).detach()
    height, width = frame.shape[3] // 2, frame.shape[4] // 2
    return Memory(
        tokens, target_positions(torch.zeros(1, 1), height, width)[0][:, None], **standing
    )


def velocity(
    dit: WanTransformer3DModel,
    video: torch.Tensor,
    text: torch.Tensor,
    memory: Memory | None,
    cross_attend: list[torch.nn.Module] | None = None,
) -> torch.Tensor:
    """Targets 1 .. T of a video, all at timestep 700."""
    num_frames = video.shape[2]
    return forward_with_memory(
        dit,
        video[:, :, 1:],
        torch.full((len(video), 1), 700.0),
        text,
        frame_index_BT=torch.arange(1, num_frames).expand(len(video), -1),
        memory=memory,
        cross_attend=cross_attend,
    )


@pytest.mark.parametrize("channels", [16, 48])
def test_frames_of_any_timesteps_are_the_stock_forward_per_token(channels: int) -> None:
    """A timestep for each frame equals diffusers' own timestep for each token, z16 and z48."""
    dit = make_dit(channels=channels)
    video, text = torch.randn(2, channels, 3, 8, 12), torch.randn(2, 5, 8)
    times = torch.tensor([[0.0, 400.0, 900.0], [30.0, 700.0, 1.0]])

    ours = forward_with_memory(dit, video, times, text, frame_index_BT=torch.arange(3).expand(2, 3))

    expected = dit(video, times.repeat_interleave(24, dim=1), text).sample
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [16, 48])
def test_one_timestep_for_all_frames_is_the_stock_forward(channels: int) -> None:
    """``(B, 1)`` timesteps make one segment of all frames, as Wan 2.1 and 14B are called."""
    dit = make_dit(channels=channels)
    video, text = torch.randn(2, channels, 3, 8, 12), torch.randn(2, 5, 8)
    times = torch.tensor([9.0, 700.0])

    ours = forward_with_memory(
        dit, video, times[:, None], text, frame_index_BT=torch.arange(3).expand(2, 3)
    )

    torch.testing.assert_close(ours, dit(video, times, text).sample, atol=1e-5, rtol=0)


def test_bf16_weights_give_the_stock_forwards_output() -> None:
    """With the modules that diffusers keeps in float32 left so, as ``from_pretrained`` does."""
    dit = make_dit()
    kept = ("rope", "time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
    for name, parameter in dit.named_parameters():
        if not any(part in kept for part in name.split(".")):
            parameter.data = parameter.data.bfloat16()
    video, text = torch.randn(1, 16, 3, 8, 12).bfloat16(), torch.randn(1, 5, 8).bfloat16()
    times = torch.tensor([700.0])

    ours = forward_with_memory(
        dit, video, times[:, None], text, frame_index_BT=torch.arange(3)[None]
    )

    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, dit(video, times, text).sample, atol=2e-2, rtol=2e-2)


def test_a_block_over_segments_is_the_stock_block_over_tokens() -> None:
    """Two streams of three segments give what the block gives for modulation spread to tokens."""
    block = make_dit().blocks[0]
    memory, target = torch.randn(2, 1, 5, 48), torch.randn(2, 2, 4, 48)
    rows, text = torch.randn(2, 3, 6, 48), torch.randn(2, 7, 48)
    angles = torch.randn(1, 13, 1, 12).repeat_interleave(2, dim=-1)
    rotary = (angles.cos(), angles.sin())

    given = Conditions(rows.split([1, 2], dim=1), (True, True), text, rotary)
    ours = block_forward(block, None, (memory, target), given)

    tokens = torch.cat([memory.flatten(1, 2), target.flatten(1, 2)], dim=1)
    spread = rows.repeat_interleave(torch.tensor([5, 4, 4]), dim=1)
    expected = block(tokens, text, spread, rotary)
    joined = torch.cat([stream.flatten(1, 2) for stream in ours], dim=1)
    torch.testing.assert_close(joined, expected, atol=1e-5, rtol=0)


def test_no_tensor_holds_a_row_of_modulation_for_every_token() -> None:
    """Between the patch embedding and the output, nothing has six times the sequence's size."""
    dit = make_dit()
    video, text = torch.randn(1, 16, 9, 8, 12), torch.randn(1, 5, 8)
    memory = frame_memory(dit, video[:, :, :1])
    sequence_size = 9 * 24 * 48
    largest = 0

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with torch.no_grad(), Largest():
        velocity(dit, video, text, memory)

    assert largest <= 2 * sequence_size


def test_shared_memory_is_modulated_as_the_noisiest_target() -> None:
    """A frame's own patches with shared_timestep equal that frame as noisy as the others."""
    dit = make_dit()
    video, text = torch.randn(1, 16, 3, 8, 12), torch.randn(1, 5, 8)

    memory = frame_memory(dit, video[:, :, :1], shared_timestep=True, attends_to_text=True)
    ours = velocity(dit, video, text, memory)

    expected = dit(video, torch.tensor([700.0]), text).sample[:, :, 1:]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_memory_does_not_ask_the_prompt_unless_told_to() -> None:
    """By default the first block's text attention gets the target's queries only."""
    dit = make_dit()
    video, text = torch.randn(1, 16, 3, 8, 12), torch.randn(1, 5, 8)
    num_queries = []
    hook = dit.blocks[0].attn2.register_forward_pre_hook(
        lambda _module, inputs: num_queries.append(inputs[0].shape[1])
    )

    quiet = velocity(dit, video, text, frame_memory(dit, video[:, :, :1]))
    asking = velocity(dit, video, text, frame_memory(dit, video[:, :, :1], attends_to_text=True))
    hook.remove()

    assert [48, 72] == num_queries
    assert (quiet - asking).abs().max() > 1e-4


def test_the_order_of_memory_tokens_means_nothing() -> None:
    """Tokens permuted with their positions give the same targets; without them, others."""
    dit = make_dit()
    video, text = torch.randn(1, 16, 3, 8, 12), torch.randn(1, 5, 8)
    memory = frame_memory(dit, video[:, :, :1])
    order = torch.randperm(24)
    tokens, positions = memory.tokens_BND[:, order], memory.positions_NK3[order]

    before = velocity(dit, video, text, memory)
    moved = velocity(dit, video, text, Memory(tokens, positions))
    misplaced = velocity(dit, video, text, memory._replace(tokens_BND=tokens))

    torch.testing.assert_close(moved, before, atol=1e-5, rtol=0)
    assert (misplaced - before).abs().max() > 1e-4


def test_places_of_a_token_are_averaged_as_framepack_pools_them() -> None:
    """A token over 2x2 patches has the mean of the model's own table at those patches."""
    dit = make_dit()
    memory = Memory(torch.zeros(1, 1, 48), target_positions(torch.zeros(1, 1), 2, 2))

    cosine, sine = sequence_rotary(
        target_positions(torch.ones(1, 1), 1, 1), memory, None, (8, 8, 8), 10_000.0
    )

    table = dit.rope(torch.zeros(1, 16, 1, 4, 4))
    assert (1, 2, 24) == tuple(cosine.shape)
    torch.testing.assert_close(cosine[:, :1], table[0][:, :, 0].mean(1, keepdim=True))
    torch.testing.assert_close(sine[:, :1], table[1][:, :, 0].mean(1, keepdim=True))


class ReadFeatures(torch.nn.Module):
    """Adds a learned part of the features' mean to every token."""

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.full((1,), start))
        self.num_tokens: list[int] = []

    def forward(
        self, tokens_BLD: torch.Tensor, features_BNF: torch.Tensor, rotary: object
    ) -> torch.Tensor:
        """What is added, ``(B, L, D)``; features of no positions have no phases."""
        assert rotary is None
        self.num_tokens.append(tokens_BLD.shape[1])
        return (self.scale * features_BNF.mean(1, keepdim=True)).expand_as(tokens_BLD)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    """Memory, and modules of cross-attention, get the gradients that they get without it."""
    dit = make_dit().requires_grad_(requires_grad=False)
    video, text = torch.randn(1, 16, 3, 8, 12), torch.randn(1, 5, 8)
    features = torch.randn(1, 3, 48)

    def gradients() -> list[torch.Tensor]:
        reads: list[torch.nn.Module] = [ReadFeatures(), ReadFeatures()]
        memory = frame_memory(dit, video[:, :, :1])._replace(features_BNF=features)
        memory.tokens_BND.requires_grad_()
        velocity(dit, video, text, memory, reads).square().mean().backward()
        leaves = [memory.tokens_BND, *(p for read in reads for p in read.parameters())]
        return [leaf.grad for leaf in leaves if leaf.grad is not None]

    plain = gradients()
    dit.enable_gradient_checkpointing()

    assert 3 == len(plain)
    assert all(gradient.abs().max() > 0 for gradient in plain)
    torch.testing.assert_close(gradients(), plain, atol=1e-7, rtol=1e-5)


def test_cross_attention_is_for_targets_and_follows_every_block() -> None:
    """Each module is called once with the target's tokens, and what it returns is added."""
    dit = make_dit()
    video, text = torch.randn(1, 16, 3, 8, 12), torch.randn(1, 5, 8)
    memory = frame_memory(dit, video[:, :, :1])._replace(features_BNF=torch.randn(1, 3, 48))
    silent, heard = [ReadFeatures(0.0), ReadFeatures(0.0)], ReadFeatures()

    without = velocity(dit, video, text, memory)

    assert torch.equal(without, velocity(dit, video, text, memory, list(silent)))
    assert [[48], [48]] == [module.num_tokens for module in silent]
    assert (velocity(dit, video, text, memory, [silent[0], heard]) - without).abs().max() > 1e-4


def test_the_forward_is_one_graph_for_the_compiler() -> None:
    """torch.compile finds no graph break, and the traced graph gives the same output."""
    dit = make_dit()
    video, text = torch.randn(1, 16, 3, 8, 12), torch.randn(1, 5, 8)
    memory = frame_memory(dit, video[:, :, :1])

    compiled = torch.compile(velocity, backend="eager", fullgraph=True)

    torch.testing.assert_close(
        compiled(dit, video, text, memory), velocity(dit, video, text, memory), atol=1e-6, rtol=0
    )
