"""Yes/no questions to a model: how they are asked, and what an answer comes to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pfp.errors import RetryableError
from pfp.eval.judge import FramesQuestion, ModelJudge, Verdict, load_judge
from pfp.vlm import Answer, Finish, Frames
from pfp.vlm.cache import AnswerFile, Recorded
from tests.vlm.conftest import VERDICT_SCHEMA
from tests.vlm.gemini_server import GeminiServer, answer
from tests.vlm.scripted import ScriptedClient

QUESTION = FramesQuestion(
    frames=Frames([np.zeros((4, 6, 3), np.uint8)], [0.0]), prompt_id="test@1/it", prompt="Is it?"
)


def test_answer_is_held_to_the_schema_at_temperature_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told otherwise, and with as much room for thinking."""
    monkeypatch.setenv("GEMINI_API_KEY", "key-for-tests-0123456789")
    with GeminiServer() as server:
        server.script(answer('{"answer": "no"}', tokens={"TEXT": 5, "IMAGE": 258}))
        judge = load_judge("gemini:m#media_resolution=low", base_url=server.base_url)

        assert judge.ask(QUESTION).verdict is Verdict.NO
        judge.close()

    assert server.requests[0].body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": VERDICT_SCHEMA,
        "temperature": 0.0,
        "maxOutputTokens": 4096,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }


@pytest.mark.parametrize("text", ["The eyes are blue.", "{", '{"answer": "maybe"}'])
def test_nonsense_is_neither_yes_nor_no(text: str) -> None:
    """It is not asked again: at temperature 0 the answer would be the same."""
    client = ScriptedClient([text])

    said = ModelJudge(client).ask(QUESTION)

    assert (Verdict.UNPARSEABLE, "unparseable") == (said.verdict, said.why_not)
    assert 1 == len(client.asked)


def test_unfinished_answer_is_an_error_that_may_pass() -> None:
    """It is no verdict."""
    broken = Answer(backend="b", model="m", finish=Finish.UNFINISHED, problem="it broke off")

    with pytest.raises(RetryableError, match="it broke off"):
        ModelJudge(ScriptedClient([broken])).ask(QUESTION)


def test_verdict_is_read_anew_from_the_kept_text(tmp_path: Path) -> None:
    """A file written by another parser's days still speaks for itself."""
    judge = ModelJudge(ScriptedClient(["yes"]))
    path = tmp_path / "a.jsonl"
    AnswerFile(path).add(
        Recorded(
            request_sha256=QUESTION.request(ScriptedClient.sampling).sha256,
            prompt_id=QUESTION.prompt_id,
            fingerprint=judge.fingerprint,
            model_id=judge.model_id,
            answer=Answer(backend="b", model="m", raw_text="The eyes are blue."),
        )
    )

    assert "unparseable" == load_judge(f"replay:{path}").ask(QUESTION).why_not


def test_no_question_is_asked_twice() -> None:
    """Two metrics of a run may ask the same."""
    judge = load_judge("fake:always-yes")

    assert [False, True] == [judge.ask(QUESTION).cached for _ in range(2)]
