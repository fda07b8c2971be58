"""The aesthetic predictors with random weights, against CLIP's vision tower in plain functions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from safetensors.torch import save_file
from torch import Tensor

from pfp.errors import WeightsError
from pfp.measures import aesthetic

HEAD_WIDTH = 64
EMBEDDING_SIZE = 768
NUM_TOKENS = 16 * 16 + 1  # patches of 14 pixels in 224, and the class token
SMALL = "vision-of-two-layers-quickgelu"
SMALL_WIDTH, SMALL_LAYERS = 128, 2


def shapes(width: int, num_layers: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of CLIP's vision tower under open_clip's names."""
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (width,),
        "positional_embedding": (NUM_TOKENS, width),
        "proj": (width, EMBEDDING_SIZE),
        "conv1.weight": (width, 3, 14, 14),
    }
    norms = ["ln_pre", "ln_post"]
    for layer in range(num_layers):
        name = f"transformer.resblocks.{layer}"
        norms += [f"{name}.ln_1", f"{name}.ln_2"]
        shapes[f"{name}.attn.in_proj_weight"] = (3 * width, width)
        shapes[f"{name}.attn.in_proj_bias"] = (3 * width,)
        shapes[f"{name}.attn.out_proj.weight"] = (width, width)
        shapes[f"{name}.attn.out_proj.bias"] = (width,)
        shapes[f"{name}.mlp.c_fc.weight"] = (4 * width, width)
        shapes[f"{name}.mlp.c_fc.bias"] = (4 * width,)
        shapes[f"{name}.mlp.c_proj.weight"] = (width, 4 * width)
        shapes[f"{name}.mlp.c_proj.bias"] = (width,)
    for name in norms:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)
    return shapes


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Seeded tensors that keep signals near 1; scales of normalisation are near 1."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        scale = 0.2 if len(shape) == 1 else math.prod(shape[1:]) ** -0.5
        tensors[name] = torch.randn(shape, generator=generator) * scale
        if "ln_" in name and name.endswith("weight"):
            tensors[name] += 1.0
    return tensors


