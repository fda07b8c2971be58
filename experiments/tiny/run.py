"""Makes the tiny family that ships with pfp: its VAE, its base DiT and its variants.

    python -m experiments.tiny --work DIR [--clips FOLDER] [--out FOLDER]

On two CPU cores it takes some hours, most of them for the base and the variants. Every step writes
into ``--work`` and is skipped when its output is there, and a training that was killed goes on from
its last state.
``--clips`` are real videos that nothing is trained on; the card says what is reached on them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from experiments.tiny.base import Loss, base_loss, memory_loss, tiny_base_config, train_base
from experiments.tiny.batches import BatchPlan, LatentBank, bank_batch
from experiments.tiny.card import write_card
from experiments.tiny.data import (
    FPS,
    SIZES,
    generated_windows,
    load_photographs,
    lr_frames,
    padded_prompt,
    photo_window,
    photograph_paths,
)
from experiments.tiny.readout import EncoderWithReadout, fit_readout
from experiments.tiny.retrieval import check_clips
from experiments.tiny.vae import (
    VaeTraining,
    measure_latents,
    start_from_principal_components,
    to_unit_range,
    train_vae,
)
from pfp.cli.command import GOES_ON, exit_status, prints_safely
from pfp.models._folders import weights_sha256
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.rates import GEOMETRIES, Rate, parse_rate
from pfp.models.tiny import load_base
from pfp.models.tiny_names import TINY_RATE, TINY_VARIANTS
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE
from pfp.models.vae.tiny import TinyCausalVAE
from pfp.train.loop import batches_by_step, train
from pfp.train.objective import Batch, Denoising
from pfp.train.settings import Objective, TrainSettings

WINDOW_FRAMES: Final = 45
GENERATED_SEED: Final = 1000  # the demo's own clips have seed 0
RATES: Final = tuple(parse_rate(text, GEOMETRIES["tiny"]) for text in ("2x2x2", "4x4x2"))
FITTED_ENCODERS: Final = ("proposed", "large_patchifier")  # those that have weights of their own
# What the base is trained on in turn, once it has learned frames: LR videos, or no memory (None).
READING: Final[tuple[Rate | None, ...]] = (None, *RATES, *RATES, *RATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The sizes of all steps; the defaults are those of the shipped weights."""

    num_photo_windows: int = 1000  # per orientation
    num_generated_clips: int = 40  # per orientation, each of some six windows
    vae: VaeTraining = field(default_factory=lambda: VaeTraining(num_steps=1200))
    base_steps: int = 1300
    reading_steps: int = 2000
    readout_steps: int = 700
    variant_steps: int = 1000
    lora_rank: int = 256  # the base's width: its reader must be free to learn (docs/tiny-family.md)
    shift: float = (
        12.0  # of noise levels wherever there is a memory: what it is worth is decided early
    )
    seed: int = 0


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Run all steps that are not done yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for everything in between")
    parser.add_argument("--out", type=Path, help="folder for the weights (default: WORK/tiny)")
    parser.add_argument("--images", type=Path, help="folder of photographs of your own to pan over")
    parser.add_argument("--clips", type=Path, help="folder of real videos to measure on")
    arguments = parser.parse_args(argv)
    work, out = arguments.work, arguments.out or arguments.work / "tiny"
    recipe = Recipe()

    def make_family() -> None:
        if arguments.clips is not None:
            check_clips(arguments.clips)
        work.mkdir(parents=True, exist_ok=True)
        step("windows", work / "windows", lambda: make_windows(work, recipe, arguments.images))
        step("vae", out / "vae", lambda: make_vae(work, out, recipe))
        step("latents", work / "bank.npz", lambda: make_bank(work, out))
        alone = work / "base-without-memory"
        step("base without memory", alone, lambda: make_base(work, alone, recipe))
        step("base", out / "base", lambda: teach_reading(work, alone, out / "base", recipe))
        for variant in FITTED_ENCODERS:
            fitted = work / f"encoder-{variant}.safetensors"
            fit = partial(fit_encoder, variant, work, out, fitted, recipe)
            step(f"encoder of {variant}", fitted, fit)
        for variant in TINY_VARIANTS:
            step(
                variant,
                out / "variants" / variant,
                partial(make_variant, variant, work, out, recipe),
            )
        write_card(out, asdict(recipe), arguments.clips)

    return exit_status("tiny family", make_family, stopped=GOES_ON)


