"""Table 1 of the paper at small scale, in one command: what each compression structure gives back.

    python -m experiments.table1 --work runs/table1 [--videos FOLDER] [--steps 500] [--seeds 0 1]
                                 [--variants "only_lr 4x4x2" "proposed 4x4x2"] [--out docs]

Every step (windows, latents, each variant of each seed, each evaluation) writes into ``--work`` and
is skipped when its output is there; a training that was killed goes on from its last state. The
page and its figures are written last, from the scores alone, to ``--out`` (default: ``--work``).
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch

from experiments.table1.data import (
    DataPlan,
    Window,
    held_out_windows,
    make_bank,
    make_crops,
    tiny_vae,
    video_windows,
)
from experiments.table1.page import write_page
from experiments.table1.score import (
    Crops,
    Fill,
    ScorePlan,
    enlarged,
    load_crops,
    num_tokens,
    retrieved,
    score,
    vae_reconstruction,
)
from experiments.table1.tables import Scores, read_scores, write_scores
from experiments.table1.training import VARIANTS, TrainPlan, Variant, train_variant
from experiments.tiny.data import SIZES
from pfp.cli.command import GOES_ON, exit_status, prints_safely
from pfp.errors import ConfigError
from pfp.eval.leaderboard.methods import SHUFFLED_MEMORY, VAE_RECONSTRUCTION
from pfp.generate.families import trained_shift
from pfp.io.digests import sha256_file
from pfp.models.memory.checkpoint import read_description
from pfp.models.memory.dit import MemoryDiT
from pfp.models.rates import GEOMETRIES, Rate, parse_rate

SAME_KIND: Final = "same kind"
VIDEOS: Final = "videos"
ENLARGED: Final = "LR video enlarged"
SHUFFLED_VARIANT: Final = "proposed 4x4x2"
LAST_FRAMES: Final = "last frames"
LAST_VARIANTS: Final = ("proposed 4x4x2", "fixed Omega 4x4x2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides the numbers, apart from the videos."""

    data: DataPlan = field(default_factory=DataPlan)
    train: TrainPlan = field(default_factory=TrainPlan)
    score: ScorePlan = field(default_factory=ScorePlan)
    seeds: tuple[int, ...] = (0, 1)
    variants: tuple[Variant, ...] = VARIANTS

    @property
    def rates(self) -> list[Rate]:
        """The rates of all variants, whose LR videos differ."""
        return [parse_rate(text, GEOMETRIES["tiny"]) for text in sorted({a.rate for a in VARIANTS})]

    @property
    def marks(self) -> tuple[int, ...]:
        """The steps after which variants are kept and scored: a quarter, half, all."""
        num = self.train.num_steps
        return tuple(sorted({max(1, num // 4), max(1, num // 2), num}))


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Run all steps that are not done yet, then write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    plan = TrainPlan()
    parser.add_argument("--work", type=Path, required=True, help="folder for everything in between")
    parser.add_argument("--videos", type=Path, help="folder of real videos to measure on, too")
    parser.add_argument("--steps", type=int, default=plan.num_steps, help="of every training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--variants", nargs="+", help="names of variants (default: all)")
    parser.add_argument("--out", type=Path, help="folder for the page (default: --work)")
    given = parser.parse_args(argv)

    def make_table() -> None:
        settings = Settings(
            train=TrainPlan(num_steps=given.steps),
            seeds=tuple(given.seeds),
            variants=variants_named(given.variants) if given.variants else VARIANTS,
        )
        run(given.work, settings, given.videos)
        write_page(given.out or given.work, read_scores(given.work / "scores"), facts(given.work))

    return exit_status("table1", make_table, stopped=GOES_ON)


def variants_named(names: Sequence[str]) -> tuple[Variant, ...]:
    """Variants of the table by name; ConfigError names those that there are."""
    known = {variant.name: variant for variant in VARIANTS}
    for name in names:
        if name not in known:
            raise ConfigError(f"variant {name!r} is unknown; choose from {', '.join(known)}")
    return tuple(known[name] for name in names)


def run(work: Path, settings: Settings, videos: Path | None) -> None:
    """Windows, latents, trainings and scores, each unless it is there."""
    check_settings(work, settings)
    if videos is not None:
        check_videos(work, videos)
    rates, data = settings.rates, settings.data
    for orientation in SIZES:
        bank = work / "bank" / f"{orientation}.npz"
        step(f"windows, {orientation}", bank, partial(make_bank, bank, data, orientation, rates))
    crops = {SAME_KIND: work / "crops" / "same_kind.npz"}
    windows: dict[str, Callable[[], Iterable[Window]]] = {
        SAME_KIND: partial(held_out_windows, data)
    }
    if videos is not None:
        crops[VIDEOS] = work / "crops" / "videos.npz"
        windows[VIDEOS] = partial(video_windows, data, videos)
    for kind, path in crops.items():
        draw = windows[kind]
        step(f"crops, {kind}", path, partial(draw_crops, path, draw, settings))
    for kind, path in crops.items():
        score_bounds(work, kind, path, settings)
    for seed in settings.seeds:
        for variant in settings.variants:
            if variant.once and seed != settings.seeds[0]:
                continue
            run_variant(work, variant, seed, crops, settings)


def draw_crops(path: Path, draw: Callable[[], Iterable[Window]], settings: Settings) -> None:
    """Held-out windows to a file of crops."""
    make_crops(path, draw(), settings.data, settings.rates)


def run_variant(
    work: Path, variant: Variant, seed: int, crops: dict[str, Path], settings: Settings
) -> None:
    """Train a variant and score it on the way and at the end; the base itself is not trained."""
    total = 0 if variant.encoder == "no_memory" else settings.train.num_steps
    folder = work / "variants" / f"{slug(variant.name)}-seed{seed}-{total}"
    marks = settings.marks if total else (0,)
    last = folder / f"step-{marks[-1]}"
    step(
        f"{variant.name}, seed {seed}",
        last,
        lambda: train_variant(
            variant,
            settings.train,
            seed,
            num_steps=total,
            banks=work / "bank",
            folder=folder,
            marks=marks,
            report=progress(f"{variant.name}, seed {seed}", total),
        ),
    )
    main = list(crops)[-1]  # real videos where there are some
    for mark, kind in product(marks, crops):
        if mark < total and kind != main:
            continue
        about = Scores(name=variant.name, crops=kind, seed=seed, step=mark, num_steps=total)
        plan = settings.score if mark == total and kind == main else settings.score.shorter()
        score_variant(work, about, folder / f"step-{mark}", crops[kind], plan)
        if variant.name in LAST_VARIANTS and mark == total and kind == main:
            asked = replace(about, name=f"{variant.name}, {LAST_FRAMES}")
            score_variant(work, asked, folder / f"step-{mark}", crops[kind], settings.score.last())
        if variant.name == SHUFFLED_VARIANT and mark == total:
            score_variant(
                work,
                replace(about, name=SHUFFLED_MEMORY),
                folder / f"step-{mark}",
                crops[kind],
                plan,
            )


def score_variant(
    work: Path, about: Scores, folder: Path, crops_path: Path, plan: ScorePlan
) -> None:
    """Score a variant's weights on a set of crops."""

    def work_it_out() -> None:
        model = MemoryDiT.from_pretrained(folder)
        crops = load_crops(crops_path, model.config.rate)
        shuffled = about.name == SHUFFLED_MEMORY
        at_its_shift = plan.at_shift(trained_shift(read_description(folder)))
        fill = retrieved(model, tiny_vae(), crops, at_its_shift, shuffled=shuffled)
        rows = score(fill, crops, plan)
        tokens = num_tokens(model, crops)
        write_scores(path, replace(about, rows=tuple(rows), num_tokens=tokens))

    path = scores_path(work, about)
    step(f"scores of {about.title}", path, work_it_out)


def score_bounds(work: Path, kind: str, crops_path: Path, settings: Settings) -> None:
    """What the codec allows, and what each rate's LR video is worth without any model."""
    plan = settings.score

    def work_it_out(about: Scores, fill_of: Callable[[Crops], Fill], rate: str) -> None:
        crops = load_crops(crops_path, rate)
        rows = score(fill_of(crops), crops, plan)
        write_scores(scores_path(work, about), replace(about, rows=tuple(rows)))

    def bound(name: str, fill_of: Callable[[Crops], Fill], rate: str) -> None:
        about = Scores(name=name, crops=kind)
        todo = partial(work_it_out, about, fill_of, rate)
        step(f"scores of {about.title}", scores_path(work, about), todo)

    vae = tiny_vae()
    bound(VAE_RECONSTRUCTION, partial(vae_reconstruction, vae), VARIANTS[0].rate)
    for rate in settings.rates:
        bound(f"{ENLARGED} {rate}", partial(enlarged, vae, rate=rate), str(rate))


def scores_path(work: Path, about: Scores) -> Path:
    """Where an evaluation's rows lie."""
    return work / "scores" / f"{slug(about.title)}.json"


def step(name: str, output: Path, work: Callable[[], None]) -> None:
    """Do a step unless its output is there, and say how long it took."""
    if output.exists():
        return
    print(f"{time.strftime('%H:%M:%S')}  {name} ...", flush=True)
    started = time.monotonic()
    work()
    print(f"{time.strftime('%H:%M:%S')}  {name}: {time.monotonic() - started:.0f} s", flush=True)


def progress(name: str, num_steps: int) -> Callable[[int, float], None]:
    """A report that prints the mean loss and the time per step ten times a training."""
    every = max(1, num_steps // 10)
    losses: list[float] = []
    started = time.monotonic()

    def report(step: int, loss: float) -> None:
        nonlocal started
        losses.append(loss)
        if (step + 1) % every == 0:
            seconds = (time.monotonic() - started) / len(losses)
            mean = sum(losses) / len(losses)
            done = f"step {step + 1} of {num_steps}"
            print(f"  {name}: {done}, loss {mean:.4f}, {seconds:.2f} s a step", flush=True)
            losses.clear()
            started = time.monotonic()

    return report


def check_settings(work: Path, settings: Settings) -> None:
    """Refuse a folder made with other settings; seeds, variants and steps may be added to."""
    path = work / "settings.json"
    described = {name: asdict(getattr(settings, name)) for name in ("data", "train", "score")}
    del described["train"]["num_steps"]
    text = json.dumps(described, indent=2, sort_keys=True) + "\n"
    if path.exists() and path.read_text() != text:
        raise ConfigError(f"{path} holds other settings than this run's; name another folder")
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def check_videos(work: Path, videos: Path) -> None:
    """Refuse other videos than the folder's scores are of; where they lie does not count."""
    path = work / "videos.json"
    files = [file for file in sorted(videos.iterdir()) if file.is_file()]
    text = json.dumps({file.name: sha256_file(file) for file in files}, indent=2) + "\n"
    if path.exists() and path.read_text() != text:
        raise ConfigError(f"{work} has scores of other videos than {videos}; name another folder")
    path.write_text(text)


def facts(work: Path) -> dict[str, Any]:
    """What the page says about the run: its settings and its machine."""
    return {
        **json.loads((work / "settings.json").read_text()),
        "machine": f"{platform.machine()} CPU, torch {torch.__version__}",
    }


def slug(name: str) -> str:
    """A name as a file's."""
    return name.replace(" ", "_").replace(",", "")
