"""Instances by a judge: the windows it is shown, and how its answers become scores."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import PermanentError, RetryableError
from pfp.eval.judge import FramesQuestion, Judgement, load_judge
from pfp.eval.judge.judge import read_answer
from pfp.eval.metrics import Frame, MetricValue, OpenedSample
from pfp.eval.metrics.instance import (
    InstanceFraction,
    InstanceVBench2,
    InstanceVBench2Compat,
    windows_of,
)
from pfp.eval.metrics.judging import JudgedMetric
from pfp.vlm import Answer, Finish
from tests.vlm.openai_server import OpenAIServer, completion, error

FPS = 8.0
BLOCKED = Answer(backend="b", model="m", finish=Finish.BLOCKED, problem="it refused")
ALL = (InstanceVBench2, InstanceVBench2Compat, InstanceFraction)


class ScriptedJudge:
    """Gives its answers in turn, and remembers what it was asked."""

    model_id = "scripted:one"
    fingerprint = "f" * 64

    def __init__(self, answers: Sequence[str | Answer | Exception]) -> None:
        self.answers = list(answers)
        self.asked: list[FramesQuestion] = []

    def check_ready(self) -> None:
        """Nothing is needed."""

    def ask(self, question: FramesQuestion) -> Judgement:
        """The next answer."""
        said = self.answers[len(self.asked)]
        self.asked.append(question)
        if isinstance(said, Exception):
            raise said
        if isinstance(said, str):
            said = Answer(backend="b", model="m", raw_text=said)
        return read_answer(question, said)

    def close(self) -> None:
        """Nothing is held."""


def _video(num_seconds: float, fps: float = FPS) -> np.ndarray:
    """Frame k is k everywhere."""
    num_frames = round(num_seconds * fps)
    grey_T = np.arange(num_frames, dtype=np.uint8)
    return np.broadcast_to(grey_T[:, None, None, None], (num_frames, 2, 2, 3)).copy()


def _score(
    metric: type[JudgedMetric], answers: Sequence[str | Answer | Exception]
) -> tuple[MetricValue, ScriptedJudge]:
    """The value of a video with as many windows as answers."""
    judge = ScriptedJudge(answers)
    return metric(judge=judge).measure(_video(len(answers) + 1), fps=FPS), judge


class TestWindows:
    """Two seconds, one every second."""

    @pytest.mark.parity
    def test_windows_are_those_of_the_reference(self, parity: Callable[..., None]) -> None:
        """Exact in fractions: one less than the whole seconds, frames at or after the start."""
        num_different = 0
        rates = [
            Fraction(24000, 1001),
            Fraction(30000, 1001),
            Fraction(11, 10),
            *map(Fraction, (8, 24, 60)),
        ]
        for fps, num_frames in itertools.product(rates, range(1, 300, 23)):
            expected = [
                _frames_of_window(start, num_frames, fps)
                for start in range(int(num_frames / fps) - 1)
            ]
            sample = OpenedSample(num_frames=num_frames, fps=float(fps), height=2, width=2)
            windows = windows_of(sample)
            num_different += expected != [list(window.indices) for window in windows]

        parity("instance.vbench2", "windows, in fractions", num_different, tolerance=0)

    def test_at_most_fifty_frames_are_shown_and_an_even_number(self) -> None:
        """What the reference lets its judge see of a window."""
        lengths = {
            fps: len(
                windows_of(OpenedSample(num_frames=300, fps=fps, height=2, width=2))[0].indices
            )
            for fps in (7.5, 12.5, 24.0, 25.0, 30.0, 60.0)
        }

        assert {7.5: 14, 12.5: 24, 24.0: 48, 25.0: 50, 30.0: 50, 60.0: 50} == lengths

    def test_judge_is_shown_each_window_with_its_own_times(self) -> None:
        """Pixels of the window; times count from its start, so equal windows are one question."""
        _, judge = _score(InstanceFraction, ["no", "no", "no"])

        shown = [[int(frame[0, 0, 0]) for frame in q.frames.frames_HWC] for q in judge.asked]
        assert [list(range(k * 8, k * 8 + 16)) for k in range(3)] == shown
        for question in judge.asked:
            assert [k / 8 for k in range(16)] == list(question.frames.timestamps_seconds)
            assert "The 16 pictures above are frames of a part of a video, 2.00 sec" in (
                question.prompt
            )
            assert {"A": "yes", "B": "no"} == question.options

    def test_no_more_than_two_windows_are_held(self) -> None:
        """A long video needs no more memory than a short one."""
        metric = InstanceFraction(judge=ScriptedJudge(["no"] * 29))
        video = _video(30)
        sample = OpenedSample(num_frames=len(video), fps=FPS, height=2, width=2)
        measurement = metric.begin(sample)

        held = []
        for index in metric.frames_of(sample):
            measurement.see(Frame(index, video[index]))
            held.append(len(measurement._frames_HWC))

        assert 1.0 == measurement.finish().value
        assert max(held) <= 16

    def test_rate_that_leaves_a_window_empty_is_an_error(self) -> None:
        """There would be nothing to show."""
        sample = OpenedSample(num_frames=10, fps=0.4, height=2, width=2)

        with pytest.raises(PermanentError, match=r"at 0.4 frames a second there is none in \[3, 5"):
            InstanceVBench2(judge=ScriptedJudge([])).begin(sample)

    def test_wording_of_a_version_never_changes(self) -> None:
        """Scores and caches name the version: other words need another one."""
        content = files("pfp.eval.metrics").joinpath("prompts/instance@1.yaml").read_bytes()

        assert (
            "0a11f58556f9f90894bff4e8701b061fa3c02feb3b1ead9318aceefc2e300e00"
            == hashlib.sha256(content).hexdigest()
        )


def _frames_of_window(start: int, num_frames: int, fps: Fraction) -> list[int]:
    """Frames of ``[start, start + 2)``, thinned on a line of at most 50, an even number of them."""
    end = min(num_frames, math.ceil((start + 2) * fps))
    within = [k for k in range(end) if start * fps <= k < (start + 2) * fps]
    count = min(50, len(within)) // 2 * 2
    return [within[round(k * (len(within) - 1) / (count - 1))] for k in range(count)]


class TestScore:
    """From answers to values."""

    @pytest.mark.parametrize(
        ("answers", "binary", "fraction"),
        [
            (["no", "no", "no", "no"], 1.0, 1.0),
            (["no", "yes", "no", "no"], 0.0, 0.75),
            (["yes"], 0.0, 0.0),
            (["(B) No", "B.", "(A) Yes", "(B)"], 0.0, 0.75),
            (["no", "I see a cat.", "yes"], 0.0, 0.5),
            (["no", "I see a cat.", "no"], None, 1.0),
            ([BLOCKED, "no"], None, 1.0),
        ],
    )
    def test_one_bad_window_makes_a_bad_video(
        self, answers: list[str | Answer], binary: float | None, fraction: float
    ) -> None:
        """Binary: any of; an open window leaves it open. Fraction: of those that were answered."""
        assert binary == _score(InstanceVBench2, answers)[0].value
        assert fraction == pytest.approx(_score(InstanceFraction, answers)[0].value)

    @pytest.mark.parametrize("metric", [InstanceVBench2, InstanceFraction])
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [("The eyes are blue.", "judge_unparseable"), (BLOCKED, "judge_blocked")],
    )
    def test_reason_is_that_of_the_judge(
        self, metric: type[JudgedMetric], answer: str | Answer, reason: str
    ) -> None:
        """Nothing was said of any window."""
        value, _ = _score(metric, [answer, answer])

        assert (None, reason) == (value.value, value.unscored_reason)

    def test_binary_stops_at_the_first_bad_window_and_fraction_goes_on(self) -> None:
        """What is settled is not paid for."""
        answers = ["no", "yes", "no", "yes"]

        asked = [len(_score(metric, answers)[1].asked) for metric in ALL]

        assert [2, 2, 4] == asked

    @pytest.mark.parametrize("num_frames", [1, 8, 15])
    def test_video_of_less_than_two_seconds_is_unscored(self, num_frames: int) -> None:
        """It has no window, so nothing was asked; the reference calls it perfect."""
        video = _video(2)[:num_frames]
        values = [
            metric(judge=ScriptedJudge([])).measure(video, fps=FPS)
            for metric in (InstanceVBench2, InstanceFraction, InstanceVBench2Compat)
        ]

        assert [(None, "too_short")] * 2 == [(v.value, v.unscored_reason) for v in values[:2]]
        assert (1.0, 0) == (values[2].value, values[2].num_frames)

    def test_evidence_tells_each_window(self) -> None:
        """Who looks at the page can go to the second where it happens."""
        value, _ = _score(InstanceFraction, ["no", "Yes, a hand melts.", BLOCKED])

        rows = value.evidence["asked"]
        assert [(0, 2, "no"), (1, 3, "yes"), (2, 4, "unparseable")] == [
            (row["start_seconds"], row["end_seconds"], row["verdict"]) for row in rows
        ]
        assert ("Yes, a hand melts.", "blocked") == (rows[1]["raw_text"], rows[2]["why_not"])
        told = {name: value.evidence[name] for name in ("num_windows", "num_bad", "num_unheard")}
        assert {"num_windows": 3, "num_bad": 1, "num_unheard": 1} == told
        assert 32 == value.num_frames

    @pytest.mark.parametrize("metric", ALL)
    def test_trouble_waits_for_the_end(self, metric: type[JudgedMetric]) -> None:
        """Other metrics are fed from the same frames; nothing more is asked of a broken server."""
        judge = ScriptedJudge(["no", RetryableError("it is down"), "no", "no"])
        video = _video(5)
        sample = OpenedSample(num_frames=len(video), fps=FPS, height=2, width=2)
        measurement = metric(judge=judge).begin(sample)

        for index, frame_HWC in enumerate(video):
            measurement.see(Frame(index, frame_HWC))

        with pytest.raises(RetryableError, match="it is down"):
            measurement.finish()
        assert 2 == len(judge.asked)


TEXTS = ("(A)", "A", "A.", "(B)", "B", "no", "Yes.", "The eyes melt.", "(A) Yes", "", BLOCKED)


class TestCompat:
    """The reference's reading of the same answers."""

    @pytest.mark.parity
    def test_scores_are_those_of_the_reference(self, parity: Callable[..., None]) -> None:
        """All pairs of eleven answers, against the rule written out; a refusal raises there."""
        num_different = 0
        for answers in itertools.product(TEXTS, repeat=2):
            texts = [text for text in answers if isinstance(text, str)]
            is_bad = any("(A)" in t or "yes" in t.lower() or t == "A" for t in texts)
            value, _ = _score(InstanceVBench2Compat, answers)
            num_different += value.value != (0.0 if is_bad else 1.0)

        parity("instance.vbench2.compat", "its parser, 121 pairs", num_different, tolerance=0)

    @pytest.mark.parametrize(
        ("answers", "fixed", "compat"),
        [
            (["A.", "no"], 0.0, 1.0),  # missed
            (["The eyes are fine.", "no"], None, 0.0),  # contains yes
            ([BLOCKED, "no"], None, 1.0),  # no answer is preserved
        ],
    )
    def test_both_readings_differ_where_the_reference_errs(
        self, answers: list[str | Answer], fixed: float | None, compat: float
    ) -> None:
        """Each of its faults moves a score."""
        assert fixed == _score(InstanceVBench2, answers)[0].value
        assert compat == _score(InstanceVBench2Compat, answers)[0].value

    def test_three_readings_cost_one_set_of_questions(self, tmp_path: Path) -> None:
        """They ask the same, so a shared judge is asked once about each window."""
        path = tmp_path / "answers.jsonl"
        judge = load_judge("fake:always-no", record=path)

        values = [metric(judge=judge).measure(_video(5), fps=FPS).value for metric in ALL]

        assert [1.0, 1.0, 1.0] == values
        assert 4 == len(path.read_text("utf-8").splitlines())


