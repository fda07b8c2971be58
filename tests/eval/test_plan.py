"""What a run would take: seconds from the cards' numbers, and cards that say them in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfp.eval.metrics import METRICS, resolve
from pfp.eval.metrics.base import SecondsPer
from pfp.eval.plan import plan_run
from pfp.eval.run import RunSettings, prepare
from pfp.io import media

Planned = Callable[[str], float | None]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """Seconds that a metric would take, weights given, for two videos of 2 s, 24 fps, 448x128."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "none"))
    frames = np.zeros((48, 128, 448, 3), np.uint8)
    shots = [{"start_seconds": k, "end_seconds": k + 1, "caption": "a cat"} for k in (0, 1)]
    lines = []
    for name in ("a.mp4", "b.mp4"):
        media.write_video(tmp_path / name, frames, 24)
        lines.append({"video": name, "storyboard": {"shots": shots}, "prompt": "a cat"})
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def plan(name: str) -> float | None:
        settings = RunSettings(manifest=str(manifest), out=str(tmp_path / "run"), metrics=(name,))
        prepared = prepare(settings)
        ready = tuple(replace(spec, unscored=None) for spec in prepared.specs)
        (metric,) = plan_run(replace(prepared, specs=ready)).metrics
        assert 2 == metric.num_todo
        return metric.seconds

    return plan


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("aesthetic", 2 * 48 * 2.4),  # all frames, of any size
        ("identity.arcface", 2 * 4 * 0.3),  # two frames a second
        ("dynamics", 2 * 15 * 1.0 * 2),  # of every third frame the pairs, twice 224x128 pixels
        ("flow_warp", 2 * 47 * 1.7 * 2),
        ("semantic", 2 * 25.0),
        ("semantic.storyboard", 2 * 2 * 25.0),
    ],
)
def test_seconds_are_those_of_the_card_times_what_it_looks_at(
    planned: Planned, name: str, seconds: float
) -> None:
    """Frames, pairs, shots or videos, in proportion to their pixels where the card says so."""
    assert seconds == pytest.approx(planned(name))


def test_what_the_card_does_not_say_is_not_known(planned: Planned) -> None:
    """Unknown is no number of seconds: a judge takes as long as it takes."""
    assert planned("instance.fraction") is None


def test_seconds_are_told_in_words() -> None:
    """Once with the size they were measured at, once without, each with what the card adds."""
    found = {name: resolve(name).card.cost for name in ("dynamics", "semantic.storyboard", "psnr")}

    assert {
        "dynamics": "1 s a pair of 224x128 on one CPU core, growing with the pixels; "
        "8 pairs a second of video",
        "semantic.storyboard": "25 s a shot on one CPU core; 1.7 GB of weights",
        "psnr": "",
    } == found


@pytest.mark.parametrize("name", METRICS)
def test_metrics_with_networks_say_what_they_take(name: str) -> None:
    """Seconds, or in words; a judge's questions are never free."""
    card = resolve(name).card

    assert bool(card.cost) >= (bool(card.weights) or card.licence == "that of the judge"), name


def test_time_grows_with_pixels_only_where_it_does() -> None:
    """832x480 has 13.9 times the pixels of 224x128, which is what RAFT takes there."""
    flow = SecondsPer(seconds=1.0, per="pair", size=(224, 128))

    assert 13.93 == pytest.approx(flow.at(832, 480), abs=0.01)
    assert 2.4 == SecondsPer(seconds=2.4, per="frame").at(832, 480)


def test_what_cannot_be_measured_costs_no_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video with windows without a frame is no obstacle to planning the others."""
    monkeypatch.setenv("GEMINI_API_KEY", "x")
    frames = np.zeros((4, 32, 48, 3), np.uint8)
    prices = []
    for rates in ((1.0,), (1.0, 0.3)):
        names = [f"at{rate}.mp4" for rate in rates]
        for name, rate in zip(names, rates, strict=True):
            media.write_video(tmp_path / name, frames, rate)
        manifest = tmp_path / "manifest.jsonl"
        manifest.write_text("".join(json.dumps({"video": name}) + "\n" for name in names))
        settings = RunSettings(
            manifest=str(manifest),
            out=str(tmp_path / "run"),
            metrics=("instance.vbench2",),
            judge="gemini:gemini-2.5-pro",
        )
        (metric,) = plan_run(prepare(settings)).metrics
        prices.append((metric.num_todo, metric.usd))

    (one, usd), (two, same) = prices
    assert (1, 2) == (one, two)
    assert usd
    assert usd == same
