"""MUSIQ with random weights of its true size, against the paper's network written as functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor

from pfp.errors import PermanentError, WeightsError
from pfp.measures import clarity

NUM_LAYERS, WIDTH, NUM_HEADS, MLP_WIDTH = 14, 384, 6, 1152
PATCH = 32
GRID = 10
LONGER_SIDES = (224, 384)


def shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor of MUSIQ with one output, under the checkpoint's names."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv_root.weight": (64, 3, 7, 7),
        "block1.conv1.weight": (64, 64, 1, 1),
        "block1.conv2.weight": (64, 64, 3, 3),
        "block1.conv3.weight": (256, 64, 1, 1),
        "block1.conv_proj.weight": (256, 64, 1, 1),
        "embedding.weight": (WIDTH, 8 * 8 * 256),
        "embedding.bias": (WIDTH,),
        "transformer_encoder.cls": (1, 1, WIDTH),
        "transformer_encoder.posembed_input.position_emb": (1, GRID * GRID, WIDTH),
        "transformer_encoder.scaleembed_input.scale_emb": (3, WIDTH),
        "head.weight": (1, WIDTH),
        "head.bias": (1,),
    }
    norms = {"gn_root": 64, "block1.gn1": 64, "block1.gn2": 64, "block1.gn3": 256}
    norms |= {"block1.gn_proj": 256, "transformer_encoder.encoder_norm": WIDTH}
    for layer in range(NUM_LAYERS):
        name = f"transformer_encoder.transformer.encoderblock_{layer}"
        norms |= {f"{name}.norm1": WIDTH, f"{name}.norm2": WIDTH}
        for part in ("query", "key", "value", "out"):
            shapes[f"{name}.attention.{part}.weight"] = (WIDTH, WIDTH)
            shapes[f"{name}.attention.{part}.bias"] = (WIDTH,)
        shapes[f"{name}.mlp.fc1.weight"] = (MLP_WIDTH, WIDTH)
        shapes[f"{name}.mlp.fc1.bias"] = (MLP_WIDTH,)
        shapes[f"{name}.mlp.fc2.weight"] = (WIDTH, MLP_WIDTH)
        shapes[f"{name}.mlp.fc2.bias"] = (WIDTH,)
    for name, width in norms.items():
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)
    return shapes


def random_weights() -> dict[str, Tensor]:
    """Seeded weights that keep signals near 1 and make scores that differ by tens."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes().items():
        fan_in = math.prod(shape[1:])
        scale = 0.1 if len(shape) == 1 else fan_in**-0.5
        weights[name] = torch.randn(shape, generator=generator) * scale
        if len(shape) == 1 and name.endswith("weight"):
            weights[name] += 1.0
    weights["transformer_encoder.posembed_input.position_emb"] *= 100
    weights["transformer_encoder.scaleembed_input.scale_emb"] *= 10
    weights["head.weight"] *= 30
    return weights


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """One set of random weights for the whole file."""
    return random_weights()


