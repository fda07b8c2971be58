"""ViCLIP's towers against its description written out head by head in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pfp.errors import InputError, WeightsError
from pfp.eval.networks.viclip import Viclip, ViclipConfig, config_of, load_viclip

SMALL = ViclipConfig(
    image_size=42,
    vision_width=128,
    num_vision_layers=3,
    text_width=192,
    num_text_layers=2,
    vocabulary_size=60,
    embedding_size=48,
)
END = 59

Weights = dict[str, Tensor]


def small_network(config: ViclipConfig = SMALL) -> Viclip:
    """A network of random weights, large enough for attention to be selective.

    No weight is 0 or 1, so that each of them matters.
    """
    network = Viclip(config).eval()
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim < 2:
                weight.copy_(("ln_" in name and "weight" in name) + 0.3 * noise)
            elif "embedding" in name:
                weight.copy_(noise)
            else:
                scale = 2.0 if "in_proj" in name else 1.0
                weight.copy_(scale * noise * weight[0].numel() ** -0.5)
    return network


def layer_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """Zero mean and unit variance over the last axis, then scale and shift."""
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(x_LC: Tensor, w: Weights, name: str, *, causal: bool) -> Tensor:
    """Scaled dot products of each head of 64 channels, one head after the other."""
    query, key, value = (x_LC @ w[f"{name}.in_proj_weight"].T + w[f"{name}.in_proj_bias"]).split(
        x_LC.shape[1], dim=1
    )
    heads = []
    for start in range(0, x_LC.shape[1], 64):
        part = slice(start, start + 64)
        logits = query[:, part] @ key[:, part].T / 8.0
        if causal:
            later = torch.arange(len(x_LC))[None] > torch.arange(len(x_LC))[:, None]
            logits[later] = -torch.inf
        weights = logits.exp() / logits.exp().sum(1, keepdim=True)
        heads.append(weights @ value[:, part])
    return torch.cat(heads, 1) @ w[f"{name}.out_proj.weight"].T + w[f"{name}.out_proj.bias"]


def transformer(x_LC: Tensor, w: Weights, name: str, num_layers: int, *, causal: bool) -> Tensor:
    """Blocks that normalise before attention and before the MLP with the quick GELU."""
    for layer in range(num_layers):
        block = f"{name}.transformer.resblocks.{layer}"
        normal = layer_norm(x_LC, w, f"{block}.ln_1")
        x_LC = x_LC + attention(normal, w, f"{block}.attn", causal=causal)
        normal = layer_norm(x_LC, w, f"{block}.ln_2")
        hidden = normal @ w[f"{block}.mlp.c_fc.weight"].T + w[f"{block}.mlp.c_fc.bias"]
        hidden = hidden / (1 + torch.exp(-1.702 * hidden))
        x_LC = x_LC + hidden @ w[f"{block}.mlp.c_proj.weight"].T + w[f"{block}.mlp.c_proj.bias"]
    return x_LC


def video_by_definition(video_TCHW: Tensor, w: Weights) -> Tensor:
    """One class token, then all patches of all frames, which see each other from the start."""
    w = {name.removeprefix("vision_encoder."): weight.double() for name, weight in w.items()}
    kernel = w["conv1.weight"][:, :, 0].flatten(1)
    places = w["temporal_positional_embedding"][0]
    if len(video_TCHW) == 1:
        places = places.mean(0, keepdim=True)
    tokens = [w["class_embedding"] + w["positional_embedding"][0]]
    for frame, place in zip(video_TCHW.double(), places, strict=True):
        side = SMALL.image_size // 14
        for row in range(side):
            for column in range(side):
                patch = frame[:, 14 * row : 14 * row + 14, 14 * column : 14 * column + 14]
                where = w["positional_embedding"][1 + side * row + column]
                tokens.append(kernel @ patch.flatten() + where + place)
    w = {f".{name}": weight for name, weight in w.items()}
    x_LC = layer_norm(torch.stack(tokens), w, ".ln_pre")
    x_LC = transformer(x_LC, w, "", SMALL.num_vision_layers, causal=False)
    out = layer_norm(x_LC, w, ".ln_post")[0] @ w[".proj"]
    return out / out.square().sum().sqrt()


def text_by_definition(tokens: list[int], w: Weights) -> Tensor:
    """Each token sees those before it; the place of the end token is read."""
    w = {name: weight.double() for name, weight in w.items()}
    x_LC = w["text_encoder.token_embedding.weight"][tokens]
    x_LC = x_LC + w["text_encoder.positional_embedding"]
    x_LC = transformer(x_LC, w, "text_encoder", SMALL.num_text_layers, causal=True)
    x_LC = layer_norm(x_LC, w, "text_encoder.ln_final")
    out = x_LC[tokens.index(END)] @ w["text_encoder.text_projection"]
    return out / out.square().sum().sqrt()


def random_videos(num_videos: int, num_frames: int) -> Tensor:
    """Normal noise, about what CLIP's normalisation leaves of a video."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(num_videos, num_frames, 3, 42, 42, generator=generator)


