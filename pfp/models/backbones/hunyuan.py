"""HunyuanVideo's DiT with memory: history tokens before the target's in the image stream.

Axes: B batch, C latent channels, D inner width, E channels of a head, F feature channels, G heads,
T target latent frames, H rows, W columns, L tokens, N memory tokens, P tokens of a segment, S
segments, 3 the (time, row, column) of a token in latent frames and patches.

The blocks' arithmetic is diffusers', written out because its own blocks know one timestep (or two,
with ``image_condition_type="token_replace"``) and one set of positions for a whole batch, while
every sample here asks for other frames. Memory at timestep 0 is modulated as that image-to-video
class modulates its first frame (without guidance), so that weights of text-to-video need no other
config for it; on those, LoRA must learn it. Text is part of the joint attention, so memory always
meets it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from diffusers import HunyuanVideoTransformer3DModel
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.backbones.rotary import (
    CrossRotary,
    cross_rotary,
    rotate,
    sequence_rotary,
    target_positions,
)
from pfp.models.backbones.streams import Block, Streams, join, segment_timesteps, split_like
from pfp.models.patchify import patchify

_ATTENTION: Final = ("to_q", "to_k", "to_v", "to_out.0")
_TEXT_ATTENTION: Final = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")

# By name, so they include the text refiner's attention and the output projection; never the patch
# embedding nor the modulation.
LORA_TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "attention": (*_ATTENTION, *_TEXT_ATTENTION),
    "attention_ffn": (
        *_ATTENTION,
        *_TEXT_ATTENTION,
        *("net.0.proj", "net.2"),
        *("proj_mlp", "proj_out"),
    ),
}


class Conditions(NamedTuple):
    """What every block is given beside the tokens; ``temb_BSD`` holds an entry a stream."""

    temb_BSD: tuple[Tensor, ...]
    text_temb_BD: Tensor
    mask_B11L: Tensor
    rotary: tuple[Tensor, Tensor]  # cosines and sines (B, L, 1, E) of the image stream
    features_BNF: Tensor | None = None
    cross_rotary: CrossRotary | None = None


def _attention(attn: Any, image_BLD: Tensor, text_BLD: Tensor, given: Conditions) -> Tensor:
    """Joint attention ``(B, L, D)`` over image tokens, then text, before any output projection."""

    def heads(project: nn.Module, norm: nn.Module | None, x_BLD: Tensor) -> Tensor:
        x_BLGE = project(x_BLD).unflatten(2, (attn.heads, -1))
        return cast("Tensor", x_BLGE if norm is None else norm(x_BLGE))

    of_text = [(attn.to_q, attn.norm_q), (attn.to_k, attn.norm_k), (attn.to_v, None)]
    if attn.add_q_proj is not None:  # text has its own projections in the two-stream blocks
        of_text = [
            (attn.add_q_proj, attn.norm_added_q),
            (attn.add_k_proj, attn.norm_added_k),
            (attn.add_v_proj, None),
        ]
    query = rotate(heads(attn.to_q, attn.norm_q, image_BLD), given.rotary)
    key = rotate(heads(attn.to_k, attn.norm_k, image_BLD), given.rotary)
    image = (query, key, heads(attn.to_v, None, image_BLD))
    text = (heads(project, norm, text_BLD) for project, norm in of_text)
    joined = [torch.cat(pair, dim=1) for pair in zip(image, text, strict=True)]
    backend = attn.processor._attention_backend  # noqa: SLF001 - what set_attention_backend chose
    attended = dispatch_attention_fn(*joined, attn_mask=given.mask_B11L, backend=backend)
    return cast("Tensor", attended.flatten(2, 3).type_as(image_BLD))


def _rows(linear: nn.Module, temb_BSD: Tensor, num: int) -> tuple[Tensor, ...]:
    """``num`` rows of modulation ``(B, S, 1, D)`` from the timesteps' embeddings."""
    rows_BS1M: Tensor = linear(F.silu(temb_BSD))[:, :, None]
    return rows_BS1M.chunk(num, dim=-1)


