"""RetinaFace on ResNet-50 (Deng et al., CVPR 2020) and how its outputs become boxes.

The names of the tensors are those of the retinaface_pytorch release ``resnet50_2020-07-20``, whose
file it loads. Boxes are decoded as in SSD (Liu et al., ECCV 2016), with variances 0.1 and 0.2.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
import torchvision
from torch import Tensor, nn
from torchvision.ops import nms

from pfp.errors import WeightsError
from pfp.measures.tensor_files import brief

CHANNELS = 256
STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))  # pixels of the resized image, by stride
VARIANCES = (0.1, 0.2)  # of centres and of sizes
MIN_SCORE = 0.7
NMS_IOU = 0.4
MAX_SIDE = 2048
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundFaces:
    """The faces of an image, best first: x0, y0, x1, y1 in its pixels, to 1/100, and scores.

    Boxes may leave the image. ``num_outside`` counts those left out because they begin at its
    last column or row or beyond, so that nothing at all was found where both are 0.
    """

    boxes_N4: npt.NDArray[np.float64]
    scores_N: npt.NDArray[np.float64]
    num_outside: int


class RetinaFace(nn.Module):
    """(1, 3, H, W) normalised RGB to boxes, classes and points of all anchors.

    In training mode its batch normalisation uses the statistics of the image at hand.
    """

    def __init__(self) -> None:
        super().__init__()
        trunk = torchvision.models.resnet50(weights=None)
        kept = [
            (name, part) for name, part in trunk.named_children() if name not in {"avgpool", "fc"}
        ]
        self.body = nn.Sequential(OrderedDict(kept))
        self.fpn = _Pyramid((512, 1024, 2048))
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead = _heads(2)
        self.BboxHead = _heads(4)
        self.LandmarkHead = _heads(10)

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, A, 4), (N, A, 2) and (N, A, 10) for the A anchors of ``anchors``, in their order."""
        levels = []
        for name, part in self.body.named_children():
            x_NCHW = part(x_NCHW)
            if name in {"layer2", "layer3", "layer4"}:
                levels.append(x_NCHW)
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        features = [
            context(level) for context, level in zip(contexts, self.fpn(levels), strict=True)
        ]

        def over_levels(heads: nn.ModuleList) -> Tensor:
            return torch.cat([head(x) for head, x in zip(heads, features, strict=True)], dim=1)

        return (
            over_levels(self.BboxHead),
            over_levels(self.ClassHead),
            over_levels(self.LandmarkHead),
        )


class _Pyramid(nn.Module):
    """Three levels to 256 channels each, coarse added to fine (Lin et al., CVPR 2017)."""

    def __init__(self, in_channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_convolve(n, CHANNELS, 1) for n in in_channels)
        self.merge1, self.merge2 = (
            _convolve(CHANNELS, CHANNELS, 3),
            _convolve(CHANNELS, CHANNELS, 3),
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = levels
        coarse = self.output3(coarse)
        middle = _add_coarser(self.output2(middle), coarse)
        middle = self.merge2(middle)
        fine = self.merge1(_add_coarser(self.output1(fine), middle))
        return [fine, middle, coarse]


class _Context(nn.Module):
    """Windows of 3, 5 and 7 pixels side by side (Najibi et al., SSH, ICCV 2017)."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter = CHANNELS // 2, CHANNELS // 4
        self.conv3X3 = _convolve(CHANNELS, half, 3, relu=False)
        self.conv5X5_1 = _convolve(CHANNELS, quarter, 3)
        self.conv5X5_2 = _convolve(quarter, quarter, 3, relu=False)
        self.conv7X7_2 = _convolve(quarter, quarter, 3)
        self.conv7x7_3 = _convolve(quarter, quarter, 3, relu=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        shared = self.conv5X5_1(x_NCHW)
        wide = self.conv7x7_3(self.conv7X7_2(shared))
        return F.relu(torch.cat([self.conv3X3(x_NCHW), self.conv5X5_2(shared), wide], dim=1))


class _Head(nn.Module):
    """``width`` numbers for each of a cell's two anchors: (N, 256, H, W) to (N, 2 H W, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.conv1x1 = nn.Conv2d(CHANNELS, 2 * width, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        out_NHWC = self.conv1x1(x_NCHW).permute(0, 2, 3, 1)
        return cast("Tensor", out_NHWC.reshape(len(x_NCHW), -1, self.width))


def _heads(width: int) -> nn.ModuleList:
    return nn.ModuleList(_Head(width) for _ in STRIDES)


def _convolve(
    in_channels: int, out_channels: int, side: int, *, relu: bool = True
) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, side, padding=side // 2, bias=False)
    parts: list[nn.Module] = [convolution, nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*parts, nn.ReLU()) if relu else nn.Sequential(*parts)


def _add_coarser(fine_NCHW: Tensor, coarse_NCHW: Tensor) -> Tensor:
    height, width = fine_NCHW.shape[-2:]
    return fine_NCHW + F.interpolate(coarse_NCHW, size=(height, width), mode="nearest")


def load(path: Path, *, device: str = "cpu") -> RetinaFace:
    """The network with released weights, in evaluation mode.

    The release is a zip of one checkpoint; a bare checkpoint is read too.

    Raises:
        WeightsError: the file is not that checkpoint.
    """
    try:
        state = _read(path)
        with torch.device("meta"):
            network = RetinaFace()
        network.load_state_dict(state, strict=True, assign=True)
    except Exception as error:  # what torch.load raises for foreign bytes has no narrower class
        raise WeightsError(
            f"{path} is not RetinaFace's resnet50_2020-07-20: {brief(error)}"
        ) from error
    return network.to(device).eval()


def _read(path: Path) -> dict[str, Any]:
    source: Path | io.BytesIO = path
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if not item.is_dir()]
            if len(members) == 1:  # torch's own checkpoints are zips too, of many members
                source = io.BytesIO(archive.read(members[0]))
    return dict(torch.load(source, map_location="cpu", weights_only=True))


