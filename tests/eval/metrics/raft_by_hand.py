"""RAFT with weights made by hand, under which a flow's length is known: a frame's grey over ten."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.models.optical_flow import raft_large

from pfp.io.digests import sha256_file
from pfp.io.weights import Lock, Weights

NAME = "raft-large-c-t-v1"
PX_PER_CODE_VALUE = 0.1
SMALL = 0.01  # a hyperbolic tangent of so little is straight to 3e-5
CELL_PX = 8
CONTEXT = 128  # the first channel of the context encoder that is not the hidden state's


def grey_to_flow() -> dict[str, Tensor]:
    """Weights that, in ONE update, move each pixel to the right by a tenth of its red code value.

    The context encoder passes red on in one channel, the recurrent unit takes it over, the head
    scales it; every other weight is 0.
    """
    with torch.device("meta"):
        shapes = raft_large(weights=None, progress=False).state_dict()
    state = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in shapes.items()}
    for name, value in state.items():
        if name.startswith("context_encoder.") and name.endswith(("running_var", ".1.weight")):
            value.fill_(1.0)
    state["context_encoder.convnormrelu.0.weight"][0, 0, 3, 3] = 0.5  # from [-1, 1] to [0, 1]
    state["context_encoder.convnormrelu.0.bias"][0] = 0.5
    for layer in (2, 3):
        state[f"context_encoder.layer{layer}.0.downsample.0.weight"][0, 0] = 1.0
    state["context_encoder.conv.weight"][CONTEXT, 0] = 1.0
    unit = "update_block.recurrent_block"
    state[f"{unit}.convgru1.convz.bias"] += 100.0  # forget everything
    state[f"{unit}.convgru2.convz.bias"] -= 100.0  # keep everything
    state[f"{unit}.convgru1.convq.weight"][0, CONTEXT, 0, 2] = SMALL
    state["update_block.flow_head.conv1.weight"][0, 0, 1, 1] = 1.0
    scale = PX_PER_CODE_VALUE * 255 / SMALL / CELL_PX
    state["update_block.flow_head.conv2.weight"][0, 0, 1, 1] = scale
    return state


def constant_flow(x_px: float, y_px: float) -> dict[str, Tensor]:
    """Weights that, in one update, move all pixels by the same, whatever the frames show."""
    state = grey_to_flow()
    state["update_block.flow_head.conv2.weight"].zero_()
    state["update_block.flow_head.conv2.bias"] += torch.tensor([x_px, y_px]) / CELL_PX
    return state


def lock_of(state: dict[str, Tensor], folder: Path) -> Lock:
    """A lock whose RAFT is these weights, saved where ``folder`` is the folder of all weights."""
    path = folder / NAME / "raft.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path)
    entry = Weights(
        name=NAME,
        urls=("https://example.org/raft.pth",),
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        licence="none",
        non_commercial=False,
        cite="nobody",
    )
    return {NAME: entry}
