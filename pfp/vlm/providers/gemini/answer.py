"""From the Gemini API's response to an ``Answer``: why it ended, what it cost, what it saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from google.genai import types

from pfp.errors import AccountError
from pfp.vlm.answer import Answer, Finish
from pfp.vlm.prices import cost_usd
from pfp.vlm.providers.gemini.tokens import tokens_per_frame, video_token_problem
from pfp.vlm.request import Request, VideoSpan

if TYPE_CHECKING:
    from datetime import date

Reason = types.FinishReason

# Compared as enum members: their str() is "FinishReason.SAFETY", which no comparison with "SAFETY"
# would ever match.
TRUNCATED: Final = frozenset({Reason.MAX_TOKENS, Reason.CONTINUATION})
BLOCKED: Final = frozenset(
    {
        *(Reason.SAFETY, Reason.PROHIBITED_CONTENT, Reason.BLOCKLIST, Reason.SPII),
        *(Reason.RECITATION, Reason.LANGUAGE, Reason.ESCALATION, Reason.MODEL_ARMOR),
        *(Reason.IMAGE_SAFETY, Reason.IMAGE_PROHIBITED_CONTENT, Reason.IMAGE_RECITATION),
    }
)
UNCHECKED: Final = "the server gave no token counts by modality: seeing was not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one response; None where the server does not tell."""

    tokens_in: int | None = None
    tokens_video: int | None = None
    tokens_image: int | None = None
    tokens_audio: int | None = None
    tokens_out: int | None = None
    tokens_thought: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Whether it is known that the model looked, and what says that it did not."""

    is_known: bool
    problem: str | None


def read_response(
    response: types.GenerateContentResponse,
    request: Request,
    *,
    model: str,
    sampling: str,
    on: date,
) -> Answer:
    """The answer in a response, priced as of a day. ``sampling`` is JSON of how it was asked."""
    usage = _usage(response.usage_metadata)
    if isinstance(request.media, VideoSpan):
        seen = _seen_video(usage, request, request.media, model)
    else:
        if usage.tokens_audio is None:
            usage = replace(usage, tokens_audio=0)  # images have no sound, whether told so or not
        none = "the model was given 0 IMAGE tokens, so it never saw the frames"
        num_tokens = usage.tokens_image
        seen = _Seen(is_known=num_tokens is not None, problem=none if num_tokens == 0 else None)
    return _answer(response, usage, seen, model=model, sampling=sampling, on=on)


def _answer(
    response: types.GenerateContentResponse,
    usage: Usage,
    seen: _Seen,
    *,
    model: str,
    sampling: str,
    on: date,
) -> Answer:
    finish, reason, problem = _finish(response)
    text = _text(response)
    notes: tuple[str, ...] = ()
    if finish in {Finish.ANSWERED, Finish.TRUNCATED}:
        if not seen.is_known:
            notes = (UNCHECKED,)
        elif seen.problem is not None:
            finish, problem = Finish.UNSEEN, seen.problem
    if finish is Finish.ANSWERED and not (text or "").strip():
        finish, problem = Finish.UNFINISHED, f"Gemini ended with no text ({reason}); run again"
    return Answer(
        backend="gemini",
        model=model,
        model_version=response.model_version,
        finish=finish,
        finish_reason=reason,
        problem=problem,
        raw_text=text,
        tokens_in=usage.tokens_in,
        tokens_video=usage.tokens_video,
        tokens_audio=usage.tokens_audio,
        tokens_out=usage.tokens_out,
        tokens_thought=usage.tokens_thought,
        cost_usd=cost_usd(
            model,
            tokens_in=usage.tokens_in,
            tokens_audio=usage.tokens_audio,
            tokens_out=usage.tokens_out,
            tokens_thought=usage.tokens_thought,
            on=on,
        ),
        sampling=sampling,
        notes=notes,
    )


def _finish(response: types.GenerateContentResponse) -> tuple[Finish, str | None, str | None]:
    """How the response ended: our word, the server's word, and a sentence when it went wrong.

    Raises AccountError where it is the account that was refused.
    """
    block = None if response.prompt_feedback is None else response.prompt_feedback.block_reason
    if block is not None and block != types.BlockedReason.BLOCKED_REASON_UNSPECIFIED:
        why = str(block.value)
        return Finish.BLOCKED, why, f"Gemini refused the video or the prompt ({why})"
    if not response.candidates:
        return Finish.UNFINISHED, None, "Gemini sent no answer and no reason; run again"
    reason = response.candidates[0].finish_reason
    word = None if reason is None else str(reason.value)
    if reason == Reason.STOP:
        return Finish.ANSWERED, word, None
    if reason in TRUNCATED:
        return Finish.TRUNCATED, word, f"the answer was cut off by the output limit ({word})"
    if reason in BLOCKED:
        return Finish.BLOCKED, word, f"Gemini refused to answer ({word})"
    if reason == Reason.PUP_LIMITED_DISABLED:
        raise AccountError(f"Gemini has limited the account ({word}); look at it, then run again")
    return Finish.UNFINISHED, word, f"Gemini stopped early ({word or 'no reason given'}); run again"


def _usage(metadata: types.GenerateContentResponseUsageMetadata | None) -> Usage:
    if metadata is None:
        return Usage()
    video = image = audio = None
    if metadata.prompt_tokens_details is not None:
        counts = {
            detail.modality: detail.token_count or 0 for detail in metadata.prompt_tokens_details
        }
        # Once the server lists modalities, one that is not in the list was not there.
        video = counts.get(types.MediaModality.VIDEO, 0)
        image = counts.get(types.MediaModality.IMAGE, 0)
        audio = counts.get(types.MediaModality.AUDIO, 0)
    return Usage(
        tokens_in=metadata.prompt_token_count,
        tokens_video=video,
        tokens_image=image,
        tokens_audio=audio,
        tokens_out=metadata.candidates_token_count,
        tokens_thought=metadata.thoughts_token_count,
    )


def _seen_video(usage: Usage, request: Request, video: VideoSpan, model: str) -> _Seen:
    if usage.tokens_video is None:
        return _Seen(is_known=False, problem=None)
    problem = video_token_problem(
        usage.tokens_video,
        fps=request.sampling.fps,
        duration_seconds=video.duration_seconds,
        frame_tokens=tokens_per_frame(model, request.sampling.media_resolution),
    )
    return _Seen(is_known=True, problem=problem)


def _text(response: types.GenerateContentResponse) -> str | None:
    """The text of the first candidate without its thoughts, None when there is none."""
    if not response.candidates or response.candidates[0].content is None:
        return None
    parts = response.candidates[0].content.parts or []
    texts = [part.text for part in parts if part.text is not None and not part.thought]
    return "".join(texts) if texts else None
