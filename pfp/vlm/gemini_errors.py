"""What went wrong between us and the Gemini API, told apart by whether trying again may help."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx
from google.genai import errors

from pfp.errors import PermanentError, PfpError, RetryableError, RowError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The SDK repeats a request for these and for connections that fail or time out, and for nothing
# else: a request that was refused stays refused.
RETRY_STATUS: Final = (408, 429, 500, 502, 503, 504)
KEY_STATUS: Final = (401, 403)
MAX_MESSAGE_LENGTH: Final = 300


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
        message = (
            f"Gemini did not answer within {timeout_seconds:g} s; raise the timeout or run again"
        )
        raise RetryableError(message) from error
    except httpx.TransportError as error:
        message = f"the connection to Gemini failed ({_short(error)}); run again"
        raise RetryableError(message) from error
    except (ValueError, KeyError) as error:
        # The SDK raises these for bodies that are not what the API promises, as proxies send them.
        message = f"Gemini's response cannot be read ({_short(error)}); run again"
        raise RetryableError(message) from error


def _row_error(error: errors.APIError) -> RowError:
    what = f"{error.code} {error.status or ''}".strip()
    said = _short(error.message or "no message")
    if error.code in RETRY_STATUS or error.code >= 500:
        return RetryableError(f"Gemini is busy or broken ({what}: {said}); run again later")
    if error.code in KEY_STATUS or "API_KEY_INVALID" in str(error.details):
        # Not the row's fault, and it is well again once the key is.
        return RetryableError(f"Gemini refused the key ({what}: {said}); check GEMINI_API_KEY")
    return PermanentError(f"Gemini refused the request ({what}: {said})")


def _short(value: object) -> str:
    text = " ".join(str(value).split()) or type(value).__name__
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}..."
