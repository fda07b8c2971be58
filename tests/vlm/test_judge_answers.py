"""Answers that are kept: cache, recording, replay; and the table of judges."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import ConfigError, InputError, RetryableError, SchemaError
from pfp.vlm import JUDGES, Answer, Finish, Frames, FramesQuestion, Judgement, Verdict, load_judge
from pfp.vlm.answer_file import AnswerFile, Recorded
from pfp.vlm.judge import read_answer
from pfp.vlm.remember import RememberingJudge


class ScriptedJudge:
    """Gives the answers it was told, and remembers what it was asked."""

    model_id = "scripted:one"
    fingerprint = "f" * 64

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.asked: list[FramesQuestion] = []

    def check_ready(self) -> None:
        """Nothing is needed."""

    def ask(self, question: FramesQuestion) -> Judgement:
        """The next answer."""
        self.asked.append(question)
        return read_answer(question, self.answers.pop(0))

    def close(self) -> None:
        """Nothing is held."""


def _answer(text: str = "yes", **changes: object) -> Answer:
    told = {
        "model_version": "v1",
        "tokens_in": 90,
        "cost_usd": 0.01,
        "notes": ("a note",),
        "raw_text": text,
    }
    return Answer(backend="scripted", model="one", **{**told, **changes})  # type: ignore[arg-type]


def _question(seed: int = 0, prompt: str = "Is it?") -> FramesQuestion:
    frame = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return FramesQuestion(frames=Frames([frame], [0.0]), prompt_id="test@1/it", prompt=prompt)


class TestCache:
    """A question is paid for once."""

    def test_same_question_is_asked_once(self, tmp_path: Path) -> None:
        """A second run, with new objects, gets the first one's answers from the file."""
        path = tmp_path / "deep" / "answers.jsonl"
        first, second = ScriptedJudge([_answer("Yes."), _answer("No.")]), ScriptedJudge([])

        for judge in (first, second):
            remembering = RememberingJudge(judge, cache=AnswerFile(path))
            said = [remembering.ask(_question(seed)) for seed in (0, 1, 0)]
            assert [Verdict.YES, Verdict.NO, Verdict.YES] == [each.verdict for each in said]
            assert said[0].answer == _answer("Yes.")

        assert (2, 0) == (len(first.asked), len(second.asked))
        assert said[0].remembered

    def test_other_judge_is_asked_anew(self, tmp_path: Path) -> None:
        """An answer is that of one model with its settings."""
        path = tmp_path / "answers.jsonl"
        first, second = ScriptedJudge([_answer("yes")]), ScriptedJudge([_answer("no")])
        second.fingerprint = "e" * 64

        said = [
            RememberingJudge(judge, cache=AnswerFile(path)).ask(_question()).verdict
            for judge in (first, second)
        ]

        assert [Verdict.YES, Verdict.NO] == said

    def test_answers_of_this_run_are_kept_without_a_file(self) -> None:
        """Two metrics that ask the same pay once."""
        judge = ScriptedJudge([_answer()])
        remembering = RememberingJudge(judge)

        assert [False, True] == [remembering.ask(_question()).remembered for _ in range(2)]

    @pytest.mark.parametrize("finish", [Finish.BLOCKED, Finish.TRUNCATED])
    def test_refusal_is_permanent(self, tmp_path: Path, finish: Finish) -> None:
        """What would be refused again is not asked again."""
        judge = ScriptedJudge([_answer(finish=finish, problem="no")])
        remembering = RememberingJudge(judge, cache=AnswerFile(tmp_path / "a.jsonl"))

        said = [remembering.ask(_question()).why_not for _ in range(2)]

        assert [finish.value] * 2 == said

    def test_answer_given_unseen_is_not_kept(self, tmp_path: Path) -> None:
        """It is asked for again."""
        judge = ScriptedJudge([_answer(finish=Finish.UNSEEN), _answer("no")])
        remembering = RememberingJudge(judge, cache=AnswerFile(tmp_path / "a.jsonl"))

        said = [remembering.ask(_question()).verdict for _ in range(2)]

        assert [Verdict.UNPARSEABLE, Verdict.NO] == said

    def test_unfinished_answer_is_an_error_that_may_pass(self, tmp_path: Path) -> None:
        """It is no verdict and is not kept."""
        path = tmp_path / "a.jsonl"
        judge = ScriptedJudge([_answer(finish=Finish.UNFINISHED, problem="it broke off")])

        with pytest.raises(RetryableError, match="it broke off"):
            RememberingJudge(judge, cache=AnswerFile(path)).ask(_question())

        assert not path.exists()

    def test_line_that_was_cut_off_costs_its_question_only(self, tmp_path: Path) -> None:
        """A killed run leaves half a line; the next run asks that one again and goes on."""
        path = tmp_path / "a.jsonl"
        judge = ScriptedJudge([_answer("yes"), _answer("no")])
        RememberingJudge(judge, cache=AnswerFile(path)).ask(_question(0))
        RememberingJudge(judge, cache=AnswerFile(path)).ask(_question(1))
        whole = path.read_bytes()
        path.write_bytes(whole[:-30])

        again = ScriptedJudge([_answer("no")])
        remembering = RememberingJudge(again, cache=AnswerFile(path))
        said = [remembering.ask(_question(seed)).verdict for seed in (0, 1)]

        assert [Verdict.YES, Verdict.NO] == said
        assert 1 == len(again.asked)
        fresh = AnswerFile(path)
        assert all(fresh.find(_question(seed).sha256) is not None for seed in (0, 1))

    def test_line_that_is_being_written_is_read_when_it_is_whole(self, tmp_path: Path) -> None:
        """Half a line is no answer yet, and it is not lost either."""
        path = tmp_path / "a.jsonl"
        line = _recorded("0" * 64, "j" * 64).to_line()
        watching = AnswerFile(path)

        path.write_bytes(line[:100])
        assert watching.find("0" * 64) is None
        path.write_bytes(line)

        assert _recorded("0" * 64, "j" * 64) == watching.find("0" * 64)

    def test_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        """A manifest given by mistake is named, with the line."""
        path = tmp_path / "manifest.jsonl"
        path.write_text('{"video": "a.mp4"}\n', encoding="utf-8")

        with pytest.raises(SchemaError, match=r"line 1 of .*manifest.jsonl is no recorded answer"):
            AnswerFile(path).find("0" * 64)

    def test_place_that_cannot_be_written_is_an_input_error(self, tmp_path: Path) -> None:
        """The message names the file."""
        (tmp_path / "file").write_text("", encoding="utf-8")
        judge = RememberingJudge(
            ScriptedJudge([_answer()]), cache=AnswerFile(tmp_path / "file" / "a.jsonl")
        )

        with pytest.raises(InputError, match=r"a.jsonl cannot be (read|written)"):
            judge.ask(_question())
        with pytest.raises(ConfigError, match=r"s3://b/a.jsonl is no local path"):
            AnswerFile("s3://b/a.jsonl")

    def test_processes_share_one_file(self, tmp_path: Path) -> None:
        """Two writers at once leave whole lines only, and each sees the other's."""
        path = tmp_path / "a.jsonl"
        context = multiprocessing.get_context("fork")
        writers = [context.Process(target=_write_many, args=(path, k)) for k in range(2)]
        watching = AnswerFile(path)
        assert watching.find("0-0") is None
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

        lines = path.read_text("utf-8").splitlines()
        assert 200 == len([json.loads(line) for line in lines])
        assert all(watching.find(f"{k}-{i}") is not None for k in range(2) for i in range(100))


