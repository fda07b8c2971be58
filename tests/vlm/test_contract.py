"""What every provider promises, whoever answers: one suite over all of them.

Gemini and OpenAI's protocol are spoken by their real SDKs to servers on this machine, Qwen-VL is
transformers' own class, tiny and random.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pfp.errors import AccountError, ConfigError, PermanentError, RetryableError, RowError
from pfp.vlm import PROVIDERS, Client, Finish, Request, Sampling, load_client
from pfp.vlm.cache import CachedClient
from pfp.vlm.providers import bounded_http
from tests.vlm import gemini_server, openai_server
from tests.vlm.gemini_server import GeminiServer
from tests.vlm.openai_server import OpenAIServer
from tests.vlm.scripted import ScriptedClient

KEY = "key-for-tests-0123456789"
YES = '{"answer": "yes"}'
REMOTE = [kind for kind, known in PROVIDERS.items() if known.is_remote]
FRAME_TOKENS = {"TEXT": 60, "IMAGE": 2 * 258}
VIDEO_TOKENS = {"TEXT": 100, "VIDEO": 8 * 66}  # 4 s at 2 fps, 66 tokens a frame


@dataclass
class Rig:
    """One provider, ready to be asked ``request_frames``.

    For one with a server: ``reply(text, finish)`` and ``error(status, message)`` make a reply of
    its protocol, ``script`` sets the replies to come, ``texts`` are those of each request.
    """

    spec: str
    options: dict[str, Any] = field(default_factory=dict)
    reply: Callable[..., Any] = lambda *_, **__: None
    error: Callable[..., Any] = lambda *_, **__: None
    raw: Callable[..., Any] = lambda *_, **__: None
    script: Callable[..., None] = lambda *_: None
    texts: Callable[[], list[str]] = list
    key_variable: str = ""

    def client(self, **more: Any) -> Client:
        """A client that waits for nothing between attempts."""
        return load_client(self.spec, **{**self.options, **more})


def _gemini(server: GeminiServer) -> Rig:
    finishes = {"stop": "STOP", "length": "MAX_TOKENS", "blocked": "SAFETY", "odd": "OTHER"}

    def reply(text: str | None, finish: str = "stop", **more: Any) -> gemini_server.Reply:
        more = {"tokens": FRAME_TOKENS, "tokens_out": 5, "tokens_thought": 40, **more}
        return gemini_server.answer(text, finish=finishes[finish], **more)

    def error(status: int, message: str, **headers: str) -> gemini_server.Reply:
        return replace(gemini_server.error(status, "WORD", message), headers=headers)

    def texts() -> list[str]:
        parts = [sent.body["contents"][0]["parts"] for sent in server.requests]
        return [each[-1]["text"] for each in parts]

    return Rig(
        spec=f"gemini:gemini-2.5-flash#base_url={server.base_url}",
        options={"max_attempts": 3, "retry_seconds": 0.0, "timeout_seconds": 120.0},
        reply=reply,
        error=error,
        raw=gemini_server.Reply,
        script=server.script,
        texts=texts,
        key_variable="GEMINI_API_KEY",
    )


def _openai(server: OpenAIServer) -> Rig:
    finishes = {"stop": "stop", "length": "length", "blocked": "content_filter", "odd": "abort"}
    usage = {
        "prompt_tokens": 700,
        "completion_tokens": 45,
        "completion_tokens_details": {"reasoning_tokens": 40},
    }

    def reply(text: str | None, finish: str = "stop") -> openai_server.Reply:
        return openai_server.completion(text, finish=finishes[finish], usage=usage)

    def error(status: int, message: str, **headers: str) -> openai_server.Reply:
        return replace(openai_server.error(status, message), headers=headers)

    def texts() -> list[str]:
        return [sent.body["messages"][0]["content"][-1]["text"] for sent in server.sent]

    return Rig(
        spec=f"openai:a-model@{server.base_url}#key_variable=A_KEY_FOR_TESTS",
        options={"max_attempts": 3, "retry_seconds": 0.0, "timeout_seconds": 120.0},
        reply=reply,
        error=error,
        raw=openai_server.Reply,
        script=server.script,
        texts=texts,
        key_variable="A_KEY_FOR_TESTS",
    )


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Request], Path]:
    """The folder of a tiny Qwen-VL that says yes to a request."""
    made: list[Path] = []

    def folder(request: Request) -> Path:
        if not made:
            pytest.importorskip("transformers")
            from tests.vlm.tiny_qwen import save_qwen

            made.append(tmp_path_factory.mktemp("tiny-random-qwen"))
            save_qwen(made[0], request, YES)
        return made[0]

    return folder


@pytest.fixture
def rig(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request_frames: Request,
) -> Iterator[Rig]:
    """The provider that the test is run over, which says yes until it is told otherwise."""
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("A_KEY_FOR_TESTS", KEY)
    if request.param == "gemini":
        with GeminiServer() as gemini:
            made = _gemini(gemini)
            made.script(made.reply(YES))
            yield made
    elif request.param == "openai":
        with OpenAIServer() as openai:
            made = _openai(openai)
            made.script(made.reply(YES))
            yield made
    elif request.param == "qwen":
        yield Rig(spec=f"qwen:{request.getfixturevalue('qwen_folder')(request_frames)}")
    elif request.param == "replay":
        path = tmp_path / "answers.jsonl"
        recording = load_client("fake:always-yes", record=path)
        recording.ask(request_frames)
        recording.ask(request.getfixturevalue("request_video"))
        yield Rig(spec=f"replay:{path}")
    else:
        yield Rig(spec="fake:always-yes")


every_provider = pytest.mark.parametrize("rig", list(PROVIDERS), indirect=True)
remote_provider = pytest.mark.parametrize("rig", REMOTE, indirect=True)


class TestEveryProvider:
    """What holds for all of them."""

    @every_provider
    def test_answer_is_an_instance_of_the_schema(self, rig: Rig, request_frames: Request) -> None:
        """Text and object say the same, nothing went wrong, and one request was enough."""
        client = rig.client()
        client.check_ready()

        said = client.ask(request_frames)

        assert (said.finish, said.problem, said.attempts) == (Finish.ANSWERED, None, 1)
        assert said.parsed == {"answer": "yes"} == json.loads(said.raw_text or "")
        assert rig.spec.startswith(f"{client.kind}:")
        assert client.model_id.startswith(f"{client.kind}:")
        client.close()

    @every_provider
    def test_counts_and_cost_are_known_or_none(self, rig: Rig, request_frames: Request) -> None:
        """Nothing that the model did not tell is 0."""
        said = rig.client().ask(request_frames)

        expected = {
            "gemini": (576, 5, 40, (576 * 0.30 + 45 * 2.50) / 1e6),
            "openai": (700, 5, 40, None),  # no list price
            "qwen": (said.tokens_in, 2, None, None),
            "replay": (None, None, None, 0.0),  # as recorded
            "fake": (None, None, None, 0.0),
        }
        *counts, cost_usd = expected[rig.client().kind]
        assert [said.tokens_in, said.tokens_out, said.tokens_thought] == counts
        assert said.cost_usd == (None if cost_usd is None else pytest.approx(cost_usd, rel=1e-12))

    @every_provider
    def test_answer_can_be_kept_and_replayed(
        self, rig: Rig, request_frames: Request, tmp_path: Path
    ) -> None:
        """A second client with the same file asks nobody; the file alone gives the same answer."""
        path = tmp_path / "kept.jsonl"
        first = rig.client(cache=path).ask(request_frames)
        rig.script(rig.error(400, "nobody should ask again"))

        again = rig.client(cache=path).ask(request_frames)
        replayed = load_client(f"replay:{path}").ask(request_frames)

        assert replace(first, cached=True) == again == replayed

    @every_provider
    def test_fingerprint_follows_the_settings_that_are_obeyed(self, rig: Rig) -> None:
        """What changes no answer changes no key."""
        patience = {"max_attempts": 9, "retry_seconds": 9.0, "timeout_seconds": 9.0}
        client = rig.client()
        patient = rig.client(**(patience if client.kind in REMOTE else {}))
        cold, warm = Sampling(temperature=0.0), Sampling(temperature=1.0)

        assert client.fingerprint(cold) == patient.fingerprint(cold)
        obeys = "temperature" in PROVIDERS[client.kind].settings
        assert (client.fingerprint(cold) != client.fingerprint(warm)) is obeys

    @every_provider
    def test_a_span_of_a_video_can_be_asked_about(self, rig: Rig, request_video: Request) -> None:
        """As video where the model takes it, else as frames with their times in the prompt."""
        storyboard = json.dumps({"shots": [{"index": k, "caption": "Red."} for k in (1, 2)]})
        is_gemini = rig.spec.startswith("gemini")
        told = {"tokens": VIDEO_TOKENS} if is_gemini else {}
        rig.script(rig.reply(storyboard, **told))
        sampling = replace(request_video.sampling, thinking_level=None)
        client = rig.client(sampling=sampling)

        said = client.ask(replace(request_video, sampling=sampling))

        assert said.finish in {Finish.ANSWERED, Finish.TRUNCATED}, said.problem
        if client.kind in REMOTE:
            assert said.raw_text == storyboard
            (text,) = rig.texts()
            introduction = "The video is shown as 8 frames, taken at these times: 0.00 s, 0.50 s,"
            assert text.startswith("Describe shots" if is_gemini else introduction)
            assert text.endswith("Describe shots 1 and 2.")
        if client.kind in {"gemini", "openai", "qwen"}:
            assert said.sampling == sampling.to_json()

    @every_provider
    def test_closed_client_can_be_asked_again(self, rig: Rig, request_frames: Request) -> None:
        """It opens again what it needs."""
        client = rig.client()
        client.ask(request_frames)
        client.close()

        assert client.ask(request_frames).parsed == {"answer": "yes"}

    @pytest.mark.parametrize("rig", ["gemini", "openai", "qwen"], indirect=True)
    def test_answer_that_the_output_limit_cut_off_says_so(
        self, rig: Rig, request_frames: Request
    ) -> None:
        """What was written is there, and is no answer."""
        rig.script(rig.reply(YES[:9], "length"))
        short = replace(request_frames.sampling, max_output_tokens=1)

        said = rig.client().ask(replace(request_frames, sampling=short))

        assert said.finish is Finish.TRUNCATED
        assert said.problem is not None
        assert said.raw_text is not None

    @every_provider
    def test_unknown_option_is_refused_with_those_there_are(self, rig: Rig) -> None:
        """Before anything is asked."""
        separator = "," if "#" in rig.spec else "#"

        with pytest.raises(ConfigError, match=r"has no option 'loudness'; it has .*votes"):
            load_client(f"{rig.spec}{separator}loudness=11")


class TestRemoteProvider:
    """What holds for those that ask a server."""

    @remote_provider
    def test_text_that_is_not_json_is_kept_unparsed(
        self, rig: Rig, request_frames: Request
    ) -> None:
        """The caller gets to see what the model said."""
        rig.script(rig.reply("Here it is: {answer"))

        said = rig.client().ask(request_frames)

        assert (said.finish, said.parsed) == (Finish.ANSWERED, None)
        assert said.raw_text == "Here it is: {answer"

    @remote_provider
    def test_refusal_is_blocked_and_final(self, rig: Rig, request_frames: Request) -> None:
        """It is asked about once, and is no error: the row says who refused and why."""
        rig.script(rig.reply(None, "blocked"))

        said = rig.client().ask(request_frames)

        assert (said.finish, said.attempts) == (Finish.BLOCKED, 1)
        assert f"refused to answer ({said.finish_reason})" in (said.problem or "")
        assert said.tokens_in is not None  # which is paid for
        assert len(rig.texts()) == 1

    @remote_provider
    def test_end_for_another_reason_is_unfinished(self, rig: Rig, request_frames: Request) -> None:
        """A later run may get an answer."""
        rig.script(rig.reply(YES, "odd"))

        said = rig.client().ask(request_frames)

        assert (said.finish, len(rig.texts())) == (Finish.UNFINISHED, 1)
        assert "stopped early" in (said.problem or "")

    @remote_provider
    def test_answer_with_no_text_is_asked_for_again(
        self, rig: Rig, request_frames: Request
    ) -> None:
        """Within the call; requests, tokens and cost of all are counted, with a note."""
        rig.script(rig.reply(YES))
        alone = rig.client().ask(request_frames)
        rig.script(rig.reply(None), rig.reply(" \n"), rig.reply(YES))

        said = rig.client().ask(request_frames)

        assert (said.finish, said.raw_text, said.attempts) == (Finish.ANSWERED, YES, 3)
        assert (said.tokens_in, said.tokens_out) == (3 * alone.tokens_in, 3 * alone.tokens_out)
        if alone.cost_usd is not None:
            assert said.cost_usd == pytest.approx(3 * alone.cost_usd)
        assert said.notes == ("2 earlier with no text; asked again",)

    @remote_provider
    def test_answers_that_stay_without_text_are_left_for_later(
        self, rig: Rig, request_frames: Request
    ) -> None:
        """After three it is unfinished, which is no failure for good."""
        rig.script(rig.reply(""))

        said = rig.client(max_attempts=5).ask(request_frames)

        assert (said.finish, said.attempts) == (Finish.UNFINISHED, 3)
        assert "ended with no text" in (said.problem or "")

    @remote_provider
    def test_busy_server_is_asked_again(self, rig: Rig, request_frames: Request) -> None:
        """429 and 500 pass, and the answer says how many requests it took."""
        rig.script(rig.error(429, "slow down"), rig.error(500, "oops"), rig.reply(YES))
        client = rig.client()

        assert client.ask(request_frames).attempts == 3
        assert client.ask(request_frames).attempts == 1

    @remote_provider
    def test_wait_is_as_long_as_the_server_asks(
        self, rig: Rig, request_frames: Request, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That goes before our own, which doubles, and neither lasts over a minute."""
        waits: list[float] = []
        monkeypatch.setattr(time, "sleep", waits.append)
        rig.script(
            rig.error(429, "slow", **{"Retry-After": "7"}),
            rig.error(503, "slow", **{"Retry-After": "7000"}),
            rig.error(503, "slow"),
            rig.error(503, "slow", **{"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
            rig.error(429, "slow", **{"retry-after-ms": "2500"}),
            rig.reply(YES),
        )

        rig.client(max_attempts=6, retry_seconds=1.0).ask(request_frames)

        told = [wait for wait in waits if wait >= 1]  # shorter ones are the server's own
        assert [7.0, 60.0] == told[:2]
        assert 4.0 <= told[2] <= 8.0 <= told[3] <= 16.0
        assert told[4] == 2.5

    @remote_provider
    @pytest.mark.parametrize(
        ("status", "message", "expected"),
        [
            *((status, "m", (RetryableError, 3)) for status in (408, 429, 500, 502, 503, 504)),
            *((status, "m", (RetryableError, 3)) for status in (520, 524, 529)),
            (501, "m", (RetryableError, 1)),
            *((status, "m", (AccountError, 1)) for status in (401, 402, 403, 407)),
            (429, "Quota exceeded: 20 requests per day", (AccountError, 1)),
            *((status, "too many images", (PermanentError, 1)) for status in (400, 404, 413, 422)),
        ],
    )
    def test_errors_are_told_apart_by_their_status(
        self,
        rig: Rig,
        request_frames: Request,
        status: int,
        message: str,
        expected: tuple[type[RowError], int],
    ) -> None:
        """What may pass in seconds is repeated; only what is wrong with the request is for good."""
        rig.script(rig.error(status, message))
        kind, num_requests = expected

        with pytest.raises(kind, match=message) as caught:
            rig.client().ask(request_frames)

        assert (type(caught.value), len(rig.texts())) == (kind, num_requests)

    @remote_provider
    @pytest.mark.parametrize(
        "reply",
        [
            {"body": b"<html>log in first</html>"},
            {"body": b"\xff\xfe"},
            {"body": b'{"candidates": [{"content"'},
            {"body": b"[" * 100_000},
            {"status": 302, "body": b"log in"},
        ],
    )
    def test_broken_response_may_be_tried_later(
        self, rig: Rig, request_frames: Request, reply: dict[str, Any]
    ) -> None:
        """A proxy's page, half an object or a million brackets are no answer, and no crash."""
        rig.script(rig.raw(**reply))

        with pytest.raises(RetryableError, match="response cannot be read"):
            rig.client().ask(request_frames)

        assert len(rig.texts()) == 1

    @remote_provider
    def test_compressed_response_is_refused(self, rig: Rig, request_frames: Request) -> None:
        """It was not asked for, and few bytes could stand for any number of them."""
        rig.script(rig.raw(body=b"not gzip", headers={"Content-Encoding": "gzip"}))

        with pytest.raises(RetryableError, match=r"compressed \(gzip\)"):
            rig.client().ask(request_frames)

        assert len(rig.texts()) == 3

    @remote_provider
    def test_oversized_response_is_given_up(
        self, rig: Rig, request_frames: Request, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At the bound of its bytes, and not kept."""
        monkeypatch.setattr(bounded_http, "MAX_RESPONSE_BYTES", 4096)
        rig.script(rig.reply("x" * 5000))

        with pytest.raises(RetryableError, match="has more than 4096 bytes"):
            rig.client(max_attempts=1).ask(request_frames)

    @remote_provider
    def test_silent_server_may_be_tried_later(self, rig: Rig, request_frames: Request) -> None:
        """One that takes too long is asked as often as allowed, then left."""
        rig.script(rig.raw(body={}, seconds=1.0))

        with pytest.raises(RetryableError, match=r"did not answer within 0\.2 s"):
            rig.client(timeout_seconds=0.2, max_attempts=2).ask(request_frames)

        deadline = time.monotonic() + 30
        while len(rig.texts()) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(rig.texts()) == 2

    @remote_provider
    def test_missing_server_may_be_tried_later(self, rig: Rig, request_frames: Request) -> None:
        """A refused connection is nobody's fault for good."""
        port = rig.spec.partition("127.0.0.1:")[2].partition("/")[0].partition("#")[0]
        gone = replace(rig, spec=rig.spec.replace(port, "9"))

        with pytest.raises(RetryableError, match=r"the connection to .* failed"):
            gone.client(max_attempts=1).ask(request_frames)

    @remote_provider
    @pytest.mark.parametrize("status", [400, 401, 500])
    def test_key_is_in_no_message(self, rig: Rig, request_frames: Request, status: int) -> None:
        """Also where the server says it."""
        rig.script(rig.error(status, f"the header was: {KEY}"))

        with pytest.raises(RowError, match="the header was") as caught:
            rig.client(max_attempts=1).ask(request_frames)

        assert KEY not in str(caught.value)

    @remote_provider
    def test_missing_key_is_one_sentence_before_anything_is_sent(
        self, rig: Rig, request_frames: Request, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No other variable is taken in its place; with the key the same client goes on."""
        monkeypatch.delenv(rig.key_variable)
        for name in ("GOOGLE_API_KEY", "OPENAI_API_KEY"):
            monkeypatch.setenv(name, "another variable that an SDK would take")
        client = rig.client()
        assert client.fingerprint(request_frames.sampling)

        for act in (client.check_ready, lambda: client.ask(request_frames)):
            with pytest.raises(ConfigError, match=f"^{rig.key_variable} is not set; export the"):
                act()

        assert rig.texts() == []
        monkeypatch.setenv(rig.key_variable, KEY)
        assert client.ask(request_frames).finish is Finish.ANSWERED

    @remote_provider
    def test_no_attempt_at_all_is_refused(self, rig: Rig) -> None:
        """A setting that would ask nothing is one sentence."""
        with pytest.raises(ConfigError, match="max_attempts is 0; allow at least 1"):
            rig.client(max_attempts=0)


def test_answer_of_one_request_is_not_that_of_another(
    request_frames: Request, tmp_path: Path
) -> None:
    """The schema counts: an answer to one is no answer to the other, whatever the words."""
    path = tmp_path / "kept.jsonl"
    other = replace(request_frames, json_schema={"type": "object", "properties": {}})
    load_client("fake:always-yes", record=path).ask(request_frames)

    assert load_client(f"replay:{path}").ask(other).finish is Finish.ABSENT
    kept = CachedClient(ScriptedClient(["one", "two"]))
    assert [kept.ask(each).raw_text for each in (request_frames, other)] == ["one", "two"]
