"""One decode of a video for all its metrics: frames stream by, and each metric sees those it asked.

A history of its own streams by first, once for each clip that a metric of histories looks at. A
metric that breaks breaks alone. Memory holds one frame, its reference, and what the measurements
keep themselves, whatever the video's length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from pfp.errors import InvariantError, PermanentError
from pfp.eval.measure.pairing import Pairs, frame_by_frame
from pfp.eval.measure.protocol import Protocol
from pfp.eval.measure.shots import ShotsByTime, detected_shots, shots_within, storyboard_shots
from pfp.eval.measure.streams import FrameArray, History, Reference, extent_of, frames_of
from pfp.eval.metrics.base import (
    Frame,
    Measurement,
    Metric,
    MetricValue,
    OpenedSample,
    inputs_used,
)
from pfp.io.media import Extent
from pfp.schema import EvalSample

Outcome: TypeAlias = MetricValue | Exception


class _Recount(PermanentError):  # noqa: N818 - a second try, and a fault only after that
    """The video has another number of frames than its packets told."""

    def __init__(self, told: int, num_frames: int) -> None:
        super().__init__(f"the video was to have {told} frames and gave {num_frames}; remux it")
        self.num_frames = num_frames


def measure_all(
    sample: EvalSample, metrics: Mapping[str, Metric], protocol: Protocol
) -> dict[str, Outcome]:
    """The value of each metric, or the exception that tells why it has none.

    The video is decoded once, its reference beside it where a metric needs one. It is decoded once
    more before that to find its cuts, if the protocol has them detected, and once more after it
    where the number of frames turns out to be another than the container told.
    """
    try:
        extent, detected = extent_of(sample.video, sample, protocol), None
        if protocol.cuts == "detected":
            detected = detected_shots(sample.video, protocol)
            extent = replace(extent, num_frames=detected[-1].stop, is_agreed=True)
        try:
            return _Pass(sample, metrics, protocol, extent, detected).run()
        except _Recount as recount:
            exact = replace(extent, num_frames=recount.num_frames, is_agreed=True)
            return _Pass(sample, metrics, protocol, exact, detected).run()
    except InvariantError:
        raise
    except Exception as error:  # noqa: BLE001 - it becomes the verdict of the sample's rows
        return dict.fromkeys(metrics, error)


@dataclass(slots=True, kw_only=True)
class _Job:
    """One metric on one clip. ``asked`` are the clip's frames still to be seen, the next last.

    ``history_asked`` are those of the history, which come before them. ``clip`` counts ``pairs``,
    which for a metric that does not ``compare`` are the video's frames, each alone.
    """

    name: str
    clip: range
    pairs: Pairs
    compares: bool
    measurement: Measurement | None = None
    history_asked: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    outcome: Outcome | None = None

    @property
    def first_frame(self) -> int:
        """The frame of the video with which it begins."""
        return self.pairs.video[self.clip.start] if self.clip else 0

    def fail(self, error: Exception) -> None:
        """Give up; what was measured so far is not a value."""
        self.outcome, self.measurement = error, None
        self.history_asked, self.asked = [], []


class _Pass:
    """One decode: jobs begin at their clip's first frame and end at the last that they asked."""

    def __init__(
        self,
        sample: EvalSample,
        metrics: Mapping[str, Metric],
        protocol: Protocol,
        extent: Extent,
        detected: Sequence[range] | None,
    ) -> None:
        self._sample, self._metrics, self._protocol = sample, metrics, protocol
        self._extent, self._detected = extent, detected
        self._looks_at = {
            name: inputs_used(metric.card, sample) for name, metric in metrics.items()
        }
        self._shots = ShotsByTime(sample.shots)
        self._reference = Reference(sample, protocol, extent)
        self._history = History(sample, protocol, extent)
        self._alone = frame_by_frame(extent.num_frames, extent.fps)
        jobs = [job for name in metrics for job in self._jobs_of(name)]
        self._jobs = sorted(jobs, key=lambda job: (job.first_frame, job.clip.start, job.clip.stop))
        # The next one last, by the first frame of their clip.
        self._waiting = [job for job in reversed(self._jobs) if job.outcome is None]
        self._active: list[_Job] = []

    def _jobs_of(self, name: str) -> list[_Job]:
        """One job for each clip that a metric is measured on, or one that has failed."""
        compares = "reference" in self._looks_at[name]
        try:
            pairs = self._reference.pairs() if compares else self._alone
            return [
                _Job(name=name, clip=clip, pairs=pairs, compares=compares)
                for clip in self._clips_of(pairs)
            ]
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the row's verdict
            whole = range(self._extent.num_frames)
            return [
                _Job(name=name, clip=whole, pairs=self._alone, compares=compares, outcome=error)
            ]

    def _clips_of(self, pairs: Pairs) -> list[range]:
        shots: Sequence[range] = ()
        if self._protocol.cuts == "storyboard":
            shots = storyboard_shots(self._sample.shots, len(pairs), pairs.fps)
        elif self._detected is not None:
            shots = [found for shot in self._detected if (found := pairs.within(shot))]
        return self._protocol.clips(len(pairs), pairs.fps, shots)

    def run(self) -> dict[str, Outcome]:
        """Each metric's outcome.

        Damage after the last frame that a metric asked for does not touch it, in whatever company
        it is measured, as long as the number of frames is sure. Else raises what decoding does.
        """
        try:
            self._watch()
        except _Recount:
            raise
        except PermanentError as error:
            if not self._extent.is_agreed:
                raise
            for job in self._jobs:
                if job.outcome is None:
                    job.fail(error)
        finally:
            self._reference.close()
        return {name: self._result(name) for name in self._metrics}

    def _watch(self) -> None:
        num_seen = 0
        with closing(frames_of(self._sample.video, self._protocol)) as frames:
            for frame_HWC in frames:
                if num_seen == self._extent.num_frames:
                    num_seen += 1 + sum(1 for _ in frames)
                    break
                self._begin(num_seen)
                if self._is_done():
                    return  # the container's own count agrees, so nothing that follows matters
                self._show(num_seen, frame_HWC)
                num_seen += 1
        if num_seen != self._extent.num_frames:
            raise _Recount(self._extent.num_frames, num_seen)

    def _is_done(self) -> bool:
        return self._extent.is_agreed and not self._waiting and not self._active

    def _begin(self, index: int) -> None:
        """Begin the jobs whose clip starts at this frame."""
        begun: list[_Job] = []
        while self._waiting and self._waiting[-1].first_frame == index:
            begun.append(self._waiting.pop())
            self._do(begun[-1], self._start)
        if any(job.history_asked for job in begun):
            self._show_history([job for job in begun if job.history_asked])
        for job in begun:
            if job.measurement is not None and not job.asked:
                self._do(job, self._end)
        self._active += [job for job in begun if job.asked]

    def _do(self, job: _Job, step: Callable[[_Job], None]) -> None:
        """A step of one job; what it raises is the job's own outcome."""
        try:
            step(job)
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the row's verdict
            job.fail(error)

    def _start(self, job: _Job) -> None:
        metric = self._metrics[job.name]
        sample = self._opened(job)
        asked = metric.frames_of(sample)
        job.asked = _last_first(
            job.name, range(len(job.clip)) if asked is None else asked, job.clip
        )
        if sample.num_history_frames is not None:
            wanted = metric.history_frames_of(sample)
            job.history_asked = _last_first(job.name, wanted, range(sample.num_history_frames))
        job.measurement = metric.begin(sample)

    def _opened(self, job: _Job) -> OpenedSample:
        """What the metric of a job is told of the clip that it will see."""
        sample, extent, clip = self._sample, self._extent, job.clip
        history = self._history.extent() if "history" in self._looks_at[job.name] else None
        shots = sample.shots
        if len(clip) < extent.num_frames:
            has_cuts = self._protocol.cuts != "none"
            rate = job.pairs.fps
            near = self._shots.near(clip.start / rate, clip.stop / rate)
            shots = shots_within(near, clip, rate, only_with_frames=has_cuts)
        return OpenedSample(
            num_frames=len(clip),
            fps=job.pairs.fps,
            height=extent.height,
            width=extent.width,
            prompt=sample.prompt,
            shots=shots,
            reference_faces=sample.reference_faces,
            num_history_frames=None if history is None else history.num_frames,
            history_fps=None if history is None else history.fps,
        )

    def _show_history(self, jobs: Sequence[_Job]) -> None:
        """Show the history to the jobs that asked for frames of it, in one pass."""
        try:
            self._replay(list(jobs))
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the verdict of the rows that need it
            for job in jobs:
                if job.history_asked:
                    job.fail(error)

    def _replay(self, jobs: list[_Job]) -> None:
        with closing(self._history.frames()) as frames:
            for index, frame_HWC in enumerate(frames):
                frame = Frame(index, frame_HWC)
                for job in jobs:
                    self._do(job, partial(_see_history, frame=frame))
                jobs = [job for job in jobs if job.history_asked]
                if not jobs:
                    return
        raise PermanentError("the history ends before its last frame; remux it")

    def _reference_at(self, number: int) -> FrameArray | Exception:
        """The reference's frame of that number, or why there is none."""
        try:
            return self._reference.at(number)
        except Exception as error:  # noqa: BLE001 - it becomes the verdict of the rows that need it
            return error

    def _show(self, index: int, frame_HWC: FrameArray) -> None:
        """Let every active job see the frame if it asked for it, with its reference or alone."""
        shown: dict[tuple[int, int], Frame] = {}
        comparing = [job for job in self._active if job.compares]
        if comparing:
            pairs = comparing[0].pairs
            for pair in pairs.of_frame(index):
                reference = self._reference_at(pairs.reference[pair])
                self._show_to(comparing, pair, frame_HWC, reference, shown)
        alone = [job for job in self._active if not job.compares]
        self._show_to(alone, index, frame_HWC, None, shown)
        self._active = [job for job in self._active if job.asked]

    def _show_to(
        self,
        jobs: Sequence[_Job],
        pair: int,
        frame_HWC: FrameArray,
        reference: FrameArray | Exception | None,
        shown: dict[tuple[int, int], Frame],
    ) -> None:
        """Let jobs see a pair; ``shown`` are the frames made of it, to be shared by all."""
        for job in jobs:
            if isinstance(reference, Exception):
                job.fail(reference)
                continue
            number = pair - job.clip.start
            if (number, pair) not in shown:
                shown[number, pair] = Frame(number, frame_HWC, reference)
            self._do(job, partial(self._see, frame=shown[number, pair]))

    def _see(self, job: _Job, frame: Frame) -> None:
        assert job.measurement is not None
        while job.asked and job.asked[-1] == frame.index:
            job.asked.pop()
            job.measurement.see(frame)
        if not job.asked:
            self._end(job)

    def _end(self, job: _Job) -> None:
        assert job.measurement is not None
        found = _checked(job.name, job.measurement.finish())
        if "per_frame" in found.evidence:  # what it takes to draw them over time
            found = replace(found, evidence={"fps": job.pairs.fps, **found.evidence})
        job.outcome = found
        job.measurement = None

    def _result(self, name: str) -> Outcome:
        jobs = [job for job in self._jobs if job.name == name]
        outcomes = [(job.clip, job.outcome) for job in jobs if job.outcome is not None]
        if len(outcomes) != len(jobs):
            raise InvariantError(f"{name} did not see all the frames that it asked for; report it")
        if len(outcomes) == 1 and outcomes[0][0].start == 0:
            return self._noted(jobs[0], outcomes[0][1])
        found: list[tuple[range, MetricValue]] = []
        for clip, outcome in outcomes:
            if isinstance(outcome, Exception):
                return outcome  # a clip that failed fails the video
            found.append((clip, outcome))
        joined = mean_over_clips(found)  # with what it takes to draw the clips over time
        joined = replace(joined, evidence={"fps": jobs[0].pairs.fps, **joined.evidence})
        return self._noted(jobs[0], joined)

    def _noted(self, job: _Job, outcome: Outcome) -> Outcome:
        """A comparison with another frame rate says so in its evidence."""
        other_fps = self._reference.other_fps() if job.compares else None
        if other_fps is None or isinstance(outcome, Exception):
            return outcome
        return replace(outcome, evidence={**outcome.evidence, "reference_fps": other_fps})


