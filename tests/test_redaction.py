"""What is stored and shown holds no secret and nothing that a terminal obeys."""

from __future__ import annotations

import pytest

from pfp.limits import MAX_MESSAGE_LENGTH
from pfp.redaction import printable, redact, remember_secret
from pfp.schema import failed_verdict
from pfp.schema.verdict import Dropped, Failed, verdict_to_struct
from pfp.vlm import Answer

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/x.mp4 fails",
            "s3://[redacted]@bucket/x.mp4 fails",
        ),
        ("https://u:hunter22@proxy:8080/v1 answered", "https://[redacted]@proxy:8080/v1 answered"),
        ("GET /v1/models?key=abc123&alt=json", "GET /v1/models?key=[redacted]&alt=json"),
        (
            "X-Amz-Signature=deadbeef&X-Amz-Date=20261130",
            "X-Amz-Signature=[redacted]&X-Amz-Date=20261130",
        ),
        ("{'Authorization': 'Bearer abcdefgh'}", "{'Authorization': '[redacted]'}"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: [redacted]"),
        ('{"api_key": "qwert-12345"}', '{"api_key": "[redacted]"}'),
        ("x-goog-api-key: AIzaSyA-1234567890123456789012345678901", "x-goog-api-key: [redacted]"),
        (
            "Incorrect API key provided: sk-proj-abcdefghij0123456789.",
            "Incorrect API key provided: [redacted].",
        ),
        ("password=hunter2 was refused", "password=[redacted] was refused"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[redacted]"),
    ],
)
def test_what_looks_like_a_secret_is_redacted(said: str, shown: str) -> None:
    """Credentials in addresses, queries, headers, JSON and the known forms of keys do not show."""
    assert shown == redact(said)


@pytest.mark.parametrize(
    "said",
    [
        "--set 'fps' has no value; write key=value",
        "keyframe at 3.0 s: no second one follows",
        "check GEMINI_API_KEY",
        "the token: none found",
        "http://127.0.0.1:8000/v1/people@home.mp4 is no video",
        "gs://anonymous@bucket/x.mp4",
        "basic information about a secret garden",
        "the password is told by whispering",
    ],
)
def test_ordinary_words_stay(said: str) -> None:
    """Messages that merely speak of keys are left as they are."""
    assert said == redact(said)


def test_a_key_that_this_process_uses_is_redacted_whatever_it_looks_like(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy may echo a key of any form: those of the environment, and those that were told."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "plain-words-here")
    remember_secret("of my own server")

    found = redact("you sent plain-words-here and of my own server")

    assert found == "you sent [redacted] and [redacted]"


def test_verdicts_are_stored_without_secrets() -> None:
    """Every message about a row passes here on its way to the disk."""
    failed = Failed(error="RetryableError", message=f"s3://KEY:{SECRET}@b/x")
    dropped = Dropped(reason="other", detail=f"s3://KEY:{SECRET}@b/x")

    stored = [verdict_to_struct(failed)["message"], verdict_to_struct(dropped)["detail"]]

    assert stored == ["s3://[redacted]@b/x"] * 2


@pytest.mark.parametrize(
    "hostile",
    [
        *("a-", "key", "://a:", "bearer ", "x.y-", "token:", "a://", "AIza", "?key=", "secret="),
        *("-----BEGIN PRIVATE KEY-----", "token: bearer ", "authorization: "),
    ],
)
def test_time_grows_with_the_length_of_the_text(hostile: str) -> None:
    """A text of 300,000 characters that begins a secret again and again is done at once."""
    text = hostile * (300_000 // len(hostile))

    assert redact(text)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b]0;owned\x07.mp4", r"\x1b]0;owned\x07.mp4"),
        ("\u009b31m.mp4", r"\x9b31m.mp4"),
        ("evil\u202e4pm.exe", r"evil\u202e4pm.exe"),
        ("half \ud83d", r"half \ud83d"),
        ("a line\r over another", r"a line\x0d over another"),
        (
            "Z\xfcrich \u6771\u4eac\tnext\nline \U0001f3ac",
            "Z\xfcrich \u6771\u4eac\tnext\nline \U0001f3ac",
        ),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(name: str, shown: str) -> None:
    """Terminal escapes, marks of direction and lone surrogates become visible; letters stay."""
    assert shown == printable(name)


@pytest.mark.parametrize("position", range(1400, 2020, 20))
def test_a_long_message_shows_no_half_of_a_secret(position: int) -> None:
    """Wherever in the message the secret is: cut in two, neither part would look like one."""
    remember_secret("a-key-which-nothing-tells-by-its-looks")
    said = "x" * position + " a-key-which-nothing-tells-by-its-looks " + "y" * 3000
    stored = verdict_to_struct(failed_verdict(OSError(said)))["message"]
    dropped = verdict_to_struct(Dropped(reason="r", detail=said, score=None, threshold=None))
    answer = Answer(backend="b", model=None, problem=said, notes=(said,))

    for text in (stored, dropped["detail"], answer.problem, answer.notes[0]):
        assert isinstance(text, str)
        assert len(text) <= MAX_MESSAGE_LENGTH
        assert not any(part in text for part in ("a-key", "which-noth", "tells-by", "looks"))
