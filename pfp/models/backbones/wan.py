"""Wan's DiT with memory: the stock diffusers blocks, with history tokens before the target's.

Axes: B batch, C latent channels, D inner width, T target latent frames, H rows, W columns,
L sequence, N memory tokens, 3 the (time, row, column) of a token in latent frames and patches.

The forward is written out rather than hooked in, so that a reader sees where memory enters:
memory tokens stand first in the sequence at timestep 0 (the paper's history is clean; Wan 2.2 5B
was trained with t = 0 on its conditioning frames), every token carries its own rotary position,
and only the target's tokens leave through the output projection.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor


class Memory(NamedTuple):
    """Memory tokens ``(B, N, D)`` and how they stand in the sequence.

    ``positions_NK3`` are the places that a token's rotary phases are averaged over: its centre
    alone (K = 1), or all the patches that it covers, as FramePack pools them. Tokens are modulated
    as clean frames (timestep 0), or with ``shared_timestep`` as if as noisy as the target.
    """

    tokens_BND: Tensor
    positions_NK3: Tensor
    shared_timestep: bool = False


def target_positions(frame_index_BT: Tensor, height: int, width: int) -> Tensor:
    """Positions ``(B, T*H*W, 3)`` of target tokens whose latent frames have the given indices."""
    batch, num_frames = frame_index_BT.shape
    rows, columns = torch.arange(height), torch.arange(width)
    grid = torch.cartesian_prod(rows, columns).float()
    times = frame_index_BT.float()[:, :, None, None].expand(-1, -1, height * width, 1)
    places = grid.expand(batch, num_frames, -1, -1).to(times.device)
    return torch.cat([times, places], dim=-1).flatten(1, 2)


def rotary_embedding(dit: WanTransformer3DModel, positions_BL3: Tensor) -> tuple[Tensor, Tensor]:
    """Wan's rotary cosines and sines ``(B, L, 1, head)`` at any, also fractional, positions.

    Equal to the model's own table at whole positions; computed, because the table begins at 0 and
    ends at 1,024.
    """
    rope = dit.rope
    angles = []
    for axis, dim in enumerate((rope.t_dim, rope.h_dim, rope.w_dim)):
        exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=positions_BL3.device) / dim
        frequency = 10000.0**-exponents
        angle = positions_BL3[..., axis, None].double() * frequency
        angles.append(angle.repeat_interleave(2, dim=-1))
    angle_BLD = torch.cat(angles, dim=-1)[:, :, None]
    return angle_BLD.cos().float(), angle_BLD.sin().float()


def _memory_rotary(
    dit: WanTransformer3DModel, positions_NK3: Tensor, origin_B3: Tensor
) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(B, N, 1, head)`` of memory tokens, averaged over their K places."""
    num_tokens, num_places, _ = positions_NK3.shape
    positions = positions_NK3.flatten(0, 1) + origin_B3[:, None]
    cosine, sine = rotary_embedding(dit, positions)
    cells = (num_tokens, num_places)
    spread = (len(origin_B3), *cells, 1, cosine.shape[-1])
    return cosine.reshape(spread).mean(2), sine.reshape(spread).mean(2)


def _with_memory(
    rotary: tuple[Tensor, Tensor], memory_rotary: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    (cosine, sine), (memory_cosine, memory_sine) = rotary, memory_rotary
    return torch.cat([memory_cosine, cosine], dim=1), torch.cat([memory_sine, sine], dim=1)


def forward_with_memory(
    dit: WanTransformer3DModel,
    noisy_BCTHW: Tensor,
    timestep_BT: Tensor,
    text_BLD: Tensor,
    *,
    frame_index_BT: Tensor,
    memory: Memory | None = None,
    origin_B2: Tensor | None = None,
) -> Tensor:
    """Predict the velocity ``(B, C, T, H, W)`` of target frames, given memory tokens.

    ``timestep_BT`` is in [0, 1000], one value a frame: frames at 0 are clean and serve as
    conditions. ``frame_index_BT`` are the targets' true latent frame indices. ``origin_B2`` shifts
    rows and columns (in patches) of targets and memory, for crops of a larger picture. Without
    memory, and with equal timesteps and indices 0..T-1, this is the stock forward.
    """
    batch, _, num_frames, height, width = noisy_BCTHW.shape
    _, patch_height, patch_width = dit.config.patch_size
    rows, columns = height // patch_height, width // patch_width
    tokens = dit.patch_embedding(noisy_BCTHW).flatten(2).transpose(1, 2)
    origin_B3 = tokens.new_zeros(batch, 3, dtype=torch.float32)
    if origin_B2 is not None:
        origin_B3[:, 1:] = origin_B2
    positions = target_positions(frame_index_BT, rows, columns) + origin_B3[:, None]
    rotary = rotary_embedding(dit, positions)
    segment_timesteps = timestep_BT
    tokens_per_segment = [rows * columns] * num_frames
    if memory is not None:
        tokens = torch.cat([memory.tokens_BND.type_as(tokens), tokens], dim=1)
        rotary = _with_memory(rotary, _memory_rotary(dit, memory.positions_NK3, origin_B3))
        history_timestep_B1 = timestep_BT[:, :1] * memory.shared_timestep
        segment_timesteps = torch.cat([history_timestep_B1, timestep_BT], dim=1)
        tokens_per_segment = [memory.tokens_BND.shape[1], *tokens_per_segment]
    repeats = torch.tensor(tokens_per_segment, device=tokens.device)

    # One modulation per segment (memory, then each target frame), spread over its tokens.
    temb_BSD, modulation, text, _ = dit.condition_embedder(
        segment_timesteps.flatten(), text_BLD, None, timestep_seq_len=segment_timesteps.shape[1]
    )
    modulation = modulation.unflatten(2, (6, -1)).repeat_interleave(repeats, dim=1)
    for block in dit.blocks:
        if dit.gradient_checkpointing and torch.is_grad_enabled():
            tokens = dit._gradient_checkpointing_func(block, tokens, text, modulation, rotary)  # noqa: SLF001
        else:
            tokens = block(tokens, text, modulation, rotary)

    num_targets = rows * columns * num_frames
    temb = temb_BSD[:, -num_frames:].repeat_interleave(rows * columns, dim=1)
    shift, scale = (dit.scale_shift_table[None] + temb[:, :, None]).chunk(2, dim=2)
    out = dit.norm_out(tokens[:, -num_targets:].float()) * (1 + scale[:, :, 0]) + shift[:, :, 0]
    patches = dit.proj_out(out.type_as(tokens))
    grid = patches.reshape(batch, num_frames, rows, columns, patch_height, patch_width, -1)
    return cast(
        "Tensor", grid.permute(0, 6, 1, 2, 4, 3, 5).reshape(batch, -1, num_frames, height, width)
    )
