"""One decode of a video for all its metrics: frames stream by, and each metric sees those it asked.

A metric that breaks breaks alone. Memory holds one frame, its reference, and what the measurements
keep themselves, whatever the video's length.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pfp.errors import InvariantError, PermanentError
from pfp.eval.metrics.base import (
    Frame,
    Measurement,
    Metric,
    MetricValue,
    Sample,
    Shot,
    check_lengths,
)
from pfp.eval.protocol import Protocol
from pfp.io import media
from pfp.io.media import Extent

Picture: TypeAlias = npt.NDArray[np.uint8]
Outcome: TypeAlias = MetricValue | Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a sample consists of; paths or URIs of its videos, folders of pictures among them.

    ``fps`` is the rate of those that have none of their own; None is 24.
    """

    video: str
    reference: str | None = None
    history: str | None = None
    prompt: str | None = None
    shots: tuple[Shot, ...] = ()
    reference_faces: tuple[str, ...] = ()
    fps: float | None = None


class _Recount(PermanentError):  # noqa: N818 - a second try, and a fault only after that
    """The video has another number of frames than its packets told."""

    def __init__(self, told: int, num_frames: int) -> None:
        super().__init__(f"the video was to have {told} frames and gave {num_frames}; remux it")
        self.num_frames = num_frames


def measure_all(
    given: Given, metrics: Mapping[str, Metric], protocol: Protocol
) -> dict[str, Outcome]:
    """The value of each metric, or the exception that tells why it has none.

    The video is decoded once, its reference beside it where a metric needs one. Where the number
    of frames turns out to be another than the container told, it is decoded once more.
    """
    try:
        extent = media.extent_of(given.video, upright=protocol.is_upright, picture_fps=given.fps)
        try:
            return _Pass(given, metrics, protocol, extent).run()
        except _Recount as recount:
            exact = replace(extent, num_frames=recount.num_frames, is_agreed=True)
            return _Pass(given, metrics, protocol, exact).run()
    except InvariantError:
        raise
    except Exception as error:  # noqa: BLE001 - it becomes the verdict of the sample's rows
        return dict.fromkeys(metrics, error)


def frames_of(source: str, protocol: Protocol) -> Generator[Picture, None, None]:
    """A video's stored frames by the protocol's decoder, one by one."""
    if protocol.decoder == "decord":
        from pfp.io.media.decord_backend import iter_stored_decord

        return iter_stored_decord(source)
    return media.iter_stored(source, upright=protocol.is_upright)


@dataclass(slots=True, kw_only=True)
class _Job:
    """One metric on one clip. ``asked`` are the clip's frames still to be seen, the next last."""

    name: str
    clip: range
    measurement: Measurement | None = None
    asked: list[int] = field(default_factory=list)
    outcome: Outcome | None = None

    def fail(self, error: Exception) -> None:
        """Give up; what was measured so far is not a value."""
        self.outcome, self.measurement, self.asked = error, None, []


