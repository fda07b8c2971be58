"""Clothes by a judge: what it is asked, how its answers become scores, and when they do not."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import PermanentError, RetryableError
from pfp.eval.judge import FramesQuestion, Judgement, ModelJudge, load_judge
from pfp.eval.judge.judge import read_answer
from pfp.eval.metrics import Frame, MetricValue, OpenedSample, resolve
from pfp.eval.metrics.cloth import ClothVBench2, ClothVBench2Compat, spread_frames
from pfp.eval.metrics.cloth_storyboard import ClothStoryboard, frames_by_shot
from pfp.eval.metrics.judging import JudgedMetric
from pfp.schema import Shot
from pfp.vlm import Answer, Finish, Request
from pfp.vlm.frames import MAX_PIXELS
from tests.vlm.scripted import ScriptedClient

VIDEO = np.random.default_rng(0).integers(0, 256, (100, 8, 12, 3), np.uint8)
QUESTIONS = ("one_person", "same_person", "same_clothes")
BLOCKED = Answer(backend="b", model="m", finish=Finish.BLOCKED, problem="it refused")


class ScriptedJudge:
    """Answers by a function of the question, and remembers what it was asked."""

    model_id = "scripted:one"
    fingerprint = "f" * 64

    def __init__(self, say: Callable[[FramesQuestion], str | Answer]) -> None:
        self.say = say
        self.asked: list[FramesQuestion] = []

    def check_ready(self) -> None:
        """Nothing is needed."""

    def ask(self, question: FramesQuestion) -> Judgement:
        """What the function says."""
        self.asked.append(question)
        said = self.say(question)
        if isinstance(said, str):
            said = Answer(backend="b", model="m", raw_text=said, cost_usd=0.25)
        return read_answer(question, said)

    def close(self) -> None:
        """Nothing is held."""


def _name(question: FramesQuestion) -> str:
    return question.prompt_id.partition("/")[2]


def _scripted(answers: Sequence[str | Answer], names: Sequence[str] = QUESTIONS) -> ScriptedJudge:
    by_name = dict(zip(names, answers, strict=True))
    return ScriptedJudge(lambda question: by_name[_name(question)])


def _voting(texts: Iterator[str], num_votes: int) -> ModelJudge:
    """Gives the texts in turn, at 0.25 USD each."""

    def say(_: Request) -> Answer:
        return Answer(backend="b", model="m", raw_text=next(texts), cost_usd=0.25)

    return ModelJudge(ScriptedClient(say), num_votes=num_votes)


class TestPrompts:
    """Versioned wording."""

    @pytest.mark.parametrize(
        ("prompt_id", "sha256"),
        [
            ("cloth@1", "b09abeffa707fed9eb60a0ad340d51a5f647475658aa3e3e1e916f85b51e290c"),
            (
                "cloth_storyboard@1",
                "e74922449a5543ec481f6ca01a3da533b9b72ac75e171e55abd087140c98654f",
            ),
        ],
    )
    def test_wording_of_a_version_never_changes(self, prompt_id: str, sha256: str) -> None:
        """Scores and caches name the version: other words need another one."""
        content = files("pfp.eval.metrics").joinpath(f"prompts/{prompt_id}.yaml").read_bytes()

        assert sha256 == hashlib.sha256(content).hexdigest()

    def test_each_question_tells_when_the_frames_were_taken(self) -> None:
        """Length, number and times of the frames stand before each of the three questions."""
        judge = _scripted(["yes", "yes", "yes"])

        ClothVBench2(judge=judge).measure(VIDEO, fps=25.0)

        assert list(QUESTIONS) == [_name(question) for question in judge.asked]
        for question in judge.asked:
            assert (
                "The 64 pictures above are frames of one video of 4.00 seconds" in question.prompt
            )
            assert "taken at 0.00s, 0.04s, 0.12s, " in question.prompt
            assert "3.88s, 3.96s. Look" in question.prompt
            assert "Answer yes or no only." in question.prompt
        assert 3 == len({question.prompt for question in judge.asked})


class TestFrames:
    """What the judge is shown."""

    @pytest.mark.parity
    def test_frames_are_those_of_the_reference(self, parity: Callable[..., None]) -> None:
        """64 positions on a line from the first frame to the last, cut to whole numbers."""
        differences = [
            abs(np.array(spread_frames(length)) - _positions(length)).max()
            for length in range(1, 2000)
        ]

        parity("cloth.vbench2", "frame numbers, floats in Python", max(differences), tolerance=0)

    def test_frames_are_shown_with_their_times(self) -> None:
        """Frame k of the video is at k / fps, and its pixels are those of the video."""
        judge = _scripted(["yes", "yes", "yes"])

        ClothVBench2(judge=judge).measure(VIDEO, fps=25.0)

        shown = judge.asked[0].frames
        numbers = spread_frames(100)
        assert 64 == len(shown)
        assert np.array_equal(VIDEO[numbers], np.stack(shown.frames_HWC))
        assert [number / 25.0 for number in numbers] == list(shown.timestamps_seconds)

    def test_frames_of_a_short_video_come_more_than_once(self) -> None:
        """The reference shows 64 frames of any video."""
        judge = _scripted(["yes", "yes", "yes"])

        value = ClothVBench2(judge=judge).measure(VIDEO[:3])

        shown = np.stack(judge.asked[0].frames.frames_HWC)
        assert (64, 3) == (value.num_frames, len(np.unique(shown, axis=0)))

    def test_large_frames_are_shown_smaller(self) -> None:
        """No frame above the limit is held or sent."""
        judge = _scripted(["yes", "yes", "yes"])

        sample = OpenedSample(num_frames=1, fps=24.0, height=900, width=1200)
        measurement = ClothVBench2(judge=judge).begin(sample)
        measurement.see(Frame(0, np.zeros((900, 1200, 3), np.uint8)))
        measurement.finish()

        height, width = judge.asked[0].frames.frames_HWC[0].shape[:2]
        assert 0.99 * MAX_PIXELS < height * width <= MAX_PIXELS


def _positions(num_frames: int) -> np.ndarray:
    step = (num_frames - 1) / 63
    return np.array([*(int(k * step) for k in range(63)), num_frames - 1])


class TestScore:
    """From three answers to a value."""

    @pytest.mark.parametrize(
        ("person", "clothes", "expected"),
        [
            ("yes", "yes", (1.0, None)),
            ("yes", "no", (0.0, None)),
            ("no", "yes", (0.0, None)),
            ("no", "perhaps", (0.0, None)),
            ("perhaps", "no", (0.0, None)),
            ("perhaps", "yes", (None, "judge_unparseable")),
            ("yes", BLOCKED, (None, "judge_blocked")),
        ],
    )
    def test_both_must_be_yes(
        self, person: str, clothes: str | Answer, expected: tuple[float | None, str | None]
    ) -> None:
        """One no is enough for 0; what cannot be told is unscored, not 0."""
        value = ClothVBench2(judge=_scripted(["yes", person, clothes])).measure(VIDEO)

        assert expected == (value.value, value.unscored_reason)

    @pytest.mark.parametrize(
        ("gate", "reason"),
        [
            ("no", "not_one_person"),
            ("Two people talk.", "judge_unparseable"),
            (BLOCKED, "judge_blocked"),
        ],
    )
    def test_gate_leaves_a_video_unscored(self, gate: str | Answer, reason: str) -> None:
        """Without exactly one person nothing more is asked, and the reason is told."""
        judge = _scripted([gate, "yes", "yes"])

        value = ClothVBench2(judge=judge).measure(VIDEO)

        assert (None, reason) == (value.value, value.unscored_reason)
        assert 1 == len(judge.asked) == len(value.evidence["asked"])

    def test_evidence_says_who_said_what_and_what_it_cost(self) -> None:
        """Each question with its answer as it was written."""
        value = ClothVBench2(judge=_scripted(["yes", "Yes.", "no"])).measure(VIDEO)

        assert ("scripted:one", "cloth@1") == (value.evidence["judge"], value.evidence["prompt"])
        assert 0.75 == value.evidence["cost_usd"]
        said = [
            (row["question"], row["verdict"], row["raw_text"]) for row in value.evidence["asked"]
        ]
        assert (
            list(zip(QUESTIONS, ("yes", "yes", "no"), ("yes", "Yes.", "no"), strict=True)) == said
        )

    def test_unknown_cost_makes_the_sum_unknown(self) -> None:
        """A sum over what is known would be too small."""
        value = ClothVBench2(judge=_scripted(["yes", BLOCKED, "no"])).measure(VIDEO)

        assert value.evidence["cost_usd"] is None
        assert "it refused" == value.evidence["asked"][1]["problem"]

    @pytest.mark.parametrize("kind", [RetryableError, PermanentError])
    def test_trouble_of_the_judge_is_the_videos_failure(self, kind: type[Exception]) -> None:
        """A server that is down is no score and no reason for a missing one."""

        def say(question: FramesQuestion) -> str:
            raise kind(f"no answer to {_name(question)}")

        with pytest.raises(kind, match="no answer to one_person"):
            ClothVBench2(judge=ScriptedJudge(say)).measure(VIDEO)


class TestVotes:
    """Several answers to each question."""

    def test_evidence_keeps_every_vote(self) -> None:
        """All texts, how many agree, and what all of them cost."""
        texts = itertools.cycle(["Yes.", "no", "yes"])
        judge = _voting(texts, 3)

        value = ClothVBench2(judge=judge).measure(VIDEO)

        assert (1.0, 9 * 0.25) == (value.value, value.evidence["cost_usd"])
        first = value.evidence["asked"][0]
        assert ("yes", "Yes.", 2 / 3) == (first["verdict"], first["raw_text"], first["agreement"])
        assert [("yes", "Yes."), ("no", "no"), ("yes", "yes")] == [
            (vote["verdict"], vote["raw_text"]) for vote in first["votes"]
        ]

    def test_a_tie_leaves_the_video_unscored(self) -> None:
        """The judge is at odds with itself, which is no answer."""
        texts = itertools.cycle(["yes", "no"])
        judge = _voting(texts, 2)

        values = [kind(judge=judge).measure(VIDEO) for kind in (ClothVBench2, ClothVBench2Compat)]

        assert ["judge_split"] * 2 == [value.unscored_reason for value in values]

    def test_compat_reads_each_vote_with_its_own_parser(self) -> None:
        """Two texts with the letters of yes outvote a no that no strict parser would outvote."""
        texts = itertools.cycle(["no", "Only the eyes differ.", "No, but yes."])
        judge = _voting(texts, 3)

        strict, compat = (
            kind(judge=judge).measure(VIDEO) for kind in (ClothVBench2, ClothVBench2Compat)
        )

        assert "not_one_person" == strict.unscored_reason
        assert 1.0 == compat.value


TEXTS = (
    *("yes", "no", "Yes, the same.", "No. The eyes differ.", "The eyes are the same.", ""),
    *("Not one, but two.", '{"answer": "yes"}', '{"answer": "no"}', "YES", "Unsure"),
)


class TestCompat:
    """The reference's reading of the same answers."""

    @pytest.mark.parity
    def test_scores_are_those_of_the_reference(self, parity: Callable[..., None]) -> None:
        """All triples of eleven texts, against the rule written out: -1 is excluded there."""
        num_different = 0
        for texts in itertools.product(TEXTS, repeat=3):
            value = ClothVBench2Compat(judge=_scripted(texts)).measure(VIDEO[:1, :1, :1])
            gate, person, clothes = ("yes" in text.lower() for text in texts)
            reference = -1 if not gate else int(person and clothes)
            ours = -1 if value.unscored_reason == "not_one_person" else value.value
            num_different += ours != reference

        parity("cloth.vbench2.compat", "its parser, 1331 triples", num_different, tolerance=0)

    def test_both_readings_differ_where_the_reference_errs(self) -> None:
        """The letters of yes in eyes are a yes to the reference only."""
        answers = ["yes", "yes", "Only the eyes differ."]
        fixed, compat = (
            metric(judge=_scripted(answers)).measure(VIDEO)
            for metric in (ClothVBench2, ClothVBench2Compat)
        )

        assert (None, "judge_unparseable") == (fixed.value, fixed.unscored_reason)
        assert 1.0 == compat.value

    def test_refusal_is_no_text_to_be_read(self) -> None:
        """The reference's model does not refuse: there is nothing to be compatible with."""
        value = ClothVBench2Compat(judge=_scripted(["yes", "yes", BLOCKED])).measure(VIDEO)

        assert "judge_blocked" == value.unscored_reason

    def test_both_readings_cost_one_set_of_questions(self, tmp_path: Path) -> None:
        """They ask the same, so a shared judge is asked once."""
        path = tmp_path / "answers.jsonl"
        judge = load_judge("fake:always-yes", record=path)

        values = [
            metric(judge=judge).measure(VIDEO).value
            for metric in (ClothVBench2, ClothVBench2Compat)
        ]

        assert [1.0, 1.0] == values
        assert 3 == len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize(
    "name", ["cloth.vbench2", "cloth.vbench2.compat", "cloth.storyboard", "instance.fraction"]
)
def test_without_a_judge_nothing_is_decoded_or_said(name: str) -> None:
    """The reason comes with its cure, and no frame is asked for."""
    metric = resolve(name)()
    sample = OpenedSample(num_frames=100, fps=24.0, height=8, width=12, shots=_shots(50, 50))

    value = metric.measure(VIDEO, shots=_shots(50, 50))

    assert isinstance(metric, JudgedMetric)
    assert () == metric.frames_of(sample)
    assert (None, "no_judge") == (value.value, value.unscored_reason)
    assert "name a judge: gemini:MODEL, openai:MODEL@URL" in value.evidence["cure"]


