"""The Gemini backend: the real SDK against a server on this machine that speaks its protocol."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pfp.errors import ConfigError, InputError, PermanentError, RetryableError
from pfp.io.media import path_to_uri
from pfp.vlm import Finish, VideoQuestion
from pfp.vlm.gemini import GeminiBackend
from pfp.vlm.gemini_errors import explain_errors
from tests.vlm.gemini_server import GeminiServer, Reply, answer, error

KEY = "key-for-tests-0123456789"
TEXT = '{"shots": [{"index": 1, "caption": "Red."}, {"index": 2, "caption": "Blue."}]}'
# 4 s at 2 fps are 8 frames of 66 tokens at low resolution.
TOKENS = {"TEXT": 100, "VIDEO": 8 * 66, "AUDIO": 128}

Make = Callable[..., GeminiBackend]


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    """A server that answers well until it is told otherwise."""
    with GeminiServer() as running:
        running.script(answer(TEXT, tokens=TOKENS, tokens_thought=7))
        yield running


@pytest.fixture
def make(server: GeminiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Builds backends that ask the server, without waiting between attempts."""
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    made: list[GeminiBackend] = []

    def build(**options: Any) -> GeminiBackend:
        defaults: dict[str, Any] = {
            "model": "gemini-2.5-flash",
            "base_url": server.base_url,
            "timeout_seconds": 120.0,
            "max_attempts": 3,
            "retry_seconds": 0.0,
            "poll_seconds": 0.01,
        }
        made.append(GeminiBackend(**{**defaults, **options}))
        return made[-1]

    yield build
    for backend in made:
        backend.close()


