"""Any server of OpenAI's protocol as a judge: real HTTP against a server on this machine."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pfp.errors import ConfigError, PermanentError, RetryableError
from pfp.vlm import Frames, FramesQuestion, Verdict
from pfp.vlm.judge_openai import OpenAIJudge
from tests.vlm.openai_server import OpenAIServer, Reply, completion, error

KEY = "key-for-tests-0123456789"
YES = '{"answer": "yes"}'
USAGE = {
    "prompt_tokens": 700,
    "completion_tokens": 47,
    "completion_tokens_details": {"reasoning_tokens": 40},
}

Make = Callable[..., OpenAIJudge]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server that says yes until it is told otherwise."""
    with OpenAIServer() as running:
        running.script(completion(YES, usage=USAGE))
        yield running


@pytest.fixture
def make(server: OpenAIServer) -> Iterator[Make]:
    """Builds judges that ask the server, without waiting between attempts."""
    made: list[OpenAIJudge] = []

    def build(**options: Any) -> OpenAIJudge:
        defaults: dict[str, Any] = {
            "model": "Qwen/Qwen2.5-VL-7B-Instruct",
            "base_url": server.base_url,
            "timeout_seconds": 120.0,
            "max_attempts": 3,
            "retry_seconds": 0.0,
        }
        made.append(OpenAIJudge(**{**defaults, **options}))
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


class TestRequest:
    """What is sent."""

    def test_frames_words_and_settings_are_sent(
        self, server: OpenAIServer, make: Make, question: FramesQuestion
    ) -> None:
        """Frames as data URIs in order, then the prompt; temperature 0 and a strict schema."""
        make().ask(question)

        (sent,) = server.sent
        (message,) = sent.body.pop("messages")
        *pictures, words = message["content"]
        assert ("/v1/chat/completions", "user") == (sent.path, message["role"])
        assert {"type": "text", "text": "Is it so?"} == words
        colours = [_mean_colour(part["image_url"]["url"]) for part in pictures]
        assert np.allclose([(200, 0, 0), (0, 0, 200)], colours, atol=3)
        schema = {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
            "required": ["answer"],
            "additionalProperties": False,
        }
        assert {
            "model": "Qwen/Qwen2.5-VL-7B-Instruct",
            "temperature": 0.0,
            "max_tokens": 4096,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": schema},
            },
        } == sent.body

    def test_key_comes_from_the_variable_that_is_named(
        self,
        server: OpenAIServer,
        make: Make,
        question: FramesQuestion,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """No variable, no header; a variable without a key is said before anything is sent."""
        monkeypatch.setenv("MY_VLLM_KEY", KEY)
        make().ask(question)
        make(key_variable="MY_VLLM_KEY").ask(question)
        monkeypatch.delenv("MY_VLLM_KEY")
        judge = make(key_variable="MY_VLLM_KEY")

        for act in (judge.check_ready, lambda: judge.ask(question)):
            with pytest.raises(ConfigError, match=r"^MY_VLLM_KEY is not set; export the key of"):
                act()

        headers = [sent.headers.get("authorization") for sent in server.sent]
        assert [None, f"Bearer {KEY}"] == headers

    def test_fingerprint_follows_what_the_answer_depends_on(self, make: Make) -> None:
        """Model and settings do; where it is served, and with which key, does not."""
        first = make().fingerprint

        moved = make(base_url="http://127.0.0.1:9/v1", key_variable="K", max_attempts=1)
        assert first == moved.fingerprint
        others = [{"model": "other"}, {"max_output_tokens": 99}]
        assert 3 == len({first, *(make(**options).fingerprint for options in others)})


def _mean_colour(uri: str) -> tuple[float, ...]:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    return tuple(np.asarray(picture).mean(axis=(0, 1)))


class TestAnswer:
    """What comes back."""

    def test_answer_carries_verdict_text_and_counts(
        self, make: Make, question: FramesQuestion
    ) -> None:
        """Thinking is counted apart; a model without a list price has no known cost."""
        said = make().ask(question)

        assert (Verdict.YES, YES) == (said.verdict, said.answer.raw_text)
        counts = (said.answer.tokens_in, said.answer.tokens_out, said.answer.tokens_thought)
        assert (700, 7, 40) == counts
        assert said.answer.cost_usd is None
        assert "qwen-test-001" == said.answer.model_version

    def test_answer_may_come_in_parts(
        self, server: OpenAIServer, make: Make, question: FramesQuestion
    ) -> None:
        """The words of a list's text parts are one answer."""
        parts: Any = [{"type": "text", "text": "y"}, {"type": "x"}, {"type": "text", "text": "es"}]
        server.script(completion(parts))

        assert Verdict.YES is make().ask(question).verdict

    def test_server_that_counts_nothing_leaves_counts_open(
        self, server: OpenAIServer, make: Make, question: FramesQuestion
    ) -> None:
        """Unknown is None."""
        server.script(completion("no"))

        said = make().ask(question)

        assert (Verdict.NO, None, None) == (
            said.verdict,
            said.answer.tokens_in,
            said.answer.tokens_out,
        )

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (completion("The eyes are blue."), ("unparseable", None)),
            (
                completion("yes", finish="length"),
                ("truncated", "the answer was cut off by the output limit (length)"),
            ),
            (
                completion(None, finish="content_filter"),
                ("blocked", "the server refused to answer (content_filter)"),
            ),
            (
                completion(None, refusal="I cannot help with that."),
                ("blocked", "the server refused to answer (I cannot help with that.)"),
            ),
            (
                error(400, "filtered", "content_filter"),
                ("blocked", "the server refused to answer (filtered)"),
            ),
        ],
    )
    def test_what_is_no_answer_says_why(
        self,
        server: OpenAIServer,
        make: Make,
        question: FramesQuestion,
        reply: Reply,
        expected: tuple[str, str | None],
    ) -> None:
        """Nonsense, cut off and refused are three reasons, and none is a no or asked again."""
        server.script(reply)

        said = make().ask(question)

        assert said.verdict is Verdict.UNPARSEABLE
        assert expected == (said.why_not, said.answer.problem)
        assert 1 == len(server.sent)