def detect(
    network: RetinaFace, rgb_HWC: npt.NDArray[np.uint8], *, max_side: int = MAX_SIDE
) -> FoundFaces:
    """All faces of an RGB image, of which the longer side is first made ``max_side`` pixels."""
    height, width = rgb_HWC.shape[:2]
    input_1CHW = normalised(resized(rgb_HWC, max_side)).to(next(network.parameters()).device)
    new_height, new_width = input_1CHW.shape[-2:]
    with torch.inference_mode():
        offsets_1A4, logits_1A2, _ = network(input_1CHW)
        scores_A = F.softmax(logits_1A2, dim=-1)[0, :, 1]
        boxes_A4 = decode(offsets_1A4[0], anchors(new_height, new_width).to(scores_A.device))
        boxes_A4 = boxes_A4 * boxes_A4.new_tensor([new_width, new_height] * 2)
        sure_A = scores_A > MIN_SCORE
        boxes_N4, scores_N = boxes_A4[sure_A], scores_A[sure_A]
        kept = nms(boxes_N4, scores_N, NMS_IOU)
    # In float32 and by the height alone, as the reference does it: boxes are cut at whole pixels.
    boxes: npt.NDArray[np.float32] = boxes_N4[kept].cpu().numpy() * np.float32(height / new_height)
    scores: npt.NDArray[np.float64] = scores_N[kept].cpu().numpy().astype(np.float64)
    inside_N = (np.maximum(boxes[:, :2], 0) < (width - 1, height - 1)).all(axis=1)
    return FoundFaces(
        boxes_N4=np.asarray(boxes[inside_N], dtype=np.float64).round(2),
        scores_N=scores[inside_N],
        num_outside=int((~inside_N).sum()),
    )


def resized(rgb_HWC: npt.NDArray[np.uint8], max_side: int) -> npt.NDArray[np.uint8]:
    """The image, larger or smaller, so that its longer side is ``max_side``; bilinear."""
    height, width = rgb_HWC.shape[:2]
    scale = max_side / max(height, width)
    if scale == 1.0:
        return rgb_HWC
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cast("npt.NDArray[np.uint8]", cv2.resize(rgb_HWC, size, interpolation=cv2.INTER_LINEAR))


def normalised(rgb_HWC: npt.NDArray[np.uint8]) -> Tensor:
    """(1, 3, H, W) float32, ImageNet's mean and deviation taken out."""
    mean_C = np.array(IMAGENET_MEAN, dtype=np.float32) * np.float32(255)
    std_C = np.array(IMAGENET_STD, dtype=np.float32) * np.float32(255)
    float_HWC = (rgb_HWC.astype(np.float32) - mean_C) * np.reciprocal(std_C)
    return torch.from_numpy(np.ascontiguousarray(float_HWC.transpose(2, 0, 1)))[None]


def anchors(height: int, width: int) -> Tensor:
    """Centre x, y, width, height of all anchors as parts of the image, float32 of shape (A, 4).

    Level by level, row by row, cell by cell, the smaller of the two sizes first.
    """
    levels = []
    for stride, sides in zip(STRIDES, ANCHOR_SIDES, strict=True):
        y_H = (np.arange(math.ceil(height / stride)) + 0.5) * stride / height
        x_W = (np.arange(math.ceil(width / stride)) + 0.5) * stride / width
        y, x, side = np.meshgrid(y_H, x_W, np.array(sides, dtype=np.float64), indexing="ij")
        levels.append(np.stack([x, y, side / width, side / height], axis=-1).reshape(-1, 4))
    return torch.from_numpy(np.concatenate(levels).astype(np.float32))


def decode(offsets_A4: Tensor, anchors_A4: Tensor) -> Tensor:
    """x0, y0, x1, y1 as parts of the image."""
    centre, size = VARIANCES
    centres_A2 = anchors_A4[:, :2] + offsets_A4[:, :2] * centre * anchors_A4[:, 2:]
    sizes_A2 = anchors_A4[:, 2:] * torch.exp(offsets_A4[:, 2:] * size)
    corners_A2 = centres_A2 - sizes_A2 / 2
    return torch.cat([corners_A2, corners_A2 + sizes_A2], dim=1)
