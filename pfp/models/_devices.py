"""Devices and compute types by the names that configs use."""

from __future__ import annotations

from typing import Final

import torch

import pfp.models.precision  # noqa: F401 - bf16 convolutions on CPUs are right from here on
from pfp.errors import ConfigError

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def compute_dtype(name: str | None) -> torch.dtype:
    """``"float32"`` (also for None) or ``"bfloat16"``; another name is a ``ConfigError``."""
    if name is None:
        return torch.float32
    if name not in DTYPES:
        raise ConfigError(f"there is no compute dtype {name!r}; give one of {', '.join(DTYPES)}")
    return DTYPES[name]


def gpu_memory() -> tuple[int, str] | None:
    """Bytes and name of the GPU that torch would use; None without any."""
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return properties.total_memory, properties.name


def compute_device(name: str) -> torch.device:
    """``"cpu"``, ``"cuda"`` or ``"cuda:1"``; one that this process has not is a ``ConfigError``."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"there is no device {name!r}; give cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device {name!r} is not here; give cpu, or give the stage's workers a GPU"
        )
    return device
