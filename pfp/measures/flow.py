"""Optical flow by RAFT large, through torchvision's modules (Teed and Deng, ECCV 2020).

Frames are encoded once, however many pairs they stand in, and only the last of the updates is
upsampled; the flow is torchvision's own, number for number.

Axes: B pairs, T time, H height, W width, C channels, 2 (x, y).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor
from torchvision.models.optical_flow import raft_large

from pfp.errors import WeightsError
from pfp.measures.tensor_files import brief, read_plain

NUM_UPDATES: Final = 20  # VBench's; RAFT's own evaluation takes 24 or 32
STRIDE: Final = 8  # RAFT works on one cell per 8 x 8 pixels
MIN_SIDE: Final = 128  # below, the coarsest level of torchvision's correlations is a single cell
HIDDEN_CHANNELS: Final = 128
CORRELATION_BYTES: Final = 2**30  # of the correlations of one pass, if more than one pair
MAX_PAIRS_PER_PASS: Final = 16

# Where the authors' state dict says one thing and torchvision's another, in the order of renaming.
RENAMED: Final = (
    ("fnet.conv1.", "feature_encoder.convnormrelu.0."),
    ("fnet.conv2.", "feature_encoder.conv."),
    ("fnet.", "feature_encoder."),
    ("cnet.conv1.", "context_encoder.convnormrelu.0."),
    ("cnet.norm1.", "context_encoder.convnormrelu.1."),
    ("cnet.conv2.", "context_encoder.conv."),
    ("cnet.", "context_encoder."),
    ("update_block.encoder.convc1.", "update_block.motion_encoder.convcorr1.0."),
    ("update_block.encoder.convc2.", "update_block.motion_encoder.convcorr2.0."),
    ("update_block.encoder.convf1.", "update_block.motion_encoder.convflow1.0."),
    ("update_block.encoder.convf2.", "update_block.motion_encoder.convflow2.0."),
    ("update_block.encoder.conv.", "update_block.motion_encoder.conv.0."),
    ("update_block.mask.0.", "mask_predictor.convrelu.0."),
    ("update_block.mask.2.", "mask_predictor.conv."),
)
RENAMED_IN_BLOCKS: Final = (
    (".conv1.", ".convnormrelu1.0."),
    (".norm1.", ".convnormrelu1.1."),
    (".conv2.", ".convnormrelu2.0."),
    (".norm2.", ".convnormrelu2.1."),
)
RENAMED_IN_GRU: Final = tuple(
    (
        f"update_block.gru.conv{gate}{half}.",
        f"update_block.recurrent_block.convgru{half}.conv{gate}.",
    )
    for gate in "zrq"
    for half in "12"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """Pixels added on each side of a frame."""

    left: int
    right: int
    top: int
    bottom: int


def load_raft(path: Path, *, device: str = "cpu") -> Any:
    """RAFT large in evaluation mode, from torchvision's state dict or from the authors' own.

    Raises:
        WeightsError: the file is not a state dict of RAFT large.
    """
    loaded = read_plain(path)
    # On the meta device nothing is initialised at random: that takes time and random numbers.
    with torch.device("meta"):
        network = raft_large(weights=None, progress=False)
    try:
        network.load_state_dict(torchvision_names(loaded), strict=True, assign=True)
    except (AttributeError, RuntimeError, TypeError) as error:
        raise WeightsError(f"{path} is not RAFT large: {brief(error)}") from error
    return network.requires_grad_(False).eval().to(device)


def torchvision_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of RAFT under torchvision's names, whichever of the two it came under.

    The authors' ``raft-things.pth`` was saved from ``DataParallel`` (names start with ``module.``)
    and holds the normalisation of each shortcut twice, as ``norm3`` and as ``downsample.1``.
    """
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    if not any(name.startswith("fnet.") for name in plain):
        return plain
    return {_renamed(name): value for name, value in plain.items() if ".norm3." not in name}


def _renamed(name: str) -> str:
    for old, new in (*RENAMED, *RENAMED_IN_GRU):
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    if ".layer" in name:
        for old, new in RENAMED_IN_BLOCKS:
            name = name.replace(old, new)
    return name


