"""Answers that are kept: by request and client, in memory and in files that processes share."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.errors import ConfigError, SchemaError
from pfp.vlm import Answer, Finish, Frames, Request, Sampling
from pfp.vlm.cache import AnswerFile, CachedClient, Recorded
from tests.vlm.conftest import VERDICT_SCHEMA
from tests.vlm.scripted import ScriptedClient


def _answer(text: str = "yes", **changes: Any) -> Answer:
    told = {
        "model_version": "v1",
        "tokens_in": 90,
        "cost_usd": 0.01,
        "notes": ("a note",),
        "raw_text": text,
    }
    return Answer(backend="scripted", model="one", **{**told, **changes})


def _request(seed: int = 0, prompt: str = "Is it?") -> Request:
    frame = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return Request(
        media=Frames([frame], [0.0]),
        prompt_id="test@1/it",
        prompt=prompt,
        json_schema=VERDICT_SCHEMA,
        schema_name="verdict",
        sampling=Sampling(temperature=0.0),
    )


class TestCache:
    """A request is paid for once."""

    def test_same_request_is_asked_once(self, tmp_path: Path) -> None:
        """A second run, with new objects, gets the first one's answers from the file."""
        path = tmp_path / "deep" / "answers.jsonl"
        first, second = ScriptedClient([_answer("Yes."), _answer("No.")]), ScriptedClient([])

        for client in (first, second):
            cached = CachedClient(client, cache=AnswerFile(path))
            said = [cached.ask(_request(seed)) for seed in (0, 1, 0)]
            assert ["Yes.", "No.", "Yes."] == [each.raw_text for each in said]
            assert replace(_answer("Yes."), cached=said[0].cached) == said[0]

        assert (2, 0) == (len(first.asked), len(second.asked))
        assert said[0].cached

    def test_other_client_is_asked_anew(self, tmp_path: Path) -> None:
        """An answer is that of one model with its settings."""
        path = tmp_path / "answers.jsonl"
        first, second = ScriptedClient(["yes"]), ScriptedClient(["no"], digest="e" * 64)

        said = [
            CachedClient(client, cache=AnswerFile(path)).ask(_request()).raw_text
            for client in (first, second)
        ]

        assert ["yes", "no"] == said

    def test_answers_of_this_run_are_kept_without_a_file(self) -> None:
        """Two metrics that ask the same pay once."""
        cached = CachedClient(ScriptedClient([_answer()]))

        assert [False, True] == [cached.ask(_request()).cached for _ in range(2)]

    @pytest.mark.parametrize("finish", [Finish.BLOCKED, Finish.TRUNCATED])
    def test_refusal_is_permanent(self, tmp_path: Path, finish: Finish) -> None:
        """What would be refused again is not asked again."""
        client = ScriptedClient([_answer(finish=finish, problem="no")])
        cached = CachedClient(client, cache=AnswerFile(tmp_path / "a.jsonl"))

        said = [cached.ask(_request()).finish for _ in range(2)]

        assert [finish] * 2 == said

    @pytest.mark.parametrize("finish", [Finish.UNSEEN, Finish.UNFINISHED, Finish.ABSENT])
    def test_answer_that_may_change_is_not_kept(self, tmp_path: Path, finish: Finish) -> None:
        """It is asked for again."""
        client = ScriptedClient([_answer(finish=finish), _answer("no")])
        cached = CachedClient(client, cache=AnswerFile(tmp_path / "a.jsonl"))

        said = [cached.ask(_request()).finish for _ in range(2)]

        assert [finish, Finish.ANSWERED] == said

    def test_line_that_was_cut_off_costs_its_question_only(self, tmp_path: Path) -> None:
        """A killed run leaves half a line; the next run asks that one again and goes on."""
        path = tmp_path / "a.jsonl"
        client = ScriptedClient([_answer("yes"), _answer("no")])
        CachedClient(client, cache=AnswerFile(path)).ask(_request(0))
        CachedClient(client, cache=AnswerFile(path)).ask(_request(1))
        whole = path.read_bytes()
        path.write_bytes(whole[:-30])

        again = ScriptedClient([_answer("no")])
        cached = CachedClient(again, cache=AnswerFile(path))
        said = [cached.ask(_request(seed)).raw_text for seed in (0, 1)]

        assert ["yes", "no"] == said
        assert 1 == len(again.asked)
        fresh = AnswerFile(path)
        assert all(fresh.find(_request(seed).sha256) is not None for seed in (0, 1))

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
        """A manifest given by mistake is named, with the line, as often as it is looked into."""
        path = tmp_path / "manifest.jsonl"
        line = _recorded("0" * 64, "j" * 64).to_line()
        path.write_bytes(line + b'{"video": "a.mp4"}\n' + line)
        answers = AnswerFile(path)

        for _ in range(2):
            with pytest.raises(SchemaError, match=r"line 2 of .*manifest.jsonl is no recorded ans"):
                answers.find("1" * 64)

    @pytest.mark.parametrize("content", [b"\x00\xff" * 99, b"Notes\n", b"[]\n", b'{"video": 1}\n'])
    def test_file_of_something_else_is_refused_before_any_request(
        self, tmp_path: Path, content: bytes
    ) -> None:
        """Answers are not written behind somebody's notes."""
        path = tmp_path / "notes"
        path.write_bytes(content)

        with pytest.raises(SchemaError, match=r"line 1 of .*notes is no recorded answer; give a"):
            CachedClient(ScriptedClient([]), cache=AnswerFile(path)).check_ready()

        assert content == path.read_bytes()

    @pytest.mark.parametrize("content", [None, b"", b'{"ans', b'{"answer": {"attempts": 1, "ba\n'])
    def test_file_without_an_answer_yet_is_ready(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        """One that is not there, an empty one, and what a killed run left of its first answer."""
        path = tmp_path / "deep" / "a.jsonl"
        path.parent.mkdir()
        if content is not None:
            path.write_bytes(content)
        client = CachedClient(ScriptedClient([_answer()]), cache=AnswerFile(path))

        client.check_ready()
        assert path.exists() == (content is not None)
        client.ask(_request())

        assert AnswerFile(path).find(_request().sha256) is not None

    @pytest.mark.parametrize(
        ("place", "why"),
        [
            ("file/a.jsonl", "Not a directory|its folder is a file"),
            ("file/deep/a.jsonl", "Not a directory"),
            (".", "Is a directory"),
            ("x" * 300, "File name too long"),
            ("/proc/a.jsonl", "No such file or directory|Permission denied"),
            ("/proc/none/a.jsonl", "No such file or directory|Permission denied"),
        ],
    )
    @pytest.mark.parametrize("option", ["cache", "record"])
    def test_place_that_cannot_be_written_is_a_setting_to_mend(
        self, tmp_path: Path, place: str, why: str, option: str
    ) -> None:
        """Before any request is sent, and still so when one is: it is no fault of the row."""
        (tmp_path / "file").write_text("", encoding="utf-8")
        path = tmp_path / place
        client = CachedClient(ScriptedClient([_answer()]), **{option: AnswerFile(path)})

        for act in (client.check_ready, lambda: client.ask(_request())):
            with pytest.raises(ConfigError, match=rf"cannot be .* \(({why})\); give another path"):
                act()

    def test_answers_are_not_kept_in_a_store(self) -> None:
        """Lines cannot be appended there."""
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


def _recorded(request_sha256: str, fingerprint: str, model_id: str = "scripted:one") -> Recorded:
    return Recorded(
        request_sha256=request_sha256,
        prompt_id="test@1/it",
        fingerprint=fingerprint,
        model_id=model_id,
        answer=_answer("x" * 2000),
    )


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """A file that version 0.1 wrote has the same names, and its answers are found by them."""
    path = tmp_path / "answers.jsonl"
    told = {
        "backend": "gemini",
        "model": "m",
        "model_version": None,
        "finish": "answered",
        "finish_reason": "STOP",
        "problem": None,
        "raw_text": '{"answer": "yes"}',
        "tokens_in": 5,
        "tokens_video": None,
        "tokens_audio": 0,
        "tokens_out": 1,
        "tokens_thought": None,
        "cost_usd": 0.5,
        "attempts": 1,
        "sampling": "{}",
        "notes": [],
    }
    row = {"question_sha256": "q" * 64, "prompt_id": "p@1/q", "judge": "j" * 64, "model_id": "m"}
    path.write_text(json.dumps({**row, "answer": told}) + "\n", encoding="utf-8")

    found = AnswerFile(path).find("q" * 64, "j" * 64)

    assert found is not None
    assert (found.fingerprint, found.model_id, found.answer.cost_usd) == ("j" * 64, "m", 0.5)
    assert found.answer.parsed == {"answer": "yes"}
    assert json.loads(found.to_line()) == {**row, "answer": told}
