"""What metrics with a judge share: prompts, asking, and why a video stays without a score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, wraps
from importlib.resources import files
from typing import Any, ClassVar, Final, TypeAlias, final

import yaml

from pfp.eval.judge import FramesQuestion, Judge, Judgement, Verdict
from pfp.eval.judge.judgement import judgement_of
from pfp.eval.judge.votes import agreement, by_majority, majority
from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricValue, OpenedSample
from pfp.io.weights import Lock
from pfp.vlm import Answer, Finish, Frames

Reader: TypeAlias = Callable[[Judgement], bool | None]
"""Whether an answer says yes; None where it says nothing."""

NOT_ASKED: Final = "not_asked"
WORDING: Final = "wording"
_ABOUT_ASKING: Final = ("judge", "judge_fingerprint", "prompt", WORDING, "cost_usd")
NO_JUDGE: Final = "no_judge"
CURE: Final = (
    "name a judge: gemini:MODEL, openai:MODEL@URL, qwen:DIRECTORY, or replay:FILE with the answers "
    "of an earlier run"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """One version of a metric's wording. ``context``, if any, comes before every question.

    Both have places in braces: ``num_frames`` and ``timestamps``, and what the metric tells.
    """

    prompt_id: str
    context: str
    questions: Mapping[str, str]
    options: Mapping[str, str] | None = None
    between_times: str = ", "

    def question(self, name: str, frames: Frames, **told: Any) -> FramesQuestion:
        """The named question about frames; ``told`` fills the places."""
        times = self.between_times.join(f"{each:.2f}s" for each in frames.timestamps_seconds)
        words = "\n".join(filter(None, (self.context, self.questions[name])))
        return FramesQuestion(
            frames=frames,
            prompt_id=f"{self.prompt_id}/{name}",
            prompt=words.format(num_frames=len(frames), timestamps=times, **told),
            options=self.options,
        )


@cache
def load_prompts(prompt_id: str) -> Prompts:
    """The wording ``name@version``."""
    text = files("pfp.eval.metrics").joinpath(f"prompts/{prompt_id}.yaml").read_text("utf-8")
    return Prompts(prompt_id=prompt_id, **yaml.safe_load(text))


class NotAskedError(Exception):
    """Stored answers lead to a question that nobody asked."""


@dataclass(slots=True, kw_only=True)
class Transcript:
    """The questions that were put to a judge about one video, as evidence."""

    judge: Judge
    prompts: Prompts
    is_given: bool = False  # in words that are not pfp's, which the evidence must hold
    asked: list[dict[str, Any]] = field(default_factory=list)
    _judgements: list[Judgement] = field(default_factory=list)

    def ask(
        self, name: str, frames: Frames, *, evidence: Mapping[str, Any] | None = None, **told: Any
    ) -> Judgement:
        """The judge's answer; ``evidence`` (plain JSON) is what it was about.

        Raises what the judge raises.
        """
        judgement = self.judge.ask(self.prompts.question(name, frames, **told))
        self._judgements.append(judgement)
        self.asked.append({"question": name, **(evidence or {}), **_said(judgement)})
        return judgement

    def evidence(self) -> dict[str, Any]:
        """Who was asked what with which words, what was said, and what it cost."""
        costs = [judgement.answer.cost_usd for judgement in self._judgements]
        known = [cost for cost in costs if cost is not None]
        return {
            "judge": self.judge.model_id,
            "judge_fingerprint": self.judge.fingerprint,
            "prompt": self.prompts.prompt_id,
            **({WORDING: asdict(self.prompts)} if self.is_given else {}),
            "cost_usd": sum(known) if len(known) == len(costs) else None,
            "asked": self.asked,
        }


class StoredTranscript:
    """What ``Transcript.evidence`` kept of one video, its raw texts parsed by this pfp's parser."""

    def __init__(self, evidence: Mapping[str, Any], prompts: Prompts) -> None:
        self._evidence = evidence
        self.judgements: Final = [_stored_judgement(row, prompts) for row in evidence["asked"]]

    def find(self, name: str, **about: Any) -> Judgement:
        """The answer to a question that was asked about this; NotAskedError if it was not."""
        wanted = {"question": name, **about}
        for row, judgement in zip(self._evidence["asked"], self.judgements, strict=True):
            if wanted.items() <= row.items():
                return judgement
        raise NotAskedError(name)

    def evidence(self) -> dict[str, Any]:
        """The evidence as it was, with the verdicts of today."""
        kept = [name for name in _ABOUT_ASKING if name in self._evidence]
        rows = zip(self._evidence["asked"], self.judgements, strict=True)
        return {
            **{name: self._evidence[name] for name in kept},
            "asked": [{**row, **_said(judgement)} for row, judgement in rows],
        }


def _said(judgement: Judgement) -> dict[str, Any]:
    answer = judgement.answer
    said: dict[str, Any] = {
        "verdict": judgement.verdict.value,
        "why_not": judgement.why_not,
        "raw_text": answer.raw_text,
        "problem": answer.problem,
        "remembered": judgement.cached,
    }
    if judgement.votes:
        said["votes"] = [_said(vote) for vote in judgement.votes]
        said["agreement"] = agreement(judgement.votes)
    return said


