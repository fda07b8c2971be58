"""The grey face network against its description, written out with plain functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor

from pfp.errors import WeightsError
from pfp.eval.networks.arcface_resnet18 import ArcfaceResnet18, cosine, embed, load
from tests.eval.networks.vbench2_networks import make, random_state, save_as_parallel

WIDTHS = {1: (64, 64), 2: (64, 128), 3: (128, 256), 4: (256, 512)}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Random weights under the release's names."""
    return random_state(make(ArcfaceResnet18))


@pytest.fixture(scope="module")
def network(weights: dict[str, Tensor]) -> ArcfaceResnet18:
    """The network that holds them."""
    network = ArcfaceResnet18()
    network.load_state_dict(weights)
    return network.eval()


def normalise(x: Tensor, w: dict[str, Tensor], at: str) -> Tensor:
    """Batch normalisation with trained statistics: channel-wise shift and scale."""
    by_channel = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
    mean, var, scale, shift = (
        w[f"{at}.{part}"].view(by_channel)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift


def bend(x: Tensor, w: dict[str, Tensor], at: str) -> Tensor:
    """PReLU with one slope."""
    return torch.where(x > 0, x, w[f"{at}.weight"] * x)


def by_description(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    """Four layers of two improved residual blocks after a stem without stride; then 512 numbers."""
    x = bend(normalise(F.conv2d(x, w["conv1.weight"], padding=1), w, "bn1"), w, "prelu")
    x = F.max_pool2d(x, kernel_size=2)
    for layer, (in_channels, out_channels) in WIDTHS.items():
        for block in range(2):
            at = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            inner = F.conv2d(normalise(x, w, f"{at}.bn0"), w[f"{at}.conv1.weight"], padding=1)
            inner = bend(normalise(inner, w, f"{at}.bn1"), w, f"{at}.prelu")
            inner = F.conv2d(inner, w[f"{at}.conv2.weight"], stride=stride, padding=1)
            inner = normalise(inner, w, f"{at}.bn2")
            if block == 0 and in_channels != out_channels:
                x = F.conv2d(x, w[f"{at}.downsample.0.weight"], stride=stride)
                x = normalise(x, w, f"{at}.downsample.1")
            x = bend(inner + x, w, f"{at}.prelu")
    flat = normalise(x, w, "bn4").reshape(len(x), -1)
    return normalise(flat @ w["fc5.weight"].T + w["fc5.bias"], w, "bn5")


@pytest.mark.parity
def test_it_agrees_with_the_description(
    weights: dict[str, Tensor], network: ArcfaceResnet18, parity: Callable[..., None]
) -> None:
    """Embeddings in float32, as parts of the largest."""
    x = torch.randn(2, 1, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = by_description(x, weights), network(x)

    assert (2, 512) == found.shape
    difference = float((expected - found).abs().max() / expected.abs().max())
    reference = "the ArcFace ResNet-18's architecture, float32"
    parity("identity.vbench2", reference, difference, tolerance=1e-5, unit="of the largest")


def test_it_has_the_release_s_tensors() -> None:
    """25.6 million parameters, under the names that resnet18_110.pth has."""
    network = make(ArcfaceResnet18)
    names = network.state_dict().keys()

    assert 25_627_081 == sum(parameter.numel() for parameter in network.parameters())
    assert {"prelu.weight", "layer2.0.downsample.1.running_var", "fc5.weight", "bn5.bias"} <= names
    assert "layer1.0.downsample.0.weight" not in names
    assert (512, 32768) == network.state_dict()["fc5.weight"].shape


def test_the_release_s_file_is_read(weights: dict[str, Tensor], tmp_path: Path) -> None:
    """Old format, names with ``module.``, no batch counts: the same weights, in evaluation mode."""
    small = random_state(make(ArcfaceResnet18), small_on_disk=True)
    path = tmp_path / "resnet18_110.pth"
    save_as_parallel(small, path)

    network = load(path)

    assert not network.training
    assert torch.equal(small["fc5.weight"], network.fc5.weight)
    assert torch.equal(weights["bn1.weight"], random_state(network)["bn1.weight"])
    assert (1024,) == embed(network, np.zeros((5, 9, 3), dtype=np.uint8)).shape


@pytest.mark.parametrize("content", [b"not a checkpoint", b""])
def test_foreign_bytes_are_refused(content: bytes, tmp_path: Path) -> None:
    """A file that is no checkpoint is named."""
    path = tmp_path / "other.pth"
    path.write_bytes(content)

    with pytest.raises(WeightsError, match=r"other\.pth cannot be read as tensors only"):
        load(path)


def test_another_network_s_weights_are_refused(tmp_path: Path) -> None:
    """A checkpoint of other names is named too, and one that is no table."""
    for content in ({"conv1.weight": torch.zeros(1)}, torch.zeros(3)):
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(WeightsError, match=r"other\.pth is not"):
            load(tmp_path / "other.pth")


def test_an_embedding_is_of_the_grey_face_and_its_mirror_image(network: ArcfaceResnet18) -> None:
    """The first half is the face's, the second the mirrored face's, of ITU-R 601 grey."""
    face = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    grey = np.rint(face @ np.array([0.299, 0.587, 0.114]))
    both = np.stack([grey, grey[:, ::-1]]).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(both)[:, None] / 127.5 - 1).numpy()

    found = embed(network, face)

    # OpenCV rounds grey in fixed point: single code values may differ by one.
    assert expected.ravel() == pytest.approx(found, abs=0.01 * float(np.abs(expected).max()))
    mirrored = embed(network, np.ascontiguousarray(face[:, ::-1]))
    assert np.concatenate([found[512:], found[:512]]) == pytest.approx(mirrored, abs=1e-4)


def test_a_face_of_any_shape_is_stretched_to_a_square(network: ArcfaceResnet18) -> None:
    """A flat colour has one embedding whatever the size of its crop."""
    colour = np.array([200, 30, 90], dtype=np.uint8)
    tall, small = (np.tile(colour, (*size, 1)) for size in ((300, 40), (1, 1)))

    assert embed(network, tall) == pytest.approx(embed(network, small), abs=1e-5)


def test_cosine_is_the_angle_s() -> None:
    """Parallel 1, at right angles 0, opposite -1, whatever the lengths."""
    a, b = np.float32([3, 0]), np.float32([0, 2])

    assert [1.0, 0.0, -1.0] == [cosine(a, 2 * a), cosine(a, b), cosine(a, -a)]
