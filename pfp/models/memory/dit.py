"""A frozen DiT with LoRA and a memory encoder: what is trained and what samples.

Axes: B batch, C latent channels, D inner width, T latent frames, H rows, W columns, L text tokens,
N memory tokens. ``H`` in a comment is the history, ``Omega`` the latent frames asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig
from torch import Tensor, nn

import pfp.models.precision  # noqa: F401 - bf16 convolutions on CPUs are right from here on
from pfp.errors import ConfigError
from pfp.models.backbones.interface import Memory, TextConditions
from pfp.models.backbones.loading import backbone_of
from pfp.models.memory import checkpoint
from pfp.models.memory.attention import MemoryCrossAttention
from pfp.models.memory.config import MemoryDiTConfig
from pfp.models.memory.encoder import (
    Encoder,
    centre_positions,
    make_encoder,
    make_encoders,
    pooled_positions,
)
from pfp.models.memory.multi_rate import MultiRateEncoder
from pfp.models.memory.tokens import MemoryTokens
from pfp.models.rates import TimeStride

__all__ = ["MemoryDiT", "MemoryDiTConfig"]


class MemoryDiT(nn.Module):
    """The denoiser G of the paper's equations with phi inside: only LoRA and encoder are free.

    ``dit`` is any model that ``backbone_of`` knows; it is frozen here. What is trained is float32
    whatever the base's dtype. With ``config.cross_attention`` each block has a module through which
    target tokens read the encoder's features; they are trained and saved with the rest.
    """

    def __init__(self, dit: Any, config: MemoryDiTConfig) -> None:
        super().__init__()
        self.config = config
        self.geometry = config.geometry
        self.rate = config.rates[0]
        self.backbone = backbone_of(dit)
        dit.requires_grad_(requires_grad=False)
        self.dit = dit
        self.dit.add_adapter(self._lora_config())
        self.encoder = self._make_encoder()
        self.cross_attend = self._make_cross_attention() if config.cross_attention else None
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

    def _make_encoder(self) -> Encoder | MultiRateEncoder | None:
        config, rates = self.config, self.config.rates
        shape: dict[str, Any] = {
            "stride": config.stride,
            "rounding": config.rounding,
            "window": config.window,
            "temporal_kernel": config.temporal_kernel,
            "attention_frames": config.attention_frames,
        }
        if config.num_encoders == 1:
            return make_encoder(config.variant, rates[0], self.patch_embedding, **shape)
        variants = [(config.variant, rate) for rate in rates]
        if config.also_window:
            variants.append(("sliding_window", rates[0]))
        return make_encoders(variants, self.patch_embedding, **shape)

    def _make_cross_attention(self) -> nn.ModuleList:
        feature_dim = None if self.encoder is None else self.encoder.feature_dim
        if feature_dim is None:
            raise ConfigError(
                "cross_attention reads what the HR branch computes, and "
                f"{self.config.variant} has no HR branch; use it with proposed or without_lr"
            )
        inner_dim, num_heads = (
            self.patch_embedding.out_channels,
            self.dit.config.num_attention_heads,
        )
        return nn.ModuleList(
            MemoryCrossAttention(inner_dim, feature_dim, num_heads)
            for _ in self.backbone.blocks(self.dit)
        )

    @property
    def patch_embedding(self) -> nn.Conv3d:
        """The base's patchify and first projection; its output channels are the inner width."""
        return self.backbone.patch_embedding(self.dit)

    def encode_history(self, hr_BCTHW: Tensor, *lrs_BCTHW: Tensor | None) -> Memory | None:
        """phi(H): memory tokens and their place in the sequence; None without memory or history.

        ``hr_BCTHW`` and ``lrs_BCTHW`` are normalised latents of the history and of its small, slow
        copy (section 3.1), which end together; a copy for each rate. A variant without the LR
        branch takes None, or none.
        """
        if self.encoder is None or not hr_BCTHW.shape[2]:
            return None
        return self.as_memory(
            self.encoder.encode(hr_BCTHW, self.lr_of(lrs_BCTHW), self.patch_embedding), hr_BCTHW
        )

    def lr_of(self, lrs_BCTHW: Sequence[Tensor | None]) -> Any:
        """LR latents as the encoder takes them: one, or one for each; a window has none."""
        dtype = self.patch_embedding.weight.dtype
        lrs = [None if lr is None else lr.to(dtype) for lr in lrs_BCTHW]
        lrs += [None] * (self.config.num_encoders - len(lrs))
        return lrs if self.config.num_encoders > 1 else lrs[0]

    def as_memory(self, run: MemoryTokens, hr_BCTHW: Tensor | None = None) -> Memory:
        """An encoder's tokens with this checkpoint's placement in the sequence.

        ``hr_BCTHW`` is the history they were made of, which only a variant needs whose positions
        are not the encoder's own.
        """
        config = self.config
        device, positions = run.tokens_BND.device, run.positions_NK3
        features, places = run.features_BNF, run.feature_positions_NK3
        if config.cross_attention_positions == "none" or places is None:
            places = None
        else:
            places = places.to(device)
        if config.positions is not None:
            if hr_BCTHW is None:
                raise ConfigError(
                    f"positions {config.positions!r} are those of a whole history; encode it anew "
                    "instead of appending to it"
                )
            positions = self._stated_positions(hr_BCTHW)
        return Memory(
            tokens_BND=run.tokens_BND,
            positions_NK3=positions.to(device),
            shared_timestep=(
                run.shared_timestep
                if config.history_timestep is None
                else config.history_timestep == "shared"
            ),
            attends_to_text=config.memory_attends_to_text,
            features_BNF=features if self.cross_attend is not None else None,
            feature_positions_NK3=places if self.cross_attend is not None else None,
        )

    def _stated_positions(self, hr_BCTHW: Tensor) -> Tensor:
        num_frames, height, width = hr_BCTHW.shape[2:]
        grid = self.rate.token_grid(
            (num_frames, height, width), self.geometry, rounding=self.config.rounding
        )
        stride: TimeStride = (
            "symmetric" if self.config.variant == "large_patchifier" else self.config.stride
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

    def memory_parameters(self) -> list[nn.Parameter]:
        """Those of them that only a memory uses: the encoder's and cross-attention's."""
        parts = [part for part in (self.encoder, self.cross_attend) if part is not None]
        return [p for part in parts for p in part.parameters() if p.requires_grad]

    def save_pretrained(
        self,
        folder: Path,
        *,
        dtype: torch.dtype = torch.float32,
        card: Mapping[str, Any] | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write a checkpoint, without the base; see ``pfp.models.memory.checkpoint``.

        ``card`` says what else there is to know: digests of base and data, steps, seed.
        ``weights`` are those of ``checkpoint.own_weights`` or their averages, by default its own.
        """
        checkpoint.save_weights(folder, dtype, weights or checkpoint.own_weights(self))
        checkpoint.write_description(folder, self.config, card or {})

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        *,
        base: Path | str | None = None,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> MemoryDiT:
        """A checkpoint on its base, ready to sample.

        ``base`` is the base's own folder (a pipeline's ``transformer``); the tiny one comes with
        pfp. ``dtype`` is that of the base. Raises WeightsError when the checkpoint was trained on
        another base: LoRA of one does nothing sensible on another.
        """
        folder = Path(folder)
        described = checkpoint.read_description(folder)
        config = MemoryDiTConfig.from_dict(described)
        dit = checkpoint.load_base(config.base, base, described, dtype=dtype, device=device)
        model = cls(dit, config)
        model.load(folder)
        return model.to(device).eval()

    def load(self, folder: Path) -> dict[str, Any]:
        """Read a checkpoint of the same variant into this model, and return its config.json.

        The placement of memory tokens is taken from the file, for which the weights were trained.
        """
        described = checkpoint.read_description(folder)
        self.config = checkpoint.check_same_variant(
            folder, self.config, MemoryDiTConfig.from_dict(described)
        )
        checkpoint.load_weights(self, folder)
        return described