class TestTrouble:
    """Errors, and how often a question is repeated."""

    def test_busy_server_is_asked_again(
        self, server: OpenAIServer, make: Make, question: FramesQuestion
    ) -> None:
        """429 and 500 pass, and the answer says how many requests it took."""
        server.script(error(429, "slow down"), error(500, "oops"), completion(YES))

        said = make().ask(question)

        assert (Verdict.YES, 3) == (said.verdict, said.answer.attempts)

    def test_pause_is_as_long_as_the_server_says(
        self,
        server: OpenAIServer,
        make: Make,
        question: FramesQuestion,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Retry-After goes before our own, which doubles, and neither lasts over a minute."""
        pauses: list[float] = []
        monkeypatch.setattr(time, "sleep", pauses.append)
        server.script(
            error(429, "slow", retry_after="7"),
            error(429, "slow", retry_after="7000"),
            error(503, "slow"),
            error(503, "slow", retry_after="Fri, 31 Dec 1999 23:59:59 GMT"),
            error(429, "slow", retry_after_ms="2500"),
            completion(YES),
        )

        make(max_attempts=6, retry_seconds=1.0).ask(question)

        told = [pause for pause in pauses if pause]  # the server thread sleeps 0 s
        assert [7.0, 60.0] == told[:2]
        assert 4.0 <= told[2] <= 8.0 <= told[3] <= 16.0
        assert told[4] == 2.5

    def test_answer_without_a_word_is_asked_for_again(
        self, server: OpenAIServer, make: Make, question: FramesQuestion
    ) -> None:
        """Its tokens are counted in the answer that follows."""
        usage = {"prompt_tokens": 100, "completion_tokens": 5}
        server.script(completion(" ", usage=usage), completion(YES, usage=usage))

        said = make().ask(question)

        assert (Verdict.YES, 2) == (said.verdict, said.answer.attempts)
        assert (200, 10) == (said.answer.tokens_in, said.answer.tokens_out)

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (
                error(429, "slow"),
                (RetryableError, "busy or broken .429 Too Many Requests: slow", 2),
            ),
            (error(500, "oops"), (RetryableError, "busy or broken .500 .*: oops", 2)),
            (
                error(401, "who"),
                (RetryableError, "refused the key .*; name the variable that holds its key", 1),
            ),
            (error(400, "At most 16 images"), (PermanentError, "At most 16 images", 1)),
            (error(404, "no such model"), (PermanentError, "no such model", 1)),
            (Reply(status=422, body={"detail": "odd"}), (PermanentError, "422 .*: odd", 1)),
            (Reply(status=502, body=b"<html>bad</html>"), (RetryableError, "<html>bad</html>", 2)),
            (Reply(body=b"<html>"), (RetryableError, "response cannot be read", 1)),
            (Reply(status=302, body=b"log in"), (RetryableError, "cannot be read .302 Found", 1)),
            (Reply(status=402, body={"error": "no credit"}), (RetryableError, "the account", 1)),
            (Reply(status=524, body=b"<html>"), (RetryableError, "busy or broken", 2)),
            (
                error(429, "You exceeded your current quota", "insufficient_quota"),
                (RetryableError, "quota is used up", 1),
            ),
            (
                error(429, "Rate limit reached on requests per day (RPD)", retry_after="25"),
                (RetryableError, "quota is used up", 1),
            ),
            (
                Reply(body={"error": {"code": 429, "message": "upstream is busy"}}),
                (RetryableError, "busy or broken .429 Too Many Requests: upstream", 2),
            ),
            (
                Reply(body={"error": {"code": 400, "message": "too many images"}}),
                (PermanentError, "400 Bad Request: too many images", 1),
            ),
            (completion(""), (RetryableError, r"ended without a word \(stop\)", 2)),
            (completion(None), (RetryableError, r"ended without a word \(stop\)", 2)),
            (Reply(body={"choices": []}), (RetryableError, "response cannot be read", 1)),
            (Reply(body=[]), (RetryableError, "response cannot be read", 1)),
            (completion("y", finish="abort"), (RetryableError, r"stopped early \(abort\)", 1)),
            (Reply(body={}, seconds=0.6), (RetryableError, r"did not answer within 0\.2 s", 2)),
        ],
    )
    def test_trouble_is_told_apart(
        self,
        server: OpenAIServer,
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

        assert num_requests == len(server.sent)

    def test_missing_server_may_be_tried_later(self, make: Make, question: FramesQuestion) -> None:
        """A refused connection is nobody's fault for good."""
        with pytest.raises(RetryableError, match=r"connection to 127\.0\.0\.1 failed"):
            make(base_url="http://127.0.0.1:9/v1", max_attempts=1).ask(question)

    def test_no_attempt_at_all_is_refused(self, make: Make, question: FramesQuestion) -> None:
        """A setting that would ask nothing is one sentence."""
        with pytest.raises(ConfigError, match="max_attempts is 0; allow at least 1"):
            make(max_attempts=0).ask(question)
