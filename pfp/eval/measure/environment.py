"""With what a score was measured: device and versions, as the machine that measured it has them.

Numbers may move in their last digits with any of these, so a row says them. They are no part of
its key: a score stays true of its video when a library is updated.
"""

from __future__ import annotations

import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import pfp
from pfp.eval.measure.protocol import DecoderName
from pfp.eval.metrics import MetricCard

DECODER_PACKAGES: Final = {"pyav": "av", "decord": "decord"}


def environment_of(
    card: MetricCard, decoder: DecoderName, device: str | None, *, more: tuple[str, ...] = ()
) -> str:
    """JSON of names to versions, sorted: pfp, Python, decoder, NumPy and the metric's libraries.

    ``device`` is torch's name of where networks ran, None without any; it stands there as
    ``device``, a GPU with its model. ``more`` are further libraries; what is not installed is left
    out.
    """
    found = {"pfp": pfp.__version__, "python": platform.python_version()}
    for name in (DECODER_PACKAGES[decoder], "numpy", *card.libraries, *more):
        installed = _version(name)
        if installed is not None:
            found[name] = installed
    if device is not None:
        found["device"] = _device_in_words(device)
    return json.dumps(found, sort_keys=True)


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def _device_in_words(device: str) -> str:
    """``cpu``, or ``cuda (NVIDIA H200)``: other GPUs round otherwise."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"
