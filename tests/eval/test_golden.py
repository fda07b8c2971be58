"""Golden scores: the published weights on a public video must give VBench's own numbers.

The video, its prompt and the numbers are FastVideo's, which ran VBench's code on its ``ltx2.mp4``.
None of it is shipped: without the weights and the video the test says what it lacks, and skips.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from pfp.eval.measure.engine import measure_all
from pfp.eval.measure.protocol import Protocol
from pfp.eval.measure.score import device_of
from pfp.eval.measure.score_rows import missing_weights, weights_cure
from pfp.eval.metrics import MetricCard, MetricValue, resolve
from pfp.schema import EvalSample

VIDEO = "PFP_GOLDEN_VIDEO"
PROMPT = "PFP_GOLDEN_PROMPT"
SOURCE = "ltx2.mp4 of the evaluation tests of https://github.com/hao-ai-lab/FastVideo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What VBench says, and how near one has to come to it."""

    score: float
    tolerance: float
    unit: str = ""


GOLDEN = {
    "clarity": Golden(score=66.4459, tolerance=0.01, unit="MOS"),
    # VBench's CLIP computes in half precision on a GPU; in single precision 2e-4 would do.
    "aesthetic": Golden(score=0.57333, tolerance=2e-3),
    "semantic": Golden(score=0.310585, tolerance=1e-4),
    "dynamics": Golden(score=1.0, tolerance=0.0),
}


def lacking(card: MetricCard, environment: Mapping[str, str]) -> str | None:
    """One sentence with all that the golden score of a metric lacks here and how to get it."""
    lacks = []
    video = environment.get(VIDEO, "")
    if not video:
        lacks.append(f"set {VIDEO} to the path of {SOURCE}")
    elif not Path(video).is_file():
        lacks.append(f"{VIDEO} names {video}, which is no file: set it to {SOURCE}")
    if "prompt" in card.required_inputs and not environment.get(PROMPT):
        lacks.append(f"set {PROMPT} to the prompt that belongs to it")
    if missing := missing_weights(card):
        lacks.append(weights_cure(missing))
    if find_spec("decord") is None:
        lacks.append("decord, VBench's decoder, is not installed: pip install 'pfp[metrics]'")
    return f"no golden score of {card.name}: {'; '.join(lacks)}" if lacks else None


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.timeout(3600)  # RAFT takes minutes of a CPU
@pytest.mark.parametrize("name", GOLDEN)
def test_real_weights_give_the_golden_score(name: str, parity: Callable[..., None]) -> None:
    """By VBench's protocol and decoder, within the tolerance of the metric."""
    kind, golden = resolve(name), GOLDEN[name]
    reason = lacking(kind.card, os.environ)
    if reason is not None:
        pytest.skip(reason)
    given = EvalSample.of_video(os.environ[VIDEO], prompt=os.environ.get(PROMPT))
    protocol = Protocol(name="vbench", decoder="decord")

    found = measure_all(given, {name: kind(device=device_of("auto"))}, protocol)[name]

    assert isinstance(found, MetricValue), found
    assert found.value is not None, found.unscored_reason
    parity(
        name,
        "VBench's own score of a public video, real weights",
        abs(found.value - golden.score),
        tolerance=golden.tolerance,
        unit=golden.unit,
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_score_lies_where_the_metric_can(name: str) -> None:
    """The golden numbers are within the bounds of the metrics' own scales."""
    card = resolve(name).card

    assert card.low is not None
    assert card.high is not None
    assert card.low <= GOLDEN[name].score <= card.high


def test_what_is_lacking_is_one_sentence_with_every_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anything it names the video, the prompt and the command that brings the weights."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))

    reason = lacking(resolve("semantic").card, {})

    assert reason is not None
    assert "\n" not in reason
    for cure in (VIDEO, PROMPT, SOURCE, "`pfp weights fetch viclip-internvid-10m-flt`"):
        assert cure in reason


def test_a_video_that_is_not_there_is_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that leads nowhere is named; a prompt is asked for only where it is needed."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    nowhere = str(tmp_path / "ltx2.mp4")

    reason = lacking(resolve("clarity").card, {VIDEO: nowhere})

    assert reason is not None
    assert f"{VIDEO} names {nowhere}, which is no file" in reason
    assert PROMPT not in reason