@pytest.mark.parity
@pytest.mark.parametrize("num_frames", [8, 1])
def test_videos_agree_with_the_description(num_frames: int, parity: Callable[..., None]) -> None:
    """Embeddings of eight frames, and of one, are the description's to 1e-5."""
    network = small_network()
    weights = {k: v for k, v in network.state_dict().items() if k.startswith("vision_encoder.")}
    videos_NTCHW = random_videos(2, num_frames)

    with torch.inference_mode():
        actual = network.embed_videos(videos_NTCHW)
    expected = torch.stack([video_by_definition(video, weights) for video in videos_NTCHW])

    reference = f"ViCLIP's vision tower, frames {num_frames}, float64"
    parity("semantic", reference, (actual - expected).abs().max(), tolerance=1e-5)


@pytest.mark.parity
def test_texts_agree_with_the_description(parity: Callable[..., None]) -> None:
    """Embeddings of a short text and of one that fills the context are the description's."""
    network = small_network()
    short = [58, 3, 1, 4, END] + [0] * 27
    full = [58, *range(1, 31), END]

    with torch.inference_mode():
        actual = network.embed_texts(torch.tensor([short, full]))
    expected = torch.stack([text_by_definition(row, network.state_dict()) for row in (short, full)])

    reference = "ViCLIP's text tower, float64"
    parity("semantic", reference, (actual - expected).abs().max(), tolerance=1e-5)


def test_the_order_of_frames_matters() -> None:
    """A video backwards has another embedding: frames carry their place in time."""
    network = small_network()
    videos_NTCHW = random_videos(1, 8)

    with torch.inference_mode():
        forwards, backwards = network.embed_videos(torch.cat([videos_NTCHW, videos_NTCHW.flip(1)]))

    assert float((forwards - backwards).abs().max()) > 1e-3


def test_what_follows_the_end_token_does_not_matter() -> None:
    """Attention is causal, so tokens after the end leave the embedding as it is."""
    network = small_network()
    text = [58, 3, 1, 4, END] + [0] * 27
    other = [58, 3, 1, 4, END] + [7] * 27

    with torch.inference_mode():
        first, second = network.embed_texts(torch.tensor([text, other]))

    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)


def true_names() -> set[str]:
    """What the published checkpoint's tensors are called."""
    block = ("attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight")
    block += ("attn.out_proj.bias", "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias")
    block += ("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias")
    vision = ["class_embedding", "positional_embedding", "temporal_positional_embedding", "proj"]
    vision += ["conv1.weight", "ln_pre.weight", "ln_pre.bias", "ln_post.weight", "ln_post.bias"]
    vision += [f"transformer.resblocks.{i}.{name}" for i in range(24) for name in block]
    text = ["positional_embedding", "text_projection", "token_embedding.weight"]
    text += ["ln_final.weight", "ln_final.bias"]
    text += [f"transformer.resblocks.{i}.{name}" for i in range(12) for name in block]
    names = {"temp", *(f"vision_encoder.{name}" for name in vision)}
    return names | {f"text_encoder.{name}" for name in text}