class TestOverHttp:
    """From frames to a score through a real server."""

    def test_score_is_that_of_the_servers_answers_and_replays(self, tmp_path: Path) -> None:
        """A busy moment passes, and the recording gives the same score with the server gone."""
        record = tmp_path / "answers.jsonl"
        with OpenAIServer() as server:
            server.script(
                completion('{"answer": "no"}'),
                error(429, "slow down"),
                completion('{"answer": "yes"}'),
                completion('{"answer": "no"}'),
            )
            judge = load_judge(f"openai:m@{server.base_url}", record=record, retry_seconds=0.0)
            value = InstanceFraction(judge=judge).measure(_video(4), fps=FPS)
            judge.close()

        replay = load_judge(f"replay:{record}")
        again = InstanceFraction(judge=replay).measure(_video(4), fps=FPS)

        assert 2 / 3 == pytest.approx(value.value)
        assert value.value == again.value
        assert "replay:openai:m" == again.evidence["judge"]

    def test_video_that_was_not_recorded_has_no_score(self, tmp_path: Path) -> None:
        """One other pixel is another video."""
        record = tmp_path / "answers.jsonl"
        judge = load_judge("fake:always-no", record=record)
        InstanceFraction(judge=judge).measure(_video(3), fps=FPS)
        other = _video(3)
        other[:, 0, 0, 0] += 1

        value = InstanceFraction(judge=load_judge(f"replay:{record}")).measure(other, fps=FPS)

        assert (None, "judge_absent") == (value.value, value.unscored_reason)

    @pytest.mark.parametrize(
        ("status", "kind"), [(429, RetryableError), (500, RetryableError), (400, PermanentError)]
    )
    def test_server_that_fails_fails_the_video(self, status: int, kind: type[Exception]) -> None:
        """Never a score, and the message holds the server's words."""
        with OpenAIServer() as server:
            server.script(error(status, "too many pictures"))
            judge = load_judge(f"openai:m@{server.base_url}", retry_seconds=0.0, max_attempts=2)

            with pytest.raises(kind, match="too many pictures"):
                InstanceVBench2(judge=judge).measure(_video(2), fps=FPS)
            judge.close()


def test_binary_rule_punishes_length() -> None:
    """At 5 % false positives per window, 19 windows pass with a probability of 0.95 ** 19."""
    rng = np.random.default_rng(0)
    scores = [
        _score(InstanceVBench2, ["yes" if bad else "no" for bad in rng.random(19) < 0.05])[0].value
        for _ in range(200)
    ]

    assert math.isclose(0.95**19, float(np.mean(scores)), abs_tol=0.08)
