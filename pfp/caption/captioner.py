"""A clip in, a ``StoryboardRecord`` out: ask, check, ask once more, ask the next backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from pfp.caption.backends import Backend, StoryboardRequest
from pfp.caption.clip import CaptionClip
from pfp.caption.prompt import Prompt, answer_schema, ask_again
from pfp.caption.storyboard import Storyboard
from pfp.caption.validate import (
    LADDER_VERSION,
    UNREADABLE,
    Rules,
    Violation,
    check_storyboard,
)
from pfp.errors import ConfigError, InputError, PermanentError, Rejected, RetryableError
from pfp.io.digests import sha256_json
from pfp.limits import MAX_NOTES
from pfp.redaction import safe_message
from pfp.schema import KEPT, Dropped, Failed, StoryboardRecord, Verdict, failed_verdict
from pfp.vlm import Answer, Finish

MAX_PROBLEMS: Final = 20  # that a model is told of, when it is asked once more
# What an answer that is no answer makes of the row: the error's name, and whether to try again.
FINISH_ERRORS: Final = {
    Finish.BLOCKED: ("Blocked", False),
    Finish.UNFINISHED: ("Unfinished", True),
    Finish.UNSEEN: ("VideoNotSeen", False),
}
NOTICE: Final = ": notice: "  # in ``repair_ops``: nothing was repaired, but a person should look


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """Why a backend gave no storyboard; ``final`` when no other backend should be asked.

    ``absent`` when it had no answer at all.
    """

    verdict: Dropped | Failed
    final: bool
    absent: bool = False

    @property
    def why(self) -> str:
        verdict = self.verdict
        return verdict.detail if isinstance(verdict, Dropped) else verdict.message


@dataclass(slots=True)
class _Log:
    """What was done for one clip: every answer counts, also those that were not used."""

    ops: list[str] = field(default_factory=list)
    answers: list[tuple[Backend, Answer]] = field(default_factory=list)

    def add(self, answer: Answer, backend: Backend) -> None:
        self.answers.append((backend, answer))
        self.ops += [f"{backend.name}: {note}" for note in answer.notes]

    @property
    def paid(self) -> list[Answer]:
        """Those of models."""
        return [answer for backend, answer in self.answers if backend.generative]

    def last_of(self, backend: Backend) -> Answer | None:
        """What a backend said last, whoever it had that from; None when it said nothing."""
        said = [answer for asked, answer in self.answers if asked is backend]
        return next((each for each in reversed(said) if each.finish is not Finish.ABSENT), None)

    def num_requests(self) -> int:
        """Requests that were sent for the answers, at least 1."""
        said = [answer for _, answer in self.answers if answer.finish is not Finish.ABSENT]
        return max(1, sum(answer.attempts for answer in said))

    def tokens(self, kind: str) -> int | None:
        """Sum over the answers of models; None when one of them is unknown, or there are none."""
        counts = [getattr(answer, f"tokens_{kind}") for answer in self.paid]
        return None if not counts or None in counts else sum(counts)

    def cost_usd(self) -> float | None:
        costs = [answer.cost_usd for answer in self.paid]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if costs and len(known) == len(costs) else None


class Captioner:
    """Asks backends in order until one gives a storyboard that passes the checks.

    A backend without an answer (no storyboard file) hands over to the next. A model whose answer
    breaks the rules is asked once more, with the violations, and then hands over too. What is not
    asked elsewhere: a video that a model refused, a storyboard file with mistakes in it, and a
    server that is down (the row is tried again by a later run).
    """

    def __init__(
        self,
        *,
        backends: Sequence[Backend],
        prompt: Prompt,
        rules: Rules,
    ) -> None:
        """Raises ConfigError for an empty route."""
        if not backends:
            raise ConfigError("the caption route names no backend; use for example sidecar,offline")
        self._backends = tuple(backends)
        self._prompt = prompt
        self._rules = rules

    @property
    def fingerprint(self) -> str:
        """Digest of everything but the clip that a storyboard depends on."""
        asked = None
        samplings = [each.sampling for each in self._backends if each.sampling is not None]
        if samplings:
            asked = [self._prompt.sha256, *map(asdict, samplings)]
        route = [backend.fingerprint for backend in self._backends]
        return sha256_json([route, asked, asdict(self._rules), LADDER_VERSION])

    def check_ready(self) -> None:
        """Raise ConfigError when a backend of the route could not answer, before any work."""
        for backend in self._backends:
            backend.check_ready()

    def close(self) -> None:
        """Let go of what the backends hold."""
        for backend in self._backends:
            backend.close()

    def caption(self, clip: CaptionClip) -> StoryboardRecord:
        """The storyboard of one clip, or the verdict that says why there is none."""
        log = _Log()
        for backend in self._backends:
            result = self._ask(backend, clip, log)
            if isinstance(result, Storyboard):
                return self._record(clip, backend, log, KEPT, result)
            if result.final or backend is self._backends[-1]:
                return self._record(clip, backend, log, result.verdict, None)
            log.ops.append(f"{backend.name}: {result.why}; asked the next backend")
        raise AssertionError("a route has a last backend")

    def _ask(self, backend: Backend, clip: CaptionClip, log: _Log) -> Storyboard | _Trouble:
        request = self._request(clip)
        may_ask_again = backend.generative
        trouble: _Trouble | None = None
        while True:
            answer = _answer(backend, request, log)
            if isinstance(answer, _Trouble):
                # What is replayed ends with the last answer that was kept.
                return trouble if trouble is not None and answer.absent else answer
            storyboard, violations = self._check(backend, clip, answer, log)
            if storyboard is not None:
                return storyboard
            if may_ask_again:
                may_ask_again = False
                problems = [safe_message(each.detail) for each in violations[:MAX_PROBLEMS]]
                log.ops.append(f"{backend.name}: {'; '.join(problems)}; asked again")
                request = replace(request, prompt=ask_again(request.prompt, problems))
                continue
            verdict = _verdict(violations[0], is_models=backend.generative)
            trouble = _Trouble(verdict=verdict, final=not backend.generative)
            if not (backend.generative and answer.cached and violations[0].rule in UNREADABLE):
                return trouble
            # The row would fail at this kept answer for good, however often the stage is run.
            log.ops.append(f"{backend.name}: {trouble.why}; asked again, as that answer was kept")
            request = replace(request, vote=request.vote + 1)

    def _check(
        self, backend: Backend, clip: CaptionClip, answer: Answer, log: _Log
    ) -> tuple[Storyboard | None, tuple[Violation, ...]]:
        if answer.finish is Finish.TRUNCATED:
            detail = f"{answer.problem}; write shorter captions"
            return None, (Violation(rule="truncated", detail=detail),)
        rules = self._rules
        if not backend.generative:
            # What people wrote twice they meant twice, and two shots may measure alike.
            rules = replace(rules, max_repeated_share=1.0)
        checked = check_storyboard(
            answer.raw_text or "",
            spans=clip.spans,
            start_seconds=clip.start_seconds,
            end_seconds=clip.end_seconds,
            rules=rules,
        )
        if checked.storyboard is not None:
            log.ops += [f"{backend.name}{NOTICE}{notice}" for notice in checked.notices]
            log.ops += [f"{backend.name}: {op}" for op in checked.repair_ops]
        return checked.storyboard, checked.violations

    def _request(self, clip: CaptionClip) -> StoryboardRequest:
        return StoryboardRequest(
            path=clip.video_uri,
            content_sha256=clip.video_sha256,
            is_whole_video=clip.is_whole_video,
            start_seconds=clip.start_seconds,
            end_seconds=clip.end_seconds,
            shots=clip.spans,
            prompt_id=self._prompt.name,
            prompt=self._prompt.fill(clip),
            json_schema=answer_schema(len(clip.spans)),
        )

    def _record(
        self,
        clip: CaptionClip,
        backend: Backend,
        log: _Log,
        verdict: Verdict,
        storyboard: Storyboard | None,
    ) -> StoryboardRecord:
        last = log.last_of(backend)
        return StoryboardRecord(
            clip_id=clip.clip_id,
            shots=[] if storyboard is None else storyboard.to_rows(),
            global_caption=None if storyboard is None else storyboard.global_caption,
            backend=backend.name,
            model=backend.model if last is None else last.model_version or last.model,
            prompt_sha256=self._prompt.sha256 if backend.generative else None,
            sampling=None if last is None else last.sampling,
            tokens_in=log.tokens("in"),
            tokens_video=log.tokens("video"),
            tokens_audio=log.tokens("audio"),
            tokens_out=log.tokens("out"),
            tokens_thought=log.tokens("thought"),
            cost_usd=log.cost_usd(),
            attempts=log.num_requests(),
            repair_ops=_bounded(log.ops),
            raw_answer=None if last is None else last.raw_text,
            verdict=verdict,
        )


def _bounded(ops: Sequence[str]) -> list[str]:
    """What was done, however much an answer gave reason for."""
    kept = [safe_message(op) for op in ops[:MAX_NOTES]]
    return [*kept, f"and {len(ops) - MAX_NOTES} more"] if len(ops) > MAX_NOTES else kept


def _answer(backend: Backend, request: StoryboardRequest, log: _Log) -> Answer | _Trouble:
    """A backend's answer, put down in the log, or why there is none that can be used."""
    try:
        answer = backend.ask(request)
    except Rejected as error:  # understood, and no other backend may stand in for it
        return _Trouble(verdict=Dropped(reason=error.reason, detail=error.message), final=True)
    except PermanentError as error:
        verdict = failed_verdict(error, retryable=False)
        return _Trouble(verdict=verdict, final=not backend.generative)
    except InputError as error:  # no video: nobody else could look at it either
        return _Trouble(verdict=failed_verdict(error, retryable=False), final=True)
    except (RetryableError, ConfigError) as error:
        # A missing key is not the row's fault: with one, a later run can go on.
        return _Trouble(verdict=failed_verdict(error, retryable=True), final=True)
    log.add(answer, backend)
    return _no_answer(answer) or answer