def test_the_true_size_has_the_published_names_and_shapes() -> None:
    """ViCLIP-L/14 has 427,590,145 parameters, 303,974,400 of them in the vision tower."""
    with torch.device("meta"):
        network = Viclip()
        video_embedding = network.embed_videos(torch.empty(1, 8, 3, 224, 224))
        text_embedding = network.embed_texts(torch.empty(5, 32, dtype=torch.int64))
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}

    assert shapes.keys() == true_names()
    assert (1024, 3, 1, 14, 14) == shapes["vision_encoder.conv1.weight"]
    assert (257, 1024) == shapes["vision_encoder.positional_embedding"]
    assert (1, 8, 1024) == shapes["vision_encoder.temporal_positional_embedding"]
    assert (32, 768) == shapes["text_encoder.positional_embedding"]
    assert (1, 768) == tuple(video_embedding.shape)
    assert (5, 768) == tuple(text_embedding.shape)
    num_vision = sum(weight.numel() for weight in network.vision_encoder.parameters())
    num_text = sum(weight.numel() for weight in network.text_encoder.parameters())
    assert (303_974_400, 123_615_744) == (num_vision, num_text)
    assert config_of(network.state_dict()) == ViclipConfig()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_checkpoint_loads_through_torch_save(tmp_path: Path, dtype: torch.dtype) -> None:
    """A saved network comes back in float32 with the sizes and the answers it had."""
    network = small_network().to(dtype)
    torch.save({"model": network.state_dict()}, tmp_path / "viclip.pth")
    torch.manual_seed(5)
    expected_random = torch.rand(3)
    torch.manual_seed(5)
    loaded = load_viclip(tmp_path / "viclip.pth")

    assert loaded.config == SMALL
    assert not loaded.training
    assert torch.equal(expected_random, torch.rand(3))
    with torch.inference_mode():
        videos_NTCHW = random_videos(1, 8)
        expected = network.float().embed_videos(videos_NTCHW)
        assert torch.equal(expected, loaded.embed_videos(videos_NTCHW))


class NotATensor:
    """Anything that a pickle could hold beside tensors."""


def broken_checkpoints() -> dict[str, Any]:
    """What a file may hold instead of ViCLIP, by what is wrong with it."""
    state = dict(small_network().state_dict())
    short = {k: v for k, v in state.items() if not k.endswith("resblocks.1.ln_2.bias")}
    no_video = {k: v for k, v in state.items() if "temporal" not in k}
    return {
        "no tensors under 'model'": state,
        "resblocks.1.ln_2.bias": {"model": short},
        "temporal_positional_embedding": {"model": no_video},
        "text_encoder.stranger": {"model": {**state, "text_encoder.stranger": torch.ones(2)}},
        "size mismatch for vision_encoder.proj": {
            "model": {**state, "vision_encoder.proj": torch.ones(64, 48)}
        },
        "cannot be read as tensors only": {"model": state, "config": NotATensor()},
    }


@pytest.mark.parametrize("problem", broken_checkpoints())
def test_what_is_not_viclip_is_refused(tmp_path: Path, problem: str) -> None:
    """Missing, strange or misshapen tensors and pickled objects are errors that name them."""
    torch.save(broken_checkpoints()[problem], tmp_path / "viclip.pth")

    with pytest.raises(WeightsError, match=problem):
        load_viclip(tmp_path / "viclip.pth")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"], ids=["empty", "a web page"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file and a web page are refused by name."""
    path = tmp_path / "viclip.pth"
    path.write_bytes(content)

    with pytest.raises(WeightsError, match=r"viclip\.pth"):
        load_viclip(path)


def test_wrong_sizes_of_input_are_refused() -> None:
    """Another number of frames, another image size and another context are refused."""
    network = small_network()

    with pytest.raises(InputError, match="got 7 frames of 42x42"):
        network.embed_videos(random_videos(1, 7))
    with pytest.raises(InputError, match="got 8 frames of 40x42"):
        network.embed_videos(random_videos(1, 8)[..., :40])
    with pytest.raises(InputError, match="texts of 31 tokens; pad or cut them to 32"):
        network.embed_texts(torch.ones(1, 31, dtype=torch.int64))
