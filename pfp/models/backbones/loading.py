"""The backbones by name: what each one is, and loading it from a local folder.

The sizes are those of the published checkpoints in diffusers' format (paper section 4.1 names the
models). They are written down, because diffusers holds only the defaults of its classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import HunyuanVideoTransformer3DModel, WanTransformer3DModel
from torch import nn

import pfp.models.precision  # noqa: F401 - bf16 convolutions on CPUs are right from here on
from pfp.errors import ConfigError, WeightsError
from pfp.io.weights_lock import published_at
from pfp.models._folders import read_config
from pfp.models.backbones.hunyuan import Hunyuan
from pfp.models.backbones.interface import Backbone
from pfp.models.backbones.wan import Wan
from pfp.models.finite import check_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A diffusers class and the config values that make it one model and no other."""

    model_class: type[Any]
    config: Mapping[str, Any]

    def build(self) -> Any:
        """The model with random weights on the current default device; ``meta`` costs nothing."""
        return self.model_class(**self.config)


_WAN: Final = {
    "patch_size": (1, 2, 2),
    "attention_head_dim": 128,
    "text_dim": 4096,
    "freq_dim": 256,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
    "image_dim": None,
    "added_kv_proj_dim": None,
    "rope_max_seq_len": 1024,
}

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "wan22_5b": Architecture(
        model_class=WanTransformer3DModel,
        config={
            **_WAN,
            "in_channels": 48,
            "out_channels": 48,
            "num_attention_heads": 24,
            "num_layers": 30,
            "ffn_dim": 14336,
        },
    ),
    "wan22_a14b_high": Architecture(
        model_class=WanTransformer3DModel,
        config={
            **_WAN,
            "in_channels": 16,
            "out_channels": 16,
            "num_attention_heads": 40,
            "num_layers": 40,
            "ffn_dim": 13824,
        },
    ),
    "hunyuan": Architecture(
        model_class=HunyuanVideoTransformer3DModel,
        config={
            "in_channels": 16,
            "out_channels": 16,
            "num_attention_heads": 24,
            "attention_head_dim": 128,
            "num_layers": 20,
            "num_single_layers": 40,
            "num_refiner_layers": 2,
            "mlp_ratio": 4.0,
            "patch_size": 2,
            "patch_size_t": 1,
            "qk_norm": "rms_norm",
            "guidance_embeds": True,
            "text_embed_dim": 4096,
            "pooled_projection_dim": 768,
            "rope_theta": 256.0,
            "rope_axes_dim": (16, 56, 56),
            "image_condition_type": None,
        },
    ),
    "tiny": Architecture(
        model_class=WanTransformer3DModel,
        config={
            **_WAN,
            "attention_head_dim": 64,
            "text_dim": 64,
            "in_channels": 16,
            "out_channels": 16,
            "num_attention_heads": 4,
            "num_layers": 5,
            "ffn_dim": 640,
        },
    ),
}

_BACKBONES: Final[Mapping[type[Any], Backbone]] = {
    WanTransformer3DModel: Wan(),
    HunyuanVideoTransformer3DModel: Hunyuan(),
}


def architecture(name: str) -> Architecture:
    """A backbone's sizes by its name; an unknown name is a ``ConfigError``."""
    if name not in ARCHITECTURES:
        raise ConfigError(
            f"there is no backbone {name!r}; choose one of {', '.join(sorted(ARCHITECTURES))}"
        )
    return ARCHITECTURES[name]


def backbone_of(dit: nn.Module) -> Backbone:
    """How memory enters this DiT, by its class."""
    for model_class, backbone in _BACKBONES.items():
        if isinstance(dit, model_class):
            return backbone
    names = ", ".join(model_class.__name__ for model_class in _BACKBONES)
    raise ConfigError(
        f"memory cannot enter a {type(dit).__name__}; give one of {names}, or write its module in "
        "pfp/models/backbones"
    )


def load_backbone(
    name: str,
    folder: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
) -> Any:
    """The DiT called ``name`` from a local diffusers folder (``config.json``, ``*.safetensors``).

    For a whole pipeline this is its ``transformer`` subfolder. diffusers keeps in float32 what its
    class says must be (Wan's norms, modulation and time embedding). Raises WeightsError when the
    folder holds another model or no safetensors; nothing is fetched.
    """
    return load_architecture(architecture(name), name, folder, dtype=dtype, device=device)


def load_architecture(
    expected: Architecture,
    name: str,
    folder: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
) -> Any:
    """``load_backbone`` for sizes that have no name here."""
    check_config(expected, name, folder)
    if not any(folder.glob("*.safetensors")):
        raise WeightsError(
            f"{folder} holds no *.safetensors file; download or convert the weights to safetensors"
            f"{published_at('base', name)}"
        )
    dit = expected.model_class.from_pretrained(
        folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True
    )
    check_weights(dit.state_dict(), folder)
    return dit.to(device).eval()


def check_config(expected: Architecture, name: str, folder: Path) -> None:
    """Raise ``WeightsError`` at the first value of the folder's config that ``name`` has not."""
    config = read_config(folder)
    class_name = expected.model_class.__name__
    cure = f"name the folder that holds {name}'s transformer{published_at('base', name)}"
    if (found := config.get("_class_name")) != class_name:
        raise WeightsError(
            f"{folder / 'config.json'} describes a {found}, {name} is a {class_name}; {cure}"
        )
    for key, value in expected.config.items():
        # A value that a file leaves out is the class's default, as diffusers reads it.
        found = config.get(key, _class_default(expected.model_class, key))
        if _plain(found) != _plain(value):
            raise WeightsError(
                f"{folder / 'config.json'} says {key} = {found}, {name} has {value}; {cure}"
            )


def _class_default(model_class: type[Any], key: str) -> Any:
    return inspect.signature(model_class.__init__).parameters[key].default


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
