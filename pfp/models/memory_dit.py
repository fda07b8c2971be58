"""A frozen DiT with LoRA, plus the memory encoder of one arm: what is trained and what samples.

Axes: B batch, C latent channels, D inner width, T latent frames, H rows, W columns, L text tokens,
N memory tokens. ``H`` in a comment is the history, ``Omega`` the latent frames asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, cast

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pfp.errors import ConfigError, WeightsError
from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.backbones.loading import backbone_of
from pfp.models.memory.tokens import MemoryTokens
from pfp.models.memory_encoder import centre_positions, make_encoder, pooled_positions
from pfp.models.rates import GEOMETRIES, Rounding, TimeStride, parse_rate

CONFIG_FILE: Final = "config.json"
LORA_FILE: Final = "pytorch_lora_weights.safetensors"  # the name that diffusers looks for
LORA_PREFIX: Final = "transformer."  # the component of a pipeline that it belongs to
ENCODER_FILE: Final = "encoder.safetensors"
CROSS_ATTENTION_FILE: Final = "cross_attention.safetensors"

# What config.json meant before it said so, where that is not today's default: memory of the first
# arms was trained to query the prompt.
UNSAID: Final[Mapping[str, Any]] = {"memory_attends_to_text": True}

# How memory stands in the sequence. It changes no weight's shape, so the checkpoint decides it.
STANDING: Final = ("history_timestep", "positions", "memory_attends_to_text")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmConfig:
    """What an arm is, apart from its weights. The paper's LoRA rank is 128 on its large bases.

    The paper does not say what LoRA is put on, at which timestep history stands, where its tokens
    stand, or whether they query the prompt. ``history_timestep`` and ``positions`` are by default
    what the arm is known for: the target's and FramePack's pooling for ``large_patchifier``, 0 and
    the centre of what a token covers for all others. ``stride``, ``rounding`` and ``window`` are
    those of ``make_encoder``.
    """

    arm: str  # one of pfp.models.memory_encoder.ARMS
    rate: str = "4x4x2"
    base: str = "tiny"
    lora_rank: int = 32
    lora_targets: str = "attention_ffn"  # or attention
    history_timestep: str | None = None  # zero | shared
    positions: str | None = None  # centre | pooled
    memory_attends_to_text: bool = False
    stride: TimeStride = "causal"
    rounding: Rounding = "floor"
    window: int = 3

    def __post_init__(self) -> None:
        """Refuses words that mean nothing."""
        known = {"history_timestep": ("zero", "shared"), "positions": ("centre", "pooled")}
        for name, words in known.items():
            if (word := getattr(self, name)) not in (None, *words):
                raise ConfigError(f"{name} {word!r} is unknown; choose {' or '.join(words)}")
        if self.arm == "sliding_window" and self.positions is not None:
            raise ConfigError(
                f"positions {self.positions!r} means nothing to sliding_window, whose tokens are "
                "single patches; leave it out"
            )

    @property
    def title(self) -> str:
        """How tables call the arm."""
        return self.arm if self.arm == "no_memory" else f"{self.arm} {self.rate}"


class MemoryDiT(nn.Module):
    """The denoiser G of the paper's equations with phi inside: only LoRA and encoder are free.

    ``dit`` is any model that ``backbone_of`` knows; it is frozen here. What is trained is float32
    whatever the base's dtype. ``cross_attend`` holds a module for each of its blocks, through which
    target tokens read ``Memory.features_BNF``; they are trained and saved with the rest.
    """

    def __init__(
        self,
        dit: Any,
        config: ArmConfig,
        *,
        cross_attend: Sequence[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.geometry = GEOMETRIES[config.base]
        self.rate = parse_rate(config.rate, self.geometry)
        self.backbone = backbone_of(dit)
        dit.requires_grad_(requires_grad=False)
        self.dit = dit
        self.dit.add_adapter(self._lora_config())
        self.encoder = make_encoder(
            config.arm,
            self.rate,
            self.patch_embedding,
            stride=config.stride,
            rounding=config.rounding,
            window=config.window,
        )
        self.cross_attend = None if cross_attend is None else nn.ModuleList(cross_attend)
        for parameter in self.trainable_parameters():
            # A step of AdamW is smaller than what bf16 can add to a weight.
            parameter.data = parameter.data.float()

    def _lora_config(self) -> LoraConfig:
        targets = self.backbone.lora_targets
        if self.config.lora_targets not in targets:
            raise ConfigError(
                f"lora_targets {self.config.lora_targets!r} is unknown; choose "
                f"{' or '.join(targets)}"
            )
        return LoraConfig(
            r=self.config.lora_rank,
            lora_alpha=self.config.lora_rank,
            target_modules=list(targets[self.config.lora_targets]),
            init_lora_weights=True,
        )

    @property
    def patch_embedding(self) -> nn.Conv3d:
        """The base's patchify and first projection; its output channels are the inner width."""
        return self.backbone.patch_embedding(self.dit)

    def remember(self, hr_BCTHW: Tensor, lr_BCTHW: Tensor) -> Memory | None:
        """phi(H): memory tokens and how they stand in the sequence; None without memory.

        ``hr_BCTHW`` and ``lr_BCTHW`` are normalised latents of the history and of its small, slow
        copy (section 3.1); the history's length in latent frames is odd, so that both end together.
        """
        if self.encoder is None:
            return None
        patch_embedding = self.patch_embedding
        lr_BCTHW = lr_BCTHW.to(patch_embedding.weight.dtype)
        run = self.encoder.encode(hr_BCTHW, lr_BCTHW, patch_embedding)
        return Memory(
            tokens_BND=run.tokens_BND,
            positions_NK3=self._positions(run, hr_BCTHW).to(run.tokens_BND.device),
            shared_timestep=(
                run.shared_timestep
                if self.config.history_timestep is None
                else self.config.history_timestep == "shared"
            ),
            attends_to_text=self.config.memory_attends_to_text,
            features_BNF=run.features_BNF if self.cross_attend is not None else None,
        )

    def _positions(self, run: MemoryTokens, hr_BCTHW: Tensor) -> Tensor:
        """Where the arm's own encoder puts its tokens, unless the config says otherwise."""
        if self.config.positions is None:
            return run.positions_NK3
        num_frames, height, width = hr_BCTHW.shape[2:]
        grid = self.rate.token_grid(
            (num_frames, height, width), self.geometry, rounding=self.config.rounding
        )
        stride: TimeStride = (
            "symmetric" if self.config.arm == "large_patchifier" else self.config.stride
        )
        place = pooled_positions if self.config.positions == "pooled" else centre_positions
        return place(grid, self.rate, stride=stride)

    def forward(
        self,
        noisy_BCTHW: Tensor,
        timestep_BT: Tensor,
        text: Tensor | TextConditions,
        frame_index_BT: Tensor,
        *,
        memory: Memory | None,
        origin_B2: Tensor | None = None,
    ) -> Tensor:
        """The velocity of target frames; see ``Backbone.forward_with_memory``.

        ``text`` is a tensor ``(B, L, D)``, or ``TextConditions`` where the base needs more.
        """
        dtype = self.patch_embedding.weight.dtype
        if not isinstance(text, TextConditions):
            text = TextConditions(text)
        text = text._replace(text_BLD=text.text_BLD.to(dtype))
        if text.pooled_BP is not None:
            text = text._replace(pooled_BP=text.pooled_BP.to(dtype))
        return self.backbone.forward_with_memory(
            self.dit,
            noisy_BCTHW.to(dtype),
            timestep_BT,
            text,
            frame_index_BT=frame_index_BT,
            memory=memory,
            origin_B2=origin_B2,
            cross_attend=cast("Sequence[nn.Module] | None", self.cross_attend),
        )

    def trainable_parameters(self) -> list[nn.Parameter]:
        """LoRA, encoder and cross-attention, in a fixed order."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def save(self, directory: Path, *, dtype: torch.dtype, card: dict[str, Any]) -> None:
        """Write the arm (not its base) as safetensors with a config that tells what it is.

        The LoRA file is one that diffusers' ``load_lora_weights`` and ``load_lora_adapter`` read.
        """
        directory.mkdir(parents=True, exist_ok=True)
        lora = get_peft_model_state_dict(self.dit)
        states = {LORA_FILE: {f"{LORA_PREFIX}{key}": value for key, value in lora.items()}}
        states |= {name: part.state_dict() for name, part in self._own_parts().items()}
        for name, state in states.items():
            tensors = {k: v.detach().to(dtype).contiguous() for k, v in state.items()}
            save_file(tensors, directory / name)
        described = {**asdict(self.config), **card}
        (directory / CONFIG_FILE).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")

    def _own_parts(self) -> dict[str, nn.Module]:
        """The modules beside LoRA that have weights, by the file that holds them."""
        parts = {ENCODER_FILE: self.encoder, CROSS_ATTENTION_FILE: self.cross_attend}
        return {
            name: part for name, part in parts.items() if part is not None and part.state_dict()
        }

    def load(self, directory: Path) -> dict[str, Any]:
        """Read an arm's weights into this model and return its config; the arm must be the same.

        How memory stands in the sequence is taken over from the file: the weights know no other.
        """
        described = read_arm_config(directory)
        found = arm_config(described)
        standing: dict[str, Any] = {name: getattr(found, name) for name in STANDING}
        wanted = replace(self.config, **standing)
        if wanted != found:
            message = (
                f"{directory} holds the arm {found}, not {wanted}; name a checkpoint of that arm"
            )
            raise WeightsError(message)
        self._load_lora(directory / LORA_FILE)
        for name, part in self._own_parts().items():
            part.load_state_dict(_read_weights(directory / name))
        self.config = found
        return described

    def _load_lora(self, path: Path) -> None:
        # Files of the first arms name no component.
        lora = {k.removeprefix(LORA_PREFIX): v for k, v in _read_weights(path).items()}
        missing = sorted(get_peft_model_state_dict(self.dit).keys() - lora.keys())
        if missing:
            raise WeightsError(f"{path} lacks the weights {missing[:3]}; train again")
        result: Any = set_peft_model_state_dict(self.dit, lora)
        if result.unexpected_keys:
            foreign = result.unexpected_keys[:3]
            raise WeightsError(f"{path} has foreign weights {foreign}; train again")


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; name a folder that holds the arm") from None


def read_arm_config(directory: Path) -> dict[str, Any]:
    """The config.json of an arm's folder; ``WeightsError`` when there is none."""
    path = directory / CONFIG_FILE
    try:
        return cast("dict[str, Any]", json.loads(path.read_text()))
    except FileNotFoundError:
        message = f"{path} does not exist; name a folder that holds a trained arm"
        raise WeightsError(message) from None


def arm_config(described: Mapping[str, Any]) -> ArmConfig:
    """The ``ArmConfig`` that a folder's config.json describes, whenever it was written."""
    stated = {**UNSAID, **described}
    names = [field.name for field in fields(ArmConfig)]
    return ArmConfig(**{name: stated[name] for name in names if name in stated})