def _stored_judgement(row: Mapping[str, Any], prompts: Prompts) -> Judgement:
    """The stored answer, read by this pfp; one that was cut or refused has nothing to be read."""
    if "votes" in row:
        return by_majority([_stored_judgement(vote, prompts) for vote in row["votes"]])
    why_not = row["why_not"]
    was_answered = why_not in {None, Verdict.UNPARSEABLE.value}
    answer = Answer(
        backend="stored",
        model=None,
        finish=Finish.ANSWERED if was_answered else Finish(why_not),
        raw_text=row["raw_text"],
        problem=row["problem"],
        cached=row["remembered"],
    )
    return judgement_of(answer, prompts.options)


class JudgedMetric(Metric):
    """A metric that asks a judge; without one it asks for no frames and scores no video."""

    prompt_id: ClassVar[str]
    prompt_family: ClassVar[str | None] = None  # under which users may give other words

    def __init__(
        self,
        *,
        device: str = "cpu",
        lock: Lock | None = None,
        judge: Judge | None = None,
        prompts: Prompts | None = None,
    ) -> None:
        """judge: who is asked (``pfp.eval.judge.load_judge``); None leaves every video unscored.

        prompts: the words, of the metric's ``prompt_family``; None is pfp's own.
        """
        super().__init__(device=device, lock=lock)
        self._judge, self._prompts = judge, prompts

    @final
    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Numbers of the frames that the judge is shown."""
        return () if self._judge is None else self.shown(sample)

    @final
    def begin(self, sample: OpenedSample) -> Measurement:
        """Start on a video; ConfigError when the judge is not ready to be asked."""
        if self._judge is None:
            return _NoJudge()
        self._judge.check_ready()
        prompts = self._prompts or load_prompts(self.prompt_id)
        transcript = Transcript(
            judge=self._judge, prompts=prompts, is_given=self._prompts is not None
        )
        return self.measurement(sample, transcript)

    @abstractmethod
    def shown(self, sample: OpenedSample) -> Sequence[int]:
        """What ``frames_of`` says when there is a judge."""

    @abstractmethod
    def measurement(self, sample: OpenedSample, transcript: Transcript) -> Measurement:
        """What ``begin`` returns when there is a judge."""

    @final
    @classmethod
    def rescore(cls, evidence: Mapping[str, Any], num_frames: int) -> MetricValue | None:
        """What stored answers to the same questions come to; None if there are none.

        Unscored (``not_asked``) where they lead to a question that was not asked.
        """
        if "asked" not in evidence:
            return None
        if WORDING in evidence:
            prompts = Prompts(**evidence[WORDING])
        elif evidence["prompt"] == cls.prompt_id:
            prompts = load_prompts(cls.prompt_id)
        else:
            return None
        stored = StoredTranscript(evidence, prompts)
        try:
            return cls.decide_again(stored, evidence, num_frames)
        except NotAskedError:
            rest = {name: value for name, value in evidence.items() if name != "asked"}
            return unscored(NOT_ASKED, {**rest, **stored.evidence()}, num_frames)

    @classmethod
    @abstractmethod
    def decide_again(
        cls, stored: StoredTranscript, evidence: Mapping[str, Any], num_frames: int
    ) -> MetricValue:
        """The value by the rule of ``measurement``; NotAskedError as ``StoredTranscript``'s."""


class _NoJudge(Measurement):
    """Stands in where no judge was given."""

    def see(self, frame: Frame) -> None:
        """Never called: no frames are asked for."""

    def finish(self) -> MetricValue:
        """No value, and how to get one."""
        return unscored(NO_JUDGE, {"cure": CURE})


def unscored(reason: str, evidence: Mapping[str, Any], num_frames: int = 0) -> MetricValue:
    """No value, for a reason."""
    return MetricValue(
        value=None, num_frames=num_frames, evidence=dict(evidence), unscored_reason=reason
    )


def unsettled(judgements: Sequence[Judgement]) -> str:
    """The reason of a video whose answers do not settle it: ``judge_blocked``, ...

    That of the first answer which is neither yes nor no; ``judge_split`` where votes are at odds.
    """
    return f"judge_{next((why for each in judgements if (why := each.why_not)), 'split')}"


def is_yes(judgement: Judgement) -> bool | None:
    """True for yes, False for no, None for neither."""
    if judgement.verdict is Verdict.UNPARSEABLE:
        return None
    return judgement.verdict is Verdict.YES


def compat_text(judgement: Judgement) -> str | None:
    """What a reference would have read, however it ended; None if the model said nothing."""
    has_text = judgement.answer.finish in {Finish.ANSWERED, Finish.TRUNCATED}
    return judgement.answer.raw_text if has_text else None


def by_votes(read: Reader) -> Reader:
    """``read`` where there was one answer, and what more than half of the votes are read as."""

    @wraps(read)
    def read_all(judgement: Judgement) -> bool | None:
        if not judgement.votes:
            return read(judgement)
        return majority([read(vote) for vote in judgement.votes])

    return read_all