# -- storyboards: colours stand for people, brightness for clothes ---------------------------------


def _shots(*lengths: int, fps: float = 10.0) -> tuple[Shot, ...]:
    ends = list(itertools.accumulate(lengths))
    starts = [0, *ends[:-1]]
    return tuple(
        Shot(start_seconds=start / fps, end_seconds=end / fps, caption="")
        for start, end in zip(starts, ends, strict=True)
    )


def _film(shots: Sequence[dict[int, int]], length: int = 20) -> np.ndarray:
    """Frames in which each person (0, 1 or 2: a colour channel) is seen in clothes from 1 to 9."""
    film = np.zeros((len(shots) * length, 4, 4, 3), np.uint8)
    for number, people in enumerate(shots):
        for person, clothes in people.items():
            film[number * length : (number + 1) * length, ..., person] = clothes * 20
    return film


def _see(question: FramesQuestion) -> str:
    """What an ideal judge would say of frames of ``_film``."""
    frames_TC = np.stack(question.frames.frames_HWC)[:, 0, 0]
    if _name(question) == "person":
        return "yes" if frames_TC.any() else "no"
    num_first = int(question.prompt.split("The first ")[1].split(" ")[0])
    first_C, second_C = frames_TC[0], frames_TC[num_first]
    assert (frames_TC[:num_first] == first_C).all()
    assert (frames_TC[num_first:] == second_C).all()
    shared = (first_C > 0) & (second_C > 0)
    if _name(question) == "shared_person":
        return "yes" if shared.any() else "no"
    return "yes" if (first_C == second_C)[shared].all() else "no"


