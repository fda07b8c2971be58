"""Texts from outside, made fit to be stored and shown: no secret in them, no control character."""

from __future__ import annotations

import os
import re
from typing import Final

from pfp.texts import shortened

REDACTED: Final = "[redacted]"
MIN_SECRET_CHARACTERS: Final = 6  # shorter ones stand in ordinary words, too

# Variables by which libraries that pfp uses are told keys.
SECRET_VARIABLES: Final = (
    *("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "RAY_AUTH_TOKEN"),
)
# Names of secrets in addresses, headers and settings, whole or after a hyphen or underscore.
_NAME: Final = (
    r"(?<![a-z0-9.])(?:api[-_]?key|(?:aws)?access[-_]?key(?:[-_]?id)?|secret(?:[-_]?key)?"
    r"|password|passwd|token|signature|credential)"
)
# What looks like a secret though nobody said which one it is. No repetition is repeated, so each
# takes time in proportion to the text.
_PATTERNS: Final = (
    # scheme://user:password@host, as in s3://KEY:SECRET@bucket; a secret may hold slashes.
    (
        r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@:]{1,256}:(?!\d{1,5}/)[^\s@\"'<>]{1,512}@",
        rf"\1{REDACTED}@",
    ),
    (r"([?&](?:key|sig)=)[^\s&\"'<>]+", rf"\1{REDACTED}"),
    (rf"({_NAME}=)[^\s&\"'<>,;)]+", rf"\1{REDACTED}"),
    (
        r"(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[^\s\"',;]+(?: [^\s\"',;]+)?",
        rf"\1{REDACTED}",
    ),
    # Another header or a JSON value: eight characters and more, not all of them letters.
    (
        rf"({_NAME}[\"']?\s{{0,3}}:\s{{0,3}}[\"']?)(?=[a-z]{{0,64}}[^a-z\s\"',;)])[^\s\"',;)]{{8,}}",
        rf"\1{REDACTED}",
    ),
    (r"\b(bearer\s{1,3})[\w.~+/=-]{8,}", rf"\1{REDACTED}"),
    # Keys of Google, OpenAI and others like it, AWS, Hugging Face, GitHub.
    (
        r"\b(?-i:AIza[\w-]{30,}|sk-[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|ya29\.[\w.-]{20,})",
        REDACTED,
    ),
    (r"\b(?-i:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,})", REDACTED),
    (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,40}-----)?",
        REDACTED,
    ),
)
_SHAPES: Final = tuple((re.compile(pattern, re.IGNORECASE), put) for pattern, put in _PATTERNS)
_told: set[str] = set()


def remember_secret(value: str) -> None:
    """Let ``redact`` know a key that this process uses, whatever it looks like."""
    if len(value) >= MIN_SECRET_CHARACTERS:
        _told.add(value)


def redact(text: str) -> str:
    """The text with ``[redacted]`` for each secret: keys that this process uses, and what looks so.

    Servers and proxies echo requests in their errors, and URIs hold credentials. Everything that
    is stored about a row or printed goes through here; time grows with the length of the text.
    """
    known = _told.union(filter(None, (os.environ.get(name) for name in SECRET_VARIABLES)))
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= MIN_SECRET_CHARACTERS:
            text = text.replace(secret, REDACTED)
    for pattern, put in _SHAPES:
        text = pattern.sub(put, text)
    return text


def safe_message(text: str) -> str:
    """A text from outside as a message can quote it: without secrets, short, of valid code points.

    Shortened last: half a secret would not be known for one.
    """
    return shortened(redact(text))


def printable(text: str) -> str:
    r"""The text with a visible escape for each character that a terminal would obey or hide.

    Escape sequences in a file's name or a caption could move the cursor, change the window's title
    or show other words than are there. Newlines and tabs stay; a lone surrogate becomes ``\udcff``.
    """
    return _UNPRINTABLE.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    if character.isascii():
        return f"\\x{ord(character):02x}"
    return character.encode("ascii", "backslashreplace").decode()


# C0 but for tab and newline, DEL, C1, marks that turn the direction of writing, lone surrogates.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