def padding_of(height: int, width: int) -> Padding:
    """What brings a frame to multiples of 8 and to 128 pixels a side, split over both sides.

    From 128 pixels on this is the authors' ``InputPadder`` in its mode for Sintel, which VBench
    uses: of an odd number the larger half goes to the right and to the bottom.
    """
    extra_height = max(MIN_SIDE, -(-height // STRIDE) * STRIDE) - height
    extra_width = max(MIN_SIDE, -(-width // STRIDE) * STRIDE) - width
    return Padding(
        left=extra_width // 2,
        right=extra_width - extra_width // 2,
        top=extra_height // 2,
        bottom=extra_height - extra_height // 2,
    )


def pairs_per_pass(height: int, width: int) -> int:
    """How many pairs of frames of that size go through the network at once: 1 to 16."""
    padding = padding_of(height, width)
    padded_area = (height + padding.top + padding.bottom) * (width + padding.left + padding.right)
    # Each cell with each other in float32; the three coarser levels take a third of that again.
    bytes_per_pair = (padded_area // STRIDE**2) ** 2 * 4 * 4 // 3
    return max(1, min(MAX_PAIRS_PER_PASS, CORRELATION_BYTES // bytes_per_pair))


@torch.inference_mode()
def padded_flows(network: Any, frames_THWC: npt.NDArray[np.uint8]) -> Tensor:
    """The flow from each frame to the next, padding included.

    frames_THWC: uint8 RGB in [0, 255], T >= 2.
    Returns (T - 1, 2, H', W') of the network's dtype on its device, in pixels: what is at
    ``(x, y)`` in one frame is at ``(x, y) + flow[:, y, x]`` in the next. H' and W' are the sides
    of the padded frames; see ``crop``.
    """
    features, contexts = _encode(network, frames_THWC)
    return _refine(network, features[:-1], features[1:], contexts[:-1])


@torch.inference_mode()
def flows_both_ways(network: Any, frames_THWC: npt.NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """The flows from each frame to the next and back again, without padding.

    frames_THWC: uint8 RGB in [0, 255], T >= 2.
    Returns two tensors of shape (T - 1, 2, H, W) of the network's dtype on its device, in pixels;
    of the second, entry t leads from frame t + 1 to frame t.
    """
    features, contexts = _encode(network, frames_THWC)
    there = _refine(network, features[:-1], features[1:], contexts[:-1])
    back = _refine(network, features[1:], features[:-1], contexts[1:])
    height, width = frames_THWC.shape[1:3]
    return crop(there, height, width), crop(back, height, width)


def crop(flows_B2HW: Tensor, height: int, width: int) -> Tensor:
    """Flows of padded frames without the padding that frames of that size get."""
    padding = padding_of(height, width)
    rows = slice(padding.top, padding.top + height)
    return flows_B2HW[:, :, rows, padding.left : padding.left + width]


def _encode(network: Any, frames_THWC: npt.NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Features and contexts of frames, each (T, 256, H' / 8, W' / 8)."""
    padding = padding_of(*frames_THWC.shape[1:3])
    like = next(network.parameters())
    frames_TCHW = torch.from_numpy(np.ascontiguousarray(frames_THWC.transpose(0, 3, 1, 2)))
    images_TCHW = 2 * (frames_TCHW.to(like.device).to(like.dtype) / 255.0) - 1.0
    sides = (padding.left, padding.right, padding.top, padding.bottom)
    images_TCHW = F.pad(images_TCHW, sides, mode="replicate")
    return network.feature_encoder(images_TCHW), network.context_encoder(images_TCHW)


def _refine(network: Any, first_BCHW: Tensor, second_BCHW: Tensor, context_BCHW: Tensor) -> Tensor:
    """RAFT's updates (paper section 3.3), as in ``RAFT.forward`` of torchvision."""
    correlations = network.corr_block
    correlations.build_pyramid(first_BCHW.contiguous(), second_BCHW.contiguous())
    hidden, context = (
        context_BCHW[:, :HIDDEN_CHANNELS].tanh(),
        context_BCHW[:, HIDDEN_CHANNELS:].relu(),
    )
    start = _positions(first_BCHW)
    here = start
    for _ in range(NUM_UPDATES):
        seen = correlations.index_pyramid(centroids_coords=here)
        hidden, step = network.update_block(hidden, context, seen, here - start)
        here = here + step
    correlations.corr_pyramid = []  # up to gigabytes, which torchvision would keep until next time
    return _upsample(here - start, network.mask_predictor(hidden))


def _positions(cells_BCHW: Tensor) -> Tensor:
    """The (x, y) of each cell, (B, 2, H, W)."""
    num, _, height, width = cells_BCHW.shape
    rows = torch.arange(height, device=cells_BCHW.device, dtype=cells_BCHW.dtype)
    columns = torch.arange(width, device=cells_BCHW.device, dtype=cells_BCHW.dtype)
    y_HW, x_HW = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((x_HW, y_HW)).expand(num, -1, -1, -1)


def _upsample(flow_B2HW: Tensor, mask_BCHW: Tensor) -> Tensor:
    """Each pixel's flow as a convex mixture of the 3 x 3 cells around it (paper section 3.3)."""
    num, _, height, width = flow_B2HW.shape
    shares = mask_BCHW.view(num, 1, 9, STRIDE, STRIDE, height, width).softmax(dim=2)
    around = F.unfold(STRIDE * flow_B2HW, kernel_size=3, padding=1)
    mixed = (shares * around.view(num, 2, 9, 1, 1, height, width)).sum(dim=2)
    return mixed.permute(0, 1, 4, 2, 5, 3).reshape(num, 2, STRIDE * height, STRIDE * width)