def _judge_film(
    shots: Sequence[dict[int, int]], say: Callable[[FramesQuestion], str | Answer] = _see
) -> MetricValue:
    metric = ClothStoryboard(judge=ScriptedJudge(say))
    return metric.measure(_film(shots), fps=10.0, shots=_shots(*[20] * len(shots)))


class TestStoryboard:
    """Pairs of shots with a person in common."""

    @pytest.mark.parametrize(
        ("shots", "expected", "num_pairs"),
        [
            ([{0: 1}, {0: 1}], 1.0, 1),
            ([{0: 1}, {0: 2}], 0.0, 1),
            ([{0: 1}, {1: 5}, {0: 1}, {1: 6}], 0.5, 2),  # two people in turn, one changes
            ([{0: 1}, {}, {0: 1, 1: 3}, {1: 3}], 1.0, 2),
            ([{0: 1, 1: 2}, {0: 1, 1: 4}, {0: 1}], 2 / 3, 3),
        ],
    )
    def test_value_is_the_fraction_of_pairs(
        self, shots: list[dict[int, int]], expected: float, num_pairs: int
    ) -> None:
        """Every pair counts that shares somebody, near or far apart, with one person or more."""
        value = _judge_film(shots)

        assert expected == pytest.approx(value.value)
        assert num_pairs == value.evidence["num_pairs"]

    @pytest.mark.parametrize(
        ("shots", "reason"),
        [
            ([{0: 1}], "one_shot"),
            ([{}, {}], "no_person"),
            ([{0: 1}, {}], "person_in_one_shot"),
            ([{0: 1}, {1: 1}], "no_shared_person"),
        ],
    )
    def test_reason_says_what_was_missing(self, shots: list[dict[int, int]], reason: str) -> None:
        """Nothing to compare is not a perfect score."""
        value = _judge_film(shots)

        assert (None, reason) == (value.value, value.unscored_reason)

    def test_storyboard_without_shots_is_unscored(self) -> None:
        """A shot that lies beyond the video is none."""
        metric = ClothStoryboard(judge=ScriptedJudge(_see))
        beyond = Shot(start_seconds=90.0, end_seconds=99.0, caption="")

        for shots in [(), (beyond,)]:
            assert "no_shots" == metric.measure(VIDEO, shots=shots).unscored_reason

    def test_pair_that_was_not_answered_is_left_out_and_counted(self) -> None:
        """The fraction is over the others; if there are none, the judge's reason remains."""

        def say(question: FramesQuestion) -> str | Answer:
            is_late = question.frames.timestamps_seconds[-1] >= 4.0
            return BLOCKED if is_late and _name(question) == "same_clothes" else _see(question)

        value = _judge_film([{0: 1}, {0: 1}, {0: 2}], say)
        none = _judge_film([{0: 1}, {}, {0: 2}], say)

        assert (1.0, 1, 2) == (
            value.value,
            value.evidence["num_pairs"],
            value.evidence["num_unheard"],
        )
        assert "judge_blocked" == none.unscored_reason

    def test_evidence_names_the_shots_of_each_question(self) -> None:
        """Who looks at the page can go to the two shots."""
        value = _judge_film([{0: 1}, {0: 2}])

        assert [([0], "yes"), ([1], "yes"), ([0, 1], "yes"), ([0, 1], "no")] == [
            (row["shots"], row["verdict"]) for row in value.evidence["asked"]
        ]
        assert {"shot": 1, "start_seconds": 2.0, "end_seconds": 4.0} == value.evidence["shots"][1]

    def test_frames_are_spread_over_each_shot(self) -> None:
        """Eight of a long shot from first to last, all of a short one, none of another shot."""
        sample = OpenedSample(num_frames=104, fps=10.0, height=8, width=8, shots=_shots(99, 5))

        assert {0: [0, 14, 28, 42, 56, 70, 84, 98], 1: [99, 100, 101, 102, 103]} == frames_by_shot(
            sample
        )

    def test_long_storyboard_is_thinned(self) -> None:
        """Of 40 shots 12 are compared, first and last among them."""
        sample = OpenedSample(num_frames=400, fps=10.0, height=8, width=8, shots=_shots(*[10] * 40))

        shots = list(frames_by_shot(sample))

        assert (12, 0, 39) == (len(shots), shots[0], shots[-1])
        assert {3, 4} == set(np.diff(shots).tolist())

    def test_frames_are_asked_for_in_order_of_time(self) -> None:
        """Storyboards may list overlapping shots; a frame is decoded once."""
        shots = (
            Shot(start_seconds=0.0, end_seconds=1.0, caption=""),
            Shot(start_seconds=0.5, end_seconds=1.0, caption=""),
        )
        sample = OpenedSample(num_frames=10, fps=10.0, height=4, width=4, shots=shots)
        metric = ClothStoryboard(judge=ScriptedJudge(_see))

        asked = list(metric.frames_of(sample))
        measurement = metric.begin(sample)
        for index in asked:
            measurement.see(Frame(index, _film([{0: 1}])[index]))

        assert sorted(set(asked)) == asked
        assert 1.0 == measurement.finish().value
