"""How the tiny base DiT is trained, before any variant: from text and frames, then to read memory.

Axes: B batch, C latent channels, T latent frames, H rows, W columns.

Like Wan 2.2 TI2V, it learns with some of its frames given clean at timestep 0; a base that can
take up what stands in its own sequence is what the paper's bases are, and what LoRA then bends.
Billions of weights and videos make such a base read a small copy of a video, too; ours learns it
by itself, or no variant could show what its memory holds (docs/tiny-family.md).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import WanTransformer3DModel
from diffusers.training_utils import EMAModel
from torch import Tensor

from experiments.tiny.state import SavedState
from pfp.models.backbones.interface import Memory
from pfp.models.backbones.wan import forward_with_memory
from pfp.models.memory.encoder import MemoryEncoder
from pfp.models.precision import bf16_products
from pfp.models.rates import Rate
from pfp.train.loop import BatchesFrom, generator_at, make_optimiser
from pfp.train.noise_schedule import sample_noise_levels
from pfp.train.objective import NUM_TRAIN_TIMESTEPS, Batch
from pfp.train.settings import TrainSettings

Loss: TypeAlias = Callable[[WanTransformer3DModel, Batch, torch.Generator], Tensor]

CLEAN_PROBABILITY = 0.3  # of each target frame; frame sets without a noisy frame are drawn again
MAX_INDEX_SHIFT = 6  # so that indices after the window, needed for continuation, are known


def tiny_base_config() -> dict[str, object]:
    """The real Wan class at a width that two CPU cores can train: 4.9 M parameters."""
    return {
        "num_attention_heads": 4,
        "attention_head_dim": 64,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": 64,
        "freq_dim": 256,
        "ffn_dim": 640,
        "num_layers": 5,
    }


def base_loss(dit: WanTransformer3DModel, batch: Batch, generator: torch.Generator) -> Tensor:
    """Velocity error on the noisy frames of a set in which others are given clean."""
    target = batch.target_BCTHW
    batch_size, num_frames = target.shape[0], target.shape[2]
    times_B = sample_noise_levels(batch_size, generator)
    noisy_BT = torch.rand(batch_size, num_frames, generator=generator) >= CLEAN_PROBABILITY
    noisy_BT[
        torch.arange(batch_size), torch.randint(num_frames, (batch_size,), generator=generator)
    ] = True
    times_BT = times_B[:, None] * noisy_BT
    times = times_BT[:, None, :, None, None]
    noise = torch.randn(target.shape, generator=generator)
    shift = torch.randint(MAX_INDEX_SHIFT + 1, (batch_size, 1), generator=generator)
    velocity = forward_with_memory(
        dit,
        (1 - times) * target + times * noise,
        times_BT * NUM_TRAIN_TIMESTEPS,
        batch.text_BLD,
        frame_index_BT=batch.frame_index_BT + shift,
        origin_B2=batch.origin_B2,
    )
    error = (velocity.float() - (noise - target)).square().mean(dim=(1, 3, 4))
    return (error * noisy_BT).sum() / noisy_BT.sum()


def memory_loss(rate: Rate, *, shift: float) -> Loss:
    """Velocity error on frames asked for, given the LR video's tokens as only_lr gives them."""
    encoder = MemoryEncoder(rate, hr=None, lr=True)

    def loss(dit: WanTransformer3DModel, batch: Batch, generator: torch.Generator) -> Tensor:
        target = batch.target_BCTHW
        noise = torch.randn(target.shape, generator=generator)
        times_B = sample_noise_levels(len(target), generator, shift=shift)
        times = times_B[:, None, None, None, None]
        run = encoder.encode(batch.hr_BCTHW, batch.lr_BCTHW, dit.patch_embedding)
        velocity = forward_with_memory(
            dit,
            (1 - times) * target + times * noise,
            (times_B * NUM_TRAIN_TIMESTEPS)[:, None].expand(-1, target.shape[2]),
            batch.text_BLD,
            frame_index_BT=batch.frame_index_BT,
            memory=Memory(tokens_BND=run.tokens_BND, positions_NK3=run.positions_NK3),
            origin_B2=batch.origin_B2,
        )
        return (velocity.float() - (noise - target)).square().mean()

    return loss


def train_base(
    dit: WanTransformer3DModel,
    batches_from: BatchesFrom,
    settings: TrainSettings,
    state_path: Path,
    report: Callable[[int, float], None],
    *,
    loss_at: Callable[[int], Loss] = lambda _step: base_loss,
) -> None:
    """Train the whole DiT in place; the averaged weights are what is kept.

    A killed training goes on from its state in the file ``state_path``.
    """
    parameters = list(dit.parameters())
    optimiser = make_optimiser(dit.named_parameters(), settings)
    ema = EMAModel(parameters, decay=0.998, use_ema_warmup=True)
    state = SavedState(
        path=state_path,
        model=dit,
        optimiser=optimiser,
        settings=settings,
        averages=ema.shadow_params,
    )
    first = ema.optimization_step = state.load()
    for step, batch in enumerate(islice(batches_from(first), settings.num_steps - first), first):
        generator = generator_at(settings.seed, step)
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * settings.learning_rate_share_at(step)
        with bf16_products(enabled=settings.autocast):
            loss = loss_at(step)(dit, batch, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        ema.step(parameters)
        report(step, loss.item())
        if (step + 1) % settings.save_every_steps == 0:
            state.save(step + 1)
    ema.copy_to(parameters)
