"""Which prompts a continuation is made from, and what becomes of a shot that has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from pfp.io.prompts import caption_at
from pfp.schema import Dropped
from pipelines.eval.config import GenerateConfig
from pipelines.eval.stages import _ahead
from pipelines.eval.worker import GenerateSamples

# 24 frames a second, four to a latent: a latent lasts 1/6 s. The history's 11 latents end at
# 1.83 s of a clip that begins at 10 s, and two sections of two latents last 0.33 s each.
ORIGIN, RATE = 10.0, 6.0


@dataclass
class Board:
    """What ``Prompts`` says of one clip."""

    rows: Sequence[Mapping[str, Any]]

    def shots(self, clip_id: str) -> Sequence[Mapping[str, Any]]:
        """Those of the only clip."""
        assert clip_id == "c"
        return self.rows

    def at(self, clip_id: str, seconds: float) -> str:
        """The caption that holds."""
        return caption_at(self.shots(clip_id), seconds)


def _seconds(index: int) -> float:
    return ORIGIN + index / RATE


def _prompts(*spans: tuple[float, float], **config: Any) -> dict[str, Any]:
    """``_ahead`` for shots whose times are latents from the clip's beginning."""
    shots = [
        {"start_seconds": _seconds(0) + a / RATE, "end_seconds": _seconds(0) + b / RATE}
        for a, b in spans
    ]
    board = Board([{**shot, "caption": f"{k}"} for k, shot in enumerate(shots)])
    clip = {"clip_id": "c", "seconds_of": partial(_seconds), "latents_per_second": RATE}
    prompts: Any = board
    return _ahead(prompts, clip, GenerateConfig(**config))


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 30)], ["0", "0"]),
        ([(0, 13), (13, 30)], ["0", "1"]),
        ([(0, 5), (5, 12), (12, 30)], ["1", "2"]),
        ([(0, 13), (13, 15)], ["0", "1"]),
        ([(0, 14), (14, 30)], ["0", "0"]),  # goes on behind the end
        ([(0, 3), (3, 4), (4, 30)], ["2", "2"]),  # over before the continuation begins
    ],
)
def test_a_section_has_the_prompt_that_holds_when_it_begins(
    spans: list[tuple[float, float]], expected: list[str]
) -> None:
    """Latents 11 and 13."""
    assert _prompts(*spans) == {"prompts": expected, "lost_shot": None}


@pytest.mark.parametrize(
    "spans", [[(0, 12), (12, 13), (13, 30)], [(0, 11.5), (11.5, 12.9), (14, 30)]]
)
def test_a_shot_without_a_section_is_told(spans: list[tuple[float, float]]) -> None:
    """With its span, what it would take, and no prompts."""
    told = _prompts(*spans)
    start, end = (ORIGIN + edge / RATE for edge in spans[1])

    assert told["prompts"] == []
    assert told["lost_shot"] == (
        f"the storyboard's shot from {start:g} to {end:g} s has no section of 2 latent frames "
        "(0.333 s) of its own, so its prompt would not be used; make it longer, or give smaller "
        "section_latents"
    )


def test_a_sample_with_such_a_shot_is_rejected() -> None:
    """Its row says why, and nothing is generated."""
    names = ("sample_id", "task", "clip_id", "method", "base", "checkpoint_sha256")
    row = {name: name for name in names}
    row |= {
        "base": "tiny",
        "memory_clip_id": "c",
        "seed": 0,
        "rate": None,
        "omega": [],
        "prompts": [],
    }

    worker = object.__new__(GenerateSamples)  # without the models, which are not asked
    record = worker._generate({**row, "lost_shot": "the storyboard's shot ..."})

    assert record.verdict == Dropped(
        reason="shot_without_section", detail="the storyboard's shot ..."
    )
