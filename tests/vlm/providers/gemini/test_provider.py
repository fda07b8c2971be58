"""Gemini: the real SDK against a server on this machine that speaks its protocol."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pfp.errors import ConfigError, InputError, PermanentError, RetryableError
from pfp.io.media import path_to_uri
from pfp.vlm import Client, Finish, Request, Sampling, VideoSpan, load_client
from pfp.vlm.providers.gemini.errors import explain_errors
from tests.vlm.gemini_server import GeminiServer, answer

KEY = "key-for-tests-0123456789"
TEXT = '{"shots": [{"index": 1, "caption": "Red."}, {"index": 2, "caption": "Blue."}]}'
# 4 s at 2 fps are 8 frames of 66 tokens at low resolution.
TOKENS = {"TEXT": 100, "VIDEO": 8 * 66, "AUDIO": 128}

Make = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    """A server that answers well until it is told otherwise."""
    with GeminiServer() as running:
        running.script(answer(TEXT, tokens=TOKENS, tokens_thought=7))
        yield running


@pytest.fixture
def make(server: GeminiServer, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Builds clients that ask the server, without waiting between attempts."""
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)

    def build(*, model: str = "gemini-2.5-flash", **options: Any) -> Client:
        defaults: dict[str, Any] = {
            "base_url": server.base_url,
            "timeout_seconds": 120.0,
            "max_attempts": 3,
            "retry_seconds": 0.0,
            "poll_seconds": 0.01,
        }
        return load_client(f"gemini:{model}", **{**defaults, **options})

    return build


def _about(request: Request, **changes: Any) -> Request:
    """The request about another span of video."""
    assert isinstance(request.media, VideoSpan)
    return replace(request, media=replace(request.media, **changes))


