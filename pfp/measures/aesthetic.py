"""LAION's aesthetic predictors: heads on the image embedding of OpenAI's CLIP ViT-L/14.

Both rate a frame from about 1 to 10. V1 (``sa_0_4_vit_l_14_linear``) is one linear layer, the one
that VBench uses. V2 (``sac+logos+ava1-l14-linearMSE``) is five, without anything between them. Both
see a unit vector. The tower is open_clip's with the quick GELU that OpenAI trained with; its plain
``ViT-L-14`` has another and would give other numbers.

Axes: N frames, C colour (R, G, B), H height, W width, E embedding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor, nn

from pfp.errors import ConfigError, WeightsError
from pfp.measures.tensor_files import brief, read_tensors

CLIP_MODEL: Final = "ViT-L-14-quickgelu"  # its configuration in open_clip
EMBEDDING_SIZE: Final = 768
V2_WIDTHS: Final = (768, 1024, 128, 64, 16, 1)
V2_LAYERS: Final = ("0", "2", "4", "6", "7")  # the numbers between were dropout in training

_TOWERS: WeakValueDictionary[tuple[Path, str], nn.Module] = WeakValueDictionary()


def load_tower(path: Path, device: str = "cpu") -> nn.Module:
    """CLIP's vision tower in float32 from open_clip's safetensors file; the text stays on the disk.

    Whoever asks again while the tower is in use gets the same one: it takes 1.2 GB.

    Raises:
        WeightsError: the file does not hold that tower.
        ConfigError: open_clip is not installed.
    """
    tower = _TOWERS.get((path, device))
    if tower is None:
        tower = _tower_from(path).to(device)
        _TOWERS[path, device] = tower
    return tower


def _tower_from(path: Path) -> nn.Module:
    try:
        import open_clip
    except ImportError as error:
        raise ConfigError(f"CLIP needs {error.name}; pip install 'pfp[metrics,train]'") from error
    with torch.device("meta"):  # random numbers would be drawn only to be replaced
        tower: nn.Module = open_clip.CLIP(**open_clip.get_model_config(CLIP_MODEL)).visual
    return _loaded(tower, _visual_tensors(path), f"{path} is not the CLIP of {CLIP_MODEL}")


def _visual_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    prefix = "visual."
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error


def load_linear_head(path: Path, device: str = "cpu") -> nn.Module:
    """V1's head: 768 numbers in, one rating out.

    Raises:
        WeightsError: the file does not hold it.
    """
    with torch.device("meta"):
        head = nn.Linear(EMBEDDING_SIZE, 1)
    return _loaded(head, read_tensors(path), f"{path} is not LAION's linear head").to(device)


def load_mlp_head(path: Path, device: str = "cpu") -> nn.Module:
    """V2's head: five linear layers in a row.

    Raises:
        WeightsError: the file does not hold it.
    """
    sizes = zip(V2_LAYERS, V2_WIDTHS, V2_WIDTHS[1:], strict=False)
    with torch.device("meta"):
        head = nn.Sequential(OrderedDict((name, nn.Linear(n, m)) for name, n, m in sizes))
    tensors = {name.removeprefix("layers."): value for name, value in read_tensors(path).items()}
    return _loaded(head, tensors, f"{path} is not the improved predictor's head").to(device)


def _loaded(network: nn.Module, tensors: Mapping[str, Tensor], otherwise: str) -> nn.Module:
    """The network with these tensors, all of them, in float32 and evaluation mode."""
    try:
        network.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"{otherwise}: {brief(error)}") from error
    return network.float().eval().requires_grad_(requires_grad=False)


def ratings(
    tower: Callable[[Tensor], Tensor], head: Callable[[Tensor], Tensor], pixels_NCHW: Tensor
) -> list[float]:
    """A rating of each frame, about 1 to 10: the head's answer to the unit image embedding.

    tower: (N, 3, H, W) to (N, E). head: (N, E) to (N, 1). pixels_NCHW: of ``clip_pixels``.
    """
    with torch.inference_mode():
        ratings_N1 = head(F.normalize(tower(pixels_NCHW), dim=-1))
    return [float(rating) for rating in ratings_N1.flatten()]