def step(name: str, output: Path, work: Callable[[], None]) -> None:
    """Do a step unless its output is there, and say how long it took."""
    if output.exists():
        print(f"{name}: there already ({output})", flush=True)
        return
    started = time.monotonic()
    work()
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def make_windows(work: Path, recipe: Recipe, images: Path | None) -> None:
    """Short videos at the demo's size: pans over photographs, and generated clips with captions."""
    paths = sorted(images.iterdir()) if images else photograph_paths()
    photographs = load_photographs(paths, max_side=1280)
    aside = work / "windows.aside"
    aside.mkdir(exist_ok=True)
    for side, (orientation, (height, width)) in enumerate(SIZES.items()):
        shape = (recipe.num_photo_windows, WINDOW_FRAMES, height, width, 3)
        photos = np.lib.format.open_memmap(
            aside / f"photos-{orientation}.npy", "w+", np.uint8, shape
        )
        for index in range(recipe.num_photo_windows):
            rng = np.random.default_rng([recipe.seed, side, index])
            photos[index] = photo_window(
                photographs, rng, num_frames=WINDOW_FRAMES, height=height, width=width
            )
        windows: list[NDArray[np.uint8]] = []
        captions: list[str] = []
        for clip in range(recipe.num_generated_clips):
            for window, caption in generated_windows(
                GENERATED_SEED,
                2 * clip + side,
                num_frames=WINDOW_FRAMES,
                fps=FPS,
                height=height,
                width=width,
            ):
                windows.append(window)
                captions.append(caption)
        np.save(aside / f"generated-{orientation}.npy", np.stack(windows))
        (aside / f"generated-{orientation}.json").write_text(json.dumps(captions))
    aside.rename(work / "windows")