def _last_first(name: str, asked: Sequence[int], there: range) -> list[int]:
    """The numbers that a metric asked for, the last one first, if they are frames of ``there``."""
    numbers = list(asked)
    if numbers != sorted(numbers) or not set(numbers) <= set(range(len(there))):
        message = f"{name} asked for the frames {numbers[:20]} of {len(there)}; report it"
        raise InvariantError(message)
    return numbers[::-1]


def _see_history(job: _Job, frame: Frame) -> None:
    """Let a job see a frame of the history as often as it asked for it."""
    assert job.measurement is not None
    while job.history_asked and job.history_asked[-1] == frame.index:
        job.history_asked.pop()
        job.measurement.see_history(frame)


def _checked(name: str, found: MetricValue) -> MetricValue:
    """The value, if it is a number: NaN and infinities are faults of weights or of arithmetic."""
    if found.value is not None and not np.isfinite(found.value):
        raise PermanentError(
            f"{name} is {found.value}, which is no score; check its weights with "
            "`pfp weights verify`, else report it"
        )
    return found


def mean_over_clips(found: Sequence[tuple[range, MetricValue]]) -> MetricValue:
    """The mean over the clips that have a value; without any, the first clip's reason."""
    values = [value.value for _, value in found if value.value is not None]
    evidence: dict[str, Any] = {
        "clips": [
            {
                "start_frame": clip.start,
                "end_frame": clip.stop,
                "value": value.value,
                "unscored_reason": value.unscored_reason,
                "evidence": value.evidence,
            }
            for clip, value in found
        ]
    }
    return MetricValue(
        value=float(np.mean(values)) if values else None,
        num_frames=sum(value.num_frames for _, value in found),
        evidence=evidence,
        unscored_reason=None if values else found[0][1].unscored_reason,
    )
