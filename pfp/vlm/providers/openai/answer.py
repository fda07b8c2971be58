"""From a chat completion, or an error in its place, to an ``Answer``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from pfp.vlm.answer import Answer, Finish
from pfp.vlm.prices import cost_usd
from pfp.vlm.providers.service_errors import REFUSED_STATUS, error_of_status, may_pass, short
from pfp.vlm.retry import TransientError
from pfp.vlm.server_hints import asked_wait_seconds, is_quota_used_up

_FINISHES: Final = {
    "stop": Finish.ANSWERED,
    "length": Finish.TRUNCATED,
    "content_filter": Finish.BLOCKED,
}
_PROBLEMS: Final = {
    Finish.TRUNCATED: "the answer was cut off by the output limit ({})",
    Finish.BLOCKED: "the server refused to answer ({})",
    Finish.UNFINISHED: "the server stopped early ({}); run again",
}
MAX_STATUS: Final = 600
# Error codes by which servers say that they refuse the content, not the form, of a request.
_BLOCKED_CODES: Final = frozenset({"content_filter", "content_policy_violation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every answer says of its request: the model and the settings."""

    model: str
    sampling: str


def read_body(response: httpx.Response) -> Any:
    """A response's JSON, None for what is none, such as a proxy's page."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def status_of(response: httpx.Response, body: Any) -> int:
    """The response's status, or that of an error which a router sends with status 200."""
    if response.is_success and isinstance(body, dict) and "choices" not in body:
        error = body.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int) and REFUSED_STATUS <= code < MAX_STATUS:
            return code
    return response.status_code


def read_completion(body: Any, asked: Asked) -> Answer:
    """The answer in a response's JSON, at today's price where one is known.

    Raises ValueError, KeyError, TypeError, IndexError or AttributeError for JSON of another form.
    """
    choice = body["choices"][0]
    message = choice["message"]
    reason = choice.get("finish_reason")
    refusal = message.get("refusal")
    finish = Finish.BLOCKED if refusal else _FINISHES.get(reason, Finish.UNFINISHED)
    text = _text(message.get("content"))
    problem = _PROBLEMS.get(finish)
    if finish is Finish.ANSWERED and not (text or "").strip():
        finish, problem = Finish.UNFINISHED, "the server ended with no text ({}); run again"
    return Answer(
        backend="openai",
        model=asked.model,
        model_version=body.get("model"),
        finish=finish,
        finish_reason=reason,
        problem=None if problem is None else problem.format(short(refusal or reason)),
        raw_text=text,
        sampling=asked.sampling,
        **_usage(body.get("usage") or {}, asked.model),
    )


def _text(content: Any) -> str | None:
    """The words of a message: text, or the text parts of a list, as some servers send them."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else None


def read_error(
    response: httpx.Response,
    body: Any,
    status: int,
    asked: Asked,
    *,
    service: str,
    key_variable: str | None,
) -> Answer:
    """A blocked answer where the error says that the content was refused.

    ``body`` and ``status`` are what ``read_body`` and ``status_of`` say of the response. Raises
    what any other error stands for, within TransientError if it may pass.
    """
    said, code = _message(response, body)
    what = f"{status} {httpx.codes.get_reason_phrase(status)}".strip()
    if code in _BLOCKED_CODES:
        return Answer(
            backend="openai",
            model=asked.model,
            finish=Finish.BLOCKED,
            finish_reason=code,
            problem=f"the server refused to answer ({said})",
            sampling=asked.sampling,
        )
    cure = (
        f"check {key_variable}"
        if key_variable
        else "name the variable that holds its key (key_variable)"
    )
    is_used_up = is_quota_used_up(body)
    error = error_of_status(service, status, what, said, key_cure=cure, is_used_up=is_used_up)
    if may_pass(status, is_used_up=is_used_up):
        raise TransientError(error, after_seconds=asked_wait_seconds(response.headers, body))
    raise error


def _message(response: httpx.Response, body: Any) -> tuple[str, str | None]:
    """What the server says, and its code for it: one of several forms in use."""
    if body is None:
        return short(response.text), None
    if isinstance(body, list) and len(body) == 1:
        (body,) = body  # as Google's OpenAI-compatible servers send it
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return short(error), None
    code = error.get("code")
    said = error.get("message") or error.get("detail") or "no message"
    return short(said), code if isinstance(code, str) else None


def _usage(usage: dict[str, Any], model: str) -> dict[str, Any]:
    tokens_in, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    details = usage.get("completion_tokens_details") or {}
    thought = details.get("reasoning_tokens")
    tokens_out = None if written is None else written - (thought or 0)
    return {
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "tokens_thought": thought,
        "cost_usd": cost_usd(
            model,
            tokens_in=tokens_in,
            tokens_audio=0,
            tokens_out=tokens_out,
            tokens_thought=thought,
            on=datetime.now(UTC).date(),
        ),
    }