def _no_answer(answer: Answer) -> _Trouble | None:
    if answer.finish is Finish.ABSENT:
        verdict = Dropped(reason="storyboard_absent", detail=answer.problem or "there is none")
        return _Trouble(verdict=verdict, final=False, absent=True)
    if answer.finish not in FINISH_ERRORS:
        return None
    error, retryable = FINISH_ERRORS[answer.finish]
    message = f"{answer.backend}: {answer.problem}"
    # A refusal is about the video: another backend must not bring it in by the back door.
    return _Trouble(
        verdict=Failed(error=error, message=message, retryable=retryable),
        final=answer.finish is not Finish.UNSEEN,
    )


def _verdict(violation: Violation, *, is_models: bool) -> Dropped | Failed:
    """Unreadable text is a fault; text that was understood and breaks a rule is rejected by it.

    A model's next answer may well be JSON again; a file stays as it is until somebody mends it,
    and an output limit cuts off the same again.
    """
    if violation.rule == "truncated":
        return Failed(error="Truncated", message=violation.detail)
    if violation.rule in UNREADABLE:
        return Failed(error="UnreadableStoryboard", message=violation.detail, retryable=is_models)
    return Dropped(
        reason=violation.rule,
        detail=violation.detail,
        score=violation.score,
        threshold=violation.threshold,
    )
