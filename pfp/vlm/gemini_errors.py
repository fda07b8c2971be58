"""What went wrong between us and the Gemini API, told apart by whether trying again may help."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from google.genai import errors

from pfp.errors import PfpError, RowError
from pfp.vlm.service_errors import (
    error_of_status,
    no_answer_in_time,
    no_connection,
    short,
    unreadable_response,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def explain_errors(*, timeout_seconds: float) -> Iterator[None]:
    """Turn what the SDK raises into RetryableError or PermanentError."""
    try:
        yield
    except PfpError:
        raise
    except errors.APIError as error:
        raise _row_error(error) from error
    except httpx.TimeoutException as error:
        raise no_answer_in_time("Gemini", timeout_seconds) from error
    except httpx.TransportError as error:
        raise no_connection("Gemini", error) from error
    except (ValueError, KeyError) as error:
        # The SDK raises these for bodies that are not what the API promises.
        raise unreadable_response("Gemini", error) from error


def _row_error(error: errors.APIError) -> RowError:
    return error_of_status(
        "Gemini",
        error.code,
        f"{error.code} {error.status or ''}".strip(),
        short(error.message or "no message"),
        key_cure="check GEMINI_API_KEY",
        is_key_refused="API_KEY_INVALID" in str(error.details),
    )