class _Pass:
    """One decode: jobs begin at their clip's first frame and end at the last that they asked."""

    def __init__(
        self, given: Given, metrics: Mapping[str, Metric], protocol: Protocol, extent: Extent
    ) -> None:
        self._given, self._metrics, self._protocol = given, metrics, protocol
        self._extent = extent
        clips = protocol.clips(extent.num_frames, extent.fps)
        self._jobs = [_Job(name=name, clip=clip) for clip in clips for name in metrics]
        self._waiting = list(reversed(self._jobs))  # by the first frame of their clip
        self._active: list[_Job] = []
        self._with_reference = {
            name for name, metric in metrics.items() if "reference" in metric.card.needs
        }
        self._references: Generator[Picture, None, None] | None = None
        self._num_references = 0
        self._reference_checked = False

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
            if self._references is not None:
                self._references.close()
        return {name: self._result(name) for name in self._metrics}

    def _watch(self) -> None:
        num_seen = 0
        with closing(frames_of(self._given.video, self._protocol)) as frames:
            for picture in frames:
                if num_seen == self._extent.num_frames:
                    num_seen += 1 + sum(1 for _ in frames)
                    break
                self._begin(num_seen)
                if self._is_done():
                    return  # the container's own count agrees, so nothing that follows matters
                self._show(num_seen, picture)
                num_seen += 1
        if num_seen != self._extent.num_frames:
            raise _Recount(self._extent.num_frames, num_seen)

    def _is_done(self) -> bool:
        return self._extent.is_agreed and not self._waiting and not self._active

    def _begin(self, index: int) -> None:
        """Begin the jobs whose clip starts at this frame."""
        while self._waiting and self._waiting[-1].clip.start == index:
            job = self._waiting.pop()
            try:
                self._start(job)
            except InvariantError:
                raise
            except Exception as error:  # noqa: BLE001 - it becomes the row's verdict
                job.fail(error)
            if job.asked:
                self._active.append(job)

    def _start(self, job: _Job) -> None:
        metric = self._metrics[job.name]
        sample = self._sample(job.clip)
        if job.name in self._with_reference:
            self._check_reference()
        asked = metric.frames_of(sample)
        numbers = list(range(len(job.clip)) if asked is None else asked)
        if numbers != sorted(numbers) or not set(numbers) <= set(range(len(job.clip))):
            raise InvariantError(
                f"{job.name} asked for the frames {numbers[:20]} of {len(job.clip)}; report it"
            )
        job.measurement = metric.begin(sample)
        job.asked = numbers[::-1]
        if not numbers:
            self._end(job)

    def _sample(self, clip: range) -> Sample:
        given, extent = self._given, self._extent
        shots = given.shots
        if len(clip) < extent.num_frames:
            shots = _shots_within(shots, clip.start / extent.fps, clip.stop / extent.fps)
        return Sample(
            num_frames=len(clip),
            fps=extent.fps,
            height=extent.height,
            width=extent.width,
            prompt=given.prompt,
            shots=shots,
            reference_faces=given.reference_faces,
        )

    def _check_reference(self) -> None:
        """Refuse a reference of another length before anything is decoded for it."""
        if self._reference_checked:
            return
        reference = self._given.reference
        if reference is None:
            raise PermanentError("there is no reference video; give one in the manifest")
        told = media.extent_of(reference, upright=self._protocol.is_upright)
        num_frames = told.num_frames
        if num_frames != self._extent.num_frames and not told.is_agreed:
            num_frames = sum(1 for _ in frames_of(reference, self._protocol))
        check_lengths(self._extent.num_frames, num_frames)
        self._references = frames_of(reference, self._protocol)
        self._reference_checked = True

    def _reference_at(self, index: int) -> Picture | Exception | None:
        """The reference's frame of that number; why there is none; None when nobody wants it."""
        wanted = any(job.name in self._with_reference for job in self._active)
        if self._references is None or not wanted:
            return None
        found: Picture | None = None
        try:
            while self._num_references <= index:
                found = next(self._references)
                self._num_references += 1
        except StopIteration:
            return PermanentError("the reference ends before the video; generate it frame by frame")
        except Exception as error:  # noqa: BLE001 - it becomes the verdict of the rows that need it
            return error
        return found

    def _show(self, index: int, picture: Picture) -> None:
        """Let every active job see the frame if it asked for it."""
        shown: dict[int, Frame] = {}
        reference = self._reference_at(index)
        true_HWC = None if isinstance(reference, Exception) else reference
        for job in self._active:
            number = index - job.clip.start
            if isinstance(reference, Exception) and job.name in self._with_reference:
                job.fail(reference)
                continue
            if number not in shown:
                shown[number] = Frame(number, picture, true_HWC)
            self._see(job, shown[number])
        self._active = [job for job in self._active if job.asked]

    def _see(self, job: _Job, frame: Frame) -> None:
        try:
            assert job.measurement is not None
            while job.asked and job.asked[-1] == frame.index:
                job.asked.pop()
                job.measurement.see(frame)
            if not job.asked:
                self._end(job)
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001 - it becomes the row's verdict
            job.fail(error)

    def _end(self, job: _Job) -> None:
        assert job.measurement is not None
        found = _checked(job.name, job.measurement.finish())
        if "per_frame" in found.evidence:  # what it takes to draw them over time
            found = replace(found, evidence={"fps": self._extent.fps, **found.evidence})
        job.outcome = found
        job.measurement = None

    def _result(self, name: str) -> Outcome:
        jobs = [job for job in self._jobs if job.name == name]
        outcomes = [(job.clip, job.outcome) for job in jobs if job.outcome is not None]
        if len(outcomes) != len(jobs):
            raise InvariantError(f"{name} did not see all the frames that it asked for; report it")
        if len(outcomes) == 1:
            return outcomes[0][1]
        found: list[tuple[range, MetricValue]] = []
        for clip, outcome in outcomes:
            if isinstance(outcome, Exception):
                return outcome  # a clip that failed fails the video
            found.append((clip, outcome))
        return mean_over_clips(found)


def _shots_within(
    shots: Sequence[Shot], start_seconds: float, end_seconds: float
) -> tuple[Shot, ...]:
    """The shots that a clip shows, with times from its start."""
    length = end_seconds - start_seconds
    moved = [
        replace(
            shot,
            start_seconds=max(0.0, shot.start_seconds - start_seconds),
            end_seconds=min(length, shot.end_seconds - start_seconds),
        )
        for shot in shots
    ]
    return tuple(shot for shot in moved if shot.end_seconds > shot.start_seconds)


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
