"""Wan's DiT with memory: the stock diffusers layers, with history tokens before the target's.

Axes: B batch, C latent channels, D inner width, E channels of a head, F feature channels, T target
latent frames, H rows, W columns, L tokens, N memory tokens, P tokens of a segment, S segments, 3
the (time, row, column) of a token in latent frames and patches.

The forward is written out rather than hooked in, so that a reader sees where memory enters:
memory tokens stand first in the sequence at timestep 0 (the paper's history is clean; Wan 2.2 5B
was trained with t = 0 on its conditioning frames, 14B was not), every token carries its own rotary
position, and only the target's tokens leave through the output projection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, cast

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn

from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.backbones.rotary import (
    CrossRotary,
    cross_rotary,
    rotary_at,
    sequence_rotary,
    target_positions,
)
from pfp.models.backbones.streams import (
    Block,
    Streams,
    join,
    jointly,
    segment_timesteps,
    split_like,
)
from pfp.models.patchify import patchify

__all__ = [
    "LORA_TARGETS",
    "Conditions",
    "Memory",
    "Wan",
    "block_forward",
    "forward_with_memory",
    "rotary_embedding",
    "target_positions",
]

THETA: Final = 10_000.0

_ATTENTION: Final = ("to_q", "to_k", "to_v", "to_out.0")

# Every linear map in a block; never the patch embedding, which the LR branch reuses as it is. The
# paper gives the rank of its LoRA (128) and not what it is put on.
LORA_TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "attention": _ATTENTION,
    "attention_ffn": (*_ATTENTION, "ffn.net.0.proj", "ffn.net.2"),
}


def rotary_embedding(dit: WanTransformer3DModel, positions_BL3: Tensor) -> tuple[Tensor, Tensor]:
    """Wan's rotary cosines and sines ``(B, L, 1, E)`` at any, also fractional, positions.

    Equal to the model's own table at whole positions; computed, because the table begins at 0 and
    ends at 1,024.
    """
    cosine, sine = rotary_at(positions_BL3, _axis_dims(dit), THETA)
    return cosine[:, :, None], sine[:, :, None]


def _axis_dims(dit: WanTransformer3DModel) -> tuple[int, int, int]:
    return dit.rope.t_dim, dit.rope.h_dim, dit.rope.w_dim


class Conditions(NamedTuple):
    """What every block is given beside the streams; the first two hold an entry a stream."""

    modulations_BS6D: tuple[Tensor, ...]
    attend_to_text: tuple[bool, ...]
    text_BLD: Tensor
    rotary: tuple[Tensor, Tensor]  # cosines and sines (B, L, 1, E)
    features_BNF: Tensor | None = None
    cross_rotary: CrossRotary | None = None


def block_forward(
    block: WanTransformerBlock, cross: nn.Module | None, streams: Streams, given: Conditions
) -> Streams:
    """One Wan block over streams ``(B, S, P, D)`` with a row of modulation per segment.

    The stock block's arithmetic and precisions; where all streams attend to text and ``cross`` is
    None, its output.
    """
    rows = [
        (block.scale_shift_table[None] + modulation.float())[:, :, :, None].unbind(2)
        for modulation in given.modulations_BS6D
    ]
    shifts, scales, gates, ffn_shifts, ffn_scales, ffn_gates = zip(*rows, strict=True)

    normed = tuple(map(partial(_modulate, block.norm1), streams, shifts, scales))
    attended = split_like(block.attn1(join(normed), None, None, given.rotary), streams)
    streams = tuple(map(_add_gated, streams, attended, gates))

    asks = given.attend_to_text
    queries = tuple(
        block.norm2(x.float()).type_as(x) for x, ask in zip(streams, asks, strict=True) if ask
    )
    told = iter(jointly(lambda x: block.attn2(x, given.text_BLD, None, None), queries))
    streams = tuple(x + next(told) if ask else x for x, ask in zip(streams, asks, strict=True))

    normed = tuple(map(partial(_modulate, block.norm3), streams, ffn_shifts, ffn_scales))
    streams = tuple(
        _add_gated(x, block.ffn(y).float(), gate)
        for x, y, gate in zip(streams, normed, ffn_gates, strict=True)
    )
    if cross is None or given.features_BNF is None:
        return streams
    *before, target = streams
    flat = target.flatten(1, 2)
    read = cross(flat, given.features_BNF, given.cross_rotary)
    return (*before, (flat + read).unflatten(1, target.shape[1:3]))


def _modulate(norm: nn.Module, x_BSPD: Tensor, shift_BS1D: Tensor, scale_BS1D: Tensor) -> Tensor:
    modulated: Tensor = norm(x_BSPD.float()) * (1 + scale_BS1D) + shift_BS1D
    return modulated.type_as(x_BSPD)


def _add_gated(x_BSPD: Tensor, update_BSPD: Tensor, gate_BS1D: Tensor) -> Tensor:
    return (x_BSPD.float() + update_BSPD * gate_BS1D).type_as(x_BSPD)


def blocks_of(dit: WanTransformer3DModel) -> list[Block]:
    """All blocks, in order."""
    return [Block(cast("nn.Module", block), block_forward) for block in dit.blocks]


def forward_with_memory(
    dit: WanTransformer3DModel,
    noisy_BCTHW: Tensor,
    timestep_BT: Tensor,
    text: Tensor | TextConditions,
    *,
    frame_index_BT: Tensor,
    memory: Memory | None = None,
    origin_B2: Tensor | None = None,
    cross_attend: Sequence[nn.Module] | None = None,
) -> Tensor:
    """See ``Backbone.forward_with_memory``; Wan masks no text and pools none."""
    num_frames, height, width = noisy_BCTHW.shape[2:]
    _, patch_height, patch_width = dit.config.patch_size
    rows, columns = height // patch_height, width // patch_width
    text_BLD = text.text_BLD if isinstance(text, TextConditions) else text
    target = patchify(dit.patch_embedding, noisy_BCTHW).flatten(1, 3)
    positions_BL3 = target_positions(frame_index_BT, rows, columns)
    waves = sequence_rotary(positions_BL3, memory, origin_B2, _axis_dims(dit), THETA)
    rotary = (waves[0][:, :, None], waves[1][:, :, None])

    # One row of modulation per segment: one for memory, then one or one for each frame.
    num_segments = timestep_BT.shape[1]
    streams: Streams = (target.view(len(target), num_segments, -1, target.shape[-1]),)
    timestep_BS = timestep_BT
    attend_to_text: tuple[bool, ...] = (True,)
    if memory is not None:
        streams = (memory.tokens_BND[:, None].type_as(target), *streams)
        history_B1 = segment_timesteps(timestep_BT, shared=memory.shared_timestep)
        timestep_BS = torch.cat([history_B1, timestep_BT], dim=1)
        attend_to_text = (memory.attends_to_text, True)
    temb_BSD, modulation, text_BLD, _ = dit.condition_embedder(
        timestep_BS.flatten(), text_BLD, None, timestep_seq_len=timestep_BS.shape[1]
    )
    given = Conditions(
        modulation.unflatten(2, (6, -1)).split([x.shape[1] for x in streams], dim=1),
        attend_to_text,
        text_BLD,
        rotary,
        memory.features_BNF if memory is not None else None,
        cross_rotary(
            waves,
            memory,
            positions_BL3,
            origin_B2=origin_B2,
            axis_dims=_axis_dims(dit),
            theta=THETA,
        ),
    )
    blocks = blocks_of(dit)
    crosses = cross_attend if cross_attend is not None else [None] * len(blocks)
    for block, cross in zip(blocks, crosses, strict=True):
        run = block.bound()
        if dit.gradient_checkpointing and torch.is_grad_enabled():
            streams = dit._gradient_checkpointing_func(run, cross, streams, given)  # noqa: SLF001 - as the stock forward
        else:
            streams = run(cross, streams, given)
    return _velocity(dit, streams[-1], temb_BSD[:, -num_segments:], (num_frames, rows, columns))


def _velocity(
    dit: WanTransformer3DModel, target_BSPD: Tensor, temb_BSD: Tensor, grid: tuple[int, int, int]
) -> Tensor:
    """Norm, modulation and projection of the target's tokens, laid out as a latent video."""
    _, patch_height, patch_width = dit.config.patch_size
    table = dit.scale_shift_table[None] + temb_BSD[:, :, None]
    shift, scale = table[:, :, :, None].unbind(2)
    out = dit.proj_out(_modulate(dit.norm_out, target_BSPD, shift, scale)).flatten(1, 2)
    patches = out.unflatten(2, (patch_height, patch_width, -1)).unflatten(1, grid)
    video = patches.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
    return cast("Tensor", video)


class Wan:
    """``Backbone`` of ``WanTransformer3DModel``: Wan 2.1, both of Wan 2.2, and tiny."""

    lora_targets = LORA_TARGETS

    def patch_embedding(self, dit: WanTransformer3DModel) -> nn.Conv3d:
        """See ``Backbone``."""
        return cast("nn.Conv3d", dit.patch_embedding)

    blocks = staticmethod(blocks_of)

    forward_with_memory = staticmethod(forward_with_memory)
