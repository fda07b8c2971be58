"""A frozen DiT with LoRA, plus the memory encoder of one arm: what is trained and what samples.

Axes: B batch, C latent channels, D inner width, T latent frames, H rows, W columns, L text tokens,
N memory tokens. ``H`` in a comment is the history, ``Omega`` the latent frames asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from diffusers import WanTransformer3DModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pfp.errors import WeightsError
from pfp.models.backbones.wan import LORA_TARGETS, Memory, forward_with_memory
from pfp.models.memory_encoder import centre_positions, make_encoder, pooled_positions
from pfp.models.rates import GEOMETRIES, parse_rate

CONFIG_FILE: Final = "config.json"
LORA_FILE: Final = "pytorch_lora_weights.safetensors"
ENCODER_FILE: Final = "encoder.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmConfig:
    """What an arm is, apart from its weights. The paper's LoRA rank is 128 on its large bases."""

    arm: str  # proposed | large_patchifier | only_lr | no_memory
    rate: str = "4x4x2"
    base: str = "tiny"
    lora_rank: int = 32

    @property
    def title(self) -> str:
        """How tables call the arm."""
        return self.arm if self.arm == "no_memory" else f"{self.arm} {self.rate}"


class MemoryDiT(nn.Module):
    """The denoiser G of the paper's equations with phi inside: only LoRA and encoder are free."""

    def __init__(self, dit: WanTransformer3DModel, config: ArmConfig) -> None:
        super().__init__()
        self.config = config
        self.geometry = GEOMETRIES[config.base]
        self.rate = parse_rate(config.rate, self.geometry)
        dit.requires_grad_(requires_grad=False)
        dit.add_adapter(
            LoraConfig(
                r=config.lora_rank,
                lora_alpha=config.lora_rank,
                target_modules=list(LORA_TARGETS["attention_ffn"]),
                init_lora_weights=True,
            )
        )
        self.dit = dit
        self.encoder = make_encoder(config.arm, self.rate, dit.patch_embedding)

    def remember(self, hr_BCTHW: Tensor, lr_BCTHW: Tensor) -> Memory | None:
        """phi(H): memory tokens and how they stand in the sequence; None without memory.

        ``hr_BCTHW`` and ``lr_BCTHW`` are normalised latents of the history and of its small, slow
        copy (section 3.1); the history's length in latent frames is odd, so that both end together.
        """
        if self.encoder is None:
            return None
        tokens = self.encoder(hr_BCTHW, lr_BCTHW, self.dit.patch_embedding)
        grid = tuple(tokens.shape[2:])
        framepack = self.config.arm == "large_patchifier"
        positions = (pooled_positions if framepack else centre_positions)(grid, self.rate)
        return Memory(
            tokens_BND=tokens.flatten(2).transpose(1, 2),
            positions_NK3=positions.to(tokens.device),
            attends_to_text=True,
            shared_timestep=framepack,
        )

    def forward(
        self,
        noisy_BCTHW: Tensor,
        timestep_BT: Tensor,
        text_BLD: Tensor,
        frame_index_BT: Tensor,
        *,
        memory: Memory | None,
        origin_B2: Tensor | None = None,
    ) -> Tensor:
        """The velocity of target frames; see ``forward_with_memory``."""
        return forward_with_memory(
            self.dit,
            noisy_BCTHW,
            timestep_BT,
            text_BLD,
            frame_index_BT=frame_index_BT,
            memory=memory,
            origin_B2=origin_B2,
        )

    def trainable_parameters(self) -> list[nn.Parameter]:
        """LoRA and encoder, in a fixed order."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def save(self, directory: Path, *, dtype: torch.dtype, card: dict[str, Any]) -> None:
        """Write the arm (not its base) as safetensors with a config that tells what it is."""
        directory.mkdir(parents=True, exist_ok=True)
        lora = get_peft_model_state_dict(self.dit)
        save_file(
            {k: v.detach().to(dtype).contiguous() for k, v in lora.items()}, directory / LORA_FILE
        )
        if self.encoder is not None and (state := self.encoder.state_dict()):
            encoder = {k: v.detach().to(dtype).contiguous() for k, v in state.items()}
            save_file(encoder, directory / ENCODER_FILE)
        described = {**asdict(self.config), **card}
        (directory / CONFIG_FILE).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")

    def load(self, directory: Path) -> dict[str, Any]:
        """Read an arm's weights into this model and return its config; the arm must be the same."""
        described = read_arm_config(directory)
        wanted, found = asdict(self.config), {k: described.get(k) for k in asdict(self.config)}
        if wanted != found:
            message = (
                f"{directory} holds the arm {found}, not {wanted}; name a checkpoint of that arm"
            )
            raise WeightsError(message)
        result: Any = set_peft_model_state_dict(self.dit, load_file(directory / LORA_FILE))
        if result.unexpected_keys:
            foreign = result.unexpected_keys[:3]
            raise WeightsError(
                f"{directory / LORA_FILE} has foreign weights {foreign}; train again"
            )
        if self.encoder is not None and self.encoder.state_dict():
            self.encoder.load_state_dict(load_file(directory / ENCODER_FILE))
        return described


def read_arm_config(directory: Path) -> dict[str, Any]:
    """The config.json of an arm's folder; ``WeightsError`` when there is none."""
    path = directory / CONFIG_FILE
    try:
        return cast("dict[str, Any]", json.loads(path.read_text()))
    except FileNotFoundError:
        message = f"{path} does not exist; name a folder that holds a trained arm"
        raise WeightsError(message) from None
