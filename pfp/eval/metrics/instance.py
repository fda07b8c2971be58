"""Whether things appear, vanish, merge or split, as a vision-language judge sees it.

After instance_preservation of VBench-2.0's repository: windows of 2 s, one every second, cut in
memory where the reference encodes each again, and asked about in words of our own unless a user
gives others (``judge_prompts``). The package ``vbench2`` 0.1.1 scores the dimension of the same
name otherwise, by the number of boxes that YOLO-World finds.

The paper reports the mean of ``instance.vbench2`` times 100 as "Instance". One bad window of many
makes a video bad, so long videos fare worse: ``instance.fraction`` says how many there are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from pfp.errors import RowError, Unmeasurable
from pfp.eval.judge import Judgement
from pfp.eval.metrics.base import Frame, Measurement, MetricCard, MetricValue, OpenedSample
from pfp.eval.metrics.judging import (
    JudgedMetric,
    NotAskedError,
    Reader,
    StoredTranscript,
    Transcript,
    by_votes,
    compat_text,
    is_yes,
    unscored,
    unsettled,
)
from pfp.vlm import Frames
from pfp.vlm.frames import MAX_PIXELS, FrameImage, limited

PROMPT: Final = "instance@1"
WORDS: Final = (
    "Its windows are those of VBench-2.0's repository, the words of its question are pfp's own: "
    "--judge-prompts asks in VBench-2.0's, out of a checkout. The package vbench2 0.1.1 asks no "
    "judge: it counts boxes of YOLO-World."
)
RULE_PARAMS: Final = frozenset({"rule", "parser", "no_answer", "too_short"})
WINDOW_SECONDS: Final = 2
STRIDE_SECONDS: Final = 1
MAX_FRAMES: Final = 50  # of a window, as in the reference's settings of its judge
EPSILON: Final = 1e-6  # of a frame or a second: in floats 50 * 1.1 > 55 and 231 / 1.1 < 210


def _card(name: str, title: str, summary: str, **params: Any) -> MetricCard:
    return MetricCard(
        name=name,
        version=1,
        title=title,
        unit="",
        direction="higher",
        low=0.0,
        high=1.0,
        decimals=2,
        scale=100,
        is_yes_no=name != "instance.fraction",
        summary=summary,
        citation="Zheng et al., VBench-2.0, arXiv 2503.21755, 2025 (instance_preservation)",
        licence="that of the judge",
        libraries=("pillow",),
        cost_note="one question of up to 50 frames to the judge for each second of video",
        params={
            "prompt": PROMPT,
            "window_seconds": WINDOW_SECONDS,
            "stride_seconds": STRIDE_SECONDS,
            "max_frames": MAX_FRAMES,
            "max_pixels": MAX_PIXELS,
            "temperature": 0,
            **params,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """``[start_seconds, start_seconds + 2)`` of a video, and the frames of it that are shown."""

    start_seconds: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How answers become a value.

    ``value_of`` takes whether each window asked about is bad, None where it is not known.
    """

    read: Reader
    value_of: Callable[[Sequence[bool | None]], float | None]
    stop_at_bad: bool
    value_without_windows: float | None = None

    def is_last(self, judgement: Judgement) -> bool:
        """Whether no more is asked after this answer."""
        return self.stop_at_bad and self.read(judgement) is True


def windows_of(sample: OpenedSample) -> list[Window]:
    """The windows of a video: one less than its whole seconds.

    Shown are all frames of a window, evenly spread ones of more than 50, and an even number, which
    is how the reference feeds its judge.

    Raises Unmeasurable for a frame rate at which a window holds no frame.
    """
    num_windows = max(0, math.floor(sample.num_frames / sample.fps + EPSILON) - 1)
    return [_window(start * STRIDE_SECONDS, sample) for start in range(num_windows)]


def _window(start_seconds: int, sample: OpenedSample) -> Window:
    first, end = (
        math.ceil(seconds * sample.fps - EPSILON)
        for seconds in (start_seconds, start_seconds + WINDOW_SECONDS)
    )
    count = min(end, sample.num_frames) - first
    if count < 1:
        raise Unmeasurable(
            "too_few_frames",
            f"at {sample.fps:g} frames a second there is none in [{start_seconds}, "
            f"{start_seconds + WINDOW_SECONDS}) s; generate at 1 or more",
        )
    shown = min(MAX_FRAMES, count)
    shown -= shown % 2 if shown > 1 else 0
    positions = np.linspace(0, count - 1, shown).round().astype(int)
    return Window(start_seconds=start_seconds, indices=tuple(int(first + p) for p in positions))


def _none_bad(bad: Sequence[bool | None]) -> float | None:
    """1 if no window is bad, 0 if one is, None if that depends on what is not known."""
    if True in bad:
        return 0.0
    return None if None in bad else 1.0


def _none_known_bad(bad: Sequence[bool | None]) -> float:
    """0 if a window is known to be bad, else 1."""
    return 0.0 if True in bad else 1.0


def _fraction_good(bad: Sequence[bool | None]) -> float | None:
    """The fraction of the known windows that are not bad, None if none is known."""
    known = [each for each in bad if each is not None]
    return 1.0 - sum(known) / len(known) if known else None


@by_votes
def contains_yes(judgement: Judgement) -> bool | None:
    """The reference's parser: "(A)" or "yes" anywhere, or "A" and nothing else."""
    text = compat_text(judgement)
    return None if text is None else "(A)" in text or "yes" in text.lower() or text == "A"


BINARY: Final = _Rule(read=is_yes, value_of=_none_bad, stop_at_bad=True)
COMPAT: Final = _Rule(
    read=contains_yes, value_of=_none_known_bad, stop_at_bad=True, value_without_windows=1.0
)
FRACTION: Final = _Rule(read=is_yes, value_of=_fraction_good, stop_at_bad=False)


