"""Wan's DiT with memory tokens, against the stock diffusers forward."""

import torch
from diffusers import WanTransformer3DModel

from pfp.models.backbones.wan import Memory, forward_with_memory, rotary_embedding, target_positions


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
