"""MUSIQ trained on SPAQ, through pyiqa, on frames resized as VBench's imaging quality does.

Ke et al., "MUSIQ: Multi-scale image quality transformer", ICCV 2021. pyiqa is under
PolyForm-Noncommercial-1.0.0 and the NTU S-Lab licence, so it is an optional dependency and its
scores are not for commercial use.

Axes: N frames, C colour (R, G, B), H height, W width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as pixels

from pfp.errors import ConfigError, PermanentError, WeightsError
from pfp.measures.tensor_files import brief, read_tensors

LONGER_SIDE: Final = 512
SCALES: Final = (224, 384)  # longer sides of the two images that MUSIQ makes of a frame itself


def size_of(height: int, width: int) -> tuple[int, int]:
    """The height and width that a frame is scored at: the longer side is at most 512 pixels.

    VBench's mode ``longer``. It cuts fractions off, and with them, here and there, a whole pixel:
    512 / 561 * 561 is less than 512 in floating point.

    Raises:
        PermanentError: so thin a frame has no pixel left at one of MUSIQ's scales.
    """
    longer = max(height, width)
    scale = LONGER_SIDE / longer
    scored = (height, width) if longer <= LONGER_SIDE else (int(scale * height), int(scale * width))
    if round(min(scored) * SCALES[0] / max(scored)) < 1:
        raise PermanentError(
            f"MUSIQ sees frames 224 pixels long, and one of {width}x{height} pixels has no breadth "
            "left then; crop it to an aspect ratio below 400"
        )
    return scored


def longer_512(rgb_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """A frame as VBench hands it to MUSIQ: bilinear without antialiasing, never enlarged.

    rgb_HWC: uint8 in [0, 255]. Returns float32 in [0, 1] of shape (3, *size_of(H, W)).
    """
    height, width = rgb_HWC.shape[:2]
    size = size_of(height, width)
    rgb_CHW = torch.from_numpy(rgb_HWC.transpose(2, 0, 1).copy()).float()
    if size != (height, width):
        rgb_CHW = pixels.resize(rgb_CHW, list(size), InterpolationMode.BILINEAR, antialias=False)
    return rgb_CHW / 255.0


def load_musiq(path: Path, device: str = "cpu") -> Any:
    """MUSIQ-SPAQ as pyiqa builds it, with the weights of a file; nothing is downloaded.

    The plain name ``musiq`` would be the network for another data set, KonIQ-10k.

    Raises:
        WeightsError: the file does not hold MUSIQ's tensors with one output.
        ConfigError: pyiqa is not installed.
    """
    tensors = read_tensors(path)
    try:
        import pyiqa
    except ImportError as error:
        raise ConfigError(f"MUSIQ needs {error.name}; pip install 'pfp[metrics,train]'") from error
    with torch.device("meta"):  # random numbers would be drawn only to be replaced
        # Without weights, for pyiqa would unpickle whatever the file holds.
        metric = pyiqa.create_metric("musiq-spaq", pretrained=False, device=torch.device("meta"))
    plain = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    try:
        metric.net.load_state_dict(plain, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"{path} is not MUSIQ trained on SPAQ: {brief(error)}") from error
    metric.net.float().to(device)
    metric.dummy_param = torch.nn.Parameter(torch.empty(0, device=device))  # where frames are sent
    return metric.eval()


def mean_opinions(musiq: Any, frames_NCHW: Tensor) -> list[float]:
    """The mean opinion score of each frame, about 0 to 100.

    Frames of one size give the same scores together as one by one (to rounding).
    musiq: a callable from frames to scores of shape (N, 1). frames_NCHW: float32 in [0, 1].
    """
    with torch.inference_mode():
        scores_N1 = musiq(frames_NCHW)
    return [float(score) for score in scores_N1.flatten()]
