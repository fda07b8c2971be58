"""Weights for the networks of VBench-2.0's identity: random, or random and small on disk."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from pfp.eval.networks.arcface_resnet18 import ArcfaceResnet18
from pfp.eval.networks.retinaface import RetinaFace
from pfp.io.weights import Lock
from tests.measures.face_networks import lock_of


def make(network: type[nn.Module]) -> nn.Module:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return network()


def random_state(network: nn.Module, *, small_on_disk: bool = False) -> dict[str, Tensor]:
    """Seeded weights under the network's names; variances in [0.5, 1.5].

    ``small_on_disk`` takes every convolution and matrix from one short vector, over and over.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(name: str, like: Tensor) -> Tensor:
        if name.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if like.ndim == 1:
            spread = torch.randn(like.shape, generator=generator)
            centre = 0.0 if name.endswith(("bias", "running_mean")) else 1.0
            if name.endswith("running_var"):
                return torch.rand(like.shape, generator=generator) + 0.5
            return centre + 0.1 * spread
        scale = (2.0 / like[0].numel()) ** 0.5
        if small_on_disk:
            short = scale * torch.randn(sum(like.shape), generator=generator)
            return short.as_strided(like.shape, (1,) * like.ndim)
        return scale * torch.randn(like.shape, generator=generator)

    return {name: draw(name, like) for name, like in network.state_dict().items()}


def save_as_released(state: dict[str, Tensor], path: Path) -> None:
    """As RetinaFace was released in 2020: one checkpoint of the old format in a zip."""
    inner = io.BytesIO()
    torch.save(state, inner, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("retinaface_resnet50.pth", inner.getvalue())


def save_as_parallel(state: dict[str, Tensor], path: Path) -> None:
    """As ``resnet18_110.pth``: the old format, ``module.`` before each name, no batch counts."""
    kept = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(
        {f"module.{name}": tensor for name, tensor in kept.items()},
        path,
        _use_new_zipfile_serialization=False,
    )


def save_both(folder: Path) -> Lock:
    """Both networks in a weights folder, and their lock. The detector sees one face everywhere.

    Its heads look at nothing: each anchor is sure of a face (0.98) a hundred times its own size,
    so that all boxes overlap, one stays, and it covers the image.
    """
    detector = random_state(make(RetinaFace), small_on_disk=True)
    for name in [name for name in detector if "Head" in name]:
        detector[name] = torch.zeros_like(detector[name])
    for level in range(3):
        detector[f"ClassHead.{level}.conv1x1.bias"] = torch.tensor([0.0, 4.0] * 2)
        # Every level's boxes become 12,800 pixels wide: exp(0.2 t) = 12,800 / anchor.
        sides = torch.tensor([16.0, 32.0]) * 4**level
        growth = torch.log(12_800 / sides) / 0.2
        offsets = torch.stack([torch.zeros(2), torch.zeros(2), growth, growth], dim=1)
        detector[f"BboxHead.{level}.conv1x1.bias"] = offsets.flatten()
    recogniser = random_state(make(ArcfaceResnet18), small_on_disk=True)
    names = ("retinaface-resnet50", "arcface-resnet18-110")
    for name in names:
        (folder / name).mkdir()
    save_as_released(detector, folder / names[0] / f"{names[0]}.file")
    save_as_parallel(recogniser, folder / names[1] / f"{names[1]}.file")
    return lock_of(folder, names)