class TestRequest:
    """What is sent."""

    def test_small_video_goes_inline_before_the_text(
        self, server: GeminiServer, make: Make, question: VideoQuestion, video: Path
    ) -> None:
        """One request holds the video's bytes, its frame rate, and then the prompt."""
        make().ask(question)

        (sent,) = server.questions
        video_part, text_part = sent.body["contents"][0]["parts"]
        assert sent.path == "/v1beta/models/gemini-2.5-flash:generateContent"
        assert sent.headers["x-goog-api-key"] == KEY
        assert video_part["inlineData"]["mimeType"] == "video/mp4"
        data = video_part["inlineData"]["data"].replace("-", "+").replace("_", "/")
        assert base64.b64decode(data) == video.read_bytes()
        assert video_part["videoMetadata"] == {"fps": 2.0}
        assert text_part == {"text": "Describe shots 1 and 2."}

    def test_settings_reach_the_server(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """Schema, temperature, output limit, resolution and thinking are in the request."""
        make().ask(question)

        settings = server.questions[0].body["generationConfig"]
        assert settings == {
            "responseMimeType": "application/json",
            "responseJsonSchema": question.json_schema,
            "temperature": 0.5,
            "maxOutputTokens": 8192,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "thinkingConfig": {"thinkingLevel": "LOW"},
        }

    def test_part_of_a_video_is_sent_with_its_offsets(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """A span that is not the whole video is marked on the part."""
        server.script(answer(TEXT, tokens={"TEXT": 100, "VIDEO": 4 * 66}))

        make().ask(replace(question, start_seconds=1.0, end_seconds=3.0))

        part = server.questions[0].body["contents"][0]["parts"][0]
        expected = {"fps": 2.0, "startOffset": "1.000s", "endOffset": "3.000s"}
        assert part["videoMetadata"] == expected

    def test_container_is_told_from_content(
        self, server: GeminiServer, make: Make, question: VideoQuestion, video: Path, tmp_path: Path
    ) -> None:
        """A misnamed file still gets its true MIME type."""
        misnamed = shutil.copy(video, tmp_path / "clip.webm")

        make().ask(replace(question, path=str(misnamed)))

        part = server.questions[0].body["contents"][0]["parts"][0]
        assert part["inlineData"]["mimeType"] == "video/mp4"


class TestUpload:
    """Videos above the inline limit go through the Files API."""

    def test_large_video_is_uploaded_awaited_used_and_deleted(
        self, server: GeminiServer, make: Make, question: VideoQuestion, video: Path
    ) -> None:
        """The question is asked once the file is ACTIVE, and the file is gone afterwards."""
        server.polls_until_active = 3

        result = make(inline_limit_bytes=100).ask(question)

        upload = server.uploads["clip0"]
        part = server.questions[0].body["contents"][0]["parts"][0]
        assert result.finish is Finish.ANSWERED
        assert upload.content == video.read_bytes()
        assert upload.mime_type == "video/mp4"
        assert upload.num_polls == 3
        assert part["fileData"]["fileUri"] == f"{server.base_url}/v1beta/files/clip0"
        assert part["videoMetadata"] == {"fps": 2.0}
        assert upload.deleted

    def test_name_that_is_not_ascii_is_no_obstacle(
        self, make: Make, question: VideoQuestion, video: Path, tmp_path: Path
    ) -> None:
        """A file's name travels in no header."""
        named = shutil.copy(video, tmp_path / "\u540d\u524d & 'quote'.mp4")

        result = make(inline_limit_bytes=100).ask(replace(question, path=path_to_uri(named)))

        assert result.finish is Finish.ANSWERED

    def test_refused_video_is_a_permanent_error(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """A file in state FAILED ends the row with the server's reason, and is deleted."""
        server.final_state = "FAILED"

        with pytest.raises(PermanentError, match="the video has no frames"):
            make(inline_limit_bytes=100).ask(question)

        assert server.questions == []
        assert server.uploads["clip0"].deleted

    def test_video_that_stays_in_processing_may_be_tried_again(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """Waiting for ACTIVE has an end."""
        server.polls_until_active = 10**9

        with pytest.raises(RetryableError, match=r"within 0.05 s"):
            make(inline_limit_bytes=100, upload_timeout_seconds=0.05).ask(question)

    def test_file_that_cannot_be_deleted_is_noted(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """The answer was paid for, so it is kept, with a note."""
        server.delete_status = 403

        result = make(inline_limit_bytes=100).ask(question)

        assert result.finish is Finish.ANSWERED
        assert result.notes == ("files/clip0 could not be deleted (ClientError); it expires",)


class TestAnswer:
    """What comes back."""

    def test_answer_carries_text_counts_and_cost(self, make: Make, question: VideoQuestion) -> None:
        """Everything the server tells is in the answer."""
        result = make().ask(question)

        assert result.raw_text == TEXT
        assert result.parsed == {
            "shots": [{"index": 1, "caption": "Red."}, {"index": 2, "caption": "Blue."}]
        }
        assert (result.model, result.model_version) == ("gemini-2.5-flash", "gemini-test-001")
        counts = (result.tokens_in, result.tokens_video, result.tokens_audio)
        assert counts == (100 + 528 + 128, 528, 128)
        assert (result.tokens_out, result.tokens_thought) == (40, 7)
        expected_usd = (628 * 0.30 + 128 * 1.00 + 47 * 2.50) / 1e6
        assert result.cost_usd == pytest.approx(expected_usd, rel=1e-12)
        assert (result.finish, result.finish_reason) == (Finish.ANSWERED, "STOP")
        assert result.attempts == 1

    def test_model_without_a_price_costs_none(self, make: Make, question: VideoQuestion) -> None:
        """A cost that is unknown is None, not 0."""
        result = make(model="gemini-2.5-unheard-of").ask(question)

        assert result.cost_usd is None

    def test_thoughts_are_not_the_answer(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """Parts that are marked as thoughts are left out of the text."""
        server.script(answer(TEXT, tokens=TOKENS, thought="Let me see."))

        assert make().ask(question).raw_text == TEXT

    def test_text_that_is_not_json_is_kept_unparsed(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """The caller gets to see what the model said."""
        server.script(answer("Here it is: {shots", tokens=TOKENS))

        result = make().ask(question)

        assert (result.finish, result.parsed) == (Finish.ANSWERED, None)
        assert result.raw_text == "Here it is: {shots"

    @pytest.mark.parametrize(
        "reason", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION"]
    )
    def test_refusal_is_blocked(
        self, server: GeminiServer, make: Make, question: VideoQuestion, reason: str
    ) -> None:
        """Every reason that means refusal is one, and is asked about once."""
        server.script(answer(None, finish=reason, tokens=TOKENS))

        result = make().ask(question)

        assert (result.finish, result.finish_reason) == (Finish.BLOCKED, reason)
        assert result.problem == f"Gemini refused to answer ({reason})"
        assert result.tokens_in == sum(TOKENS.values())
        assert len(server.questions) == 1

    def test_refused_prompt_is_blocked(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """A response without candidates tells its reason in the prompt's feedback."""
        server.script(Reply(body={"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}))

        result = make().ask(question)

        assert (result.finish, result.finish_reason) == (Finish.BLOCKED, "PROHIBITED_CONTENT")

    def test_output_limit_is_truncated(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """What was written before the limit is kept, but is no answer."""
        server.script(answer(TEXT[:30], finish="MAX_TOKENS", tokens=TOKENS))

        result = make().ask(question)

        assert (result.finish, result.raw_text) == (Finish.TRUNCATED, TEXT[:30])

    @pytest.mark.parametrize("reason", ["OTHER", "MALFORMED_RESPONSE"])
    def test_unexplained_end_is_unfinished(
        self, server: GeminiServer, make: Make, question: VideoQuestion, reason: str
    ) -> None:
        """A reason that is neither an end, a limit nor a refusal may pass."""
        server.script(answer(TEXT, finish=reason, tokens=TOKENS))

        result = make().ask(question)

        assert (result.finish, result.finish_reason) == (Finish.UNFINISHED, reason)

    def test_reason_of_tomorrow_is_unfinished(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """A reason that this SDK does not know is no answer either."""
        server.script(answer(TEXT, finish="SOLAR_FLARE", tokens=TOKENS))

        with pytest.warns(UserWarning, match="SOLAR_FLARE"):
            result = make().ask(question)

        assert (result.finish, result.finish_reason) == (Finish.UNFINISHED, "SOLAR_FLARE")


class TestSeeing:
    """Whether the model saw the video, by its VIDEO tokens."""

    @pytest.mark.parametrize("tokens", [{"TEXT": 100}, {"TEXT": 100, "VIDEO": 0}])
    def test_no_video_tokens_is_unseen(
        self, server: GeminiServer, make: Make, question: VideoQuestion, tokens: dict[str, int]
    ) -> None:
        """A description of a video that was never seen is not used, however good it reads."""
        server.script(answer(TEXT, tokens=tokens))

        result = make().ask(question)

        assert result.finish is Finish.UNSEEN
        assert result.tokens_video == 0
        assert result.problem == "the model was given 0 VIDEO tokens, so it never saw the video"

    def test_ignored_frame_rate_is_unseen(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """At 1 fps instead of 2 there are half the tokens."""
        server.script(answer(TEXT, tokens={"TEXT": 100, "VIDEO": 4 * 66}))

        result = make().ask(question)

        assert result.finish is Finish.UNSEEN
        assert result.problem is not None
        assert "264 VIDEO tokens where 4.00 s at 2 fps" in result.problem

    def test_unknown_model_is_only_checked_for_any_token(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """Tokens per frame of a new model are unknown, so nothing is expected of their sum."""
        server.script(answer(TEXT, tokens={"TEXT": 100, "VIDEO": 7}))

        assert make(model="gemini-9-flash").ask(question).finish is Finish.ANSWERED

    def test_server_without_details_is_noted(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """Without counts by modality the check is left out, and that is on record."""
        server.script(answer(TEXT, tokens=None))

        result = make().ask(question)

        assert (result.finish, result.tokens_video) == (Finish.ANSWERED, None)
        assert result.notes == (
            "the server gave no token counts by modality: seeing was not checked",
        )
        assert result.cost_usd is None  # audio has its own price, and its share is unknown


class TestTrouble:
    """Errors, and how often a question is repeated."""

    def test_busy_server_is_asked_again(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """429 and 500 pass, and the answer says how many requests it took."""
        server.script(
            error(429, "RESOURCE_EXHAUSTED", "slow down"),
            error(500, "INTERNAL", "oops"),
            answer(TEXT, tokens=TOKENS),
        )

        result = make().ask(question)

        assert (result.finish, result.attempts) == (Finish.ANSWERED, 3)

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_server_that_stays_busy_may_be_tried_later(
        self, server: GeminiServer, make: Make, question: VideoQuestion, status: int
    ) -> None:
        """After the allowed attempts the row is left for a later run."""
        server.script(error(status, "UNAVAILABLE", "overloaded"))

        with pytest.raises(RetryableError, match=f"{status} UNAVAILABLE: overloaded"):
            make().ask(question)

        assert len(server.questions) == 3

    @pytest.mark.parametrize("status", [400, 404, 413])
    def test_refused_request_is_not_repeated(
        self, server: GeminiServer, make: Make, question: VideoQuestion, status: int
    ) -> None:
        """What the server refuses once it refuses always."""
        server.script(error(status, "INVALID_ARGUMENT", "fps is out of range"))

        with pytest.raises(PermanentError, match="fps is out of range"):
            make().ask(question)

        assert len(server.questions) == 1

    @pytest.mark.parametrize(
        "reply",
        [
            error(403, "PERMISSION_DENIED", "no access"),
            error(401, "UNAUTHENTICATED", "who are you"),
            error(
                400,
                "INVALID_ARGUMENT",
                "API key not valid.",
                details=[{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}],
            ),
        ],
    )
    def test_refused_key_is_not_repeated_but_not_the_rows_fault(
        self, server: GeminiServer, make: Make, question: VideoQuestion, reply: Reply
    ) -> None:
        """One request; a later run with a good key goes on. The message does not tell the key."""
        server.script(reply)

        with pytest.raises(RetryableError, match="check GEMINI_API_KEY") as caught:
            make().ask(question)

        assert len(server.questions) == 1
        assert KEY not in str(caught.value)

    def test_silent_server_may_be_tried_later(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """A server that takes too long is asked as often as allowed, then left."""
        server.script(Reply(body={}, seconds=1.0))

        with pytest.raises(RetryableError, match=r"did not answer within 0.2 s"):
            make(timeout_seconds=0.2, max_attempts=2).ask(question)

        assert server.wait_for_questions(2) == 2

    def test_page_of_a_proxy_may_be_tried_later(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """A 200 that is not JSON is not an answer."""
        server.script(Reply(body=b"<html>log in first</html>"))

        with pytest.raises(RetryableError, match="response cannot be read"):
            make().ask(question)

    def test_missing_server_may_be_tried_later(self, make: Make, question: VideoQuestion) -> None:
        """A refused connection is nobody's fault for good."""
        with pytest.raises(RetryableError, match="the connection to Gemini failed"):
            make(base_url="http://127.0.0.1:9", max_attempts=1).ask(question)

    def test_missing_video_is_an_input_error(
        self, server: GeminiServer, make: Make, question: VideoQuestion, tmp_path: Path
    ) -> None:
        """Our own errors come through as they are, and nothing is sent."""
        with pytest.raises(InputError, match=r"there is no file .*gone.mp4"):
            make().ask(replace(question, path=str(tmp_path / "gone.mp4")))

        assert server.sent == []

    @pytest.mark.parametrize("kind", [InputError, ConfigError, PermanentError])
    def test_our_own_errors_are_not_taken_for_the_servers(self, kind: type[Exception]) -> None:
        """Some of them are ValueErrors, as what the SDK raises for a broken response is."""
        with pytest.raises(kind, match=r"^ours$"), explain_errors(timeout_seconds=1.0):
            raise kind("ours")

    def test_every_answer_counts_its_own_requests(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """The second question starts from nothing."""
        good = answer(TEXT, tokens=TOKENS)
        server.script(error(500, "INTERNAL", "oops"), good, good)
        backend = make()

        assert [backend.ask(question).attempts for _ in range(2)] == [2, 1]

    def test_threads_count_their_own_requests(
        self, server: GeminiServer, make: Make, question: VideoQuestion
    ) -> None:
        """Asking from several threads at once mixes nothing up."""
        backend = make()
        results = [None] * 4
        server.hold_until_open = 4

        def ask(k: int) -> None:
            results[k] = backend.ask(question)

        threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [result.attempts for result in results] == [1, 1, 1, 1]


class TestKey:
    """Where the key comes from."""

    def test_missing_key_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, question: VideoQuestion
    ) -> None:
        """Without the variable nothing can be asked, and the message says what to do."""
        monkeypatch.delenv("GEMINI_API_KEY", raising=False)
        monkeypatch.setenv("GOOGLE_API_KEY", "another variable that the SDK would take")
        backend = GeminiBackend(model="gemini-2.5-flash")

        for act in (backend.check_ready, lambda: backend.ask(question)):
            with pytest.raises(ConfigError, match=r"^GEMINI_API_KEY is not set; export .*route$"):
                act()

    def test_key_is_read_when_a_question_is_asked(
        self, monkeypatch: pytest.MonkeyPatch, make: Make, question: VideoQuestion
    ) -> None:
        """A backend can be built, and its fingerprint taken, before there is a key."""
        monkeypatch.delenv("GEMINI_API_KEY")
        backend = make()
        assert backend.fingerprint
        monkeypatch.setenv("GEMINI_API_KEY", KEY)

        assert backend.ask(question).finish is Finish.ANSWERED

    def test_fingerprint_follows_model_and_server(self, make: Make) -> None:
        """Another model or another server is another answer; patience and limits are not."""
        first = make(base_url=None).fingerprint

        assert make(base_url=None, timeout_seconds=1.0, max_attempts=1).fingerprint == first
        assert make(base_url=None, model="gemini-3.8-flash").fingerprint != first
        assert make(base_url="http://127.0.0.1:9").fingerprint != first
