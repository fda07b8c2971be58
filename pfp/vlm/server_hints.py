"""How long a busy server asks to be left alone, and whether waiting can help at all.

It says so in a header (``Retry-After`` in seconds or as a date, RFC 9110 section 10.2.3;
``retry-after-ms``, as OpenAI's and Azure's servers write it), or, as Google's do, in the error's
details (``RetryInfo`` and ``QuotaFailure`` of google/rpc/error_details.proto).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

_DURATION: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)s\s*")  # protobuf's JSON form
_NUMBER: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*")
# A limit of a day (or a month) in a quota's name or in the words of the message.
_LONG_QUOTA: Final = re.compile(
    r"per[_ -]?(day|month)\b|per(day|month)(?=[A-Z_-]|$)|\b(daily|monthly) (quota|limit)"
    r"|\((rpd|tpd)\)|\blimit: 0\b",
    re.IGNORECASE,
)
# OpenAI's words for an account that has no more money.
_SPENT_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_MAX_DETAILS: Final = 100  # of an error that are looked at


def asked_wait_seconds(headers: Mapping[str, str], body: object) -> float | None:
    """How long the server asks to wait, in seconds above 0; None where it does not say.

    ``body`` is the response's JSON. The longest of what it says counts.
    """
    told = [
        _milliseconds(headers.get("retry-after-ms")),
        _retry_after(headers.get("retry-after")),
        *(_duration(detail.get("retryDelay")) for detail in _details(body)),
    ]
    return max((seconds for seconds in told if seconds is not None and seconds > 0), default=None)


def is_quota_used_up(body: object) -> bool:
    """Whether an error is about a quota of a day or more, or one of nothing, or money.

    Such errors may come with a ``retryDelay`` of seconds, after which the same is said again.
    """
    error = _error(body)
    if {str(error.get("code")), str(error.get("type"))} & _SPENT_CODES:
        return True
    said = [str(error.get("message"))[:2000]]
    for detail in _details(body):
        for violation in _objects(detail.get("violations")):
            said += [str(violation.get("quotaId")), str(violation.get("quotaMetric"))]
            if str(violation.get("quotaValue")) == "0":
                return True
        metadata = detail.get("metadata")
        if isinstance(metadata, Mapping):
            said.append(str(metadata.get("quota_limit")))
            if str(metadata.get("quota_limit_value")) == "0":
                return True
    return any(_LONG_QUOTA.search(words) for words in said)


def _milliseconds(value: str | None) -> float | None:
    match = None if value is None else _NUMBER.fullmatch(value)
    return None if match is None else float(match[1]) / 1000


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    if match := _NUMBER.fullmatch(value):
        return float(match[1])
    try:
        until = parsedate_to_datetime(value[:100])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return (until - datetime.now(UTC)).total_seconds()


def _duration(value: object) -> float | None:
    """The seconds of a ``google.protobuf.Duration``: ``"25s"``, or its two fields."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        return None if match is None else float(match[1])
    if isinstance(value, Mapping):
        parts = [value.get("seconds", 0), value.get("nanos", 0)]
        if all(_NUMBER.fullmatch(str(part)) for part in parts):
            return float(parts[0]) + float(parts[1]) * 1e-9
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _details(body: object) -> Iterator[Mapping[str, Any]]:
    return _objects(_error(body).get("details"))


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value[:_MAX_DETAILS] if isinstance(item, Mapping))


def _error(body: object) -> Mapping[str, Any]:
    """The error's object; Google's OpenAI-compatible servers send it in a list of one."""
    if isinstance(body, list) and len(body) == 1:
        (body,) = body
    if not isinstance(body, Mapping):
        return {}
    error = body.get("error", body)
    return error if isinstance(error, Mapping) else {}