class _OfWindows(JudgedMetric):
    """A rule over what a judge says of each window."""

    prompt_id: ClassVar = PROMPT
    prompt_family: ClassVar = "instance"
    rule_params: ClassVar = RULE_PARAMS
    rule: ClassVar[_Rule]

    def shown(self, sample: OpenedSample) -> Sequence[int]:
        """The frames of all windows."""
        return sorted({index for window in windows_of(sample) for index in window.indices})

    def measurement(self, sample: OpenedSample, transcript: Transcript) -> Measurement:
        """Any video with a frame in every window (``Unmeasurable``)."""
        return _Windows(sample, windows_of(sample), transcript, self.rule)

    @classmethod
    def decide_again(
        cls, stored: StoredTranscript, evidence: Mapping[str, Any], num_frames: int
    ) -> MetricValue:
        """The same windows, in the order in which they were asked about."""
        num_windows = evidence["num_windows"]
        return decide(cls.rule, stored.judgements, num_windows, stored.evidence(), num_frames)


@final
class InstanceVBench2(_OfWindows):
    """1 if the judge sees no bad window, else 0."""

    card: ClassVar = _card(
        "instance.vbench2",
        "Instance",
        "Whether a judge finds none of the 2 s windows bad, one window a second; it is asked until "
        "it finds one. Videos of less than 2 s are unscored (too_short); so are videos without a "
        "bad window of which the judge left a window open. " + WORDS,
        rule="any of",
        parser="strict",
    )

    rule: ClassVar = BINARY


@final
class InstanceVBench2Compat(_OfWindows):
    """``instance.vbench2`` read as VBench-2.0 reads it, from the same answers."""

    card: ClassVar = _card(
        "instance.vbench2.compat",
        "Instance (VBench-2.0's parser)",
        "instance.vbench2 with the reference's faults: a text that holds 'yes' ('eyes' too) or "
        "'(A)' is bad and every other one ('A.' too) is good, a window without an answer is good, "
        "and a video of less than 2 s is 1. " + WORDS,
        rule="any of",
        parser="contains yes",
        no_answer="good",
        too_short=1.0,
    )

    rule: ClassVar = COMPAT


@final
class InstanceFraction(_OfWindows):
    """The fraction of windows that the judge does not find bad."""

    card: ClassVar = _card(
        "instance.fraction",
        "Instance, by window",
        "One less the fraction of 2 s windows, one a second, that a judge finds bad. Windows of "
        "which it says neither yes nor no are left out and counted in the evidence. Videos of less "
        "than 2 s are unscored (too_short). " + WORDS,
        rule="fraction",
        parser="strict",
    )

    rule: ClassVar = FRACTION


class _Windows(Measurement):
    """Asks about each window when its last frame has come; holds the frames of two at most."""

    def __init__(
        self, sample: OpenedSample, windows: Sequence[Window], transcript: Transcript, rule: _Rule
    ) -> None:
        self._sample, self._transcript, self._rule = sample, transcript, rule
        self._num_windows = len(windows)
        self._waiting = deque(windows)
        self._frames_HWC: dict[int, FrameImage] = {}
        self._judgements: list[Judgement] = []
        self._seen: set[int] = set()
        self._trouble: RowError | None = None

    def see(self, frame: Frame) -> None:
        """Keeps a frame, at the size that judges are shown, until its windows are asked about."""
        if not self._waiting:
            return
        self._frames_HWC[frame.index] = frame.shared(limited)
        while self._waiting and self._waiting[0].indices[-1] <= frame.index:
            self._ask(self._waiting.popleft())
        first = self._waiting[0].indices[0] if self._waiting else math.inf
        for index in [index for index in self._frames_HWC if index < first]:
            del self._frames_HWC[index]

    def finish(self) -> MetricValue:
        """The value by the rule, or the reason why there is none."""
        if self._trouble is not None:
            raise self._trouble
        evidence = self._transcript.evidence()
        return decide(self._rule, self._judgements, self._num_windows, evidence, len(self._seen))

    def _ask(self, window: Window) -> None:
        start_seconds = window.start_seconds
        times = [index / self._sample.fps - start_seconds for index in window.indices]
        frames = Frames([self._frames_HWC[index] for index in window.indices], times)
        span = {"start_seconds": start_seconds, "end_seconds": start_seconds + WINDOW_SECONDS}
        try:
            judgement = self._transcript.ask(
                "broken_instance", frames, evidence=span, duration_seconds=WINDOW_SECONDS
            )
        except RowError as error:
            # Kept for the end: other metrics are being fed from the same decoded frames.
            self._trouble = error
            self._waiting.clear()
            return
        self._judgements.append(judgement)
        self._seen.update(window.indices)
        if self._rule.is_last(judgement):
            self._waiting.clear()


def decide(
    rule: _Rule,
    judgements: Sequence[Judgement],
    num_windows: int,
    evidence: Mapping[str, Any],
    num_frames: int,
) -> MetricValue:
    """Answers about the windows, from the first on, to a value.

    Raises NotAskedError where windows were left out that the rule would ask about.
    """
    found = {**evidence, "num_windows": num_windows}
    if len(judgements) < num_windows and not any(map(rule.is_last, judgements)):
        raise NotAskedError(f"window {len(judgements)}")
    if not num_windows:
        value, reason = rule.value_without_windows, "too_short"
    else:
        bad = [rule.read(judgement) for judgement in judgements]
        value = rule.value_of(bad)
        reason = unsettled(judgements) if value is None else ""
        found |= {"num_bad": bad.count(True), "num_unheard": bad.count(None)}
    if value is None:
        return unscored(reason, found, num_frames)
    return MetricValue(value=value, num_frames=num_frames, evidence=found)
