"""NaN and infinity, found where they come from: a tensor of a file, or the first layer to make it.

Nothing later can tell: a frame of NaN is black, and NaN in one row of a bf16 matrix product may
spread to its neighbours on CPUs with AMX (oneDNN#5717).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from pfp.errors import WeightsError


def is_finite(values: Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    return bool(torch.isfinite(values).all())


def check_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise WeightsError for the first tensor of ``path`` that holds NaN or infinity.

    ``path`` is their file, or the folder of several.
    """
    for name, values in weights.items():
        if values.is_floating_point() and not values.is_meta and not is_finite(values):
            where = _file_of(name, path) if path.is_dir() else path
            raise WeightsError(
                f"{where} holds NaN or infinity in the weight {name}; download or train it again"
            )


def _file_of(name: str, folder: Path) -> Path:
    """The file that holds a tensor; the folder, where the network calls it otherwise."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            if name in file.keys():  # noqa: SIM118 - it is no mapping
                return path
    return folder


def first_bad_layer(network: nn.Module, run: Callable[[], object]) -> str | None:
    """The first module inside ``network`` whose output is not finite when ``run`` is called.

    None if all are, as when what is not finite was given to it.
    """
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _given: object, made: object) -> None:
            if isinstance(made, Tensor) and made.is_floating_point() and not is_finite(made):
                found.append(name)

        return hook

    hooks = [
        module.register_forward_hook(look(name)) for name, module in network.named_modules() if name
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