def _modulate(norm: nn.Module, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return cast("Tensor", norm(x) * (1 + scale) + shift)


def double_block_forward(
    block: Any, cross: nn.Module | None, streams: Streams, text_BLD: Tensor, given: Conditions
) -> tuple[Streams, Tensor]:
    """One two-stream block over image streams ``(B, S, P, D)`` and text ``(B, L, D)``."""
    rows = [_rows(block.norm1.linear, temb, 6) for temb in given.temb_BSD]
    shifts, scales, gates, ff_shifts, ff_scales, ff_gates = zip(*rows, strict=True)
    modulated_text, gate, ff_shift, ff_scale, ff_gate = block.norm1_context(
        text_BLD, emb=given.text_temb_BD
    )

    normed = tuple(map(partial(_modulate, block.norm1.norm), streams, shifts, scales))
    attended = _attention(block.attn, join(normed), modulated_text, given)
    num_text = text_BLD.shape[1]
    attended_image = split_like(block.attn.to_out[0](attended[:, :-num_text]), streams)
    text_BLD = text_BLD + block.attn.to_add_out(attended[:, -num_text:]) * gate[:, None]
    streams = tuple(x + y * gate for x, y, gate in zip(streams, attended_image, gates, strict=True))

    normed = tuple(map(partial(_modulate, block.norm2), streams, ff_shifts, ff_scales))
    streams = tuple(
        x + block.ff(y) * gate for x, y, gate in zip(streams, normed, ff_gates, strict=True)
    )
    modulated_text = _modulate(block.norm2_context, text_BLD, ff_shift[:, None], ff_scale[:, None])
    text_BLD = text_BLD + block.ff_context(modulated_text) * ff_gate[:, None]
    return _cross(cross, streams, given), text_BLD


def single_block_forward(
    block: Any, cross: nn.Module | None, streams: Streams, text_BLD: Tensor, given: Conditions
) -> tuple[Streams, Tensor]:
    """One single-stream block; text is one more stream there, at the target's timestep."""
    everything = (*streams, text_BLD[:, None])
    tembs = (*given.temb_BSD, given.text_temb_BD[:, None])
    rows = [_rows(block.norm.linear, temb, 3) for temb in tembs]
    shifts, scales, gates = zip(*rows, strict=True)

    normed = tuple(map(partial(_modulate, block.norm.norm), everything, shifts, scales))
    attended = split_like(
        _attention(block.attn, join(normed[:-1]), normed[-1].flatten(1, 2), given), everything
    )
    updates = (
        block.proj_out(torch.cat([a, block.act_mlp(block.proj_mlp(n))], dim=-1))
        for a, n in zip(attended, normed, strict=True)
    )
    *streams_after, text = (
        x + y * gate for x, y, gate in zip(everything, updates, gates, strict=True)
    )
    return _cross(cross, tuple(streams_after), given), text.flatten(1, 2)


def _cross(cross: nn.Module | None, streams: Streams, given: Conditions) -> Streams:
    if cross is None or given.features_BNF is None:
        return streams
    *before, target = streams
    flat = target.flatten(1, 2)
    read = cross(flat, given.features_BNF, given.cross_rotary)
    return (*before, (flat + read).view_as(target))


def blocks_of(dit: HunyuanVideoTransformer3DModel) -> list[Block]:
    """The two-stream blocks, then the single-stream ones."""
    double = [(block, double_block_forward) for block in dit.transformer_blocks]
    single = [(block, single_block_forward) for block in dit.single_transformer_blocks]
    return [Block(cast("nn.Module", block), function) for block, function in (*double, *single)]


def forward_with_memory(
    dit: HunyuanVideoTransformer3DModel,
    noisy_BCTHW: Tensor,
    timestep_BT: Tensor,
    text: Tensor | TextConditions,
    *,
    frame_index_BT: Tensor,
    memory: Memory | None = None,
    origin_B2: Tensor | None = None,
    cross_attend: Sequence[nn.Module] | None = None,
) -> Tensor:
    """See ``Backbone.forward_with_memory``; ``text`` must have its mask and pooled vector.

    Text tokens are at the timestep of the noisiest target frame, as is the output's norm of all
    text. Raises ConfigError where a condition is missing that the checkpoint was trained with.
    """
    _, num_channels, num_frames, height, width = noisy_BCTHW.shape
    patch = dit.config.patch_size
    grid = (num_frames, height // patch, width // patch)
    conditions = _checked(text, needs_guidance=dit.config.guidance_embeds)
    target = patchify(dit.x_embedder.proj, noisy_BCTHW).flatten(1, 3)
    positions_BL3 = target_positions(frame_index_BT, grid[1], grid[2])
    rope = tuple(dit.config.rope_axes_dim), dit.config.rope_theta
    waves = sequence_rotary(positions_BL3, memory, origin_B2, *rope)

    num_segments = timestep_BT.shape[1]
    temb_target_BSD = _timestep_embedding(dit, timestep_BT, conditions, guided=True)
    highest_B1 = segment_timesteps(timestep_BT, shared=True)
    text_temb_BD = _timestep_embedding(dit, highest_B1, conditions, guided=True)[:, 0]
    streams: Streams = (target.view(len(target), num_segments, -1, target.shape[-1]),)
    tembs: tuple[Tensor, ...] = (temb_target_BSD,)
    if memory is not None:
        streams = (memory.tokens_BND[:, None].type_as(target), *streams)
        history_B1 = segment_timesteps(timestep_BT, shared=memory.shared_timestep)
        guided = memory.shared_timestep
        tembs = (_timestep_embedding(dit, history_B1, conditions, guided=guided), *tembs)
    text_BLD = dit.context_embedder(conditions.text_BLD, highest_B1[:, 0], conditions.mask_BL)
    given = Conditions(
        tembs,
        text_temb_BD,
        _attention_mask(conditions.mask_BL, waves[0].shape[1]),
        (waves[0][:, :, None], waves[1][:, :, None]),
        memory.features_BNF if memory is not None else None,
        cross_rotary(
            waves,
            memory,
            positions_BL3,
            origin_B2=origin_B2,
            axis_dims=rope[0],
            theta=rope[1],
        ),
    )

    blocks = blocks_of(dit)
    crosses = cross_attend if cross_attend is not None else [None] * len(blocks)
    for block, cross in zip(blocks, crosses, strict=True):
        run = block.bound()
        if dit.gradient_checkpointing and torch.is_grad_enabled():
            streams, text_BLD = dit._gradient_checkpointing_func(  # noqa: SLF001 - as the stock forward
                run, cross, streams, text_BLD, given
            )
        else:
            streams, text_BLD = run(cross, streams, text_BLD, given)

    scale, shift = _rows(dit.norm_out.linear, temb_target_BSD, 2)
    out = dit.proj_out(_modulate(dit.norm_out.norm, streams[-1], shift, scale)).flatten(1, 2)
    patches = out.unflatten(2, (num_channels, patch, patch)).unflatten(1, grid)
    video = patches.permute(0, 4, 1, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)
    return cast("Tensor", video)


def _checked(text: Tensor | TextConditions, *, needs_guidance: bool) -> TextConditions:
    given = text if isinstance(text, TextConditions) else TextConditions(text)
    missing = [name for name in ("mask_BL", "pooled_BP") if getattr(given, name) is None]
    if needs_guidance and given.guidance_B is None:
        missing.append("guidance_B")
    if missing:
        raise ConfigError(
            f"HunyuanVideo was given no {', '.join(missing)}; pass them in TextConditions"
        )
    return given


def _timestep_embedding(
    dit: HunyuanVideoTransformer3DModel,
    timestep_BS: Tensor,
    conditions: TextConditions,
    *,
    guided: bool,
) -> Tensor:
    """Embeddings ``(B, S, D)`` of timestep, pooled text and, if ``guided``, guidance."""
    embed = dit.time_text_embed
    pooled = cast("Tensor", conditions.pooled_BP)
    waves = embed.time_proj(timestep_BS.flatten()).to(pooled.dtype)
    temb_BSD = embed.timestep_embedder(waves).unflatten(0, timestep_BS.shape)
    temb_BSD = temb_BSD + embed.text_embedder(pooled)[:, None]
    if guided and embed.guidance_embedder is not None:
        guidance = embed.time_proj(conditions.guidance_B).to(pooled.dtype)
        temb_BSD = temb_BSD + embed.guidance_embedder(guidance)[:, None]
    return cast("Tensor", temb_BSD)


def _attention_mask(mask_BL: Tensor | None, num_image_tokens: int) -> Tensor:
    """True where a key may be seen, ``(B, 1, 1, L)``: all image tokens, and text up to its length.

    Like the stock forward this counts the prompt's tokens, so prompts are padded on the right.
    """
    mask = cast("Tensor", mask_BL)
    lengths_B1 = mask.sum(1, keepdim=True)
    seen = torch.arange(mask.shape[1], device=mask.device) < lengths_B1
    return F.pad(seen, (num_image_tokens, 0), value=True)[:, None, None]


class Hunyuan:
    """``Backbone`` of ``HunyuanVideoTransformer3DModel``."""

    lora_targets = LORA_TARGETS

    def patch_embedding(self, dit: HunyuanVideoTransformer3DModel) -> nn.Conv3d:
        """See ``Backbone``."""
        return cast("nn.Conv3d", dit.x_embedder.proj)

    blocks = staticmethod(blocks_of)

    forward_with_memory = staticmethod(forward_with_memory)
