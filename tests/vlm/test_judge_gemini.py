"""Gemini as a judge: the real SDK against a server on this machine that speaks its protocol."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pfp.errors import ConfigError, PermanentError, RetryableError
from pfp.vlm import Frames, FramesQuestion, Verdict
from pfp.vlm.judge_gemini import GeminiJudge
from tests.vlm.gemini_server import GeminiServer, Reply, answer, error

KEY = "key-for-tests-0123456789"
YES = '{"answer": "yes"}'
TOKENS = {"TEXT": 60, "IMAGE": 2 * 258}

Make = Callable[..., GeminiJudge]


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    """A server that says yes until it is told otherwise."""
    with GeminiServer() as running:
        running.script(answer(YES, tokens=TOKENS, tokens_out=5, tokens_thought=70))
        yield running


@pytest.fixture
def make(server: GeminiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Builds judges that ask the server, without waiting between attempts."""
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    made: list[GeminiJudge] = []

    def build(**options: Any) -> GeminiJudge:
        defaults: dict[str, Any] = {
            "model": "gemini-2.5-pro",
            "base_url": server.base_url,
            "timeout_seconds": 120.0,
            "max_attempts": 3,
            "retry_seconds": 0.0,
        }
        made.append(GeminiJudge(**{**defaults, **options}))
        return made[-1]

    yield build
    for judge in made:
        judge.close()


@pytest.fixture
def question() -> FramesQuestion:
    """A question about a red and a blue frame."""
    frames = np.zeros((2, 40, 64, 3), np.uint8)
    frames[0, ..., 0] = frames[1, ..., 2] = 200
    return FramesQuestion(
        frames=Frames(list(frames), [0.0, 0.5]), prompt_id="test@1/it", prompt="Is it so?"
    )


def test_frames_go_before_the_words(
    server: GeminiServer, make: Make, question: FramesQuestion
) -> None:
    """One request holds every frame as a JPEG, in order, and then the prompt."""
    make().ask(question)

    (sent,) = server.questions
    *pictures, words = sent.body["contents"][0]["parts"]
    assert "/v1beta/models/gemini-2.5-pro:generateContent" == sent.path
    assert {"text": "Is it so?"} == words
    assert ["image/jpeg"] * 2 == [part["inlineData"]["mimeType"] for part in pictures]
    colours = [_mean_colour(part["inlineData"]["data"]) for part in pictures]
    assert np.allclose([(200, 0, 0), (0, 0, 200)], colours, atol=3)


def _mean_colour(data: str) -> tuple[float, ...]:
    content = base64.b64decode(data.replace("-", "+").replace("_", "/"))
    return tuple(np.asarray(Image.open(io.BytesIO(content))).mean(axis=(0, 1)))


def test_answer_is_held_to_the_schema_at_temperature_0(
    server: GeminiServer, make: Make, question: FramesQuestion
) -> None:
    """Settings are in the request."""
    make(media_resolution="low", thinking_level="low").ask(question)

    settings = server.questions[0].body["generationConfig"]
    assert {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
            "required": ["answer"],
            "additionalProperties": False,
        },
        "temperature": 0.0,
        "maxOutputTokens": 4096,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "thinkingConfig": {"thinkingLevel": "LOW"},
    } == settings


def test_answer_carries_verdict_text_counts_and_cost(
    server: GeminiServer, make: Make, question: FramesQuestion
) -> None:
    """Pictures have no sound, so a price for sound leaves nothing open, told by modality or not."""
    said = make().ask(question)

    assert (Verdict.YES, None, YES) == (said.verdict, said.why_not, said.answer.raw_text)
    counts = (said.answer.tokens_in, said.answer.tokens_out, said.answer.tokens_thought)
    assert (576, 5, 70) == counts
    assert pytest.approx((576 * 1.25 + 75 * 10.0) / 1e6, rel=1e-12) == said.answer.cost_usd
    server.script(answer(YES, tokens=None, tokens_out=5))
    flash = make(model="gemini-2.5-flash").ask(question)
    assert pytest.approx((700 * 0.30 + 5 * 2.50) / 1e6, rel=1e-12) == flash.answer.cost_usd


