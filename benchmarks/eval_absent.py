"""Networks that answer at once: what is left of a pass is what surrounds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # who measures another metric does not pay for importing torch
    from torch import Tensor


@contextmanager
def networks_absent(metrics: Sequence[str]) -> Iterator[None]:
    """Let the networks of these of the four metrics of quality be loaded, and answer zeros."""
    with ExitStack() as stack:
        for metric in metrics:
            stack.enter_context(_absent(metric))
        yield


def _absent(metric: str) -> Any:
    match metric:
        case "clarity":
            from pfp.measures import clarity

            return mock.patch.object(
                clarity, "mean_opinions", lambda _, frames: [0.0] * len(frames)
            )
        case "aesthetic":
            from pfp.measures import aesthetic

            return mock.patch.object(aesthetic, "ratings", lambda *given: [0.0] * len(given[-1]))
        case "dynamics":
            from pfp.measures import flow

            return mock.patch.object(flow, "padded_flows", _no_flows)
        case "semantic":
            from pfp.eval.networks.viclip import Viclip

            return mock.patch.object(Viclip, "embed_videos", _one_vector)
    raise ValueError(f"the networks of {metric} cannot be left out; add them here")


def _no_flows(network: Any, frames_THWC: npt.NDArray[np.uint8]) -> Tensor:
    import torch

    from pfp.measures.flow import padding_of

    num_frames, height, width, _ = frames_THWC.shape
    padding = padding_of(height, width)
    sides = (height + padding.top + padding.bottom, width + padding.left + padding.right)
    return torch.zeros(num_frames - 1, 2, *sides, device=next(network.parameters()).device)


def _one_vector(network: Any, pixels_NTCHW: Tensor) -> Tensor:
    import torch

    size = network.config.embedding_size
    return torch.full((len(pixels_NTCHW), size), size**-0.5, device=pixels_NTCHW.device)
