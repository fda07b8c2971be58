"""The small Table 1: its arithmetic, and one run of it at a microscopic size."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import scipy.stats
import torch

from experiments.table1 import run as table1
from experiments.table1.data import DataPlan
from experiments.table1.figures import line_chart
from experiments.table1.page import KEPT, write_page
from experiments.table1.score import ScorePlan, frame_sets, others
from experiments.table1.tables import PAPER_PSNR, Board, Scores, kendall_tau, read_scores
from experiments.table1.training import VARIANTS, TrainPlan, make_model
from experiments.tiny.batches import BatchPlan, LatentBank, bank_batch
from experiments.tiny.data import lr_frames
from pfp.errors import ConfigError
from pfp.models.rates import GEOMETRIES, parse_rate
from pfp.train.settings import Objective

TINY = GEOMETRIES["tiny"]
RATES = sorted({variant.rate for variant in VARIANTS})


def coordinates(num_frames: int, height: int, width: int, scale: tuple[int, int, int]) -> Any:
    """Latents ``(1, T, 3, H, W)`` that hold their own time, row and column times ``scale``."""
    grid = np.stack(np.mgrid[:num_frames, :height, :width], axis=1)
    scaled = grid * np.array(scale)[None, :, None, None]
    return scaled[None].astype(np.float16)


def bank(rate_text: str) -> LatentBank:
    """One window of 13 latent frames whose HR and LR latents say where they lie in HR units."""
    rate = parse_rate(rate_text, TINY)
    lr_shape = (-(-13 // rate.time), 24 // rate.height, 40 // rate.width)
    scale = (rate.time, rate.height, rate.width)
    return LatentBank(
        hr_NTCHW=coordinates(13, 24, 40, (1, 1, 1)),
        lr_NTCHW=coordinates(*lr_shape, scale),
        text_NLD=np.zeros((1, 2, 4), np.float16),
    )


def batch(rate_text: str, **changes: Any) -> Any:
    """A batch of four crops of that window, always from the same random numbers."""
    plan = BatchPlan(
        rate=parse_rate(rate_text, TINY),
        batch_size=4,
        continue_share=0.0,
        history_frames=(13,),
    )
    generator = torch.Generator().manual_seed(3)
    drawn = bank_batch([bank(rate_text)], replace(plan, **changes), generator)
    return drawn, torch.randn(2, generator=generator)


@pytest.mark.parametrize("rate_text", RATES)
def test_the_lr_crop_covers_the_same_place_and_time_as_the_hr_crop(rate_text: str) -> None:
    """The first and last LR latents stand where the rate's first and last cells of HR begin."""
    rate = parse_rate(rate_text, TINY)
    drawn, _ = batch(rate_text)
    hr, lr = drawn.hr_BCTHW, drawn.lr_BCTHW

    assert torch.equal(hr[:, :, :: rate.time, :: rate.height, :: rate.width], lr)
    assert hr[0, 0, -1, 0, 0] == lr[0, 0, -1, 0, 0], "both end with the same latent frame"


def test_every_rate_and_omega_gets_the_same_crops_and_noise() -> None:
    """Variants are compared on equal terms: only what they are given of the history differs."""
    first, noise = batch("4x4x2")
    for rate_text in RATES:
        for omega in ("random", "last"):
            drawn, its_noise = batch(rate_text, omega=omega)
            assert torch.equal(first.hr_BCTHW, drawn.hr_BCTHW)
            assert torch.equal(noise, its_noise)
            if omega == "random":
                assert torch.equal(first.frame_index_BT, drawn.frame_index_BT)


def test_a_fixed_omega_always_asks_for_the_last_frames() -> None:
    """The control's targets are the history's last two latent frames, and their own latents."""
    drawn, _ = batch("4x4x2", omega="last")

    assert [[11, 12]] * 4 == drawn.frame_index_BT.tolist()
    assert torch.equal(drawn.hr_BCTHW[:, :, -2:], drawn.target_BCTHW)


