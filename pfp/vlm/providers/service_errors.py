"""Which answers of a model's server mean that trying again may help, whoever's server it is."""

from __future__ import annotations

from typing import Final

from pfp.errors import AccountError, PermanentError, RetryableError, RowError
from pfp.redaction import redact

# A request is repeated for these and for connections that fail or time out, and for nothing else:
# a request that was refused stays refused. From 520 on they are those of proxies.
RETRY_STATUS: Final = (408, 429, 500, 502, 503, 504, *range(520, 530))
KEY_STATUS: Final = (401, 403)
ACCOUNT_STATUS: Final = (402, 407)  # payment required, proxy authentication required
REFUSED_STATUS: Final = 400  # from here on a request was refused; below it somebody else answered
QUOTA_STATUS: Final = (402, 403, 429)
MAX_MESSAGE_LENGTH: Final = 300


def may_pass(status: int, *, is_used_up: bool) -> bool:
    """Whether what a status stands for may pass within seconds, so that it is worth asking again.

    With ``is_used_up`` it is about a quota that no wait within a run fills again.
    """
    return status in RETRY_STATUS and not is_used_up


def error_of_status(
    service: str,
    status: int,
    what: str,
    said: str,
    *,
    key_cure: str,
    is_key_refused: bool = False,
    is_account_refused: bool = False,
    is_used_up: bool = False,
) -> RowError:
    """The error that a status stands for.

    ``what`` is the status as the server names it, ``said`` its message, ``key_cure`` what to look
    at when the key was refused. With ``is_used_up`` it is about a quota that no wait within a run
    fills again.
    """
    if is_used_up and status in QUOTA_STATUS:
        return AccountError(
            f"{service}'s quota is used up ({what}: {said}); raise it, or run again when it is full"
        )
    if status in RETRY_STATUS or status >= 500:
        return RetryableError(f"{service} is busy or broken ({what}: {said}); run again later")
    if status < REFUSED_STATUS:
        return unreadable_response(service, f"{what}: {said}")
    if status in KEY_STATUS or is_key_refused:
        # Not the row's fault, and it is well again once the key is.
        return AccountError(f"{service} refused the key ({what}: {said}); {key_cure}")
    if status in ACCOUNT_STATUS or is_account_refused:
        return AccountError(
            f"{service} refused the account ({what}: {said}); mend its settings, then run again"
        )
    return PermanentError(f"{service} refused the request ({what}: {said})")


def no_answer_in_time(service: str, timeout_seconds: float) -> RetryableError:
    """The error of a server that was silent for too long."""
    return RetryableError(
        f"{service} did not answer within {timeout_seconds:g} s; raise the timeout or run again"
    )


def no_connection(service: str, error: Exception) -> RetryableError:
    """The error of a connection that failed."""
    return RetryableError(f"the connection to {service} failed ({short(error)}); run again")


def unreadable_response(service: str, error: object) -> RetryableError:
    """The error of a response that is not what the protocol promises, as proxies send them."""
    return RetryableError(f"{service}'s response cannot be read ({short(error)}); run again")


def short(value: object) -> str:
    """A message on one line, at most 300 characters of it, without secrets that it echoes."""
    text = redact(" ".join(str(value).split())) or type(value).__name__
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}..."
