"""LPIPS with a random trunk, against its definition written out with plain convolutions."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor

from pfp.errors import PermanentError, WeightsError
from pfp.eval.metrics.lpips import LpipsAlex, LpipsVgg, network_of
from pfp.io.digests import sha256_file
from pfp.io.weights import Lock, Weights

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
STRIDE_AND_PAD = {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}


VGG_CHANNELS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)} | {
    12: (256, 256),
    14: (256, 256),
    17: (256, 512),
    **dict.fromkeys((19, 21, 24, 26, 28), (512, 512)),
}
# The layers after which VGG-16 pools, and those whose features LPIPS compares.
VGG_POOLED, VGG_COMPARED = {2, 7, 14, 21}, {2, 7, 14, 21, 28}


def random_trunk(shapes: dict[int, tuple[int, int, int]]) -> dict[str, Tensor]:
    """Convolutions under torchvision's names, with random weights that keep the scale."""
    generator = torch.Generator().manual_seed(0)
    trunk = {}
    for layer, (out_channels, in_channels, side) in shapes.items():
        scale = (2.0 / (in_channels * side * side)) ** 0.5
        shape = (out_channels, in_channels, side, side)
        trunk[f"features.{layer}.weight"] = torch.randn(shape, generator=generator) * scale
        trunk[f"features.{layer}.bias"] = torch.randn(out_channels, generator=generator) * 0.1
    return trunk


def write_trunk(folder: Path, name: str, trunk: dict[str, Tensor]) -> Weights:
    """Save a trunk where pfp looks for it; returns its entry."""
    path = folder / name / "trunk.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save(trunk, path)
    return Weights(
        name=name,
        urls=("https://example.org/trunk.pth",),
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        licence="none",
        non_commercial=False,
        cite="nobody",
    )


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """A lock whose lpips-alex is a random trunk that lies in the weights folder."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    return {"lpips-alex": write_trunk(tmp_path, "lpips-alex", random_trunk(SHAPES))}


def normalised(image_NCHW: Tensor) -> Tensor:
    """Images in [-1, 1] as the trunks were trained to see them."""
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    return (image_NCHW - shift) / torch.tensor([0.458, 0.448, 0.450])[:, None, None]


def unit(features_NCHW: Tensor) -> Tensor:
    """Features of unit length over channels."""
    return features_NCHW / (features_NCHW.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10)


def alex_features(image_NCHW: Tensor, trunk: dict[str, Tensor]) -> list[Tensor]:
    """AlexNet's five rectified feature maps of images in [-1, 1]."""
    x = normalised(image_NCHW)
    features = []
    for layer in SHAPES:
        if layer in {3, 6}:
            x = F.max_pool2d(x, kernel_size=3, stride=2)
        stride, padding = STRIDE_AND_PAD[layer]
        weight, bias = trunk[f"features.{layer}.weight"], trunk[f"features.{layer}.bias"]
        x = F.relu(F.conv2d(x, weight, bias, stride=stride, padding=padding))
        features.append(x)
    return features


def vgg_features(image_NCHW: Tensor, trunk: dict[str, Tensor]) -> list[Tensor]:
    """VGG-16's last rectified feature map of each of its five sizes."""
    x = normalised(image_NCHW)
    features = []
    for layer in VGG_CHANNELS:
        weight, bias = trunk[f"features.{layer}.weight"], trunk[f"features.{layer}.bias"]
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        if layer in VGG_COMPARED:
            features.append(x)
        if layer in VGG_POOLED:
            x = F.max_pool2d(x, kernel_size=2, stride=2)
    return features


def by_definition(
    video: np.ndarray,
    true: np.ndarray,
    *,
    net: str = "alex",
    features_of: Callable[[Tensor, dict[str, Tensor]], list[Tensor]] = alex_features,
    trunk: dict[str, Tensor] | None = None,
) -> list[float]:
    """Equation 1 of Zhang et al.: weighted squared differences, averaged over positions, summed."""
    trunk = trunk or random_trunk(SHAPES)
    folder = Path(lpips.__file__).parent
    heads = torch.load(folder / f"weights/v0.1/{net}.pth", map_location="cpu", weights_only=True)
    videos_TCHW = [v.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1 for v in (video, true)]
    maps = [[unit(x) for x in features_of(torch.from_numpy(v), trunk)] for v in videos_TCHW]
    total = torch.zeros(len(video))
    for level, (a, b) in enumerate(zip(*maps, strict=True)):
        head = heads[f"lin{level}.model.1.weight"]
        total += F.conv2d((a - b) ** 2, head).mean(dim=(1, 2, 3))
    return [float(value) for value in total]