@pytest.mark.parametrize("text", ["The eyes are blue.", "{", '{"answer": "maybe"}'])
def test_nonsense_is_neither_yes_nor_no(
    server: GeminiServer, make: Make, question: FramesQuestion, text: str
) -> None:
    """It is not asked again: at temperature 0 the answer would be the same."""
    server.script(answer(text, tokens=TOKENS))

    said = make().ask(question)

    assert (Verdict.UNPARSEABLE, "unparseable") == (said.verdict, said.why_not)
    assert 1 == len(server.questions)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(None, finish="SAFETY"), ("blocked", "Gemini refused to answer (SAFETY)")),
        (
            Reply(body={"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
            ("blocked", "Gemini refused the video or the prompt (PROHIBITED_CONTENT)"),
        ),
        (
            answer(YES, finish="MAX_TOKENS", tokens=TOKENS),
            ("truncated", "the answer was cut off by the output limit (MAX_TOKENS)"),
        ),
        (
            answer(YES, tokens={"TEXT": 60}),
            ("unseen", "the model was given 0 IMAGE tokens, so it never saw the frames"),
        ),
    ],
)
def test_what_is_no_answer_says_why(
    server: GeminiServer,
    make: Make,
    question: FramesQuestion,
    reply: Reply,
    expected: tuple[str, str],
) -> None:
    """Refused, cut off and never seen are three reasons, and none is a no."""
    server.script(reply)

    said = make().ask(question)

    assert said.verdict is Verdict.UNPARSEABLE
    assert expected == (said.why_not, said.answer.problem)
    assert 1 == len(server.questions)


def test_answer_without_a_word_is_asked_for_again(
    server: GeminiServer, make: Make, question: FramesQuestion
) -> None:
    """It is no answer to be remembered: what follows is used, else the row is left for later."""
    silent, good = answer("", tokens=TOKENS), answer(YES, tokens=TOKENS)
    server.script(silent, good)
    assert Verdict.YES is make().ask(question).verdict

    server.script(silent)
    with pytest.raises(RetryableError, match=r"ended without a word \(STOP\); run again"):
        make().ask(question)


def test_answer_that_broke_off_may_be_tried_later(
    server: GeminiServer, make: Make, question: FramesQuestion
) -> None:
    """A reason that may pass is an error of this run."""
    server.script(answer(YES, finish="OTHER", tokens=TOKENS))

    with pytest.raises(RetryableError, match=r"stopped early \(OTHER\); run again"):
        make().ask(question)


def test_busy_server_is_asked_again(
    server: GeminiServer, make: Make, question: FramesQuestion
) -> None:
    """429 and 500 pass, and the answer says how many requests it took."""
    server.script(
        error(429, "RESOURCE_EXHAUSTED", "slow down"),
        error(500, "INTERNAL", "oops"),
        answer(YES, tokens=TOKENS),
    )

    said = make().ask(question)

    assert (Verdict.YES, 3) == (said.verdict, said.answer.attempts)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error(429, "RESOURCE_EXHAUSTED", "slow"), (RetryableError, "429 RESOURCE_EXHAUSTED", 2)),
        (error(500, "INTERNAL", "oops"), (RetryableError, "500 INTERNAL: oops", 2)),
        (error(403, "PERMISSION_DENIED", "no"), (RetryableError, "check GEMINI_API_KEY", 1)),
        (error(400, "INVALID_ARGUMENT", "too big"), (PermanentError, "too big", 1)),
        (Reply(body=b"<html>"), (RetryableError, "response cannot be read", 1)),
        (Reply(body={}, seconds=0.6), (RetryableError, r"did not answer within 0\.2 s", 2)),
    ],
)
def test_trouble_is_told_apart(
    server: GeminiServer,
    make: Make,
    question: FramesQuestion,
    reply: Reply,
    expected: tuple[type[Exception], str, int],
) -> None:
    """What may pass is repeated and then left for a later run; a refusal is final at once."""
    server.script(reply)
    timeout_seconds = 0.2 if reply.seconds else 120.0
    kind, message, num_requests = expected

    with pytest.raises(kind, match=message):
        make(timeout_seconds=timeout_seconds, max_attempts=2).ask(question)

    assert num_requests == server.wait_for_questions(num_requests)


def test_missing_key_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, question: FramesQuestion
) -> None:
    """Nothing can be asked without it, and the cure is that of a judge, not of captioning."""
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    judge = GeminiJudge(model="gemini-2.5-pro")

    for act in (judge.check_ready, lambda: judge.ask(question)):
        with pytest.raises(ConfigError, match=r"^GEMINI_API_KEY is not set; .*use another judge$"):
            act()


def test_fingerprint_follows_what_the_answer_depends_on(make: Make) -> None:
    """Model and settings do; server, key and patience do not."""
    first = make().fingerprint

    assert first == make(base_url=None, timeout_seconds=1.0, max_attempts=1).fingerprint
    others = [{"model": "gemini-3.8-flash"}, {"media_resolution": "low"}, {"max_output_tokens": 99}]
    assert 4 == len({first, *(make(**options).fingerprint for options in others)})


def test_level_that_no_server_takes_is_refused(make: Make) -> None:
    """Before anything is paid for."""
    with pytest.raises(ConfigError, match="media resolution 'ultra' is unknown"):
        make(media_resolution="ultra")