@pytest.mark.parametrize("rate_text", RATES)
def test_lr_video_is_every_nth_frame_made_smaller(rate_text: str) -> None:
    """It has the rate's share of frames and pixels, and as many latents as there are tokens."""
    height, _, time = (int(part) for part in rate_text.split("x"))
    frames = np.random.default_rng(0).integers(0, 256, (49, 32, 64, 3), dtype=np.uint8)

    found = lr_frames(frames, parse_rate(rate_text, TINY))

    means = frames[::time].reshape(-1, 32 // height, height, 64 // height, height, 3)
    expected = np.floor(means.mean(axis=(2, 4)) + 0.5)
    tokens_in_time = -(-13 // time)
    assert 1 + 4 * (tokens_in_time - 1) == len(found)
    assert np.array_equal(expected[: len(found)], found)


def test_shuffled_memory_is_always_another_clips() -> None:
    """Every crop gets the memory of a crop of another clip, and each memory is used once."""
    clips = ["a", "a", "b", "b", "c", "c"]

    paired = others(clips)

    assert list(range(6)) == sorted(paired.tolist())
    assert all(clips[i] != clips[j] for i, j in enumerate(paired))
    with pytest.raises(ConfigError, match="use more clips"):
        others(["a", "a"])


def test_frames_asked_for_are_all_different_and_in_order() -> None:
    """Two sets of two out of five: no frame twice, sorted, the same when asked again."""
    plan = ScorePlan(num_sets=2, set_size=2)

    sets = frame_sets(5, 7, plan)

    assert (2, 7, 2) == sets.shape
    assert all(len({*sets[:, n].flatten().tolist()}) == 4 for n in range(7))
    assert (sets[..., 0] < sets[..., 1]).all()
    assert np.array_equal(sets, frame_sets(5, 7, plan))
    assert [[[3, 4]] * 7] == frame_sets(5, 7, plan.last()).tolist()
    with pytest.raises(ConfigError, match="ask for fewer"):
        frame_sets(3, 1, plan)


def test_tau_equals_scipys_where_the_paper_orders_all_pairs() -> None:
    """Against Kendall's tau of scipy on variants without an open pair."""
    names = [name for name in PAPER_PSNR if name != "only_lr 4x4x2"]
    ours = dict(zip(names, [3.0, 1.0, 2.0, 6.0, 5.0, 4.0], strict=True))

    expected = scipy.stats.kendalltau([PAPER_PSNR[n] for n in names], [ours[n] for n in names])

    assert expected.statistic == pytest.approx(kendall_tau(ours))


def test_the_pair_that_the_paper_leaves_open_counts_neither_way() -> None:
    """only_lr and without_lr may stand either way; the rest decides."""
    swapped = dict(PAPER_PSNR) | {"only_lr 4x4x2": 15.73, "without_lr 4x4x2": 15.21}

    assert kendall_tau(PAPER_PSNR) == 1.0
    assert kendall_tau(swapped) == 1.0
    assert kendall_tau({name: -value for name, value in PAPER_PSNR.items()}) == -1.0
    assert kendall_tau({"only_lr 4x4x2": 1.0, "without_lr 4x4x2": 2.0}) is None


def test_kaiming_initialisation_keeps_the_strength_of_the_latents() -> None:
    """After four stages torch's initialisation leaves a hundredth; Kaiming's about all of it."""
    latents = torch.randn(2, 16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    left = {}
    for variant in VARIANTS:
        if variant.encoder == "without_lr":
            branch = make_model(variant, TrainPlan(lora_rank=1), 0).encoder.hr
            with torch.no_grad():
                left[variant.kaiming_init] = branch.stages(latents).square().mean().sqrt().item()

    assert left[False] < 0.05
    assert 0.4 < left[True] < 1.6


def test_variants_differ_as_their_names_say() -> None:
    """Shift and mask are the objective's, the kernel is the encoder's; the rest is the plan's."""
    plan = TrainPlan(lora_rank=1)
    named = {variant.name: variant for variant in VARIANTS}

    assert Objective(shift=12.0) == plan.objective(named["proposed 4x4x2"])
    assert 3.0 == plan.objective(named["only_lr 4x4x2, shift 3"]).shift
    assert "hr+lr" == plan.objective(named["proposed 4x4x2, mask hr+lr"]).mask_scope
    assert 3 == make_model(named["proposed 4x4x2, kernel 3"], plan, 0).config.temporal_kernel
    assert ScorePlan().at_shift(7.0).sampler.shift == 7.0


def scores(name: str, psnr: float, **changes: Any) -> Scores:
    """An evaluation of two clips, each asked for one frame."""
    rows = tuple(
        {"clip": clip, "crop": 0, "latent": 1, "psnr": psnr + extra, "ssim": 0.5, "high_band": 20.0}
        | {"blank": 19.0}
        for clip, extra in (("a", 0.0), ("b", 1.0))
    )
    given = {"crops": "videos", "step": 4, "num_steps": 4, "num_tokens": 7, "rows": rows}
    return Scores(name=name, **(given | changes))


FACTS = {
    "data": {"crop_cells": 2, "num_latents": 13},
    "train": {"lora_rank": 2, "batch_size": 3, "shift": 12.0},
    "score": {"set_size": 2, "sampler": {"num_steps": 8}},
    "machine": "a machine",
}


def test_a_rerun_leaves_what_was_written_by_hand(tmp_path: Path) -> None:
    """Numbers are written anew, the discussion stays."""
    first = [
        scores("VAE reconstruction (upper bound)", 30.0, step=0, num_steps=0),
        scores("proposed 4x4x2", 16.0),
    ]
    write_page(tmp_path, first, FACTS)
    path = tmp_path / "table1.md"
    path.write_text(path.read_text() + "\n## What surprised us\n\nNothing.\n")

    second = [first[0], scores("proposed 4x4x2", 18.0)]
    write_page(tmp_path, second, FACTS)

    before, _, after = path.read_text().partition(KEPT)
    assert "18.50" in before
    assert "16.50" not in before
    assert after.endswith("## What surprised us\n\nNothing.\n")


def test_other_lengths_of_training_have_a_table_of_their_own(tmp_path: Path) -> None:
    """A variant trained for several lengths has a value for each, the open pair a difference."""
    told = [scores("VAE reconstruction (upper bound)", 30.0, step=0, num_steps=0)]
    for num_steps, only_lr, without_lr in ((4, 16.0, 12.0), (8, 17.0, 17.5)):
        at_end = {"step": num_steps, "num_steps": num_steps}
        told.append(scores("only_lr 4x4x2", only_lr, **at_end))
        told.append(scores("without_lr 4x4x2", without_lr, **at_end))
    write_page(tmp_path, told, FACTS)

    lines = (tmp_path / "table1.md").read_text().partition("## Longer trainings")[2].splitlines()
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines if "|" in line}
    assert rows["variant"].count("steps") == 2
    assert "without_lr 4x4x2 - only_lr 4x4x2" in rows
    assert "-4.00" in rows["without_lr 4x4x2 - only_lr 4x4x2"]
    assert "+0.50" in rows["without_lr 4x4x2 - only_lr 4x4x2"]
    assert (tmp_path / "figures" / "table1-longer.svg").exists()


def test_means_are_over_clips_of_all_seeds() -> None:
    """A clip's value is its mean over seeds; the mean of the variant is over clips."""
    board = Board(scores=[scores("x", 10.0), scores("x", 12.0, seed=1)])

    assert {"a": 11.0, "b": 12.0} == board.by_clip("x", "videos", "psnr")
    assert 11.5 == board.summary("x", "videos", "psnr").mean
    assert 10.5 == board.summary("x", "videos", "psnr", seed=0).mean
    assert {1: 11.5} == board.by_position("x", "videos", "psnr")


def test_a_chart_is_well_formed_and_stays_inside_its_frame() -> None:
    """All points of all lines lie within the image."""
    lines = {f"variant <{n}>": {0.0: 9.0, 100.0: 9.0 + n} for n in range(9)}

    root = ET.fromstring(line_chart("t", x_title="x", y_title="y", lines=lines))

    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    space = "{http://www.w3.org/2000/svg}"
    circles = list(root.iter(f"{space}circle"))
    assert 18 == len(circles)
    assert all(0 < float(c.attrib["cx"]) < width for c in circles)
    assert all(0 < float(c.attrib["cy"]) < height for c in circles)


SETTINGS = table1.Settings(
    data=DataPlan(
        num_latents=5, num_photo_windows=1, num_generated_clips=0, num_held_out=4, crop_cells=1
    ),
    train=TrainPlan(
        num_steps=2, batch_size=2, num_latents=5, crop_cells=1, lora_rank=2, compiled=False
    ),
    score=ScorePlan(num_sets=1, batch_size=4),
    seeds=(0,),
    variants=table1.variants_named(["no_memory", "proposed 4x4x2"]),
)


def test_a_run_ends_in_a_page_and_does_nothing_twice(tmp_path: Path) -> None:
    """Windows, latents, a training, scores, page; a second run finds all of it there."""
    table1.run(tmp_path, SETTINGS, None)
    done = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.npz"))}
    done |= {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.json"))}
    table1.run(tmp_path, SETTINGS, None)
    write_page(tmp_path, read_scores(tmp_path / "scores"), table1.facts(tmp_path))

    page = (tmp_path / "table1.md").read_text()
    assert "| proposed 4x4x2 | 3 |" in page
    assert "| shuffled memory |" in page
    assert (tmp_path / "figures" / "table1-curves.svg").is_file()
    again = {path: path.stat().st_mtime_ns for path in done if path.name != "settings.json"}
    assert {path: when for path, when in done.items() if path.name != "settings.json"} == again
    with pytest.raises(ConfigError, match="name another folder"):
        table1.run(tmp_path, replace(SETTINGS, data=DataPlan()), None)


def test_scores_of_other_videos_are_refused(tmp_path: Path) -> None:
    """Replaced, or one more; the same ones elsewhere are the same."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/v.mp4").write_bytes(b"a")
    table1.check_videos(tmp_path, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    table1.check_videos(tmp_path, tmp_path / "b")

    (tmp_path / "b/v.mp4").write_bytes(b"b")
    (tmp_path / "a/w.mp4").write_bytes(b"b")
    for name in "ab":
        with pytest.raises(ConfigError, match=rf"of other videos than .*{name}; name another"):
            table1.check_videos(tmp_path, tmp_path / name)
