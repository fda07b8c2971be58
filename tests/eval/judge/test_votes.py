"""Several answers to one question: what the majority is, what is kept, what one answer is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.eval.judge import FramesQuestion, Judgement, ModelJudge, Verdict, load_judge
from pfp.eval.judge.judge import read_answer
from pfp.eval.judge.load import sampling_of
from pfp.eval.judge.votes import agreement, by_majority
from pfp.io.digests import sha256_json
from pfp.vlm import Answer, Finish, Frames, Sampling
from pfp.vlm.cache import AnswerFile, CachedClient
from pfp.vlm.frames import JPEG_QUALITY
from tests.vlm.gemini_server import GeminiServer, answer
from tests.vlm.openai_server import OpenAIServer, completion
from tests.vlm.scripted import ScriptedClient

QUESTION = FramesQuestion(
    frames=Frames([np.zeros((4, 6, 3), np.uint8)], [0.0]), prompt_id="test@1/it", prompt="Is it?"
)
BLOCKED = Answer(backend="b", model="m", finish=Finish.BLOCKED, problem="it refused")


def _votes(*texts: str | Answer) -> list[Judgement]:
    answers = [
        Answer(backend="b", model="m", raw_text=text, cost_usd=0.5)
        if isinstance(text, str)
        else text
        for text in texts
    ]
    return [read_answer(QUESTION, each) for each in answers]


@pytest.mark.parametrize("num_votes", [1, 2, 3, 4, 5])
def test_more_than_half_of_all_votes_make_a_verdict(num_votes: int) -> None:
    """Every combination of yes, no and neither, against counting them."""
    for texts in itertools.product(("yes", "no", "perhaps"), repeat=num_votes):
        found = by_majority(_votes(*texts)).verdict
        counts = {text: texts.count(text) / num_votes for text in ("yes", "no")}
        winners = [text for text, share in counts.items() if share > 0.5]
        assert (winners or ["unparseable"])[0] == found.value


@pytest.mark.parametrize(
    ("texts", "why_not", "share"),
    [
        (("yes", "no"), "split", 0.5),
        (("yes", "perhaps", "perhaps"), "unparseable", 2 / 3),
        (("yes", BLOCKED, "no"), "blocked", 1 / 3),
        (("no", "no", "yes"), None, 2 / 3),
        (("no", "no", "No."), None, 1.0),
    ],
)
def test_votes_that_settle_nothing_say_why(
    texts: tuple[str | Answer, ...], why_not: str | None, share: float
) -> None:
    """The first that is neither yes nor no, or that they are at odds; and how many agree."""
    judgement = by_majority(_votes(*texts))

    assert why_not == judgement.why_not
    assert share == agreement(judgement.votes)


def test_the_cost_is_that_of_all_votes() -> None:
    """A vote whose cost is unknown makes the sum unknown."""
    assert 1.5 == by_majority(_votes("yes", "no", "no")).answer.cost_usd
    assert by_majority(_votes("yes", BLOCKED)).answer.cost_usd is None


def test_the_answer_that_is_shown_agrees_with_the_verdict() -> None:
    """Of no, yes and yes the text is one that says yes."""
    assert "Yes!" == by_majority(_votes("no", "Yes!", "yes")).answer.raw_text


def test_each_vote_is_kept_by_itself(tmp_path: Path) -> None:
    """A second run hears the same three answers; five votes ask two more."""
    path = tmp_path / "answers.jsonl"

    def ask(texts: Sequence[str], num_votes: int) -> Judgement:
        kept = CachedClient(ScriptedClient(texts), cache=AnswerFile(path))
        return ModelJudge(kept, num_votes=num_votes).ask(QUESTION)

    first, again = ask(["yes", "no", "yes"], 3), ask([], 3)
    more = ask(["no", "no"], 5)

    assert [Verdict.YES, Verdict.YES, Verdict.NO] == [
        judgement.verdict for judgement in (first, again, more)
    ]
    assert [False, True, False] == [each.cached for each in (first, again, more)]
    assert ["yes", "no", "yes"] == [vote.answer.raw_text for vote in again.votes]
    assert 5 == len(path.read_text().splitlines())


def test_recorded_votes_can_be_replayed(tmp_path: Path) -> None:
    """The file holds every answer, whoever gave it; a single answer is the first vote."""
    path = tmp_path / "answers.jsonl"
    recording = CachedClient(ScriptedClient(["no", "yes", "yes"]), record=AnswerFile(path))
    ModelJudge(recording, num_votes=3).ask(QUESTION)

    assert Verdict.YES == load_judge(f"replay:{path}#votes=3").ask(QUESTION).verdict
    assert Verdict.NO == load_judge(f"replay:{path}").ask(QUESTION).verdict
    assert "absent" == load_judge(f"replay:{path}#votes=7").ask(QUESTION).why_not


def test_one_vote_is_what_it_was_without_votes() -> None:
    """Digests of question and judge are those that stored answers and scores have."""
    params = {
        "temperature": 0.0,
        "max_output_tokens": 4096,
        "media_resolution": None,
        "thinking_level": None,
        "jpeg_quality": JPEG_QUALITY,
    }
    expected = sha256_json({"judge": "gemini:m", "params": params})

    for spec in ("gemini:m", "gemini:m#votes=1", "gemini:m#temperature=0"):
        judge = load_judge(spec)
        assert (expected, {}) == (judge.fingerprint, sampling_of(spec))
    frames, words = QUESTION.frames.sha256, [QUESTION.prompt_id, QUESTION.prompt]
    assert sha256_json([frames, *words]) == QUESTION.request(Sampling()).sha256
    assert () == load_judge("fake:always-yes").ask(QUESTION).votes


def test_votes_and_temperature_are_told_apart() -> None:
    """Each is another judge to scores and caches, and stands in their parameters."""
    told = {
        "gemini:m#votes=3": {"votes": 3, "temperature": "the model's own"},
        "gemini:m#votes=5": {"votes": 5, "temperature": "the model's own"},
        "gemini:m#votes=3,temperature=0.7": {"votes": 3, "temperature": 0.7},
        "gemini:m#votes=3,temperature=0": {"votes": 3},
        "gemini:m#temperature=0.7": {"temperature": 0.7},
        "fake:always-yes#votes=3": {"votes": 3},
    }

    assert told == {spec: sampling_of(spec) for spec in told}
    assert len(told) == len({load_judge(spec).fingerprint for spec in told})


Sent = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def sent_to_gemini(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """What a judge sends for one question: the settings of each request."""
    monkeypatch.setenv("GEMINI_API_KEY", "key-for-tests-0123456789")
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with GeminiServer() as server:

        def ask(options: str) -> list[dict[str, Any]]:
            num_earlier = len(server.requests)
            server.script(answer('{"answer": "yes"}', tokens={}, tokens_out=1, tokens_thought=0))
            judge = load_judge(f"gemini:m{options}", base_url=server.base_url)
            judge.ask(QUESTION)
            judge.close()
            return [each.body["generationConfig"] for each in server.requests[num_earlier:]]

        yield ask


def test_votes_are_asked_at_the_models_own_temperature(sent_to_gemini: Sent) -> None:
    """At 0 they would all be one; another may be named, and one answer is asked at 0."""
    assert [0.0] == [sent["temperature"] for sent in sent_to_gemini("")]
    assert [False] * 3 == ["temperature" in sent for sent in sent_to_gemini("#votes=3")]
    named = sent_to_gemini("#votes=2,temperature=0.7")
    assert [0.7] * 2 == [sent["temperature"] for sent in named]


def test_an_openai_server_gets_no_temperature_either() -> None:
    """The field is left out, not null."""
    with OpenAIServer() as server:
        for options, expected in (("", [0.0]), ("#votes=2", [None, None])):
            server.sent.clear()
            server.script(completion(json.dumps({"answer": "no"})))
            judge = load_judge(f"openai:m@{server.base_url}{options}")
            assert Verdict.NO == judge.ask(QUESTION).verdict
            assert expected == [each.body.get("temperature") for each in server.sent]
            assert bool(options) == ("temperature" not in server.sent[0].body)
            judge.close()