def _write_many(path: Path, k: int) -> None:
    answers = AnswerFile(path)
    for i in range(100):
        answers.add(_recorded(f"{k}-{i}", "j" * 64))


def _recorded(question_sha256: str, judge: str, model_id: str = "scripted:one") -> Recorded:
    return Recorded(
        question_sha256=question_sha256,
        prompt_id="test@1/it",
        judge=judge,
        model_id=model_id,
        answer=_answer("x" * 2000),
    )


class TestReplay:
    """Answers without a model."""

    def test_recording_is_replayed(self, tmp_path: Path) -> None:
        """What a run used, new or from its cache, is what its recording gives back."""
        cache, record = tmp_path / "cache.jsonl", tmp_path / "record.jsonl"
        judge = ScriptedJudge([_answer("yes"), _answer("Hard to say."), _answer("no")])
        RememberingJudge(judge, cache=AnswerFile(cache)).ask(_question(0))
        RememberingJudge(judge, cache=AnswerFile(cache)).ask(_question(9))
        recording = RememberingJudge(judge, cache=AnswerFile(cache), record=AnswerFile(record))
        expected = [recording.ask(_question(seed)).verdict for seed in (0, 1)]

        replay = load_judge(f"replay:{record}")
        said = [replay.ask(_question(seed)) for seed in (0, 1)]

        assert [Verdict.YES, Verdict.NO] == expected == [each.verdict for each in said]
        assert "replay:scripted:one" == replay.model_id
        assert _answer("yes") == said[0].answer
        assert 2 == len(record.read_text("utf-8").splitlines())

    def test_question_that_was_not_recorded_is_absent(self, tmp_path: Path) -> None:
        """Nothing is guessed, and the reason names the file and the question."""
        path = tmp_path / "a.jsonl"
        AnswerFile(path).add(_recorded("0" * 64, "j" * 64))

        said = load_judge(f"replay:{path}").ask(_question())

        assert (Verdict.UNPARSEABLE, "absent") == (said.verdict, said.why_not)
        assert "a.jsonl has no answer to test@1/it about these frames" == said.answer.problem

    @pytest.mark.parametrize("num_judges", [0, 2])
    def test_file_must_be_of_one_judge(self, tmp_path: Path, num_judges: int) -> None:
        """With two, one could not say whose score it is; without any there is nothing to say."""
        path = tmp_path / "a.jsonl"
        path.touch()
        for k in range(num_judges):
            AnswerFile(path).add(_recorded("0" * 64, str(k) * 64, f"scripted:{k}"))

        with pytest.raises(ConfigError, match=f"a.jsonl holds answers of {num_judges} judges"):
            load_judge(f"replay:{path}").check_ready()

    def test_fingerprint_is_the_files_content(self, tmp_path: Path) -> None:
        """Another file of answers is another judge; a missing one is said to be missing."""
        paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
        for k, path in enumerate(paths):
            AnswerFile(path).add(_recorded(str(k) * 64, "j" * 64))

        a, b = (load_judge(f"replay:{path}").fingerprint for path in paths)

        assert a != b
        with pytest.raises(InputError, match=r"gone.jsonl cannot be read"):
            _ = load_judge(f"replay:{tmp_path / 'gone.jsonl'}").fingerprint


