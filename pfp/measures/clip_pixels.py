"""A frame as CLIP sees it: 224x224 pixels cut from the middle, resized in one of three ways.

VBench resizes tensors, bicubic without antialiasing: float frames for the aesthetic score, whose
overshoot stays (values from about -20 to 275), and bytes for the text-video score, which are
clamped and rounded. CLIP itself resizes PIL images, with antialiasing. The first two differ by
0.24 code values in the mean and by up to 20; antialiasing moves a pixel by 2.8 in the mean.

All of it is torchvision's functional interface, so the results are bit-equal to its transforms.

Axes: C colour (R, G, B), H height, W width.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as pixels

from pfp.errors import PermanentError

SIDE: Final = 224
# Of CLIP's training images, in [0, 1].
MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
STD: Final = (0.26862954, 0.26130258, 0.27577711)
# The shorter side becomes 224 pixels, so a long strip of a frame would fill the memory.
MAX_ASPECT: Final = 64


def check_size(height: int, width: int) -> None:
    """Raise ``PermanentError`` if a frame is more than 64 times as long as it is thin."""
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise PermanentError(
            f"CLIP sees the middle square of a frame, too little of {width}x{height} pixels; "
            f"crop it to an aspect ratio of at most {MAX_ASPECT}"
        )


def unclamped(rgb_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """VBench's pixels of float frames: bicubic, no antialiasing, no clamp (aesthetic).

    rgb_HWC: uint8 in [0, 255]. Returns float32 of shape (3, 224, 224), normalised for CLIP.
    """
    return _normalised(_middle(_resized(_as_chw(rgb_HWC).float(), antialias=False)))


def rounded(rgb_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """VBench's pixels of byte frames: bicubic, no antialiasing, clamped and rounded (semantic).

    rgb_HWC: uint8 in [0, 255]. Returns float32 of shape (3, 224, 224), normalised for CLIP.
    """
    return _normalised(_middle(_resized(_as_chw(rgb_HWC), antialias=False)))


def antialiased(rgb_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """CLIP's own pixels: PIL's bicubic, which antialiases and rounds (aesthetic V2).

    rgb_HWC: uint8 in [0, 255]. Returns float32 of shape (3, 224, 224), normalised for CLIP.
    """
    # PIL knows no other way than with antialiasing; torchvision's argument changes nothing.
    middle = _middle(_resized(Image.fromarray(rgb_HWC), antialias=True))
    return _normalised(pixels.pil_to_tensor(middle))


def _as_chw(rgb_HWC: npt.NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(rgb_HWC.transpose(2, 0, 1).copy())


def _resized(image: Any, *, antialias: bool) -> Any:
    return pixels.resize(image, [SIDE], InterpolationMode.BICUBIC, antialias=antialias)


def _middle(image: Any) -> Any:
    return pixels.center_crop(image, [SIDE, SIDE])


def _normalised(rgb_CHW: Tensor) -> Tensor:
    normalised_CHW: Tensor = pixels.normalize(rgb_CHW.float().div(255), MEAN, STD)
    return normalised_CHW