class TestRequest:
    """What is sent."""

    def test_small_video_goes_inline_before_the_text(
        self, server: GeminiServer, make: Make, request_video: Request, video: Path
    ) -> None:
        """One request holds the video's bytes, its frame rate, and then the prompt."""
        make().ask(request_video)

        (sent,) = server.requests
        video_part, text_part = sent.body["contents"][0]["parts"]
        assert sent.path == "/v1beta/models/gemini-2.5-flash:generateContent"
        assert sent.headers["x-goog-api-key"] == KEY
        assert video_part["inlineData"]["mimeType"] == "video/mp4"
        data = video_part["inlineData"]["data"].replace("-", "+").replace("_", "/")
        assert base64.b64decode(data) == video.read_bytes()
        assert video_part["videoMetadata"] == {"fps": 2.0}
        assert text_part == {"text": "Describe shots 1 and 2."}

    def test_frames_go_as_images_before_the_text(
        self, server: GeminiServer, make: Make, request_frames: Request
    ) -> None:
        """One request holds every frame as a JPEG, in order, and then the prompt."""
        server.script(answer(TEXT, tokens={"TEXT": 60, "IMAGE": 516}))

        make().ask(request_frames)

        *images, words = server.requests[0].body["contents"][0]["parts"]
        assert {"text": "Is it so?"} == words
        assert ["image/jpeg"] * 2 == [part["inlineData"]["mimeType"] for part in images]
        colours = [_mean_colour(part["inlineData"]["data"]) for part in images]
        assert np.allclose([(200, 0, 0), (0, 0, 200)], colours, atol=3)

    def test_settings_reach_the_server(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """Schema, temperature, output limit, resolution and thinking are in the request."""
        make().ask(request_video)

        settings = server.requests[0].body["generationConfig"]
        assert settings == {
            "responseMimeType": "application/json",
            "responseJsonSchema": request_video.json_schema,
            "temperature": 0.5,
            "maxOutputTokens": 8192,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "thinkingConfig": {"thinkingLevel": "LOW"},
        }

    def test_part_of_a_video_is_sent_with_its_offsets(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """A span that is not the whole video is marked on the part."""
        server.script(answer(TEXT, tokens={"TEXT": 100, "VIDEO": 4 * 66}))

        make().ask(_about(request_video, start_seconds=1.0, end_seconds=3.0))

        part = server.requests[0].body["contents"][0]["parts"][0]
        expected = {"fps": 2.0, "startOffset": "1.000s", "endOffset": "3.000s"}
        assert part["videoMetadata"] == expected

    def test_container_is_told_from_content(
        self, server: GeminiServer, make: Make, request_video: Request, video: Path, tmp_path: Path
    ) -> None:
        """A misnamed file still gets its true MIME type."""
        misnamed = shutil.copy(video, tmp_path / "clip.webm")

        make().ask(_about(request_video, path=str(misnamed)))

        part = server.requests[0].body["contents"][0]["parts"][0]
        assert part["inlineData"]["mimeType"] == "video/mp4"


def _mean_colour(data: str) -> tuple[float, ...]:
    content = base64.b64decode(data.replace("-", "+").replace("_", "/"))
    return tuple(np.asarray(Image.open(io.BytesIO(content))).mean(axis=(0, 1)))


class TestUpload:
    """Videos above the inline limit go through the Files API."""

    def test_large_video_is_uploaded_awaited_used_and_deleted(
        self, server: GeminiServer, make: Make, request_video: Request, video: Path
    ) -> None:
        """The model is asked once the file is ACTIVE, and the file is gone afterwards."""
        server.polls_until_active = 3

        result = make(inline_limit_bytes=100).ask(request_video)

        upload = server.uploads["clip0"]
        part = server.requests[0].body["contents"][0]["parts"][0]
        assert result.finish is Finish.ANSWERED
        assert upload.content == video.read_bytes()
        assert upload.mime_type == "video/mp4"
        assert upload.num_polls == 3
        assert part["fileData"]["fileUri"] == f"{server.base_url}/v1beta/files/clip0"
        assert part["videoMetadata"] == {"fps": 2.0}
        assert upload.deleted

    def test_name_that_is_not_ascii_is_no_obstacle(
        self, make: Make, request_video: Request, video: Path, tmp_path: Path
    ) -> None:
        """A file's name travels in no header."""
        named = shutil.copy(video, tmp_path / "\u540d\u524d & 'quote'.mp4")

        result = make(inline_limit_bytes=100).ask(_about(request_video, path=path_to_uri(named)))

        assert result.finish is Finish.ANSWERED

    def test_refused_video_is_a_permanent_error(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """A file in state FAILED ends the row with the server's reason, and is deleted."""
        server.final_state = "FAILED"

        with pytest.raises(PermanentError, match="the video has no frames"):
            make(inline_limit_bytes=100).ask(request_video)

        assert server.requests == []
        assert server.uploads["clip0"].deleted

    def test_video_that_stays_in_processing_may_be_tried_again(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """Waiting for ACTIVE has an end."""
        server.polls_until_active = 10**9

        with pytest.raises(RetryableError, match=r"within 0.05 s"):
            make(inline_limit_bytes=100, upload_timeout_seconds=0.05).ask(request_video)

    def test_file_that_cannot_be_deleted_is_noted(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """The answer was paid for, so it is kept, with a note."""
        server.delete_status = 403

        result = make(inline_limit_bytes=100).ask(request_video)

        assert result.finish is Finish.ANSWERED
        assert result.notes == ("files/clip0 could not be deleted (ClientError); it expires",)


class TestAnswer:
    """What comes back."""

    def test_answer_carries_text_counts_and_cost(self, make: Make, request_video: Request) -> None:
        """Everything the server tells is in the answer."""
        result = make().ask(request_video)

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

    def test_model_without_a_price_costs_none(self, make: Make, request_video: Request) -> None:
        """A cost that is unknown is None, not 0."""
        result = make(model="gemini-2.5-unheard-of").ask(request_video)

        assert result.cost_usd is None

    def test_thoughts_are_not_the_answer(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """Parts that are marked as thoughts are left out of the text."""
        server.script(answer(TEXT, tokens=TOKENS, thought="Let me see."))

        assert make().ask(request_video).raw_text == TEXT

    def test_reason_of_tomorrow_is_unfinished(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """A reason that this SDK does not know is no answer either."""
        server.script(answer(TEXT, finish="SOLAR_FLARE", tokens=TOKENS))

        with pytest.warns(UserWarning, match="SOLAR_FLARE"):
            result = make().ask(request_video)

        assert (result.finish, result.finish_reason) == (Finish.UNFINISHED, "SOLAR_FLARE")


class TestSeeing:
    """Whether the model saw the video, by its VIDEO tokens."""

    @pytest.mark.parametrize("tokens", [{"TEXT": 100}, {"TEXT": 100, "VIDEO": 0}])
    def test_no_video_tokens_is_unseen(
        self, server: GeminiServer, make: Make, request_video: Request, tokens: dict[str, int]
    ) -> None:
        """A description of a video that was never seen is not used, however good it reads."""
        server.script(answer(TEXT, tokens=tokens))

        result = make().ask(request_video)

        assert result.finish is Finish.UNSEEN
        assert result.tokens_video == 0
        assert result.problem == "the model was given 0 VIDEO tokens, so it never saw the video"

    def test_ignored_frame_rate_is_unseen(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """At 1 fps instead of 2 there are half the tokens."""
        server.script(answer(TEXT, tokens={"TEXT": 100, "VIDEO": 4 * 66}))

        result = make().ask(request_video)

        assert result.finish is Finish.UNSEEN
        assert result.problem is not None
        assert "264 VIDEO tokens where 4.00 s at 2 fps" in result.problem

    def test_frames_without_tokens_are_unseen(
        self, server: GeminiServer, make: Make, request_frames: Request
    ) -> None:
        """The same for images; they have no sound, so a price for sound leaves nothing open."""
        server.script(answer(TEXT, tokens={"TEXT": 60}))
        result = make().ask(request_frames)

        assert result.finish is Finish.UNSEEN
        assert result.problem == "the model was given 0 IMAGE tokens, so it never saw the frames"
        server.script(answer(TEXT, tokens=None, tokens_out=5))
        cost_usd = make().ask(request_frames).cost_usd
        assert cost_usd == pytest.approx((700 * 0.30 + 5 * 2.50) / 1e6, rel=1e-12)

    def test_unknown_model_is_only_checked_for_any_token(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """Tokens per frame of a new model are unknown, so nothing is expected of their sum."""
        server.script(answer(TEXT, tokens={"TEXT": 100, "VIDEO": 7}))

        assert make(model="gemini-9-flash").ask(request_video).finish is Finish.ANSWERED

    def test_server_without_details_is_noted(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """Without counts by modality the check is left out, and that is on record."""
        server.script(answer(TEXT, tokens=None))

        result = make().ask(request_video)

        assert (result.finish, result.tokens_video) == (Finish.ANSWERED, None)
        assert result.notes == (
            "the server gave no token counts by modality: seeing was not checked",
        )
        assert result.cost_usd is None  # audio has its own price, and its share is unknown


class TestTrouble:
    """What goes wrong beside the server."""

    def test_missing_video_is_an_input_error(
        self, server: GeminiServer, make: Make, request_video: Request, tmp_path: Path
    ) -> None:
        """Our own errors come through as they are, and nothing is sent."""
        with pytest.raises(InputError, match=r"there is no file .*gone.mp4"):
            make().ask(_about(request_video, path=str(tmp_path / "gone.mp4")))

        assert server.sent == []

    @pytest.mark.parametrize("kind", [InputError, ConfigError, PermanentError])
    def test_our_own_errors_are_not_taken_for_the_servers(self, kind: type[Exception]) -> None:
        """Some of them are ValueErrors, as what the SDK raises for a broken response is."""
        with pytest.raises(kind, match=r"^ours$"), explain_errors(timeout_seconds=1.0):
            raise kind("ours")

    def test_threads_count_their_own_requests(
        self, server: GeminiServer, make: Make, request_video: Request
    ) -> None:
        """Asking from several threads at once mixes nothing up."""
        client = make()
        server.hold_until_open = 4

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(client.ask, [request_video] * 4))

        assert [result.attempts for result in results] == [1, 1, 1, 1]


def test_fingerprint_follows_model_and_settings(make: Make) -> None:
    """Another model or another setting is another answer; server and patience are not."""
    cold = Sampling(temperature=0.0)
    first = make().fingerprint(cold)

    assert make(base_url=None, timeout_seconds=1.0, max_attempts=1).fingerprint(cold) == first
    other = make(model="gemini-3.8-flash").fingerprint(cold)
    changes = [{"media_resolution": "low"}, {"thinking_level": "low"}, {"max_output_tokens": 99}]
    settings = [replace(cold, **change) for change in changes]  # type: ignore[arg-type]
    assert len({first, other, *(make().fingerprint(each) for each in settings)}) == 5
