"""The face network of VBench-2.0's Human Identity: a ResNet-18 with PReLU on grey 128x128 crops.

The architecture and the names of its tensors are those of ``resnet_face18(use_se=False)`` of
arcface-pytorch, whose ``resnet18_110.pth`` it loads. Its improved residual block is normalise,
convolve, normalise, PReLU, convolve, normalise, add, PReLU (Deng et al., CVPR 2019, section 3.2),
with one slope for both PReLUs.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pfp.errors import WeightsError
from pfp.measures.tensor_files import brief, read_tensors

SIDE = 128
EMBEDDING = 512  # of one image; ``embed`` joins those of a face and of its mirror image
WIDTHS = (64, 128, 256, 512)
BLOCKS_PER_LAYER = 2


class Block(nn.Module):
    """An improved residual block; the second convolution strides."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        inner = self.prelu(self.bn1(self.conv1(self.bn0(x_NCHW))))
        return cast("Tensor", self.prelu(self.bn2(self.conv2(inner)) + self.downsample(x_NCHW)))


class ArcfaceResnet18(nn.Module):
    """(N, 1, 128, 128) float32 in [-1, 1] to (N, 512) embeddings, not of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU()
        self.maxpool = nn.MaxPool2d(2, stride=2)
        in_channels = WIDTHS[0]
        for number, width in enumerate(WIDTHS, start=1):
            first = Block(in_channels, width, stride=1 if number == 1 else 2)
            rest = [Block(width, width, stride=1) for _ in range(BLOCKS_PER_LAYER - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            in_channels = width
        self.bn4 = nn.BatchNorm2d(in_channels)
        self.fc5 = nn.Linear(in_channels * (SIDE // 16) ** 2, EMBEDDING)
        self.bn5 = nn.BatchNorm1d(EMBEDDING)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """For evaluation only: the dropout before ``fc5`` that training had is left out."""
        x_NCHW = self.maxpool(self.prelu(self.bn1(self.conv1(x_NCHW))))
        for number in range(1, len(WIDTHS) + 1):
            x_NCHW = self.get_submodule(f"layer{number}")(x_NCHW)
        return cast("Tensor", self.bn5(self.fc5(self.bn4(x_NCHW).flatten(1))))


def load(path: Path, *, device: str = "cpu") -> ArcfaceResnet18:
    """The network with the weights of a checkpoint, in evaluation mode.

    Its names may begin with ``module.``, as those of ``resnet18_110.pth`` do.

    Raises:
        WeightsError: the file is not that checkpoint.
    """
    named = {name.removeprefix("module."): tensor for name, tensor in read_tensors(path).items()}
    with torch.device("meta"):
        network = ArcfaceResnet18()
    try:
        network.load_state_dict(named, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} is not arcface-pytorch's resnet18_110: {brief(error)}"
        ) from error
    return network.to(device).eval()


def embed(network: ArcfaceResnet18, face_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A face's embedding and that of its mirror image, joined: float32 of shape (1024,).

    face_HWC: RGB uint8 of any size from 1x1 on; it is stretched to a square, not aligned.
    """
    square_HWC = cv2.resize(face_HWC, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    grey_HW = cv2.cvtColor(square_HWC, cv2.COLOR_RGB2GRAY)
    both_NHW = np.stack([grey_HW, grey_HW[:, ::-1]]).astype(np.float32)
    device = network.fc5.weight.device
    with torch.inference_mode():
        batch_NCHW = torch.from_numpy((both_NHW - 127.5) / 127.5)[:, None].to(device)
        joined: npt.NDArray[np.float32] = network(batch_NCHW).flatten().cpu().numpy()
    return joined


def cosine(a_D: npt.NDArray[np.float32], b_D: npt.NDArray[np.float32]) -> float:
    """The cosine of two embeddings, in float32 as the reference works it out."""
    return float(np.dot(a_D, b_D) / (np.linalg.norm(a_D) * np.linalg.norm(b_D)))