class TestTable:
    """``load_judge``."""

    def test_every_kind_resolves(self, tmp_path: Path) -> None:
        """Each judge can be built from its form; qwen has a test file of its own."""
        rests = {
            "gemini": "gemini-2.5-pro",
            "openai": "Qwen/Qwen2.5-VL-7B-Instruct@http://127.0.0.1:9/v1",
            "replay": str(tmp_path / "a.jsonl"),
            "fake": "always-no",
        }

        judges = {kind: load_judge(f"{kind}:{rest}") for kind, rest in rests.items()}

        assert {*rests, "qwen"} == JUDGES.keys()
        assert "gemini:gemini-2.5-pro" == judges["gemini"].model_id
        assert "openai:Qwen/Qwen2.5-VL-7B-Instruct" == judges["openai"].model_id

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("gemni:x", r"'gemni:x' is of no known kind; write one of gemini:MODEL, openai:MODEL"),
            ("gemini", r"'gemini' is incomplete; write gemini:MODEL"),
            ("openai:gpt", r"'openai:gpt' is incomplete; write openai:MODEL@URL"),
            ("openai:m@ftp://x", "is incomplete"),
            ("fake:always-no#a=1", "has no option 'a'; it has answer"),
            ("gemini:m#max_output_tokens=many", "is 'many'; give a number"),
            ("fake:maybe", "no fake judge is called 'maybe'; use one of always-yes, always-no"),
        ],
    )
    def test_spec_of_no_form_is_refused(self, spec: str, message: str) -> None:
        """The message shows the form."""
        with pytest.raises(ConfigError, match=message):
            load_judge(spec)

    def test_options_may_stand_in_the_spec(self) -> None:
        """A command line has one word for a judge; what is written there is what the class gets."""
        written = load_judge("gemini:m#media_resolution=low,max_output_tokens=99")

        given = load_judge("gemini:m", media_resolution="low", max_output_tokens=99)
        assert given.fingerprint == written.fingerprint
        assert load_judge("gemini:m").fingerprint != written.fingerprint

    def test_key_variable_may_stand_in_the_spec(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key itself never does."""
        monkeypatch.delenv("MY_KEY", raising=False)

        with pytest.raises(ConfigError, match="MY_KEY is not set"):
            load_judge("openai:m@https://127.0.0.1/v1#key_variable=MY_KEY").check_ready()

    @pytest.mark.parametrize(
        ("spec", "expected"),
        [("fake:always-yes", Verdict.YES), ("fake:always-no", Verdict.NO)],
    )
    def test_fakes_say_what_they_are_named_for(
        self, tmp_path: Path, spec: str, expected: Verdict
    ) -> None:
        """Their answers can be recorded and replayed like any other."""
        path = tmp_path / "a.jsonl"
        judge = load_judge(spec, record=path)

        assert expected == judge.ask(_question()).verdict
        assert (spec, 0.0) == (judge.model_id, judge.ask(_question(1)).answer.cost_usd)
        assert expected == load_judge(f"replay:{path}").ask(_question()).verdict

    def test_verdict_is_read_anew_from_the_kept_text(self, tmp_path: Path) -> None:
        """A file written by another parser's days still speaks for itself."""
        path = tmp_path / "a.jsonl"
        recorded = _recorded(_question().sha256, "j" * 64)
        AnswerFile(path).add(replace(recorded, answer=_answer("The eyes are blue.")))

        assert "unparseable" == load_judge(f"replay:{path}").ask(_question()).why_not
