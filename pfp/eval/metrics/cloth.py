"""Whether one person's clothes stay the same, as a vision-language judge sees it (VBench-2.0).

The paper reports the mean of this metric times 100 as "Cloth". VBench-2.0 asks LLaVA-Video-7B, the
paper Gemini 2.5 Pro; here the judge is a setting, and its name stands in the evidence. Frames,
order of questions and (``.compat``) parser are VBench-2.0's; the words of the questions are ours
unless a user gives others (``pfp.eval.metrics.judge_prompts``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, final

import numpy as np

from pfp.eval.judge import Judgement
from pfp.eval.metrics.base import Frame, Measurement, MetricCard, MetricValue, OpenedSample
from pfp.eval.metrics.judging import (
    JudgedMetric,
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

PROMPT: Final = "cloth@1"
NUM_FRAMES: Final = 64
WORDS: Final = (
    "Its 64 frames are those of VBench-2.0, the words of its three questions are pfp's own: "
    "--judge-prompts asks in VBench-2.0's, out of a checkout."
)


def _card(name: str, title: str, summary: str, *, parser: str) -> MetricCard:
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
        is_yes_no=True,
        summary=summary,
        citation="Zheng et al., VBench-2.0, arXiv 2503.21755, 2025 (dimension human_clothes)",
        licence="that of the judge",
        libraries=("pillow",),
        cost_note="three questions of 64 frames to the judge",
        params={
            "prompt": PROMPT,
            "num_frames": NUM_FRAMES,
            "max_pixels": MAX_PIXELS,
            "temperature": 0,
            "parser": parser,
        },
    )


@final
class ClothVBench2(JudgedMetric):
    """1 if the judge sees one and the same person in the same clothes throughout, else 0."""

    card: ClassVar = _card(
        "cloth.vbench2",
        "Cloth",
        "Whether a judge shown 64 frames says that the person stays the same and that the clothes "
        "do. Videos without exactly one person are unscored (not_one_person), so read it with "
        "its coverage; so are videos of which the judge says neither yes nor no. " + WORDS,
        parser="strict",
    )

    prompt_id: ClassVar = PROMPT
    prompt_family: ClassVar = "cloth"
    rule_params: ClassVar = frozenset({"parser"})

    def shown(self, sample: OpenedSample) -> Sequence[int]:
        """64 evenly spread frames, some of them more than once in a video of fewer."""
        return spread_frames(sample.num_frames)

    def measurement(self, sample: OpenedSample, transcript: Transcript) -> Measurement:
        """Any video."""
        return _OnePerson(sample, transcript, is_yes)

    @classmethod
    def decide_again(
        cls, stored: StoredTranscript, evidence: Mapping[str, Any], num_frames: int
    ) -> MetricValue:
        """The same three questions, found instead of asked."""
        del evidence
        return decide(is_yes, stored.find, stored.evidence, num_frames)


@final
class ClothVBench2Compat(JudgedMetric):
    """``cloth.vbench2`` read as VBench-2.0 reads it, from the same answers."""

    card: ClassVar = _card(
        "cloth.vbench2.compat",
        "Cloth (VBench-2.0's parser)",
        "cloth.vbench2 with the reference's parser: any text that holds the letters 'yes' is yes "
        "('eyes' too), every other text is no. " + WORDS,
        parser="contains yes",
    )

    prompt_id: ClassVar = PROMPT
    prompt_family: ClassVar = "cloth"
    rule_params: ClassVar = frozenset({"parser"})

    def shown(self, sample: OpenedSample) -> Sequence[int]:
        """64 evenly spread frames, some of them more than once in a video of fewer."""
        return spread_frames(sample.num_frames)

    def measurement(self, sample: OpenedSample, transcript: Transcript) -> Measurement:
        """Any video."""
        return _OnePerson(sample, transcript, contains_yes)

    @classmethod
    def decide_again(
        cls, stored: StoredTranscript, evidence: Mapping[str, Any], num_frames: int
    ) -> MetricValue:
        """The same three questions, found instead of asked."""
        del evidence
        return decide(contains_yes, stored.find, stored.evidence, num_frames)


def spread_frames(num_frames: int) -> list[int]:
    """Numbers of the 64 frames of a video that are shown, first and last among them."""
    indices: list[int] = np.linspace(0, num_frames - 1, NUM_FRAMES, dtype=int).tolist()
    return indices


@by_votes
def contains_yes(judgement: Judgement) -> bool | None:
    """The reference's parser; None where there is no text to be parsed."""
    text = compat_text(judgement)
    return None if text is None else "yes" in text.lower()


class _OnePerson(Measurement):
    """Three questions about the same frames; the first decides whether the others are asked."""

    def __init__(self, sample: OpenedSample, transcript: Transcript, read: Reader) -> None:
        self._sample, self._transcript, self._read = sample, transcript, read
        self._frames_HWC: list[FrameImage] = []
        self._times: list[float] = []

    def see(self, frame: Frame) -> None:
        """Keeps a frame, at the size that judges are shown."""
        self._frames_HWC.append(frame.shared(limited))
        self._times.append(frame.index / self._sample.fps)

    def finish(self) -> MetricValue:
        """1.0, 0.0, or the reason why neither can be said."""
        frames = Frames(self._frames_HWC, self._times)
        duration_seconds = self._sample.num_frames / self._sample.fps

        def ask(name: str) -> Judgement:
            return self._transcript.ask(name, frames, duration_seconds=duration_seconds)

        return decide(self._read, ask, self._transcript.evidence, len(frames))


def decide(
    read: Reader,
    ask: Callable[[str], Judgement],
    evidence: Callable[[], Mapping[str, Any]],
    num_frames: int,
) -> MetricValue:
    """Three answers to a value. ``ask`` is called with a question's name once it matters."""
    person = ask("one_person")
    if read(person) is False:
        return unscored("not_one_person", evidence(), num_frames)
    if read(person) is None:
        return unscored(unsettled([person]), evidence(), num_frames)
    judgements = [ask(name) for name in ("same_person", "same_clothes")]
    verdicts = [read(judgement) for judgement in judgements]
    # One no settles it, whatever the other answer would have been.
    if None in verdicts and False not in verdicts:
        return unscored(unsettled(judgements), evidence(), num_frames)
    return MetricValue(
        value=1.0 if all(verdicts) else 0.0, num_frames=num_frames, evidence=dict(evidence())
    )
