"""What evidence says, read for drawing: times are the video's, verdicts are for or against it."""

from __future__ import annotations

import numpy as np
import pytest

from pfp.eval.judge import load_judge
from pfp.eval.metrics.base import Frame, MetricValue, OpenedSample
from pfp.eval.metrics.cloth_storyboard import ClothStoryboard
from pfp.eval.metrics.instance import InstanceFraction
from pfp.eval.metrics.psnr import Psnr
from pfp.eval.scores.evidence import Findings, SeenFace, Stretch, findings
from pfp.schema import Shot


def found_of(value: MetricValue, fps: float) -> Findings:
    """What is drawn of a metric's own evidence."""
    return findings(value.evidence, fps=fps)


def test_values_of_frames_stand_at_their_seconds() -> None:
    """Frame 3 of 12 a second is at a quarter of a second, and an identical frame leaves a gap."""
    frames_THWC = np.full((4, 16, 16, 3), 100, np.uint8)
    other_THWC = frames_THWC.copy()
    other_THWC[1:] += 10

    curve = found_of(Psnr().measure(frames_THWC, other_THWC), fps=12).curve

    assert curve is not None
    assert (0.0, 1 / 12, 2 / 12, 3 / 12) == curve.seconds
    assert curve.values[0] is None
    assert pytest.approx([28.1308] * 3, abs=1e-4) == curve.values[1:]


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param({"frames": [0, 12, 24]}, (0.0, 0.5, 1.0), id="some frames"),
        pytest.param({"first_frame": 6, "fps": 12}, (0.5, 7 / 12, 8 / 12), id="from a frame on"),
    ],
)
def test_the_evidence_knows_its_frames(
    evidence: dict[str, object], expected: tuple[float, ...]
) -> None:
    """Sparse frames, a later start and a rate of its own move the times."""
    curve = findings({"per_frame": [1.0, 2.0, 3.0], **evidence}, fps=24).curve

    assert curve is not None
    assert pytest.approx(expected) == curve.seconds


def test_a_pair_lies_between_its_frames_and_keeps_its_threshold() -> None:
    """Pairs of frames 3 apart at 24 a second have their middles at 1/16, 3/16, ... seconds."""
    evidence = {"per_pair_px": [1.0, 9.0], "interval_frames": 3, "threshold_px": 6.0}

    found = findings({**evidence, "cut_pairs": [1]}, fps=24)

    assert found.curve is not None
    assert (0.0625, 0.1875) == found.curve.seconds
    assert 6.0 == found.curve.threshold
    assert (0.1875,) == found.cuts_seconds


@pytest.mark.parametrize(("answer", "state"), [("always-yes", "bad"), ("always-no", "good")])
def test_a_broken_window_speaks_against_the_video(answer: str, state: str) -> None:
    """A yes to the question for faults is bad, and the window is where it was asked about."""
    metric = InstanceFraction(judge=load_judge(f"fake:{answer}"))
    frames_THWC = np.zeros((24, 16, 16, 3), np.uint8)

    found = found_of(metric.measure(frames_THWC, fps=8.0), fps=8.0)

    assert [(0.0, 2.0), (1.0, 3.0)] == [(s.start_seconds, s.end_seconds) for s in found.stretches]
    assert {state} == {stretch.state for stretch in found.stretches}
    assert {state} == {said.state for said in found.said}
    assert "broken instance, 0 to 2 s" == found.said[0].question


def test_a_shot_whose_clothes_changed_is_bad() -> None:
    """Questions that only lead to others do not speak for or against; the last one does."""
    shots = tuple(
        Shot(start_seconds=start, end_seconds=start + 1, caption="x") for start in (0.0, 1.0)
    )
    metric = ClothStoryboard(judge=load_judge("fake:always-yes"))
    sample = OpenedSample(num_frames=16, fps=8.0, height=16, width=16, shots=shots)
    measurement = metric.begin(sample)
    for index in metric.frames_of(sample):
        measurement.see(Frame(index, np.zeros((16, 16, 3), np.uint8)))
    value = measurement.finish()
    asked = value.evidence["asked"]
    against = {**value.evidence, "asked": [*asked[:-1], {**asked[-1], "verdict": "no"}]}

    good, bad = findings(value.evidence, fps=8.0), findings(against, fps=8.0)

    assert ["plain", "plain", "plain", "good"] == [said.state for said in good.said]
    assert ["good", "good"] == [stretch.state for stretch in good.stretches]
    assert ["bad", "bad"] == [stretch.state for stretch in bad.stretches]
    assert "same clothes, shot 1 and 2" == bad.said[-1].question


