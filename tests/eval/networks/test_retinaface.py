"""RetinaFace against its description, written out with plain functions and loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor

from pfp.errors import WeightsError
from pfp.eval.networks.retinaface import RetinaFace, anchors, detect, load, resized
from tests.eval.networks.vbench2_networks import make, random_state, save_as_released

BLOCKS = {1: 3, 2: 4, 3: 6, 4: 3}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Random weights under the release's names; scores on both sides of the threshold."""
    weights = random_state(make(RetinaFace))
    for level in range(3):
        for head in ("BboxHead", "ClassHead", "LandmarkHead"):
            weights[f"{head}.{level}.conv1x1.weight"] *= 0.0002
    return weights


@pytest.fixture
def network(weights: dict[str, Tensor]) -> RetinaFace:
    """The network that holds them; new for each test, for training mode writes statistics."""
    network = make(RetinaFace)
    network.load_state_dict({name: t.clone() for name, t in weights.items()}, assign=True)
    assert isinstance(network, RetinaFace)
    return network.eval()


class Description:
    """The published architecture as functions of named weights."""

    def __init__(self, weights: dict[str, Tensor], *, batch_statistics: bool) -> None:
        self.w = weights
        self.batch_statistics = batch_statistics

    def normalise(self, x: Tensor, at: str) -> Tensor:
        """Of the image at hand in training, as trained otherwise."""
        mean, var = self.w[f"{at}.running_mean"], self.w[f"{at}.running_var"]
        if self.batch_statistics:
            mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        scale = self.w[f"{at}.weight"] / torch.sqrt(var + 1e-5)
        return x * scale[:, None, None] + (self.w[f"{at}.bias"] - mean * scale)[:, None, None]

    def both(self, x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        """A convolution and its normalisation."""
        kernel = self.w[f"{conv}.weight"]
        padding = kernel.shape[-1] // 2
        return self.normalise(F.conv2d(x, kernel, stride=stride, padding=padding), norm)

    def plain(self, x: Tensor, at: str) -> Tensor:
        """The same, as the parts after the trunk name them."""
        return self.both(x, f"{at}.0", f"{at}.1")

    def trunk(self, x: Tensor) -> list[Tensor]:
        """ResNet-50 (He et al., with the stride in the 3x3 convolution) after its last 3 layers."""
        x = self.both(x, "body.conv1", "body.bn1", 2).relu()
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        levels = []
        for layer, num_blocks in BLOCKS.items():
            for block in range(num_blocks):
                at = f"body.layer{layer}.{block}"
                stride = 2 if layer > 1 and block == 0 else 1
                inner = self.both(x, f"{at}.conv1", f"{at}.bn1").relu()
                inner = self.both(inner, f"{at}.conv2", f"{at}.bn2", stride).relu()
                inner = self.both(inner, f"{at}.conv3", f"{at}.bn3")
                if block == 0:
                    x = self.both(x, f"{at}.downsample.0", f"{at}.downsample.1", stride)
                x = (inner + x).relu()
            levels.append(x)
        return levels[1:]

    def context(self, x: Tensor, at: str) -> Tensor:
        """SSH: 3x3, two 3x3 and three 3x3 convolutions side by side."""
        shared = self.plain(x, f"{at}.conv5X5_1").relu()
        five = self.plain(shared, f"{at}.conv5X5_2")
        seven = self.plain(self.plain(shared, f"{at}.conv7X7_2").relu(), f"{at}.conv7x7_3")
        return torch.cat([self.plain(x, f"{at}.conv3X3"), five, seven], dim=1).relu()

    def enlarge(self, x: Tensor, like: Tensor) -> Tensor:
        """Nearest neighbour: pixel i of n comes from pixel floor(i m / n) of m."""
        rows = torch.arange(like.shape[2]) * x.shape[2] // like.shape[2]
        columns = torch.arange(like.shape[3]) * x.shape[3] // like.shape[3]
        return x[:, :, rows][:, :, :, columns]

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Boxes, classes and points: cell by cell, anchor by anchor."""
        p1, p2, p3 = (
            self.plain(x, f"fpn.output{i}").relu() for i, x in enumerate(self.trunk(x), start=1)
        )
        p2 = self.plain(p2 + self.enlarge(p3, p2), "fpn.merge2").relu()
        p1 = self.plain(p1 + self.enlarge(p2, p1), "fpn.merge1").relu()
        features = [self.context(p, f"ssh{i}") for i, p in enumerate((p1, p2, p3), start=1)]
        outputs = []
        for head, width in (("BboxHead", 4), ("ClassHead", 2), ("LandmarkHead", 10)):
            rows = []
            for level, feature in enumerate(features):
                at = f"{head}.{level}.conv1x1"
                out = F.conv2d(feature, self.w[f"{at}.weight"], self.w[f"{at}.bias"])
                rows.append(out[0].flatten(1).T.reshape(-1, width))
            outputs.append(torch.cat(rows))
        return outputs


def largest_difference(expected: list[Tensor], found: tuple[Tensor, ...]) -> float:
    """Over all outputs, in parts of an output's largest value."""
    return max(
        float((one - other[0]).abs().max() / one.abs().max())
        for one, other in zip(expected, found, strict=True)
    )


@pytest.mark.parity
def test_it_agrees_with_the_description(
    weights: dict[str, Tensor], network: RetinaFace, parity: Callable[..., None]
) -> None:
    """All three outputs in float64, where no rounding hides a difference, in both modes."""
    double = {name: tensor.double() for name, tensor in weights.items()}
    generator = torch.Generator().manual_seed(1)
    differences = []
    for of_image in (True, False):
        network.load_state_dict(weights)
        network.train(of_image).double()
        for size in ((64, 96), (75, 53)):
            x = torch.randn(1, 3, *size, generator=generator, dtype=torch.float64)
            with torch.inference_mode():
                expected = Description(double, batch_statistics=of_image)(x)
                found = network(x)
            assert [part.shape for part in expected] == [part[0].shape for part in found]
            differences.append(largest_difference(expected, found))

    reference = "RetinaFace's architecture with both kinds of statistics, float64"
    parity("identity.vbench2", reference, max(differences), tolerance=1e-9, unit="of the largest")


@pytest.mark.parity
def test_it_agrees_with_the_description_in_float32(
    weights: dict[str, Tensor], network: RetinaFace, parity: Callable[..., None]
) -> None:
    """With trained statistics, as the mended metric uses it."""
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = Description(weights, batch_statistics=False)(x), network(x)

    reference = "RetinaFace's architecture, float32"
    difference = largest_difference(expected, found)
    parity("identity.vbench2.fixed", reference, difference, tolerance=1e-4, unit="of the largest")


def test_it_has_the_release_s_tensors() -> None:
    """27.3 million parameters, under the names of resnet50_2020-07-20."""
    network = make(RetinaFace)
    names = network.state_dict().keys()

    assert 27_293_600 == sum(parameter.numel() for parameter in network.parameters())
    assert {
        "body.layer4.2.bn3.running_var",
        "fpn.merge1.0.weight",
        "ssh3.conv7x7_3.1.bias",
        "ssh1.conv7X7_2.0.weight",
        "LandmarkHead.2.conv1x1.bias",
    } <= names
    assert not [name for name in names if "fc" in name]


def anchors_by_loops(height: int, width: int) -> list[tuple[float, float, float, float]]:
    """Centre and size as parts of the image."""
    return [
        ((j + 0.5) * stride / width, (i + 0.5) * stride / height, side / width, side / height)
        for stride, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
        for i in range(math.ceil(height / stride))
        for j in range(math.ceil(width / stride))
        for side in sides
    ]


@pytest.mark.parametrize("size", [(64, 96), (75, 53), (33, 2048)])
def test_anchors_agree_with_plain_loops(size: tuple[int, int]) -> None:
    """Also where the image is no multiple of the strides."""
    assert torch.tensor(anchors_by_loops(*size)).equal(anchors(*size))


def overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def boxes_by_loops(
    offsets: Tensor, logits: Tensor, new_size: tuple[int, int], height: int
) -> list[tuple[float, list[float]]]:
    """Decode, keep the sure ones, drop what overlaps a better one by more than 0.4."""
    new_height, new_width = new_size
    found = []
    rows = zip(offsets.tolist(), logits.tolist(), anchors_by_loops(*new_size), strict=True)
    for (dx, dy, dw, dh), (no, yes), (cx, cy, w, h) in rows:
        score = 1 / (1 + math.exp(no - yes))
        x, y = (cx + 0.1 * dx * w) * new_width, (cy + 0.1 * dy * h) * new_height
        wide, high = w * math.exp(0.2 * dw) * new_width, h * math.exp(0.2 * dh) * new_height
        if score > 0.7:
            found.append((score, [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]))
    kept: list[tuple[float, list[float]]] = []
    for score, box in sorted(found, reverse=True):
        if all(overlap(box, better) <= 0.4 for _, better in kept):
            kept.append((score, box))
    return [(score, [value * height / new_height for value in box]) for score, box in kept]


@pytest.mark.parity
def test_boxes_agree_with_plain_loops(
    weights: dict[str, Tensor], network: RetinaFace, parity: Callable[..., None]
) -> None:
    """In pixels of the image as it came, best first; they are rounded to 1/100."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    differences = []
    for (height, width), max_side in (((64, 96), 96), ((60, 50), 90)):
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        larger = resized(image, max_side)
        x = torch.from_numpy((larger / 255 - mean) / std).float().permute(2, 0, 1)[None]
        with torch.inference_mode():
            offsets, logits, _ = Description(weights, batch_statistics=False)(x)
            found = detect(network, image, max_side=max_side)
        by_loops = boxes_by_loops(offsets, logits, larger.shape[:2], height)
        expected = [item for item in by_loops if item[1][0] < width - 1 and item[1][1] < height - 1]
        assert max_side == max(larger.shape)
        assert 3 < len(expected) == len(found.boxes_N4)
        assert [s for s, _ in expected] == pytest.approx(found.scores_N.tolist(), abs=1e-4)
        assert len(by_loops) - len(expected) == found.num_outside
        differences.append(np.abs(found.boxes_N4 - [box for _, box in expected]).max())

    reference = "decoding and suppression by loops"
    parity("identity.vbench2", reference, max(differences), tolerance=0.011, unit="pixels")


def test_boxes_that_begin_at_the_last_column_are_left_out_and_counted(network: RetinaFace) -> None:
    """In an image of 64 pixels those from 63 on; not those that end before it: as the reference.

    Only the four coarsest cells see faces, at 16 and 48 pixels, of 8 pixels, moved sideways.
    """
    state = network.state_dict()
    for name in [name for name in state if "Head" in name]:
        state[name].zero_()
    state["ClassHead.2.conv1x1.bias"] += torch.tensor([0.0, 4.0] * 2)

    def found_when_moved(pixels: float) -> tuple[list[float], int]:
        offsets = [
            [pixels / (0.1 * side), 0.0, *[math.log(8 / side) / 0.2] * 2] for side in (256, 512)
        ]
        state["BboxHead.2.conv1x1.bias"].copy_(torch.tensor(offsets).flatten())
        found = detect(network, np.zeros((64, 64, 3), dtype=np.uint8), max_side=64)
        return sorted(found.boxes_N4[:, 0].tolist()), found.num_outside

    assert ([12.0, 12.0, 44.0, 44.0], 0) == found_when_moved(0)
    assert ([30.9, 30.9, 62.9, 62.9], 0) == found_when_moved(18.9)
    assert ([31.1, 31.1], 2) == found_when_moved(19.1)
    assert ([-58.0, -58.0, -26.0, -26.0], 0) == found_when_moved(-70)


def test_nothing_found_is_told_from_all_left_out(network: RetinaFace) -> None:
    """Without any sure anchor there are neither boxes nor outside ones."""
    for level in range(3):
        network.ClassHead[level].conv1x1.weight.data.zero_()
        network.ClassHead[level].conv1x1.bias.data.zero_()
    found = detect(network, np.zeros((64, 64, 3), dtype=np.uint8), max_side=64)

    assert ((0, 4), (0,), 0) == (found.boxes_N4.shape, found.scores_N.shape, found.num_outside)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 832), (1182, 2048)), ((1080, 1920), (1152, 2048)), ((4096, 2160), (2048, 1080))],
)
def test_the_longer_side_becomes_2048_pixels(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """Smaller images are enlarged, larger ones reduced."""
    assert expected == resized(np.zeros((*size, 3), dtype=np.uint8), 2048).shape[:2]


def test_an_image_of_that_size_stays_as_it_is() -> None:
    """Not a pixel is touched."""
    image = np.random.default_rng(0).integers(0, 256, (16, 2048, 3), dtype=np.uint8)

    assert np.array_equal(image, resized(image, 2048))


def test_the_release_s_file_is_read_and_so_is_a_bare_checkpoint(tmp_path: Path) -> None:
    """A zip of one old checkpoint, or a new checkpoint, itself a zip: in evaluation mode."""
    state = random_state(make(RetinaFace), small_on_disk=True)
    save_as_released(state, tmp_path / "released.zip")
    torch.save(state, tmp_path / "bare.pth")

    for name in ("released.zip", "bare.pth"):
        network = load(tmp_path / name)
        assert not network.training
        assert torch.equal(state["body.conv1.weight"], network.state_dict()["body.conv1.weight"])


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    """Bytes that are no checkpoint, and another network's weights, are named."""
    (tmp_path / "bytes.zip").write_bytes(b"not a checkpoint")
    torch.save({"body.conv1.weight": torch.zeros(1)}, tmp_path / "other.zip")

    for name in ("bytes.zip", "other.zip"):
        with pytest.raises(WeightsError, match=rf"{name} is not RetinaFace's resnet50_2020-07-20"):
            load(tmp_path / name)
