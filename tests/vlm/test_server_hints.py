"""How long a server asks to wait, in all the ways of saying it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from pfp.vlm.server_hints import asked_wait_seconds, is_quota_used_up

RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def _google(**detail: Any) -> dict[str, Any]:
    return {"error": {"code": 429, "details": [{"@type": RETRY_INFO, **detail}]}}


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, None, None),
        ({"retry-after": "25"}, None, 25.0),
        ({"retry-after": " 2.5 "}, None, 2.5),
        ({"retry-after": "0"}, None, None),
        ({"retry-after": "-5"}, None, None),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({"retry-after": "1e999"}, None, None),
        ({"retry-after": "9" * 5000}, None, None),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None, None),
        ({"retry-after": "Fri, 99 Dec 1999 23:59:59 GMT"}, None, None),
        ({"retry-after-ms": "1500", "retry-after": "1"}, None, 1.5),
        ({}, _google(retryDelay="25s"), 25.0),
        ({}, _google(retryDelay="25.250000000s"), 25.25),
        ({}, _google(retryDelay={"seconds": 25, "nanos": 500_000_000}), 25.5),
        ({}, _google(retryDelay={"seconds": "25"}), 25.0),
        ({}, _google(retryDelay=25), 25.0),
        ({}, _google(retryDelay="0s"), None),
        ({}, _google(retryDelay="-3s"), None),
        ({}, _google(retryDelay="a while"), None),
        ({}, _google(retryDelay={"seconds": None}), None),
        ({}, _google(retryDelay=float("inf")), None),
        ({}, [_google(retryDelay="25s")], 25.0),
        ({"retry-after": "3"}, _google(retryDelay="25s"), 25.0),
        ({}, {"error": {"details": "25s"}}, None),
        ({}, {"error": {"details": ["25s", None]}}, None),
        ({}, {"error": "retry in 25s"}, None),
        ({}, "25s", None),
    ],
)
def test_pause_is_read_from_headers_and_details(
    headers: dict[str, str], body: object, expected: float | None
) -> None:
    """The longest of what is said; nonsense says nothing."""
    assert asked_wait_seconds(headers, body) == expected


def test_pause_until_a_date_is_what_lies_before_it() -> None:
    """The header's second form."""
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    told = asked_wait_seconds({"retry-after": until}, None)

    assert told is not None
    assert 25 < told <= 30


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "Resource has been exhausted (e.g. check quota)."}, False),
        ({"message": "Rate limit reached on tokens per min (TPM): Limit 10000"}, False),
        ({"message": "slow down, I said this per day"}, True),
        ({"message": "Rate limit reached on requests per day (RPD): Limit 200"}, True),
        ({"message": "You have reached your monthly limit"}, True),
        ({"message": "Quota exceeded, limit: 0, model: gemini-x"}, True),
        ({"code": "insufficient_quota", "message": "You exceeded your current quota"}, True),
        ({"type": "insufficient_quota", "code": None, "message": "You exceeded"}, True),
        (
            {"details": [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}]},
            False,
        ),
        (
            {"details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject-Free"}]}]},
            True,
        ),
        ({"details": [{"violations": [{"quotaMetric": "x/requests_per_day"}]}]}, True),
        ({"details": [{"violations": [{"quotaId": "PerMinute", "quotaValue": "0"}]}]}, True),
        ({"details": [{"metadata": {"quota_limit": "RequestsPerDayPerProject"}}]}, True),
        ({"details": [{"metadata": {"quota_limit_value": "0"}}]}, True),
        ({"details": [{"metadata": 3}, {"violations": [3]}]}, False),
        ({"message": None}, False),
        ({"code": ["unhashable"]}, False),
    ],
)
def test_quota_of_a_day_is_told_from_that_of_a_minute(
    error: dict[str, Any], *, expected: bool
) -> None:
    """By the quota's name, the words of the message, or OpenAI's code."""
    assert is_quota_used_up({"error": error}) is expected
