"""ViCLIP: a video and a text as unit vectors whose cosine says how well they fit.

The network of Wang et al., "InternVid: A Large-scale Video-Text Dataset for Multimodal
Understanding and Generation" (ICLR 2024), under the published checkpoint's own parameter names.
Both towers are CLIP's. The vision tower lets all patches of all frames attend to each other at
once, with one class token for the whole video and a learned embedding of each frame's place.

Axes: N samples, T frames, C colour or channels, H height, W width, L tokens, E embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor, nn

from pfp.errors import InputError, WeightsError
from pfp.measures.tensor_files import brief, read_plain

HEAD_WIDTH = 64  # of both towers: 1024 / 16 and 768 / 12
QUICK_GELU_SLOPE = 1.702

_NETWORKS: WeakValueDictionary[tuple[Path, str], Viclip] = WeakValueDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViclipConfig:
    """Sizes of the towers; the defaults are ViCLIP-L/14's. Widths are multiples of 64."""

    image_size: int = 224
    patch_size: int = 14
    num_frames: int = 8
    vision_width: int = 1024
    num_vision_layers: int = 24
    text_width: int = 768
    num_text_layers: int = 12
    context_length: int = 32  # with the tokens for start and end
    vocabulary_size: int = 49408
    embedding_size: int = 768


class Viclip(nn.Module):
    """Both towers; ``temp`` is the training loss's temperature, here because the checkpoint has it.

    A new one has random weights; ``load_viclip`` makes one from the checkpoint.
    """

    def __init__(self, config: ViclipConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ViclipConfig()
        self.vision_encoder = VisionTower(config)
        self.text_encoder = TextTower(config)
        self.temp = nn.Parameter(torch.tensor(0.01))

    def embed_videos(self, pixels_NTCHW: Tensor) -> Tensor:
        """Unit vectors of videos, (N, E) float32; not finite if the network puts out none or 0.

        pixels_NTCHW: CLIP-normalised floats; T is ``config.num_frames`` or 1, H and W are
        ``config.image_size`` (``InputError``).
        """
        return _unit(self.vision_encoder(pixels_NTCHW.transpose(1, 2)).float())

    def embed_texts(self, tokens_NL: Tensor) -> Tensor:
        """Unit vectors of texts, (N, E) float32; not finite if the network puts out none or 0.

        tokens_NL: int64, start and end token included, 0 after the end; L is
        ``config.context_length`` (``InputError``).
        """
        return _unit(self.text_encoder(tokens_NL).float())


class VisionTower(nn.Module):
    """A ViT over patches of all frames together, read off at the class token."""

    def __init__(self, config: ViclipConfig) -> None:
        super().__init__()
        width, patch_size = config.vision_width, config.patch_size
        num_patches = (config.image_size // patch_size) ** 2
        self._config = config
        cube = (1, patch_size, patch_size)
        self.conv1 = nn.Conv3d(3, width, kernel_size=cube, stride=cube, bias=False)
        self.class_embedding = _random(width)
        self.positional_embedding = _random(num_patches + 1, width)
        self.temporal_positional_embedding = _random(1, config.num_frames, width)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, config.num_vision_layers, causal=False)
        self.ln_post = nn.LayerNorm(width)
        self.proj = _random(width, config.embedding_size)

    def forward(self, pixels_NCTHW: Tensor) -> Tensor:
        """Embeddings (N, E) of videos (N, 3, T, H, W)."""
        self._check(pixels_NCTHW)
        x_NTPC = self.conv1(pixels_NCTHW).flatten(3).permute(0, 2, 3, 1)  # P patches of a frame
        x_NTPC = x_NTPC + self.positional_embedding[1:] + self._places(x_NTPC.shape[1])
        class_C = self.class_embedding + self.positional_embedding[0]
        class_N1C = class_C.expand(len(x_NTPC), 1, -1)
        x_NLC = torch.cat([class_N1C, x_NTPC.flatten(1, 2)], dim=1)
        x_NLC = self.transformer(self.ln_pre(x_NLC))
        embedding_NE: Tensor = self.ln_post(x_NLC[:, 0]) @ self.proj
        return embedding_NE

    def _places(self, num_frames: int) -> Tensor:
        """What each frame gets for its place in time, (T, 1, C); a lone frame gets the mean."""
        places_TC = self.temporal_positional_embedding[0]
        if num_frames == 1:
            places_TC = places_TC.mean(dim=0, keepdim=True)
        return places_TC[:, None]

    def _check(self, pixels_NCTHW: Tensor) -> None:
        size, num_frames = self._config.image_size, self._config.num_frames
        _, channels, given_frames, height, width = pixels_NCTHW.shape
        if (channels, height, width) != (3, size, size) or given_frames not in {1, num_frames}:
            raise InputError(
                f"ViCLIP got {given_frames} frames of {width}x{height} with {channels} channels; "
                f"give {num_frames} frames or 1, {size}x{size}, RGB"
            )


class TextTower(nn.Module):
    """CLIP's causal text transformer, read off at the end token."""

    def __init__(self, config: ViclipConfig) -> None:
        super().__init__()
        width = config.text_width
        self._context_length = config.context_length
        self.token_embedding = nn.Embedding(config.vocabulary_size, width)
        self.positional_embedding = _random(config.context_length, width)
        self.transformer = Transformer(width, config.num_text_layers, causal=True)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = _random(width, config.embedding_size)

    def forward(self, tokens_NL: Tensor) -> Tensor:
        """Embeddings (N, E) of token ids (N, L)."""
        if tokens_NL.shape[1] != self._context_length:
            raise InputError(
                f"ViCLIP got texts of {tokens_NL.shape[1]} tokens; pad or cut them to "
                f"{self._context_length}"
            )
        x_NLC = self.token_embedding(tokens_NL) + self.positional_embedding
        x_NLC = self.transformer(x_NLC)
        end_N = tokens_NL.argmax(dim=1)  # the end token has the largest id of the vocabulary
        end_NC = x_NLC[torch.arange(len(x_NLC), device=x_NLC.device), end_N]
        embedding_NE: Tensor = self.ln_final(end_NC) @ self.text_projection
        return embedding_NE


class Transformer(nn.Module):
    """Pre-norm residual blocks."""

    def __init__(self, width: int, num_layers: int, *, causal: bool) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, causal=causal) for _ in range(num_layers))

    def forward(self, x_NLC: Tensor) -> Tensor:
        """Same shape in and out."""
        for block in self.resblocks:
            x_NLC = block(x_NLC)
        return x_NLC


