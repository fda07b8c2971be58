"""What a linear map reads off memory tokens: how much of a history an encoder keeps.

The gate before a DiT is trained: tokens that are no more readable than those of the LR video alone
leave nothing to a better reader. Fitting trains the encoder, too, so that what it learns can begin
a training (``MemoryDiT`` with an HR branch that already tells what its LR branch lacks).

Axes: B batch, C latent channels, D the DiT's inner width, T frames, H rows, W columns; T', H', W'
those of the token grid.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.tiny.state import SavedState
from pfp.models.memory.dit import MemoryDiT
from pfp.models.precision import bf16_products
from pfp.models.rates import Rate
from pfp.train.loop import BatchesFrom
from pfp.train.objective import Batch
from pfp.train.settings import TrainSettings


class LinearReadout(nn.Module):
    """Every latent value that a token stands for, as a linear map of that token alone.

    A causal token j of a rate with T = ``rate.time`` stands for latent frames ``T(j-1)+1`` to
    ``Tj``, a symmetric one (large_patchifier's) for ``Tj`` to ``T(j+1)-1``.
    """

    def __init__(
        self, inner_dim: int, channels: int, rate: Rate, *, patch: int, causal: bool
    ) -> None:
        super().__init__()
        self.cell = (rate.time, rate.height * patch, rate.width * patch)
        self.channels = channels
        self.num_before = rate.time - 1 if causal else 0
        time, height, width = self.cell
        self.linear = nn.Linear(inner_dim, channels * time * height * width)

    def forward(self, tokens_BDTHW: Tensor, num_frames: int) -> Tensor:
        """``(B, D, T', H', W')`` to ``(B, C, num_frames, H, W)``, in whole cells."""
        batch, _, *grid = tokens_BDTHW.shape
        values = self.linear(tokens_BDTHW.movedim(1, -1))
        values = values.view(batch, *grid, self.channels, *self.cell)
        # Each side of the grid goes next to its side of the cell.
        latents: Tensor = values.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(
            batch, self.channels, *(n * side for n, side in zip(grid, self.cell, strict=True))
        )
        return latents[:, :, self.num_before : self.num_before + num_frames]


class EncoderWithReadout(nn.Module):
    """An encoder and the map that is fitted with it; the base's patchify stays as it is."""

    def __init__(self, model: MemoryDiT) -> None:
        super().__init__()
        config, patch_embedding = model.config, model.patch_embedding
        assert isinstance(model.encoder, nn.Module)
        self.encoder = model.encoder
        self.readout = LinearReadout(
            patch_embedding.out_channels,
            patch_embedding.in_channels,
            model.rate,
            patch=model.geometry.patch,
            causal=config.variant != "large_patchifier" and config.stride == "causal",
        )
        self._patch_embedding = (patch_embedding,)  # in a tuple, so that it is no part of this

    def forward(self, hr_BCTHW: Tensor, lr_BCTHW: Tensor | None) -> Tensor:
        """HR latents as far as they can be read off the tokens, float32, of the same shape."""
        tokens_BDTHW = self.encoder(hr_BCTHW, lr_BCTHW, self._patch_embedding[0])
        found_BCTHW: Tensor = self.readout(tokens_BDTHW, hr_BCTHW.shape[2])
        return found_BCTHW.float()


def fit_readout(
    module: EncoderWithReadout,
    batches_from: BatchesFrom,
    settings: TrainSettings,
    state_path: Path,
    report: Callable[[int, float], None],
) -> None:
    """Least squares over the batches' histories, in place; goes on from an earlier state."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, betas=(0.9, 0.99), weight_decay=settings.weight_decay)
    state = SavedState(path=state_path, model=module, optimiser=optimiser, settings=settings)
    first = state.load()
    for step, batch in enumerate(islice(batches_from(first), settings.num_steps - first), first):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * settings.learning_rate_share_at(step)
        with bf16_products(enabled=settings.autocast):
            loss = squared_error(module, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        report(step, loss.item())
        if (step + 1) % settings.save_every_steps == 0:
            state.save(step + 1)


def squared_error(module: EncoderWithReadout, batch: Batch) -> Tensor:
    """Mean over all latent values of a batch's histories."""
    found_BCTHW: Tensor = module(batch.hr_BCTHW, batch.lr_BCTHW)
    return (found_BCTHW - batch.hr_BCTHW).square().mean()


@torch.inference_mode()
def share_explained(module: EncoderWithReadout, hr_BCTHW: Tensor, lr_BCTHW: Tensor) -> float:
    """R squared: the share of the latents' variance that the map gives back."""
    with bf16_products():
        error = (module(hr_BCTHW, lr_BCTHW) - hr_BCTHW).square().mean()
    return 1.0 - float(error / hr_BCTHW.var())
