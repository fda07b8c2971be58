"""Reads files of named tensors without running anything that a pickle may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pfp.errors import WeightsError

MAX_MESSAGE_LENGTH: Final = 200


def read_plain(path: Path) -> Any:
    """What a ``.pth`` file holds, if that is tensors and plain containers, on the CPU.

    Raises:
        WeightsError: it cannot be read, or holds more than that.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path} cannot be read as tensors only; it is damaged or another file: fetch it again"
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file by name, on the CPU.

    Raises:
        WeightsError: it cannot be read, or holds anything but tensors.
    """
    loaded = read_plain(path)
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"{path} is not a table of tensors; fetch the file that the lock names")
    return dict(loaded)


def brief(error: Exception) -> str:
    """An error's first 200 characters on one line: torch names every tensor that does not fit."""
    if isinstance(error, pickle.UnpicklingError):  # torch's text advises to run what the file holds
        return "it cannot be read as tensors only"
    text = " ".join(str(error).split())
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}..."