@pytest.fixture
def tower(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """A tower of two narrow layers takes the place of CLIP ViT-L/14's; returns its tensors."""
    monkeypatch.setattr(aesthetic, "CLIP_MODEL", SMALL)
    return random_tensors(shapes(SMALL_WIDTH, SMALL_LAYERS), 0)


@pytest.fixture(autouse=True, scope="module")
def _small_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tell open_clip of a small model with ViT-L/14's patches, embedding and quick GELU."""
    text = {"context_length": 4, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1}
    vision = {"image_size": 224, "patch_size": 14, "width": SMALL_WIDTH, "layers": SMALL_LAYERS}
    config = {"embed_dim": EMBEDDING_SIZE, "quick_gelu": True, "vision_cfg": vision}
    path = tmp_path_factory.mktemp("open_clip") / f"{SMALL}.json"
    path.write_text(json.dumps({**config, "text_cfg": text}))
    open_clip.add_model_config(path)


def write_clip(path: Path, tower: dict[str, Tensor]) -> Path:
    """A file of CLIP's layout: the vision tower's tensors beside one of the text's."""
    tensors = {f"visual.{name}": tensor for name, tensor in tower.items()}
    save_file({**tensors, "text_projection": torch.zeros(64, EMBEDDING_SIZE)}, path)
    return path


def embedding_of(pixels_CHW: Tensor, tower: dict[str, Tensor], num_layers: int) -> Tensor:
    """CLIP's image embedding of one image, before it is made a unit vector."""

    def norm(x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * tower[f"{name}.weight"] + tower[f"{name}.bias"]

    patches = pixels_CHW.reshape(3, 16, 14, 16, 14).permute(1, 3, 0, 2, 4).flatten(2).flatten(0, 1)
    x = patches @ tower["conv1.weight"].flatten(1).T
    x = torch.cat([tower["class_embedding"][None], x]) + tower["positional_embedding"]
    x = norm(x, "ln_pre")
    for layer in range(num_layers):
        name = f"transformer.resblocks.{layer}"
        y = norm(x, f"{name}.ln_1") @ tower[f"{name}.attn.in_proj_weight"].T
        y = y + tower[f"{name}.attn.in_proj_bias"]
        query, key, value = y.unflatten(1, (3, -1, HEAD_WIDTH)).permute(1, 2, 0, 3)
        weight = torch.softmax(query @ key.transpose(1, 2) / HEAD_WIDTH**0.5, dim=-1)
        y = (weight @ value).transpose(0, 1).flatten(1) @ tower[f"{name}.attn.out_proj.weight"].T
        x = x + y + tower[f"{name}.attn.out_proj.bias"]
        y = norm(x, f"{name}.ln_2") @ tower[f"{name}.mlp.c_fc.weight"].T
        y = y + tower[f"{name}.mlp.c_fc.bias"]
        y = (y * torch.sigmoid(1.702 * y)) @ tower[f"{name}.mlp.c_proj.weight"].T
        x = x + y + tower[f"{name}.mlp.c_proj.bias"]
    return norm(x[0], "ln_post") @ tower["proj"]


def unit(embedding_E: Tensor) -> Tensor:
    """The vector over its length."""
    return embedding_E / embedding_E.pow(2).sum().sqrt()


def random_pixels(num_frames: int) -> Tensor:
    """Images of different contrast, float32 (N, 3, 224, 224)."""
    generator = torch.Generator().manual_seed(1)
    contrast = torch.linspace(0.3, 2.0, num_frames)[:, None, None, None]
    return torch.randn(num_frames, 3, 224, 224, generator=generator) * contrast


def v1_tensors() -> dict[str, Tensor]:
    """A linear head whose ratings are a few points apart."""
    tensors = random_tensors({"weight": (1, EMBEDDING_SIZE), "bias": (1,)}, 2)
    return {"weight": tensors["weight"] * 30, "bias": tensors["bias"] + 5}


def v2_tensors() -> dict[str, Tensor]:
    """The five layers of the improved head under the names that its author gave them."""
    widths = (EMBEDDING_SIZE, 1024, 128, 64, 16, 1)
    tensors = {}
    for layer, width, new_width in zip((0, 2, 4, 6, 7), widths, widths[1:], strict=False):
        tensors[f"layers.{layer}.weight"] = (new_width, width)
        tensors[f"layers.{layer}.bias"] = (new_width,)
    return random_tensors(tensors, 3)


@pytest.mark.parity
def test_v1_agrees_with_the_definition(
    tower: dict[str, Tensor], tmp_path: Path, parity: Callable[..., None]
) -> None:
    """Ratings of a linear head over 10 are the definition's to 1e-6."""
    head = v1_tensors()
    torch.save(head, tmp_path / "linear.pth")
    pixels_NCHW = random_pixels(3)

    ratings = aesthetic.ratings(
        aesthetic.load_tower(write_clip(tmp_path / "clip.safetensors", tower)),
        aesthetic.load_linear_head(tmp_path / "linear.pth"),
        pixels_NCHW,
    )

    units = [unit(embedding_of(pixels, tower, SMALL_LAYERS)) for pixels in pixels_NCHW]
    expected = [float(head["weight"][0] @ vector + head["bias"]) for vector in units]
    assert max(expected) - min(expected) > 0.05
    difference = max(abs(a - b) / 10 for a, b in zip(expected, ratings, strict=True))
    parity("aesthetic", "CLIP's tower and a linear head, as functions", difference, tolerance=1e-6)


@pytest.mark.parity
def test_v2_agrees_with_the_definition(
    tower: dict[str, Tensor], tmp_path: Path, parity: Callable[..., None]
) -> None:
    """Ratings of the five layers, with nothing between them, are the definition's to 1e-6."""
    head = v2_tensors()
    torch.save(head, tmp_path / "mlp.pth")
    pixels_NCHW = random_pixels(2)

    ratings = aesthetic.ratings(
        aesthetic.load_tower(write_clip(tmp_path / "clip.safetensors", tower)),
        aesthetic.load_mlp_head(tmp_path / "mlp.pth"),
        pixels_NCHW,
    )

    expected = []
    for pixels in pixels_NCHW:
        x = unit(embedding_of(pixels, tower, SMALL_LAYERS))
        for layer in (0, 2, 4, 6, 7):
            x = head[f"layers.{layer}.weight"] @ x + head[f"layers.{layer}.bias"]
        expected.append(float(x))
    difference = max(abs(a - b) for a, b in zip(expected, ratings, strict=True))
    parity("aesthetic.v2", "CLIP's tower and five layers, as functions", difference, tolerance=1e-6)
    assert expected[0] != pytest.approx(expected[1], abs=1e-4)


def test_the_true_tower_is_clip_vit_l_14() -> None:
    """open_clip's model has the tensors of the definition at the true size, and quick GELU."""
    config = open_clip.get_model_config(aesthetic.CLIP_MODEL)
    with torch.device("meta"):
        tower = open_clip.CLIP(**config).visual
        embedding = tower(torch.empty(2, 3, 224, 224))
    expected = shapes(1024, 24)

    assert expected == {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
    assert 303_966_208 == sum(math.prod(shape) for shape in expected.values())
    assert (2, EMBEDDING_SIZE) == tuple(embedding.shape)
    assert 16 == tower.transformer.resblocks[0].attn.num_heads
    assert isinstance(tower.transformer.resblocks[23].mlp.gelu, open_clip.transformer.QuickGELU)


def test_half_precision_is_widened(tower: dict[str, Tensor], tmp_path: Path) -> None:
    """A file in float16 is computed with in float32."""
    halves = {name: tensor.half() for name, tensor in tower.items()}
    network = aesthetic.load_tower(write_clip(tmp_path / "clip.safetensors", halves))

    assert {torch.float32} == {tensor.dtype for tensor in network.state_dict().values()}
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_two_metrics_share_one_tower(tower: dict[str, Tensor], tmp_path: Path) -> None:
    """While a tower is in use, whoever loads it again gets the same."""
    path = write_clip(tmp_path / "clip.safetensors", tower)

    assert aesthetic.load_tower(path) is aesthetic.load_tower(path)


def test_another_size_is_refused(tower: dict[str, Tensor], tmp_path: Path) -> None:
    """CLIP of another size, or without one of its tensors, is an error that names the wanted."""
    wider = random_tensors(shapes(192, SMALL_LAYERS), 0)
    short = {name: tensor for name, tensor in tower.items() if name != "proj"}
    for name, tensors in (("wider", wider), ("short", short)):
        path = write_clip(tmp_path / f"{name}.safetensors", tensors)
        with pytest.raises(WeightsError, match=f"{name}.safetensors is not the CLIP of {SMALL}"):
            aesthetic.load_tower(path)


def test_a_pickle_is_not_taken_for_safetensors(tower: dict[str, Tensor], tmp_path: Path) -> None:
    """CLIP's own TorchScript or pickle files are refused by name."""
    path = tmp_path / "ViT-L-14.pt"
    torch.save(tower, path)

    with pytest.raises(WeightsError, match=r"ViT-L-14\.pt is not a safetensors file"):
        aesthetic.load_tower(path)


def test_one_head_is_not_taken_for_the_other(tmp_path: Path) -> None:
    """V1's file given as V2's, and the reverse, are errors."""
    torch.save(v1_tensors(), tmp_path / "linear.pth")
    torch.save(v2_tensors(), tmp_path / "mlp.pth")

    with pytest.raises(WeightsError, match="is not LAION's linear head"):
        aesthetic.load_linear_head(tmp_path / "mlp.pth")
    with pytest.raises(WeightsError, match="is not the improved predictor's head"):
        aesthetic.load_mlp_head(tmp_path / "linear.pth")


def test_a_head_that_is_no_table_of_tensors_is_refused(tmp_path: Path) -> None:
    """A list of tensors is read, and refused."""
    torch.save([torch.zeros(1)], tmp_path / "list.pth")

    with pytest.raises(WeightsError, match="is not a table of tensors"):
        aesthetic.load_linear_head(tmp_path / "list.pth")


def test_the_length_of_the_image_embedding_does_not_count() -> None:
    """The head sees a unit vector, whatever the tower puts out."""
    pixels = torch.zeros(1, 3, 224, 224)

    def head(vector_NE: Tensor) -> Tensor:
        return F.linear(vector_NE, torch.tensor([[1.0, 2.0]]))

    expected = aesthetic.ratings(lambda _: torch.tensor([[3.0, 4.0]]), head, pixels)

    assert [pytest.approx(0.6 + 2 * 0.8)] == expected
    assert expected == aesthetic.ratings(lambda _: torch.tensor([[30.0, 40.0]]), head, pixels)