class Block(nn.Module):
    """Self-attention and an MLP of four times the width, each added to its input."""

    def __init__(self, width: int, *, causal: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, causal=causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x_NLC: Tensor) -> Tensor:
        """Same shape in and out."""
        x_NLC = x_NLC + self.attn(self.ln_1(x_NLC))
        out_NLC: Tensor = x_NLC + self.mlp(self.ln_2(x_NLC))
        return out_NLC


class Attention(nn.Module):
    """Self-attention of heads 64 wide, with torch's names of the packed projections."""

    def __init__(self, width: int, *, causal: bool) -> None:
        super().__init__()
        self._causal = causal
        self.in_proj_weight = _random(3 * width, width)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x_NLC: Tensor) -> Tensor:
        """Same shape in and out."""
        packed_NLC = F.linear(x_NLC, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (
            part_NLC.reshape(*part_NLC.shape[:2], -1, HEAD_WIDTH).transpose(1, 2)
            for part_NLC in packed_NLC.chunk(3, dim=2)
        )
        heads = F.scaled_dot_product_attention(query, key, value, is_causal=self._causal)
        out_NLC: Tensor = self.out_proj(heads.transpose(1, 2).flatten(2))
        return out_NLC


class Mlp(nn.Module):
    """Two layers with CLIP's quick GELU, ``x sigmoid(1.702 x)``, between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x_NLC: Tensor) -> Tensor:
        """Same shape in and out."""
        x_NLC = self.c_fc(x_NLC)
        out_NLC: Tensor = self.c_proj(x_NLC * torch.sigmoid(QUICK_GELU_SLOPE * x_NLC))
        return out_NLC


def load_viclip(path: Path, device: str = "cpu") -> Viclip:
    """The network of a checkpoint ``{"model": tensors}``, float32, in evaluation mode.

    Its sizes are those of its tensors. Nothing but tensors is unpickled. Whoever asks again while
    the network is in use gets the same one: it takes 1.7 GB.

    Raises:
        WeightsError: the file is not a ViCLIP checkpoint, or holds more than tensors.
    """
    network = _NETWORKS.get((path, device))
    if network is None:
        network = _network_from(path).to(device)
        _NETWORKS[path, device] = network
    return network


def _network_from(path: Path) -> Viclip:
    state = _state_of(path)
    try:
        with torch.device("meta"):  # random numbers would be drawn only to be replaced
            network = Viclip(config_of(state))
        network.load_state_dict(state, strict=True, assign=True)
    except (KeyError, IndexError, RuntimeError) as error:
        raise WeightsError(f"{path} is not ViCLIP: {brief(error)}") from error
    return network.float().eval().requires_grad_(requires_grad=False)


def _state_of(path: Path) -> dict[str, Tensor]:
    loaded = read_plain(path)
    state = loaded.get("model") if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path} has no tensors under 'model'; fetch the file of the lock")
    return dict(state)


def config_of(state: Mapping[str, Tensor]) -> ViclipConfig:
    """The sizes that a checkpoint's tensors have; KeyError names the first tensor it lacks."""
    patches_CCTHW = state["vision_encoder.conv1.weight"]
    patch_size = patches_CCTHW.shape[-1]
    num_patches = len(state["vision_encoder.positional_embedding"]) - 1
    return ViclipConfig(
        image_size=math.isqrt(num_patches) * patch_size,
        patch_size=patch_size,
        num_frames=state["vision_encoder.temporal_positional_embedding"].shape[1],
        vision_width=len(patches_CCTHW),
        num_vision_layers=_num_layers(state, "vision_encoder"),
        text_width=state["text_encoder.positional_embedding"].shape[1],
        num_text_layers=_num_layers(state, "text_encoder"),
        context_length=len(state["text_encoder.positional_embedding"]),
        vocabulary_size=len(state["text_encoder.token_embedding.weight"]),
        embedding_size=state["vision_encoder.proj"].shape[1],
    )


def _num_layers(state: Mapping[str, Tensor], tower: str) -> int:
    prefix = f"{tower}.transformer.resblocks."
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def _random(*shape: int) -> nn.Parameter:
    """A parameter of small random numbers, as CLIP starts its embeddings and projections."""
    return nn.Parameter(torch.randn(shape) * shape[-1] ** -0.5)


def _unit(x_NE: Tensor) -> Tensor:
    # Not F.normalize: it would turn an embedding of zeros, a broken network, into a cosine of 0.
    unit_NE: Tensor = x_NE / x_NE.norm(dim=1, keepdim=True)
    return unit_NE
