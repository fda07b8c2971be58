"""Reads files of named tensors without running anything that a pickle may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pfp.errors import WeightsError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file by name, on the CPU.

    Raises:
        WeightsError: it cannot be read, or holds anything but tensors.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsError(f"{path} cannot be read as tensors only: {error}") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"{path} is not a table of tensors; fetch the file that the lock names")
    return dict(loaded)