@pytest.fixture(scope="module")
def path(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of them, as the true checkpoint is one."""
    path = tmp_path_factory.mktemp("musiq") / "musiq_spaq_ckpt.pth"
    torch.save(weights, path)
    return path


def standardised(weight: Tensor) -> Tensor:
    """Each filter less its mean and over its (unbiased) standard deviation."""
    rows = weight.flatten(1)
    rows = (rows - rows.mean(1, keepdim=True)) / (rows.std(1, keepdim=True) + 1e-5)
    return rows.reshape(weight.shape)


def patch_tokens(patches_NCHW: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """A 7x7 convolution, pooling and one bottleneck make each 32x32 patch a vector of 384."""

    def group_norm(x: Tensor, name: str, eps: float) -> Tensor:
        return F.group_norm(x, 32, weights[f"{name}.weight"], weights[f"{name}.bias"], eps)

    def conv(x: Tensor, name: str, **options: int) -> Tensor:
        return F.conv2d(x, standardised(weights[f"block1.{name}.weight"]), **options)

    # TensorFlow's "same" puts the odd pixel of padding below and on the right.
    root = standardised(weights["conv_root.weight"])
    x = F.conv2d(F.pad(patches_NCHW, (2, 3, 2, 3)), root, stride=2)
    x = F.relu(group_norm(x, "gn_root", 1e-6))
    x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)
    y = F.relu(group_norm(conv(x, "conv1"), "block1.gn1", 1e-4))
    y = F.relu(group_norm(conv(y, "conv2", padding=1), "block1.gn2", 1e-4))
    y = group_norm(conv(y, "conv3"), "block1.gn3", 1e-4)
    x = F.relu(y + group_norm(conv(x, "conv_proj"), "block1.gn_proj", 1e-4))
    flat = x.permute(0, 2, 3, 1).flatten(1)
    return flat @ weights["embedding.weight"].T + weights["embedding.bias"]


def tokens_of(image_CHW: Tensor, scale: int, weights: dict[str, Tensor]) -> Tensor:
    """All patches of an image, each with its place hashed into a 10x10 grid and its scale."""
    height, width = image_CHW.shape[1:]
    num_rows, num_columns = -(-height // PATCH), -(-width // PATCH)
    below, right = num_rows * PATCH - height, num_columns * PATCH - width
    padded = F.pad(image_CHW, (right // 2, -(-right // 2), below // 2, -(-below // 2)))
    places = weights["transformer_encoder.posembed_input.position_emb"][0]
    tokens = []
    for row in range(num_rows):
        for column in range(num_columns):
            patch = padded[:, row * PATCH :, column * PATCH :][:, :PATCH, :PATCH]
            place = row * GRID // num_rows * GRID + column * GRID // num_columns
            tokens.append((patch, places[place]))
    patches, embeddings = (torch.stack(part) for part in zip(*tokens, strict=True))
    scale_embedding = weights["transformer_encoder.scaleembed_input.scale_emb"][scale]
    return patch_tokens(patches, weights) + embeddings + scale_embedding


def attention(x_LC: Tensor, name: str, weights: dict[str, Tensor]) -> Tensor:
    """Six heads of 64 that see every token."""

    def linear(x: Tensor, part: str) -> Tensor:
        return x @ weights[f"{name}.{part}.weight"].T + weights[f"{name}.{part}.bias"]

    query, key, value = (
        linear(x_LC, part).unflatten(1, (NUM_HEADS, -1)).transpose(0, 1)
        for part in ("query", "key", "value")
    )
    weight = torch.softmax(query @ key.transpose(1, 2) / 64**0.5, dim=-1)
    return linear((weight @ value).transpose(0, 1).flatten(1), "out")


def score_of(frame_CHW: Tensor, weights: dict[str, Tensor]) -> float:
    """MUSIQ of one frame in [0, 1]: three scales in, the class token's linear answer out."""
    image_CHW = frame_CHW * 2 - 1
    tokens = [weights["transformer_encoder.cls"][0]]
    height, width = image_CHW.shape[1:]
    for scale, side in enumerate(LONGER_SIDES):
        ratio = side / max(height, width)
        size = (round(height * ratio), round(width * ratio))
        resized = F.interpolate(image_CHW[None], size, mode="bicubic", align_corners=False)[0]
        tokens.append(tokens_of(resized, scale, weights))
    tokens.append(tokens_of(image_CHW, 2, weights))
    x = torch.cat(tokens)

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    for layer in range(NUM_LAYERS):
        name = f"transformer_encoder.transformer.encoderblock_{layer}"
        x = x + attention(norm(x, f"{name}.norm1"), f"{name}.attention", weights)
        y = norm(x, f"{name}.norm2") @ weights[f"{name}.mlp.fc1.weight"].T
        y = y + weights[f"{name}.mlp.fc1.bias"]
        y = 0.5 * y * (1 + torch.erf(y / 2**0.5))
        x = x + y @ weights[f"{name}.mlp.fc2.weight"].T + weights[f"{name}.mlp.fc2.bias"]
    x = norm(x, "transformer_encoder.encoder_norm")
    return float(weights["head.weight"][0] @ x[0] + weights["head.bias"])


def random_frames(num_frames: int, height: int, width: int) -> np.ndarray:
    """Noise over a slope of brightness, uint8 (T, H, W, 3), each frame smoother than the last."""
    rng = np.random.default_rng(7)
    slope = np.linspace(0, 200, width)[:, None]
    frames = [slope + rng.normal(20, 60 / (t + 1), (height, width, 3)) for t in range(num_frames)]
    return np.clip(frames, 0, 255).astype(np.uint8)


def test_the_random_network_has_the_true_size() -> None:
    """MUSIQ with one output has 27,125,825 parameters."""
    assert 27_125_825 == sum(math.prod(shape) for shape in shapes().values())


@pytest.mark.parity
@pytest.mark.parametrize(("height", "width"), [(45, 130), (700, 41)])
def test_it_agrees_with_the_definition(
    path: Path,
    weights: dict[str, Tensor],
    height: int,
    width: int,
    parity: Callable[..., None],
) -> None:
    """Scores of frames, small ones and ones that are made smaller, are the definition's to 1e-4."""
    frames = [clarity.longer_512(frame) for frame in random_frames(2, height, width)]

    scores = clarity.mean_opinions(clarity.load_musiq(path), torch.stack(frames))

    expected = [score_of(frame, weights) for frame in frames]
    assert abs(expected[0] - expected[1]) > 0.1
    difference = max(abs(a - b) for a, b in zip(expected, scores, strict=True))
    parity("clarity", "MUSIQ written as functions", difference, tolerance=1e-4, unit="MOS")


def test_frames_do_not_see_each_other(path: Path) -> None:
    """A frame's score is the same alone and among others, but for rounding."""
    frames = torch.stack([clarity.longer_512(frame) for frame in random_frames(2, 12, 128)])
    musiq = clarity.load_musiq(path)

    alone = [clarity.mean_opinions(musiq, frames[t : t + 1])[0] for t in range(2)]

    assert alone == pytest.approx(clarity.mean_opinions(musiq, frames), abs=1e-4)


def sampled_line(size: int, new_size: int) -> np.ndarray:
    """Rows of weights that sample a line at new pixel centres from two neighbours."""
    weights = np.zeros((new_size, size))
    for row in range(new_size):
        centre = np.clip((row + 0.5) * size / new_size - 0.5, 0, size - 1)
        before = int(centre)
        weights[row, before] += 1 - (centre - before)
        weights[row, min(before + 1, size - 1)] += centre - before
    return weights


@pytest.mark.parametrize(
    ("height", "width", "new_height", "new_width"),
    [(480, 832, 295, 512), (600, 337, 512, 287), (30, 561, 27, 511)],
)
def test_frames_are_sampled_as_vbench_does(
    height: int, width: int, new_height: int, new_width: int
) -> None:
    """The longer side becomes 512 (511 where 512 / 561 * 561 is cut off), without antialiasing."""
    frame = random_frames(1, height, width)[0]
    rows, columns = sampled_line(height, new_height), sampled_line(width, new_width)
    expected = np.einsum("yh,hwc,xw->cyx", rows, frame / 255.0, columns, optimize=True)

    resized = clarity.longer_512(frame)

    assert (new_height, new_width) == clarity.size_of(height, width)
    assert resized.shape == (3, new_height, new_width)
    assert np.abs(expected - resized.numpy()).max() < 1e-4


@pytest.mark.parametrize(("height", "width"), [(512, 100), (33, 47), (1, 1)])
def test_small_frames_stay_as_they_are(height: int, width: int) -> None:
    """Up to 512 pixels nothing is resized: the code values over 255."""
    frame = random_frames(1, height, width)[0]

    expected = torch.from_numpy(frame).permute(2, 0, 1) / 255.0

    assert torch.equal(expected, clarity.longer_512(frame))


@pytest.mark.parametrize(("height", "width"), [(2, 1000), (1, 449), (3000, 1)])
def test_a_strip_is_refused(height: int, width: int) -> None:
    """A frame that has no breadth left at MUSIQ's smallest scale is refused with its size."""
    with pytest.raises(PermanentError, match=f"one of {width}x{height} pixels has no breadth"):
        clarity.size_of(height, width)


def test_loading_leaves_the_random_generator_alone(path: Path) -> None:
    """A run's random numbers do not depend on whether clarity was measured."""
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    clarity.load_musiq(path)

    assert torch.equal(expected, torch.rand(4))


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    """A file that would run code when unpickled is refused and runs none."""
    proof = tmp_path / "proof"

    class Mischief:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (proof,)

    path = tmp_path / "musiq.pth"
    torch.save({"head.weight": Mischief()}, path)

    with pytest.raises(WeightsError, match="cannot be read as tensors only"):
        clarity.load_musiq(path)
    assert not proof.exists()


@pytest.mark.parametrize("content", [b"", b"<html>quota exceeded</html>"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file and a web page are errors that name the file."""
    path = tmp_path / "musiq.pth"
    path.write_bytes(content)

    with pytest.raises(WeightsError, match=r"musiq\.pth cannot be read as tensors only"):
        clarity.load_musiq(path)


def test_another_musiq_is_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    """MUSIQ trained on AVA, with ten outputs, and one without a tensor are not taken for SPAQ's."""
    lacking = {name: tensor for name, tensor in weights.items() if name != "gn_root.bias"}
    for tensors in ({**weights, "head.weight": torch.zeros(10, WIDTH)}, lacking):
        path = tmp_path / "other.pth"
        torch.save(tensors, path)
        with pytest.raises(WeightsError, match="is not MUSIQ trained on SPAQ"):
            clarity.load_musiq(path)
