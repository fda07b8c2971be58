"""How much of held-out histories a linear map reads off the tokens of each encoder.

    python -m experiments.table1.readout --work runs/table1 [--steps 800] [--rates 4x4x2 2x2x2]

The gate before trainings: an encoder whose tokens are no more readable than ``only_lr``'s is not
worth one. ``--work`` is a folder of ``python -m experiments.table1``, whose windows and crops are
taken; fitted encoders lie in ``WORK/readout``, and a fit that was killed goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import save_file

from experiments.table1.score import load_crops
from experiments.table1.training import VARIANTS, TrainPlan, Variant, batches, make_model
from experiments.tiny.readout import EncoderWithReadout, fit_readout, share_explained
from pfp.cli.command import GOES_ON, exit_status, prints_safely
from pfp.errors import ConfigError, InputError
from pfp.train.loop import batches_by_step
from pfp.train.settings import TrainSettings

ENCODERS: Final = ("only_lr", "large_patchifier", "proposed")
BATCH_SIZE: Final = 16
LEARNING_RATE: Final = 1e-3
SEED: Final = 0


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Fit every encoder at every rate that is not fitted yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of experiments.table1")
    parser.add_argument("--steps", type=int, default=800, help="of every fit")
    parser.add_argument("--rates", nargs="+", default=["4x4x2", "2x2x2"])
    given = parser.parse_args(argv)

    def measure() -> None:
        known = {variant.rate for variant in VARIANTS}
        for rate in given.rates:
            if rate not in known:
                choices = ", ".join(sorted(known))
                raise ConfigError(f"rate {rate!r} has no latents here; choose from {choices}")
        crops = given.work / "crops"
        names = [path for path in (crops / "videos.npz", crops / "same_kind.npz") if path.exists()]
        if not names:
            raise InputError(
                f"{crops} holds no crops to measure on; run python -m experiments.table1 --work "
                f"{given.work} first"
            )
        print(table(given.work, given.rates, names[0], given.steps), end="")

    return exit_status("readout", measure, stopped=GOES_ON)


def table(work: Path, rates: Sequence[str], crops: Path, num_steps: int) -> str:
    """The share of the latents' variance that each encoder's tokens tell, as Markdown."""
    lines = [f"| encoder | rate | R squared, {crops.stem} |\n|---|---|---|\n"]
    for rate in rates:
        for encoder in ENCODERS:
            variant = Variant(name=f"{encoder} {rate}", encoder=encoder, rate=rate)
            found = explained(work, variant, crops, num_steps)
            lines.append(f"| {encoder} | {rate} | {found:.3f} |\n")
    return "".join(lines)


def explained(work: Path, variant: Variant, crops: Path, num_steps: int) -> float:
    """One encoder's share, from its file if it was fitted and measured before."""
    folder = work / "readout" / f"{variant.name.replace(' ', '_')}-{num_steps}"
    path = folder / f"{crops.stem}.json"
    if path.exists():
        return float(json.loads(path.read_text())["share_explained"])
    module = fitted(work, variant, folder, num_steps)
    held_out = load_crops(crops, variant.rate)
    hr_BCTHW, lr_BCTHW = (
        torch.from_numpy(latents.astype(np.float32)).transpose(1, 2)
        for latents in (held_out.hr_NTCHW, held_out.lr_NTCHW)
    )
    share = share_explained(module, hr_BCTHW, lr_BCTHW)
    path.write_text(json.dumps({"share_explained": share, "num_steps": num_steps}) + "\n")
    return share


def fitted(work: Path, variant: Variant, folder: Path, num_steps: int) -> EncoderWithReadout:
    """The encoder and its map after ``num_steps`` batches of the training's windows."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = replace(TrainPlan(), batch_size=BATCH_SIZE)
    module = EncoderWithReadout(make_model(variant, plan, SEED))
    settings = TrainSettings(
        num_steps=num_steps, learning_rate=LEARNING_RATE, seed=SEED, save_every_steps=100
    )
    fit_readout(
        module,
        batches_by_step(batches(variant, plan, work / "bank"), SEED),
        settings,
        folder / "state.pt",
        partial(report, variant.name, num_steps),
    )
    save_file(module.state_dict(), folder / "encoder.safetensors")
    return module


def report(name: str, num_steps: int, step: int, loss: float) -> None:
    """A line ten times a fit."""
    if (step + 1) % max(1, num_steps // 10) == 0:
        print(f"  {name}: step {step + 1} of {num_steps}, error {loss:.4f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
