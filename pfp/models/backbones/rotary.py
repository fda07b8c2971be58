"""Rotary positions of target and memory tokens: anywhere, also between the grid's points.

Axes: B batch, L tokens, E channels of a head, N memory tokens, K positions of a token, T latent
frames, 3 the (time, row, column) of a position in latent frames and patches.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pfp.models.backbones.interface import Memory


def target_positions(frame_index_BT: Tensor, height: int, width: int) -> Tensor:
    """Positions ``(B, T*H*W, 3)`` of target tokens whose latent frames have the given indices."""
    batch, num_frames = frame_index_BT.shape
    device = frame_index_BT.device
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    grid = torch.cartesian_prod(rows, columns).float()
    times = frame_index_BT.float()[:, :, None, None].expand(-1, -1, height * width, 1)
    positions = grid.expand(batch, num_frames, -1, -1)
    return torch.cat([times, positions], dim=-1).flatten(1, 2)


def rotary_at(
    positions_BL3: Tensor, axis_dims: tuple[int, int, int], theta: float
) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(B, L, E)`` float32, each angle twice in a row as diffusers lays them.

    Computed in float64 at every call: tables begin at 0 and hold whole positions only.
    """
    angles = []
    for axis, dim in enumerate(axis_dims):
        exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=positions_BL3.device) / dim
        angle = positions_BL3[..., axis, None].double() * theta**-exponents
        angles.append(angle.repeat_interleave(2, dim=-1))
    angle_BLE = torch.cat(angles, dim=-1)
    return angle_BLE.cos().float(), angle_BLE.sin().float()


Waves = tuple[Tensor, Tensor]  # cosines and sines, as diffusers lays them


class CrossRotary(NamedTuple):
    """Phases ``(B, L, 1, E)`` of target tokens and ``(B, N, 1, E)`` of what they read."""

    query: Waves
    key: Waves


def rotate(x_BLGE: Tensor, rotary: Waves) -> Tensor:
    """Heads ``(B, L, G, E)`` turned by phases ``(B, L, 1, E)``, computed in float32."""
    even, odd = x_BLGE.float().reshape(*x_BLGE.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack([-odd, even], dim=-1).flatten(-2)
    return (x_BLGE.float() * rotary[0] + turned * rotary[1]).type_as(x_BLGE)


def sequence_rotary(
    target_positions_BL3: Tensor,
    memory: Memory | None,
    origin_B2: Tensor | None,
    axis_dims: tuple[int, int, int],
    theta: float,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(B, N + L, E)`` of memory tokens, then the target's.

    A memory token's are averaged over its K positions (FramePack's pooling; K = 1 leaves them).
    """
    origin_B3 = _origins(target_positions_BL3, origin_B2)
    target = rotary_at(target_positions_BL3 + origin_B3[:, None], axis_dims, theta)
    if memory is None:
        return target
    cosine, sine = _of_memory(memory.positions_NK3, origin_B3, axis_dims, theta)
    return torch.cat([cosine, target[0]], dim=1), torch.cat([sine, target[1]], dim=1)


def cross_rotary(
    waves: Waves,
    memory: Memory | None,
    target_positions_BL3: Tensor,
    *,
    origin_B2: Tensor | None,
    axis_dims: tuple[int, int, int],
    theta: float,
) -> CrossRotary | None:
    """What cross-attention turns queries and keys by; None where features have no positions.

    ``waves`` are those of ``sequence_rotary``, whose last are the target's.
    """
    if memory is None or memory.features_BNF is None or memory.feature_positions_NK3 is None:
        return None
    num_targets = target_positions_BL3.shape[1]
    cosine, sine = _of_memory(
        memory.feature_positions_NK3, _origins(target_positions_BL3, origin_B2), axis_dims, theta
    )
    query = (waves[0][:, -num_targets:, None], waves[1][:, -num_targets:, None])
    return CrossRotary(query, (cosine[:, :, None], sine[:, :, None]))


def _origins(target_positions_BL3: Tensor, origin_B2: Tensor | None) -> Tensor:
    origin_B3 = target_positions_BL3.new_zeros(len(target_positions_BL3), 3)
    if origin_B2 is not None:
        origin_B3 = torch.cat([origin_B3[:, :1], origin_B2.to(origin_B3)], dim=1)
    return origin_B3


def _of_memory(
    positions_NK3: Tensor, origin_B3: Tensor, axis_dims: tuple[int, int, int], theta: float
) -> Waves:
    batch_and_cells = (len(origin_B3), *positions_NK3.shape[:2], -1)
    positions_BL3 = positions_NK3.flatten(0, 1).to(origin_B3) + origin_B3[:, None]
    of_positions = rotary_at(positions_BL3, axis_dims, theta)
    cosine, sine = (waves.reshape(batch_and_cells).mean(2) for waves in of_positions)
    return cosine, sine
