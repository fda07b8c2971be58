"""What Gemini is asked again for, how long it waits first, and what it leaves for good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.genai import types

from pfp.errors import PermanentError, RetryableError
from pfp.vlm import Client, Finish, Request, load_client
from pfp.vlm.providers.gemini.provider import INLINE_LIMIT_BYTES
from tests.vlm.gemini_server import GeminiServer, Reply, answer, error

TEXT = '{"shots": [{"index": 1, "caption": "Red."}, {"index": 2, "caption": "Blue."}]}'
TOKENS = {"TEXT": 100, "VIDEO": 8 * 66, "AUDIO": 128}
GOOD = answer(TEXT, tokens=TOKENS)
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "25s"}
OF_THE_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}


@dataclass
class Trial:
    """A server, a client that asks it up to three times, and the pauses that it took."""

    server: GeminiServer
    client: Client
    request: Request
    pauses: list[float] = field(default_factory=list)

    def ask(self, *replies: Reply) -> Any:
        """The answer to one request that is answered so."""
        self.server.script(*replies)
        return self.client.ask(self.request)

    def outcome(self, *replies: Reply) -> tuple[str, int]:
        """How a request that is answered so ends, and how often it is sent."""
        try:
            said = self.ask(*replies).finish.value
        except (RetryableError, PermanentError) as raised:
            said = type(raised).__name__
        return said, len(self.server.requests)


@pytest.fixture
def trial(
    monkeypatch: pytest.MonkeyPatch, request_video: Request, request: pytest.FixtureRequest
) -> Iterator[Trial]:
    """Pauses are taken down, not slept. The parameter is the size above which is uploaded."""
    monkeypatch.setenv("GEMINI_API_KEY", "key-for-tests-0123456789")
    with GeminiServer() as server:
        client = load_client(
            "gemini:gemini-2.5-flash",
            base_url=server.base_url,
            timeout_seconds=120.0,
            max_attempts=3,
            retry_seconds=1.0,
            poll_seconds=0.01,
            inline_limit_bytes=getattr(request, "param", INLINE_LIMIT_BYTES),
        )
        made = Trial(server, client, request_video)
        real = time.sleep

        def sleep(seconds: float) -> None:
            if seconds >= 0.5:  # shorter ones are the server's own
                made.pauses.append(seconds)
            else:
                real(seconds)

        monkeypatch.setattr(time, "sleep", sleep)
        yield made
        client.close()


class TestPauses:
    """How long it waits."""

    @pytest.mark.parametrize(
        ("busy", "expected"),
        [
            (error(429, "RESOURCE_EXHAUSTED", "slow", details=[RETRY_INFO]), 25.0),
            (error(503, "UNAVAILABLE", "slow", details=[RETRY_INFO]), 25.0),
            (Reply(status=429, body={}, headers={"Retry-After": "7"}), 7.0),
            (Reply(status=429, body=b"<html>slow</html>", headers={"Retry-After": "7"}), 7.0),
            (Reply(status=503, body=None, headers={"Retry-After": "7000"}), 60.0),
        ],
    )
    def test_pause_is_as_long_as_the_server_says(
        self, trial: Trial, busy: Reply, expected: float
    ) -> None:
        """By RetryInfo or by the header, and never more than a minute."""
        assert trial.ask(busy, GOOD).finish is Finish.ANSWERED
        assert trial.pauses == [expected]

    def test_quota_of_the_day_is_not_waited_for(self, trial: Trial) -> None:
        """Whatever delay the server names beside it; the row is left for a later run."""
        used_up = error(429, "RESOURCE_EXHAUSTED", "quota", details=[OF_THE_DAY, RETRY_INFO])

        with pytest.raises(RetryableError, match=r"quota is used up .*; raise it, or run again"):
            trial.ask(used_up)

        assert (len(trial.server.requests), trial.pauses) == (1, [])

    @pytest.mark.parametrize("trial", [100], indirect=True)
    def test_upload_is_repeated_too(self, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
        """A busy server costs a pause there as well, and the whole file is sent again."""
        real, starts = trial.server._start, []

        def start(sent: Any) -> Any:
            starts.append(sent)
            return (error(503, "UNAVAILABLE", "slow"), {}) if len(starts) == 1 else real(sent)

        monkeypatch.setattr(trial.server, "_start", start)

        assert trial.ask(GOOD).finish is Finish.ANSWERED
        assert (len(starts), len(trial.pauses)) == (2, 1)


class TestEmpty:
    """Answers with no text."""

    @pytest.mark.parametrize(
        "empty",
        [
            answer(None, tokens=TOKENS),
            answer(None, tokens=TOKENS, thought="Let me see."),
            answer(None, finish="OTHER", tokens=TOKENS),
            answer(None, finish="MALFORMED_RESPONSE", tokens=TOKENS),
            Reply(body={"candidates": [{"finishReason": "STOP"}]}),
            Reply(body={"candidates": []}),
            Reply(body={}),
        ],
    )
    def test_answer_with_no_text_is_asked_for_again(self, trial: Trial, empty: Reply) -> None:
        """Within the call, and the next one is used."""
        said = trial.ask(empty, GOOD)

        assert (said.finish, said.raw_text, said.attempts) == (Finish.ANSWERED, TEXT, 2)

    def test_answer_that_saw_nothing_is_not_asked_for_again(self, trial: Trial) -> None:
        """The same server would show the model nothing again."""
        unseen = answer("", tokens={"TEXT": 100})

        assert trial.outcome(unseen) == ("unseen", 1)


# How a response with text in it ends by its reason, and after how many requests. Every reason of
# the SDK is in one of these.
REASONS = {
    ("answered", 1): ["STOP"],
    ("truncated", 1): ["MAX_TOKENS", "CONTINUATION"],
    ("blocked", 1): [
        *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        *("ESCALATION", "MODEL_ARMOR"),
        *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
    ],
    ("unfinished", 1): [
        *("FINISH_REASON_UNSPECIFIED", "OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL"),
        *("UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
        *("IMAGE_OTHER", "NO_IMAGE"),
    ],
    ("AccountError", 1): ["PUP_LIMITED_DISABLED"],  # the account, not the row
}


def test_every_reason_is_in_the_table() -> None:
    """A reason that a newer SDK adds has to be thought about."""
    told = [reason for reasons in REASONS.values() for reason in reasons]

    assert sorted(told) == sorted(reason.name for reason in types.FinishReason)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(reason, ends) for ends, reasons in REASONS.items() for reason in reasons],
)
def test_reason_decides_how_an_answer_ends(
    trial: Trial, reason: str, expected: tuple[str, int]
) -> None:
    """Blocked and truncated are for good, unfinished may be tried by a later run."""
    assert trial.outcome(answer(TEXT, finish=reason, tokens=TOKENS)) == expected


@pytest.mark.parametrize("block", [reason.name for reason in types.BlockedReason])
@pytest.mark.parametrize("candidates", [{}, {"candidates": [{"finishReason": "STOP"}]}])
def test_refused_prompt_is_blocked(trial: Trial, block: str, candidates: Any) -> None:
    """With candidates or without; a reason that is none may pass."""
    is_none = block == "BLOCKED_REASON_UNSPECIFIED"
    expected = (Finish.UNFINISHED, 3) if is_none else (Finish.BLOCKED, 1)

    said = trial.ask(Reply(body={**candidates, "promptFeedback": {"blockReason": block}}))

    assert (said.finish, len(trial.server.requests)) == expected
    assert is_none or said.finish_reason == block


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error(400, "FAILED_PRECONDITION", "no billing"), ("AccountError", 1)),
        (Reply(hangs_up=True, body={"candidates": []}), ("RetryableError", 3)),
        (Reply(body=b""), ("unfinished", 3)),
        (Reply(body=[]), ("unfinished", 3)),
        (Reply(body="text"), ("unfinished", 3)),
        (Reply(body=None), ("unfinished", 3)),
        (Reply(body={"candidates": "none"}), ("unfinished", 3)),
        (Reply(status=500, body="text"), ("RetryableError", 3)),
        (Reply(status=500, body=[]), ("RetryableError", 3)),
        (Reply(status=503, body={"error": None}), ("RetryableError", 3)),
        (Reply(status=304, body=b""), ("RetryableError", 1)),
        (answer("", finish="MAX_TOKENS", tokens=TOKENS), ("truncated", 1)),
    ],
)
def test_trouble_is_told_apart(trial: Trial, reply: Reply, expected: tuple[str, int]) -> None:
    """What this API alone answers, beside what the contract suite asks of every server."""
    assert trial.outcome(reply) == expected


def test_connection_that_breaks_once_is_made_again(trial: Trial) -> None:
    """Half an answer is none."""
    broken = Reply(hangs_up=True, body=GOOD.body)

    assert trial.outcome(broken, GOOD) == ("answered", 2)