def make_vae(work: Path, out: Path, recipe: Recipe) -> None:
    """Principal components, then training; the latents' moments go into the config."""
    arrays = [np.load(path, mmap_mode="r") for path in sorted((work / "windows").glob("*.npy"))]
    torch.manual_seed(recipe.seed)
    vae = TinyCausalVAE().to(memory_format=torch.channels_last)
    sample = [np.array(array[index][:16]) for array in arrays for index in range(60)]
    start_from_principal_components(vae, sample)
    train_vae(vae, vae_batches(arrays, recipe), recipe.vae, every(50, "vae"))
    vae.eval()
    spread = [
        np.array(array[i]) for array in arrays for i in range(0, len(array), len(array) // 25)
    ]
    mean, std = measure_latents(vae, spread)
    vae.register_to_config(latents_mean=mean, latents_std=std)
    vae.half().save_pretrained(out / "vae")


def vae_batches(arrays: list[NDArray[np.uint8]], recipe: Recipe) -> Iterator[torch.Tensor]:
    """Random crops of random stretches of random windows, ``(B, 3, F, crop, crop)`` in [-1, 1]."""
    rng = np.random.default_rng([recipe.seed, 5])
    size, frames = recipe.vae.crop, recipe.vae.num_frames
    while True:
        crops = []
        for _ in range(recipe.vae.batch_size):
            array = arrays[rng.integers(len(arrays))]
            window = array[rng.integers(len(array))]
            first, row, column = (
                rng.integers(limit - length + 1)
                for limit, length in zip(window.shape, (frames, size, size), strict=False)
            )
            crop = window[first : first + frames, row : row + size, column : column + size]
            crops.append(to_unit_range(np.array(crop)))
        yield torch.stack(crops)


def make_bank(work: Path, out: Path) -> None:
    """HR and LR latents and the text of all windows, held in memory by the trainings."""
    vae = load_vae(f"tiny:{out / 'vae'}", dtype="bfloat16")
    parts: dict[str, NDArray[np.float16]] = {}
    for orientation in SIZES:
        rows = []
        for kind in ("photos", "generated"):
            windows = np.load(work / "windows" / f"{kind}-{orientation}.npy", mmap_mode="r")
            captions = work / "windows" / f"{kind}-{orientation}.json"
            prompts = json.loads(captions.read_text()) if captions.exists() else [""] * len(windows)
            rows += [bank_row(vae, w, p) for w, p in zip(windows, prompts, strict=True)]
        for name in rows[0]:
            parts[f"{orientation}_{name}"] = np.stack([row[name] for row in rows])
    np.savez(work / "bank.aside.npz", **parts)  # type: ignore[arg-type]
    (work / "bank.aside.npz").rename(work / "bank.npz")


def bank_row(
    vae: LatentVAE, window: NDArray[np.uint8], prompt: str
) -> dict[str, NDArray[np.float16]]:
    """HR latents, LR latents of the small slow copy of each rate, padded text of one window."""
    row = {"hr": vae.encode(window), "text": padded_prompt(prompt)}
    row |= {f"lr_{rate}": vae.encode(lr_frames(window, rate)) for rate in RATES}
    return {name: part.astype(np.float16) for name, part in row.items()}


def load_banks(work: Path, rate: Rate) -> list[LatentBank]:
    """The two orientations' windows, with the LR latents of a rate."""
    with np.load(work / "bank.npz") as parts:
        return [
            LatentBank(
                hr_NTCHW=parts[f"{orientation}_hr"],
                lr_NTCHW=parts[f"{orientation}_lr_{rate}"],
                text_NLD=parts[f"{orientation}_text"],
            )
            for orientation in SIZES
        ]


def make_base(work: Path, folder: Path, recipe: Recipe) -> None:
    """The base DiT, without memory: small crops first, larger ones at the end."""
    banks = load_banks(work, RATES[0])

    def batch_at(step: int, generator: torch.Generator) -> Batch:
        small = step < 0.88 * recipe.base_steps
        plan = BatchPlan(
            rate=RATES[0],
            batch_size=16 if small else 8,
            crop_cells=2 if small else 3,
            continue_share=0.4,
            history_frames=(3, 5, 7, 9, 11),
        )
        return bank_batch(banks, plan, generator)

    torch.manual_seed(recipe.seed)
    dit = WanTransformer3DModel(**tiny_base_config())
    settings = TrainSettings(num_steps=recipe.base_steps, warmup_steps=100, seed=recipe.seed)
    train_base(
        dit,
        batches_by_step(batch_at, recipe.seed),
        settings,
        work / "base-without-memory.pt",
        every(100, "base without memory"),
    )
    dit.half().save_pretrained(folder)


def teach_reading(work: Path, start: Path, folder: Path, recipe: Recipe) -> None:
    """The base goes on with the LR videos of all rates in its sequence, or nothing, in turn."""
    banks = {rate: load_banks(work, rate) for rate in RATES}
    losses: dict[Rate | None, Loss] = {
        rate: memory_loss(rate, shift=recipe.shift) for rate in RATES
    }
    losses[None] = base_loss

    def batch_at(step: int, generator: torch.Generator) -> Batch:
        rate = READING[step % len(READING)]
        if rate is None:
            plan = BatchPlan(
                rate=RATES[0], batch_size=8, continue_share=0.4, history_frames=(3, 5, 7, 9, 11)
            )
        else:
            plan = BatchPlan(
                rate=rate, batch_size=8, num_targets=4, continue_share=0.0, history_frames=(9, 11)
            )
        return bank_batch(banks[plan.rate], plan, generator)

    dit = load_base(start).float().requires_grad_(requires_grad=True)
    settings = TrainSettings(
        num_steps=recipe.reading_steps, learning_rate=6e-4, warmup_steps=20, seed=recipe.seed
    )
    train_base(
        dit,
        batches_by_step(batch_at, recipe.seed),
        settings,
        work / "base.pt",
        every(100, "base"),
        loss_at=lambda step: losses[READING[step % len(READING)]],
    )
    dit.half().save_pretrained(folder)


def start_of_variant(variant: str, out: Path, recipe: Recipe) -> MemoryDiT:
    """The variant on the frozen base before anything is trained."""
    torch.manual_seed(recipe.seed + 1)
    config = MemoryDiTConfig(variant=variant, rate=TINY_RATE, lora_rank=recipe.lora_rank)
    return MemoryDiT(load_base(out / "base"), config)


def fit_encoder(variant: str, work: Path, out: Path, path: Path, recipe: Recipe) -> None:
    """An encoder that keeps what a linear map can read off its tokens: how a training begins."""
    module = EncoderWithReadout(start_of_variant(variant, out, recipe))
    rate = parse_rate(TINY_RATE, GEOMETRIES["tiny"])
    banks = load_banks(work, rate)
    plan = BatchPlan(rate=rate, batch_size=16, continue_share=0.0, history_frames=(11,))
    fit_readout(
        module,
        batches_by_step(lambda _step, generator: bank_batch(banks, plan, generator), recipe.seed),
        TrainSettings(num_steps=recipe.readout_steps, seed=recipe.seed),
        work / f"state-{path.stem}.pt",
        every(100, path.stem),
    )
    aside = path.with_suffix(".aside")
    save_file(module.encoder.state_dict(), aside)
    aside.rename(path)


def make_variant(variant: str, work: Path, out: Path, recipe: Recipe) -> None:
    """LoRA and encoder of one variant on the frozen base; all see the same batches and noise.

    ``no_memory`` stays the base itself: there is nothing that it could learn to read.
    """
    num_steps = 0 if variant == "no_memory" else recipe.variant_steps
    banks = load_banks(work, parse_rate(TINY_RATE, GEOMETRIES["tiny"]))
    model = start_of_variant(variant, out, recipe)
    if variant in FITTED_ENCODERS:
        encoder = cast("nn.Module", model.encoder)
        encoder.load_state_dict(load_file(work / f"encoder-{variant}.safetensors"))

    def batch_at(step: int, generator: torch.Generator) -> Batch:
        return bank_batch(banks, variant_plan(step / num_steps), generator)

    settings = TrainSettings(num_steps=num_steps, seed=recipe.seed)
    objective = Objective(shift=recipe.shift)
    report = every(100, variant)
    train(
        Denoising(model, objective),
        batches_by_step(batch_at, recipe.seed),
        settings,
        work / f"state-{variant}",
        report=lambda done: report(done.step, done.loss),
    )
    card: dict[str, Any] = {
        "base_sha256": weights_sha256(out / "base"),
        "vae_sha256": weights_sha256(out / "vae"),
        "num_steps": num_steps,
        "seed": recipe.seed,
        "objective": asdict(objective),
    }
    aside = work / f"variant-{variant}.aside"
    model.save_pretrained(aside, dtype=torch.float16, card=card)
    (out / "variants").mkdir(exist_ok=True)
    aside.rename(out / "variants" / variant)


def variant_plan(share_done: float) -> BatchPlan:
    """Small crops first, whole frames at the end."""
    cells, size = (2, 8) if share_done < 0.75 else (3, 4) if share_done < 0.93 else (0, 2)
    return BatchPlan(
        rate=parse_rate(TINY_RATE, GEOMETRIES["tiny"]),
        batch_size=size,
        num_targets=4,
        crop_cells=cells,
        history_frames=(7, 9, 11) if share_done < 0.75 else (9, 11),
    )


def every(num_steps: int, name: str) -> Callable[[int, float], None]:
    """A report that prints the mean loss now and then."""
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if len(losses) == num_steps:
            print(f"{name}: step {step + 1}, loss {np.mean(losses):.4f}", flush=True)
            losses.clear()

    return report
