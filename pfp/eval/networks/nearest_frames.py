"""Which frame of one video looks most like each frame of another, by LPIPS.

Axes: Q frames that are looked up, N frames that they are looked up among, T any of both, D
weighted features of one frame, H height, W width, C colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FrameArray = npt.NDArray[np.uint8]
InputTable = npt.NDArray[np.float32]  # (256,): what a network is fed for each code value
FRAMES_PER_PASS: Final = 8
MAX_FEATURE_BYTES: Final = 2 << 30
# Products of float32 features are off by some 1e-6 of their squared lengths; frames nearer than
# this to the nearest are compared again, by their differences.
SCREEN_MARGIN: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """For each frame its smallest LPIPS, float64 (Q,), and to which one, int64 (Q,)."""

    distance_Q: npt.NDArray[np.float64]
    index_Q: npt.NDArray[np.int64]


@torch.inference_mode()
def nearest_frames(
    network: Any,
    frames: Sequence[FrameArray],
    among: Sequence[FrameArray],
    *,
    device: str = "cpu",
    max_feature_bytes: int = MAX_FEATURE_BYTES,
    among_table: InputTable | None = None,
) -> Nearest:
    """The nearest of ``among`` to each of ``frames``, the first of several that are equally near.

    network: an LPIPS module; frames, among: uint8 RGB (H, W, C) of one size, at least one each;
    among_table: what the network is fed for the code values of ``among``, as the ``table`` of
    ``lpips_features``.

    The trunk sees every frame once. Only if the features of ``among`` pass ``max_feature_bytes``
    does it see ``frames`` again, once for each such part.
    """
    distance_Q = np.full(len(frames), np.inf)
    index_Q = np.zeros(len(frames), np.int64)
    num_bytes = lpips_features(network, among[:1], device, among_table).nbytes
    part = max(1, max_feature_bytes // num_bytes)
    for start in range(0, len(among), part):
        among_ND = _all_features(network, among[start : start + part], device, among_table)
        for first in range(0, len(frames), FRAMES_PER_PASS):
            frames_QD = lpips_features(network, frames[first : first + FRAMES_PER_PASS], device)
            for i, (distance, index) in enumerate(_nearest_rows(frames_QD, among_ND), start=first):
                if distance < distance_Q[i]:
                    distance_Q[i], index_Q[i] = distance, start + index
    return Nearest(distance_Q=distance_Q, index_Q=index_Q)


def lpips_features(
    network: Any, frames: Sequence[FrameArray], device: str, table: InputTable | None = None
) -> Tensor:
    """Features whose squared distance is LPIPS, float32 (T, D).

    table: float32 (256,), what the network is fed for each code value; None is evenly from -1 to 1.

    Equation 1 of Zhang et al. 2018 weighs squared differences, averages them over positions and
    adds the layers: so a channel is scaled by the root of its weight over the number of positions.
    """
    video_TCHW = np.stack(frames).transpose(0, 3, 1, 2)
    if table is None:
        x_TCHW = torch.from_numpy(np.ascontiguousarray(video_TCHW)).to(device).float() / 127.5 - 1.0
    else:
        x_TCHW = torch.from_numpy(table[video_TCHW]).to(device)
    parts = []
    maps = network.net(network.scaling_layer(x_TCHW))
    for map_TCHW, head in zip(maps, network.lins, strict=True):
        length_T1HW = map_TCHW.square().sum(dim=1, keepdim=True).sqrt()
        weight_C11 = head.model[-1].weight[0]  # never negative: LPIPS is trained so
        scale_C11 = (weight_C11 / map_TCHW[0, 0].numel()).sqrt()
        parts.append((map_TCHW / (length_T1HW + 1e-10) * scale_C11).flatten(1))
    return torch.cat(parts, dim=1)


def _all_features(
    network: Any, frames: Sequence[FrameArray], device: str, table: InputTable | None
) -> Tensor:
    features_ND: Tensor | None = None
    for first in range(0, len(frames), FRAMES_PER_PASS):
        some_TD = lpips_features(network, frames[first : first + FRAMES_PER_PASS], device, table)
        if features_ND is None:  # filled in place: joining them would hold everything twice
            features_ND = some_TD.new_empty(len(frames), some_TD.shape[1])
        features_ND[first : first + len(some_TD)] = some_TD
    assert features_ND is not None
    return features_ND


def _nearest_rows(frames_QD: Tensor, among_ND: Tensor) -> list[tuple[float, int]]:
    """The smallest squared distance of each row to the other rows, and which one it is to."""
    length_N = torch.stack([row.square().sum() for row in among_ND])
    length_Q = frames_QD.square().sum(dim=1)
    screened_QN = length_Q[:, None] + length_N - 2.0 * (frames_QD @ among_ND.T)
    limit_Q = screened_QN.amin(dim=1) + SCREEN_MARGIN * (length_Q + length_N.amax())
    found = []
    for frame_D, screened_N, limit in zip(frames_QD, screened_QN, limit_Q, strict=True):
        near = torch.nonzero(screened_N <= limit).flatten().tolist()
        distances = [float((frame_D - among_ND[i]).square().sum()) for i in near]
        best = int(np.argmin(distances))
        found.append((distances[best], near[best]))
    return found
