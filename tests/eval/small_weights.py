"""A weights folder for every metric with a network but ``lpips_vgg``: real files, random numbers.

Predictors answer the middle of their range to everything. MUSIQ and RAFT, whose true sizes alone
take seconds, are stood in for by ``brightness`` and ``no_flow``; their files hold nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import open_clip
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.eval_weights import NARROW_CLIP, NARROW_CLIP_CONFIG
from pfp.eval.networks.viclip import Viclip, ViclipConfig
from pfp.io.weights import Lock
from pfp.measures import aesthetic
from tests.eval.networks import vbench2_networks
from tests.measures import face_networks
from tests.measures.face_networks import lock_of

NARROW_VICLIP = ViclipConfig(
    vision_width=64, num_vision_layers=1, text_width=64, num_text_layers=1, embedding_size=32
)


def write_all(folder: Path) -> Lock:
    """Fill an empty folder that can then be ``PFP_WEIGHTS_DIR``; the lock of its files."""
    torch.manual_seed(0)
    states: dict[str, Callable[[], object]] = {
        "lpips-alex": _alexnet,
        "musiq-spaq": lambda: {"nothing": torch.zeros(1)},
        "aesthetic-v1": lambda: {"weight": torch.zeros(1, 768), "bias": torch.tensor([5.0])},
        "aesthetic-v2": _v2_head,
        "raft-large-c-t-v1": lambda: {"nothing": torch.zeros(1)},
        "viclip-internvid-10m-flt": lambda: {"model": Viclip(NARROW_VICLIP).state_dict()},
    }
    for name, make in states.items():
        (folder / name).mkdir()
        torch.save(make(), folder / name / f"{name}.file")
    (folder / "clip-vit-l-14").mkdir()
    clip = open_clip.CLIP(**NARROW_CLIP_CONFIG)
    save_file(clip.state_dict(), folder / "clip-vit-l-14" / "clip-vit-l-14.file")
    faces = {**face_networks.save_both(folder), **vbench2_networks.save_both(folder)}
    return {**lock_of(folder, (*states, "clip-vit-l-14")), **faces}


@contextmanager
def narrow_clip(folder: Path) -> Iterator[None]:
    """Let the aesthetic metrics build the CLIP of ``write_all``."""
    config = folder / f"{NARROW_CLIP}.json"
    config.write_text(json.dumps(NARROW_CLIP_CONFIG))
    open_clip.add_model_config(config)
    with mock.patch.object(aesthetic, "CLIP_MODEL", NARROW_CLIP):
        yield


def brightness(path: Path, device: str) -> Callable[[Tensor], Tensor]:
    """What ``clarity.load_musiq`` gives, but a frame's score is its mean value in percent."""
    del path, device
    return lambda frames_NCHW: 100 * frames_NCHW.mean(dim=(1, 2, 3))[:, None]


def no_flow(network: object, frames_THWC: npt.NDArray[np.uint8]) -> Tensor:
    """What ``flow.padded_flows`` gives for frames that never move, of sides that need no pad."""
    del network
    num_frames, height, width, _ = frames_THWC.shape
    return torch.zeros(num_frames - 1, 2, height, width)


def _alexnet() -> dict[str, Tensor]:
    trunk = torchvision.models.alexnet(weights=None).features
    return {f"features.{name}": value for name, value in trunk.state_dict().items()}


def _v2_head() -> dict[str, Tensor]:
    sizes = zip(aesthetic.V2_LAYERS, aesthetic.V2_WIDTHS, aesthetic.V2_WIDTHS[1:], strict=False)
    state: dict[str, Tensor] = {}
    for name, size_in, size_out in sizes:
        state[f"layers.{name}.weight"] = torch.zeros(size_out, size_in)
        state[f"layers.{name}.bias"] = torch.full((size_out,), 5.0)
    return state