def test_one_bad_pair_spoils_a_shot() -> None:
    """Shot 1 keeps its clothes in shot 2 and not in shot 3."""
    shots = [{"shot": n, "start_seconds": n, "end_seconds": n + 1} for n in range(3)]
    asked = [
        {"question": "same_clothes", "shots": [0, 1], "verdict": "yes"},
        {"question": "same_clothes", "shots": [0, 2], "verdict": "no"},
    ]

    found = findings({"shots": shots, "asked": asked}, fps=8)

    assert ["bad", "good", "bad"] == [stretch.state for stretch in found.stretches]


def test_neither_yes_nor_no_is_unknown_with_its_reason() -> None:
    """An answer that was blocked or could not be parsed is for nobody and against nobody."""
    asked = {"question": "same_clothes", "verdict": "unparseable", "why_not": "blocked"}

    (said,) = findings({"asked": [{**asked, "raw_text": "", "problem": "filter"}]}, fps=8).said

    assert ("unknown", "blocked", "filter") == (said.state, said.verdict, said.text)


def test_votes_are_counted_out() -> None:
    """Of three votes each is told, and what they come to."""
    metric = InstanceFraction(judge=load_judge("fake:always-no#votes=3"))

    found = found_of(metric.measure(np.zeros((16, 16, 16, 3), np.uint8), fps=8.0), fps=8.0)

    assert [("no", "votes: no, no, no")] == [(said.verdict, said.text) for said in found.said]


def test_faces_are_judged_by_the_metric_s_own_threshold() -> None:
    """A cosine of the threshold is the same person; without a threshold nobody is judged."""
    faces = [{"frame": n, "box": [1, 2, 3, 4], "cosine": c} for n, c in enumerate((0.4, 0.39))]
    unnamed = [{"frame": 6, "box": [1, 2, 3, 4]}]

    found = findings({"faces": faces + unnamed}, fps=12, params={"same_person": 0.4})
    plain = findings({"faces": faces}, fps=12)

    assert ["good", "bad", "plain"] == [face.state for face in found.faces]
    assert ["plain", "plain"] == [face.state for face in plain.faces]
    assert (
        SeenFace(frame=6, seconds=0.5, box=(1, 2, 3, 4), cosine=None, state="plain")
        == found.faces[2]
    )


def test_clips_are_put_back_to_their_time() -> None:
    """What was measured in 2 s clips is drawn where the clip lies, with a stretch for each."""
    clip = {"per_frame": [1.0, 2.0], "fps": 2, "faces": [{"frame": 1, "box": [0, 0, 1, 1]}]}
    clips = [
        {
            "start_frame": start,
            "end_frame": start + 2,
            "value": value,
            "unscored_reason": reason,
            "evidence": clip,
        }
        for start, value, reason in ((0, 1.5, None), (2, None, "no_face"))
    ]

    found = findings({"clips": clips}, fps=2)

    assert found.curve is not None
    assert (0.0, 0.5, 1.0, 1.5) == found.curve.seconds
    assert [1, 3] == [face.frame for face in found.faces]
    assert (
        Stretch(start_seconds=0.0, end_seconds=1.0, state="plain", text="1.5"),
        Stretch(start_seconds=1.0, end_seconds=2.0, state="unknown", text="no face"),
    ) == found.stretches


def test_what_was_asked_about_a_clip_has_the_seconds_of_the_video() -> None:
    """Its own count from the clip's start, and would be the same for every clip."""
    asked = {"question": "broken_instance", "verdict": "no", "start_seconds": 1, "end_seconds": 3}
    clips = [
        {
            "start_frame": start,
            "end_frame": start + 6,
            "value": 1.0,
            "unscored_reason": None,
            "evidence": {"asked": [asked, {"question": "one_person", "verdict": "yes"}]},
        }
        for start in (0, 9)
    ]

    found = findings({"clips": clips}, fps=2)

    assert [
        "broken instance, 1 to 3 s",
        "one person",
        "broken instance, 5.5 to 7.5 s",
        "one person",
    ] == [said.question for said in found.said]


def test_facts_are_plain_numbers_in_words() -> None:
    """Counts lose their prefix, lists and what is drawn are left out, nothing is rounded to 0."""
    evidence = {"num_bad": 1, "fps": 24, "coverage": 0.51234, "frames": [1], "left": None}

    assert (("bad", "1"), ("coverage", "0.5123")) == findings(evidence, fps=24).facts