def noisy_pair(num_frames: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two random videos that differ by noise."""
    rng = np.random.default_rng(5)
    true = rng.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    noise = rng.normal(0, 40, true.shape)
    return np.clip(true + noise, 0, 255).astype(np.uint8), true


@pytest.mark.parity
def test_it_agrees_with_the_definition(lock: Lock, parity: Callable[..., None]) -> None:
    """Per-frame values are the definition's to 1e-6, over more than one pass of frames."""
    differences = []
    for num_frames, height, width in ((10, 48, 64), (1, 31, 31)):
        video, true = noisy_pair(num_frames, height, width)
        result = LpipsAlex(lock=lock).measure(video, true)
        per_frame = np.array(result.evidence["per_frame"])
        differences.append(np.abs(per_frame - by_definition(video, true)).max())

        assert result.value == pytest.approx(per_frame.mean())
        assert result.num_frames == num_frames
    parity("lpips_alex", "AlexNet and equation 1, written out", max(differences), tolerance=1e-6)


def test_identical_frames_have_no_distance(lock: Lock) -> None:
    """The distance of an image to itself is 0."""
    _, true = noisy_pair(2, 64, 64)

    assert LpipsAlex(lock=lock).measure(true, true).value == 0.0


def test_loading_leaves_the_random_generator_alone(lock: Lock) -> None:
    """A run's random numbers do not depend on whether LPIPS was measured."""
    video, true = noisy_pair(1, 64, 64)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    LpipsAlex(lock=lock).measure(video, true)

    assert torch.equal(expected, torch.rand(4))


@pytest.mark.parity
def test_the_vgg_variant_agrees_with_the_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parity: Callable[..., None]
) -> None:
    """VGG-16's distances are the definition's to 1e-6, down to the smallest frame that it pools."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    shapes = {layer: (after, before, 3) for layer, (before, after) in VGG_CHANNELS.items()}
    trunk = random_trunk(shapes)
    metric = LpipsVgg(lock={"lpips-vgg": write_trunk(tmp_path, "lpips-vgg", trunk)})

    differences = []
    for height, width in ((16, 16), (24, 40)):
        video, true = noisy_pair(2, height, width)
        expected = by_definition(video, true, net="vgg", features_of=vgg_features, trunk=trunk)
        found = metric.measure(video, true).evidence["per_frame"]
        differences.append(np.abs(np.array(found) - expected).max())
    parity("lpips_vgg", "VGG-16 and equation 1, written out", max(differences), tolerance=1e-6)
    video, true = noisy_pair(1, 15, 64)
    with pytest.raises(PermanentError, match="VGG-16 needs frames of at least 16x16 pixels"):
        metric.measure(video, true)


def test_metrics_of_one_worker_share_the_network(lock: Lock) -> None:
    """A trunk that is loaded once serves every metric that asks for the same file."""
    assert network_of("alex", "cpu", lock) is network_of("alex", "cpu", dict(lock))


def test_without_weights_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing weights are an error with the command that brings them, never another number."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    video, true = noisy_pair(1, 64, 64)

    with pytest.raises(WeightsError, match="`pfp weights fetch lpips-alex`"):
        LpipsAlex().measure(video, true)


def test_a_frame_too_small_for_alexnet_is_refused(lock: Lock) -> None:
    """Frames under 31 pixels leave AlexNet nothing to pool."""
    video, true = noisy_pair(1, 30, 64)

    with pytest.raises(PermanentError, match="at least 31x31 pixels, not 64x30"):
        LpipsAlex(lock=lock).measure(video, true)


def test_another_network_s_weights_are_refused(lock: Lock, tmp_path: Path) -> None:
    """A locked file that is not AlexNet is an error that names it, though one was loaded before."""
    LpipsAlex(lock=lock).measure(*noisy_pair(1, 64, 64))
    other = write_trunk(tmp_path, "lpips-alex", {"conv1.weight": torch.zeros(1)})
    video, true = noisy_pair(1, 64, 64)

    with pytest.raises(WeightsError, match="is not torchvision's AlexNet"):
        LpipsAlex(lock={"lpips-alex": other}).measure(video, true)


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        ("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
        ("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    ],
)
def test_the_package_has_no_trunk_of_its_own(net: str, expected: str) -> None:
    """The heads that lpips ships are the v0.1 ones that the definition above was written with."""
    assert importlib.util.find_spec("lpips") is not None
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"

    assert sha256_file(heads) == expected
