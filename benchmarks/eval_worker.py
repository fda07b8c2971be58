"""A process that measures videos by some metrics and says where its seconds went.

    python -m benchmarks.eval_worker JOB

JOB and the answer, the last line of its output, are JSON: a ``Job`` and a ``Spent``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

from benchmarks.eval_absent import networks_absent
from benchmarks.eval_weights import LOCK, clip_of
from pfp.eval.measure.engine import measure_all
from pfp.eval.measure.protocol import Protocol
from pfp.eval.metrics import Frame, Measurement, Metric, MetricValue, OpenedSample, resolve
from pfp.io.weights import DIRECTORY_VARIABLE
from pfp.io.weights_lock import read_lock
from pfp.schema import EvalSample

ROOT: Final = Path(__file__).resolve().parent.parent
PROMPT: Final = "A bright square moves to the right over a grey field."


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Which metrics of which videos; ``weights`` is a folder of ``eval_weights``.

    ``absent`` are those of the metrics whose networks are loaded and then answer at once.
    """

    metrics: tuple[str, ...]
    videos: tuple[str, ...]
    weights: str
    device: str = "cpu"
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Wall seconds of decoding (with the engine) and of networks, and what the process took.

    ``networks`` holds what prepares frames for them, and nothing but that where they are absent.
    ``resident_bytes`` is what the process held after each frame that a metric saw.
    """

    decoding: float
    networks: float
    cpu_seconds: float
    peak_bytes: int
    resident_bytes: tuple[int, ...]


class _Clock:
    """Seconds that metrics took of an engine's pass, and the memory held on the way."""

    def __init__(self) -> None:
        self.beginning = self.networks = 0.0
        self.resident_bytes: list[int] = []


class _Clocked(Metric):
    """A metric on a clock."""

    def __init__(self, metric: Metric, clock: _Clock) -> None:
        super().__init__()
        self.card = metric.card  # type: ignore[misc]  # of the class, for all others
        self._metric, self._clock = metric, clock

    def frames_of(self, sample: OpenedSample) -> Sequence[int] | None:
        """The metric's own."""
        return self._metric.frames_of(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Imports and loads the network where it is the first video's."""
        start = time.perf_counter()
        measurement = self._metric.begin(sample)
        self._clock.beginning += time.perf_counter() - start
        return _ClockedMeasurement(measurement, self._clock)


class _ClockedMeasurement(Measurement):
    """A measurement on a clock."""

    def __init__(self, measurement: Measurement, clock: _Clock) -> None:
        self._measurement, self._clock = measurement, clock

    def see(self, frame: Frame) -> None:
        """The measurement's own."""
        start = time.perf_counter()
        self._measurement.see(frame)
        self._clock.networks += time.perf_counter() - start
        self._clock.resident_bytes.append(_status("VmRSS:") or 0)

    def finish(self) -> MetricValue:
        """The measurement's own."""
        start = time.perf_counter()
        value = self._measurement.finish()
        self._clock.networks += time.perf_counter() - start
        return value


def measure(job: Job) -> Spent:
    """Measure in this process; an exception of a metric is raised."""
    folder, clock, passes = Path(job.weights), _Clock(), 0.0
    cpu_start = time.process_time()
    lock = read_lock(folder / LOCK)
    with mock.patch.dict(os.environ, {DIRECTORY_VARIABLE: job.weights}):
        metrics: dict[str, Metric] = {
            name: _Clocked(resolve(name)(device=job.device, lock=lock), clock)
            for name in job.metrics
        }
        # Only who builds a CLIP pays for importing what builds it.
        with clip_of(folder if "aesthetic" in metrics else Path()), networks_absent(job.absent):
            for video in job.videos:
                start = time.perf_counter()
                outcomes = measure_all(
                    EvalSample.of_video(video, prompt=PROMPT), metrics, Protocol()
                )
                passes += time.perf_counter() - start
                for outcome in outcomes.values():
                    if isinstance(outcome, Exception):
                        raise outcome
    return Spent(
        decoding=passes - clock.beginning - clock.networks,
        networks=clock.networks,
        cpu_seconds=time.process_time() - cpu_start,
        peak_bytes=peak_bytes(),
        resident_bytes=tuple(clock.resident_bytes),
    )


def measure_apart(job: Job) -> Spent:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.eval_worker", json.dumps(asdict(job))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    spent: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Spent(**{**spent, "resident_bytes": tuple(spent["resident_bytes"])})


def peak_bytes() -> int:
    """The most memory that this process has held.

    Not the ``ru_maxrss`` of Linux, which begins with the parent's.
    """
    found = _status("VmHWM:")
    if found is not None:
        return found
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _status(name: str) -> int | None:
    """Bytes by their name in Linux's account of this process; None elsewhere."""
    path = Path("/proc/self/status")
    if path.is_file():
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the job and print what was spent."""
    (text,) = sys.argv[1:] if arguments is None else arguments
    given: dict[str, Any] = json.loads(text)
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    spent = replace(measure(Job(**given)), cpu_seconds=time.process_time())  # imports, too
    print(json.dumps(asdict(spent)))


if __name__ == "__main__":
    main()
