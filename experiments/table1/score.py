"""Retrieval of held-out crops, scored frame by frame: PSNR, SSIM and PSNR of the high band.

Axes: N crops, B batch, T frames or latent frames asked for, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pfp.errors import ConfigError
from pfp.eval.metrics.high_band import blank_high_band_psnr, high_band_psnr
from pfp.eval.metrics.psnr import CAP_DB, mse_per_frame, psnr_of
from pfp.eval.metrics.ssim import ssim_map
from pfp.generate.retrieve import decode_alone
from pfp.generate.sampler import sample_frames
from pfp.generate.settings import SamplerSettings
from pfp.models.backbones.interface import Memory
from pfp.models.memory.dit import MemoryDiT
from pfp.models.precision import bf16_products
from pfp.models.rates import Rate
from pfp.models.vae.latent_vae import LatentVAE
from pfp.schema.windows import latent_frames

METRICS: Final = ("psnr", "ssim", "high_band")

# Frames asked for, latent frame by latent frame ``(N, T)``, to the pixels given for them, crop by
# crop: uint8 RGB ``(F, H, W, 3)``.
Fill: TypeAlias = Callable[[NDArray[np.int64]], Iterator[NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """Held-out histories of one shape: true frames uint8 RGB, latents and text fp16, clips."""

    frames_NTHWC: NDArray[np.uint8]
    hr_NTCHW: NDArray[np.float16]
    lr_NTCHW: NDArray[np.float16]
    text_NLD: NDArray[np.float16]
    clip_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clip_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePlan:
    """What is asked for, and how it is sampled.

    Every crop is asked ``num_sets`` times for ``set_size`` latent frames, all of them different:
    random ones, or those of a training with a fixed Omega, the last.
    """

    num_sets: int = 2
    set_size: int = 2
    omega: Literal["random", "last"] = "random"
    sampler: SamplerSettings = SamplerSettings(num_steps=8)  # noqa: RUF009 - frozen
    batch_size: int = 16
    seed: int = 0

    def at_shift(self, shift: float) -> ScorePlan:
        """The same, sampled at a checkpoint's shift."""
        return replace(self, sampler=replace(self.sampler, shift=shift))

    def shorter(self) -> ScorePlan:
        """One set a crop: what curves are drawn of."""
        return replace(self, num_sets=1)

    def last(self) -> ScorePlan:
        """One set a crop, of the last frames."""
        return replace(self, num_sets=1, omega="last")


def load_crops(path: Path, rate: str) -> Crops:
    """The crops of a file of ``make_crops`` with the LR latents of a rate."""
    with np.load(path) as parts:
        return Crops(
            frames_NTHWC=parts["frames"],
            hr_NTCHW=parts["hr"],
            lr_NTCHW=parts[f"lr_{rate}"],
            text_NLD=parts["text"],
            clip_ids=tuple(parts["clip_id"].tolist()),
        )


def frame_sets(num_latents: int, num_crops: int, plan: ScorePlan) -> NDArray[np.int64]:
    """Omega of every crop and time of asking, ``(sets, N, size)``, in order; for all variants."""
    if plan.num_sets * plan.set_size > num_latents:
        raise ConfigError(
            f"{plan.num_sets} sets of {plan.set_size} frames are more than {num_latents} latent "
            "frames; ask for fewer"
        )
    rows = [
        np.random.default_rng([plan.seed, n]).permutation(num_latents) for n in range(num_crops)
    ]
    if plan.omega == "last":
        rows = [np.arange(num_latents)[::-1]] * num_crops
    chosen = np.stack(rows)[:, : plan.num_sets * plan.set_size]
    sets = chosen.reshape(num_crops, plan.num_sets, plan.set_size).transpose(1, 0, 2)
    return np.sort(sets, axis=-1)


def others(clip_ids: Sequence[str]) -> NDArray[np.int64]:
    """For each crop the number of one of another clip, each used once: shuffled memory."""
    num = len(clip_ids)
    for shift in range(1, num):
        if all(clip_ids[i] != clip_ids[(i + shift) % num] for i in range(num)):
            return (np.arange(num) + shift) % num
    raise ConfigError(
        f"{len(set(clip_ids))} clips of {num} crops cannot be paired with others; use more clips"
    )


