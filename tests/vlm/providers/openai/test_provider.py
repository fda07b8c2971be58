"""Servers of OpenAI's protocol through the real SDK: what is sent, and the forms of what comes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pfp.errors import PermanentError, RetryableError
from pfp.vlm import Client, Finish, Request, Sampling, load_client
from tests.vlm.conftest import VERDICT_SCHEMA
from tests.vlm.openai_server import OpenAIServer, Reply, completion, error

KEY = "key-for-tests-0123456789"
YES = '{"answer": "yes"}'

Make = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server that says yes until it is told otherwise."""
    with OpenAIServer() as running:
        running.script(completion(YES))
        yield running


@pytest.fixture
def make(server: OpenAIServer) -> Make:
    """Builds clients that ask the server, without waiting between attempts."""

    def build(**options: Any) -> Client:
        spec = f"openai:Qwen/Qwen2.5-VL-7B-Instruct@{server.base_url}"
        return load_client(spec, **{"max_attempts": 2, "retry_seconds": 0.0, **options})

    return build


class TestRequest:
    """What is sent."""

    def test_frames_words_and_settings_are_sent(
        self, server: OpenAIServer, make: Make, request_frames: Request
    ) -> None:
        """Frames as data URIs in order, then the prompt; the settings and a strict schema."""
        make().ask(request_frames)

        (sent,) = server.sent
        (message,) = sent.body.pop("messages")
        *images, words = message["content"]
        assert ("/v1/chat/completions", "user") == (sent.path, message["role"])
        assert {"type": "text", "text": "Is it so?"} == words
        colours = [_mean_colour(part["image_url"]["url"]) for part in images]
        assert np.allclose([(200, 0, 0), (0, 0, 200)], colours, atol=3)
        schema = {"name": "verdict", "strict": True, "schema": VERDICT_SCHEMA}
        assert {
            "model": "Qwen/Qwen2.5-VL-7B-Instruct",
            "temperature": 0.0,
            "max_tokens": 4096,
            "response_format": {"type": "json_schema", "json_schema": schema},
        } == sent.body

    def test_what_is_left_to_the_server_is_not_sent(
        self, server: OpenAIServer, make: Make, request_frames: Request
    ) -> None:
        """The temperature is left out, not null; a thinking level is a reasoning effort."""
        sampling = Sampling(temperature=None, thinking_level="low")

        make().ask(replace(request_frames, sampling=sampling))

        assert "temperature" not in server.sent[0].body
        assert server.sent[0].body["reasoning_effort"] == "low"

    def test_nothing_of_the_environment_is_sent(
        self,
        server: OpenAIServer,
        make: Make,
        request_frames: Request,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What the SDK reads there is for OpenAI, and this server may be anybody's."""
        secrets = {
            "OPENAI_API_KEY": "key-of-openai-0123456789",
            "OPENAI_ADMIN_KEY": "admin-key-of-openai",
            "OPENAI_ORG_ID": "an-organisation",
            "OPENAI_PROJECT_ID": "a-project",
            "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer secret-one\nX-Secret: secret-two",
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "MY_VLLM_KEY": KEY,
        }
        for name, value in secrets.items():
            monkeypatch.setenv(name, value)

        make().ask(request_frames)
        make(key_variable="MY_VLLM_KEY").ask(request_frames)

        without, with_key = (sent.headers for sent in server.sent)
        assert "authorization" not in without
        assert with_key["authorization"] == f"Bearer {KEY}"
        told = " ".join([*without, *without.values(), *with_key])
        assert not [word for word in ("openai-", "secret", "organ", "project") if word in told]

    def test_fingerprint_is_not_of_the_server(self, make: Make) -> None:
        """Where it is served, and with which key, does not count; model and settings do."""
        cold = Sampling(temperature=0.0)
        first = make().fingerprint(cold)

        moved = load_client("openai:Qwen/Qwen2.5-VL-7B-Instruct@http://127.0.0.1:9/v1")
        other = load_client("openai:other@http://127.0.0.1:9/v1")
        assert first == moved.fingerprint(cold)
        others = [replace(cold, max_output_tokens=99), replace(cold, thinking_level="low")]
        found = {first, other.fingerprint(cold), *(make().fingerprint(each) for each in others)}
        assert len(found) == 4


def _mean_colour(uri: str) -> tuple[float, ...]:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    return tuple(np.asarray(image).mean(axis=(0, 1)))


class TestAnswer:
    """The forms of what comes back."""

    def test_answer_may_come_in_parts(
        self, server: OpenAIServer, make: Make, request_frames: Request
    ) -> None:
        """The words of a list's text parts are one answer."""
        parts: Any = [{"type": "text", "text": "y"}, {"type": "x"}, {"type": "text", "text": "es"}]
        server.script(completion(parts))

        said = make().ask(request_frames)

        assert (said.raw_text, said.model_version) == ("yes", "qwen-test-001")

    def test_server_that_counts_nothing_leaves_counts_open(
        self, make: Make, request_frames: Request
    ) -> None:
        """Unknown is None."""
        said = make().ask(request_frames)

        assert (None, None, None) == (said.tokens_in, said.tokens_out, said.cost_usd)

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (completion(None, refusal="I cannot help with that."), "I cannot help with that."),
            (error(400, "filtered", "content_filter"), "filtered"),
            (error(400, "no", "content_policy_violation"), "no"),
        ],
    )
    def test_refusal_has_other_forms(
        self,
        server: OpenAIServer,
        make: Make,
        request_frames: Request,
        reply: Reply,
        expected: str,
    ) -> None:
        """A field of the message, or an error about the content."""
        server.script(reply)

        said = make().ask(request_frames)

        assert (said.finish, len(server.sent)) == (Finish.BLOCKED, 1)
        assert said.problem == f"the server refused to answer ({expected})"

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (
                error(401, "who"),
                (RetryableError, "refused the key .*; name the variable that holds its key", 1),
            ),
            (Reply(status=422, body={"detail": "odd"}), (PermanentError, "422 .*: odd", 1)),
            (Reply(status=402, body={"error": "no credit"}), (RetryableError, "the account", 1)),
            (Reply(status=502, body=b"<html>bad</html>"), (RetryableError, "<html>bad</html>", 2)),
            (
                error(429, "You exceeded your current quota", "insufficient_quota"),
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
            (Reply(body={"choices": []}), (RetryableError, "response cannot be read", 1)),
            (Reply(body=[]), (RetryableError, "response cannot be read", 1)),
            (Reply(body={}), (RetryableError, "response cannot be read", 1)),
        ],
    )
    def test_errors_have_other_forms(
        self,
        server: OpenAIServer,
        make: Make,
        request_frames: Request,
        reply: Reply,
        expected: tuple[type[Exception], str, int],
    ) -> None:
        """Routers send them with status 200, proxies as pages, and others in forms of their own."""
        server.script(reply)
        kind, message, num_requests = expected

        with pytest.raises(kind, match=message):
            make().ask(request_frames)

        assert num_requests == len(server.sent)
