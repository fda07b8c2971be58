"""The tiny family that ships with pfp: its base DiT and its variants, loaded from local folders.

Trained by this project on two CPU cores (see the card beside the weights); it shows that every
part works, and how the variants compare. It is never more than that.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from diffusers import WanTransformer3DModel

from pfp.errors import WeightsError
from pfp.models.finite import check_weights
from pfp.models.tiny_names import tiny_folder


def load_base(folder: Path | None = None) -> WanTransformer3DModel:
    """The base DiT in float32, frozen by whoever puts LoRA on it; the shipped one by default."""
    folder = folder or tiny_folder() / "base"
    if not (folder / "config.json").is_file():
        message = (
            f"{folder} holds no base DiT; install pfp with its data files or name another folder"
        )
        raise WeightsError(message)
    dit = cast(
        "WanTransformer3DModel",
        WanTransformer3DModel.from_pretrained(
            folder, torch_dtype=torch.float32, local_files_only=True, use_safetensors=True
        ),
    )
    check_weights(dit.state_dict(), folder)
    return dit