def retrieved(
    model: MemoryDiT, vae: LatentVAE, crops: Crops, plan: ScorePlan, *, shuffled: bool = False
) -> Fill:
    """What a trained variant samples, decoded frame by frame; noise is equal for all variants.

    ``shuffled`` gives every crop the memory of another clip and leaves all else.
    """
    model.dit.fuse_lora()  # the same weights in fewer products; this model only samples
    memory_of = others(crops.clip_ids) if shuffled else np.arange(len(crops))

    def fill(omega_NT: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        for first in range(0, len(crops), plan.batch_size):
            here = slice(first, first + plan.batch_size)
            latents_BTCHW = sampled(
                model, crops, plan, here=here, memory_of=memory_of[here], omega_BT=omega_NT[here]
            )
            for latents_TCHW, omega_T in zip(latents_BTCHW, omega_NT[here], strict=True):
                yield decode_alone(vae, latents_TCHW, omega_T.tolist())

    return fill


@torch.inference_mode()
def sampled(
    model: MemoryDiT,
    crops: Crops,
    plan: ScorePlan,
    *,
    here: slice,
    memory_of: NDArray[np.int64],
    omega_BT: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Latents ``(B, T, C, H, W)`` of the frames asked for of some crops, with given memories."""
    with bf16_products(enabled=plan.sampler.autocast):
        memory = encoded_history(model, crops, memory_of)
    latents_BCTHW = sample_frames(
        model,
        memory=memory,
        text=torch.from_numpy(crops.text_NLD[here].astype(np.float32)),
        frame_index_BT=torch.from_numpy(omega_BT),
        latent_size=(crops.hr_NTCHW.shape[3], crops.hr_NTCHW.shape[4]),
        settings=plan.sampler,
        seed=plan.seed + here.start,
    )
    return latents_BCTHW.transpose(1, 2).numpy()


def encoded_history(model: MemoryDiT, crops: Crops, numbers: NDArray[np.int64]) -> Memory | None:
    """The memory of the crops with these numbers."""
    hr, lr = (
        torch.from_numpy(x[numbers].astype(np.float32)).transpose(1, 2)
        for x in (crops.hr_NTCHW, crops.lr_NTCHW)
    )
    return model.encode_history(hr, lr)


def num_tokens(model: MemoryDiT, crops: Crops) -> int:
    """Memory tokens of one crop's history."""
    memory = encoded_history(model, crops, np.arange(1))
    return 0 if memory is None else memory.tokens_BND.shape[1]


def vae_reconstruction(vae: LatentVAE, crops: Crops) -> Fill:
    """The true latents, each decoded alone: what no variant can pass."""
    return lambda omega_NT: (
        decode_alone(vae, hr_TCHW[omega_T].astype(np.float32), omega_T.tolist())
        for hr_TCHW, omega_T in zip(crops.hr_NTCHW, omega_NT, strict=True)
    )


def enlarged(vae: LatentVAE, crops: Crops, rate: Rate) -> Fill:
    """The LR video of a rate, decoded and made larger: what only_lr is given, without any model.

    The nearest LR frame in time, bicubic in space.
    """
    size = crops.frames_NTHWC.shape[3], crops.frames_NTHWC.shape[2]

    def fill(omega_NT: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        for lr_TCHW, omega_T in zip(crops.lr_NTCHW, omega_NT, strict=True):
            lr_THWC = vae.decode(lr_TCHW.astype(np.float32))
            wanted = [at for index in omega_T.tolist() for at in latent_frames(index)]
            nearest = [min(round(at / rate.time), len(lr_THWC) - 1) for at in wanted]
            images = [Image.fromarray(lr_THWC[i]) for i in nearest]
            yield np.stack([np.asarray(p.resize(size, Image.Resampling.BICUBIC)) for p in images])

    return fill


def score(fill: Fill, crops: Crops, plan: ScorePlan) -> list[dict[str, Any]]:
    """A row per crop and latent frame asked for: clip, latent frame, ``measures`` and ``blank``."""
    rows: list[dict[str, Any]] = []
    for omega_NT in frame_sets(crops.hr_NTCHW.shape[1], len(crops), plan):
        for n, found_FHWC in enumerate(fill(omega_NT)):
            start = 0
            for index in omega_NT[n].tolist():
                true = crops.frames_NTHWC[n][latent_frames(index)]
                found = found_FHWC[start : start + len(true)]
                start += len(true)
                row = {"clip": crops.clip_ids[n], "crop": n, "latent": index}
                rows.append(row | measures(found, true) | {"blank": blank_high_band_psnr(true)})
    return rows


def measures(found_THWC: NDArray[np.uint8], true_THWC: NDArray[np.uint8]) -> dict[str, float]:
    """PSNR in dB, SSIM, and PSNR of the high band in dB: each the mean over frames."""
    psnr_T = np.minimum(psnr_of(mse_per_frame(found_THWC, true_THWC)), CAP_DB)
    pairs = list(zip(found_THWC, true_THWC, strict=True))
    return {
        "psnr": float(psnr_T.mean()),
        "ssim": float(np.mean([ssim_map(a, b).mean() for a, b in pairs])),
        "high_band": float(np.mean([high_band_psnr(a, b) for a, b in pairs])),
    }
