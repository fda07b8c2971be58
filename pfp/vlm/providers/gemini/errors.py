"""What went wrong between us and the Gemini API, told apart by whether trying again may help."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from google.genai import errors

from pfp.errors import PfpError, RowError
from pfp.vlm.providers.service_errors import (
    error_of_status,
    may_pass,
    no_answer_in_time,
    no_connection,
    short,
    unreadable_response,
)
from pfp.vlm.retry import TransientError
from pfp.vlm.server_hints import asked_wait_seconds, is_quota_used_up

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def explain_errors(*, timeout_seconds: float) -> Iterator[None]:
    """Turn what the SDK raises into an error of the row, within TransientError if it may pass."""
    try:
        yield
    except PfpError:
        raise
    except errors.APIError as error:
        raise _explained(error) from error
    except httpx.TimeoutException as error:
        raise TransientError(no_answer_in_time("Gemini", timeout_seconds)) from error
    except httpx.RequestError as error:
        raise TransientError(no_connection("Gemini", error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # The SDK raises these for bodies that are not what the API promises.
        raise unreadable_response("Gemini", error) from error


def _explained(error: errors.APIError) -> RowError | TransientError:
    is_used_up = is_quota_used_up(error.details)
    row_error = error_of_status(
        "Gemini",
        error.code,
        f"{error.code} {error.status or ''}".strip(),
        short(error.message or "no message"),
        key_cure="check GEMINI_API_KEY",
        is_key_refused="API_KEY_INVALID" in str(error.details),
        # A country or a project without billing: nothing that is wrong with the row.
        is_account_refused=error.status == "FAILED_PRECONDITION",
        is_used_up=is_used_up,
    )
    if not may_pass(error.code, is_used_up=is_used_up):
        return row_error
    headers = {} if error.response is None else error.response.headers
    return TransientError(row_error, after_seconds=asked_wait_seconds(headers, error.details))
