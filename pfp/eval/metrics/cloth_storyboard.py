"""Whether people keep their clothes from shot to shot, as a vision-language judge sees it.

VBench-2.0's question about clothes is for videos of exactly one person, which storyboards seldom
are. Here every pair of shots in which the same person occurs is a case of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import numpy as np

from pfp.eval.judge import Judgement
from pfp.eval.metrics.base import Frame, Measurement, MetricCard, MetricValue, OpenedSample
from pfp.eval.metrics.judging import (
    JudgedMetric,
    StoredTranscript,
    Transcript,
    is_yes,
    unscored,
    unsettled,
)
from pfp.vlm import Frames
from pfp.vlm.frames import MAX_PIXELS, FrameImage, limited

if TYPE_CHECKING:
    from pfp.schema import Shot

PROMPT: Final = "cloth_storyboard@1"
FRAMES_PER_SHOT: Final = 8
MAX_SHOTS: Final = 12  # 66 pairs
EPSILON_SECONDS: Final = 1e-6  # a frame at a shot's very start belongs to it, however it is rounded


@final
class ClothStoryboard(JudgedMetric):
    """The fraction of pairs of shots with a person in common in which the clothes are the same."""

    card: ClassVar = MetricCard(
        name="cloth.storyboard",
        version=1,
        title="Cloth across shots",
        unit="",
        direction="higher",
        low=0.0,
        high=1.0,
        decimals=2,
        scale=100,
        summary="Of all pairs of shots in which a judge sees the same person, the fraction in "
        "which it says that the clothes are the same. Pairs of which it says neither yes nor no "
        "are left out and counted in the evidence. Of a storyboard of more than 12 shots, 12 "
        "evenly spread ones are compared.",
        citation="this project; after VBench-2.0's human_clothes, arXiv 2503.21755",
        licence="that of the judge",
        libraries=("pillow",),
        required_inputs=("shots",),
        cost_note="one question of 8 frames a shot, up to two of 16 frames a pair of shots",
        params={
            "prompt": PROMPT,
            "frames_per_shot": FRAMES_PER_SHOT,
            "max_shots": MAX_SHOTS,
            "max_pixels": MAX_PIXELS,
            "temperature": 0,
            "parser": "strict",
        },
    )

    prompt_id: ClassVar = PROMPT
    rule_params: ClassVar = frozenset({"parser"})

    def shown(self, sample: OpenedSample) -> Sequence[int]:
        """Eight evenly spread frames of each shot that is compared."""
        return sorted({index for indices in frames_by_shot(sample).values() for index in indices})

    def measurement(self, sample: OpenedSample, transcript: Transcript) -> Measurement:
        """Any video; without two shots it stays unscored."""
        return _Pairs(sample, transcript)

    @classmethod
    def decide_again(
        cls, stored: StoredTranscript, evidence: Mapping[str, Any], num_frames: int
    ) -> MetricValue:
        """The same questions about the same shots, found instead of asked."""

        def find(name: str, *shots: int) -> Judgement:
            return stored.find(name, shots=list(shots))

        shots = evidence["shots"]
        return decide(find, [shot["shot"] for shot in shots], shots, stored.evidence, num_frames)


def frames_by_shot(sample: OpenedSample) -> dict[int, list[int]]:
    """Numbers of the frames that are shown of each shot (by its number, from 0), in order.

    Shots without a frame of the video are left out.
    """
    spans = [_frames_within(shot, sample) for shot in sample.shots]
    shots = [number for number, span in enumerate(spans) if span]
    if len(shots) > MAX_SHOTS:
        spread = np.linspace(0, len(shots) - 1, MAX_SHOTS).round().astype(int)
        shots = [shots[position] for position in spread]
    return {number: _spread(spans[number]) for number in shots}


def _frames_within(shot: Shot, sample: OpenedSample) -> range:
    first, last = (
        math.ceil((seconds - EPSILON_SECONDS) * sample.fps)
        for seconds in (shot.start_seconds, shot.end_seconds)
    )
    return range(max(0, first), min(sample.num_frames, last))


def _spread(span: range) -> list[int]:
    positions = np.linspace(0, len(span) - 1, min(FRAMES_PER_SHOT, len(span))).round().astype(int)
    return [span[position] for position in positions]


class _Pairs(Measurement):
    """Keeps the frames of each shot and asks about them in the end."""

    def __init__(self, sample: OpenedSample, transcript: Transcript) -> None:
        self._sample, self._transcript = sample, transcript
        self._plan = frames_by_shot(sample)
        self._frames_HWC: dict[int, FrameImage] = {}

    def see(self, frame: Frame) -> None:
        """Keeps a frame, at the size that judges are shown."""
        self._frames_HWC[frame.index] = frame.shared(limited)

    def finish(self) -> MetricValue:
        """The fraction over the pairs that were answered, or the reason why there are none."""
        shots = [
            {
                "shot": number,
                "start_seconds": self._sample.shots[number].start_seconds,
                "end_seconds": self._sample.shots[number].end_seconds,
            }
            for number in self._plan
        ]
        num_frames = len(self._frames_HWC)
        return decide(self._ask, list(self._plan), shots, self._transcript.evidence, num_frames)

    def _ask(self, name: str, *shots: int) -> Judgement:
        told: dict[str, Any] = {} if len(shots) == 1 else {"num_first": len(self._plan[shots[0]])}
        return self._transcript.ask(
            name, self._show(*shots), evidence={"shots": list(shots)}, **told
        )

    def _show(self, *shots: int) -> Frames:
        indices = [index for shot in shots for index in self._plan[shot]]
        times = [index / self._sample.fps for index in indices]
        return Frames([self._frames_HWC[index] for index in indices], times)


Ask = Callable[..., Judgement]
"""The answer to a question, by its name and the numbers of the shots that it is about."""


def decide(
    ask: Ask,
    shots: Sequence[int],
    spans: Sequence[Mapping[str, Any]],
    evidence: Callable[[], Mapping[str, Any]],
    num_frames: int,
) -> MetricValue:
    """Answers to a value: who is in each shot, then who is in both of a pair, then the clothes.

    ``spans`` say where the shots lie, for the evidence. A question is asked once it matters.
    """
    case = _Case(ask=ask)
    people = [shot for shot in shots if case.has_person(shot)] if len(shots) > 1 else []
    pairs = list(itertools.combinations(people, 2))
    verdicts = [case.same_clothes(*pair) for pair in pairs]
    heard = [verdict for verdict in verdicts if verdict is not None]
    found = {
        **evidence(),
        "shots": list(spans),
        "num_pairs": len(heard),
        "num_same": sum(heard),
        "num_unheard": len(case.unheard),
    }
    if heard:
        return MetricValue(value=float(np.mean(heard)), num_frames=num_frames, evidence=found)
    if len(shots) < 2:
        reason = "one_shot" if shots else "no_shots"
    elif case.unheard:
        reason = unsettled(case.unheard)
    elif not people:
        reason = "no_person"
    else:
        reason = "no_shared_person" if pairs else "person_in_one_shot"
    return unscored(reason, found, num_frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The questions of one video, and the answers among them that are neither yes nor no."""

    ask: Ask
    unheard: list[Judgement] = field(default_factory=list)

    def has_person(self, shot: int) -> bool:
        return self._heard(self.ask("person", shot)) is True

    def same_clothes(self, first: int, second: int) -> bool | None:
        """The verdict on a pair; None if nobody is in both or the judge did not say."""
        if not self._heard(self.ask("shared_person", first, second)):
            return None
        return self._heard(self.ask("same_clothes", first, second))

    def _heard(self, judgement: Judgement) -> bool | None:
        verdict = is_yes(judgement)
        if verdict is None:
            self.unheard.append(judgement)
        return verdict
