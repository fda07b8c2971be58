"""Monitors a training: its progress, its curves, and frames that it gives back.

Axes: H rows, W columns.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from pfp.runtime import Progress
from pfp.train.loop import StepReport

PROGRESS_FILE: Final = "progress.json"
SECONDS_BETWEEN_NOTES: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledFrames:
    """Draws frames to look at, uint8 RGB ``(H, W, 3)``, under a name every so many steps."""

    name: str
    draw: Callable[[], NDArray[np.uint8]]
    every_steps: int


class Monitor:
    """Takes every step's report: to the trackers, and to a file that the driver reads.

    ``name`` is that of the trackers' project, ``title`` what people read. ``state_folder`` is seen
    by all processes. Each of ``num_steps`` takes ``samples_per_step`` samples over all of them.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        *,
        name: str,
        title: str,
        state_folder: Path,
        num_steps: int,
        samples_per_step: int,
        log_every_steps: int,
        frames: SampledFrames | None = None,
    ) -> None:
        self._accelerator, self._title, self._frames = accelerator, title, frames
        self._file = state_folder / PROGRESS_FILE
        self._num_steps, self._samples_per_step = num_steps, samples_per_step
        self._log_every_steps = log_every_steps
        self._written = 0.0
        if accelerator.log_with:
            accelerator.init_trackers(name)

    def update(self, done: StepReport) -> None:
        """After each step, on every process."""
        number = done.step + 1
        if self._accelerator.log_with and number % self._log_every_steps == 0:
            values = {k: v for k, v in asdict(done).items() if k not in {"step", "positions"}}
            values |= {f"loss_by_position/{k}": v for k, v in done.positions.items()}
            self._accelerator.log(values, step=number)
        if not self._accelerator.is_main_process:
            return
        if self._frames is not None and number % self._frames.every_steps == 0:
            self._show(self._frames, number)
        self._note(done)

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Further curves, on every process; ``step`` counts from 1."""
        if self._accelerator.log_with:
            self._accelerator.log(dict(values), step=step)

    def _note(self, done: StepReport) -> None:
        """Write the progress file that ``showing_progress`` reads, every other second."""
        now = time.monotonic()
        if now - self._written < SECONDS_BETWEEN_NOTES:
            return
        self._written = now
        self._file.parent.mkdir(parents=True, exist_ok=True)
        aside = self._file.with_name(f".{PROGRESS_FILE}.{os.getpid()}")
        steps_left = self._num_steps - done.step - 1
        seconds_left = steps_left * self._samples_per_step / done.samples_per_second
        aside.write_text(
            json.dumps(
                {
                    "title": self._title,
                    "step": done.step + 1,
                    "num_steps": self._num_steps,
                    "loss": done.loss,
                    "samples_per_second": done.samples_per_second,
                    "seconds_left": seconds_left,
                }
            )
        )
        aside.replace(self._file)

    def _show(self, frames: SampledFrames, step: int) -> None:
        """Frames to the trackers that take some."""
        frames_HWC = frames.draw()
        for tracker in self._accelerator.trackers:
            if tracker.name == "tensorboard":
                tracker.log_images({frames.name: frames_HWC[None]}, step, dataformats="NHWC")
            elif tracker.name == "wandb":
                tracker.log_images({frames.name: [frames_HWC]}, step)


@contextmanager
def showing_progress(folder: Path, progress: Progress | None) -> Iterator[None]:
    """Pass on the progress files of the trainings under ``folder`` until the block ends."""
    if progress is None:
        yield
        return
    ended = Event()
    thread = Thread(target=_pass_on, args=(folder, progress, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _pass_on(folder: Path, progress: Progress, ended: Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_NOTES):
        lines = [_line(path) for path in sorted(folder.glob(f".state-*/{PROGRESS_FILE}"))]
        if said := "; ".join(line for line in lines if line):
            progress.note(said)


def _line(path: Path) -> str:
    try:
        said: dict[str, Any] = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return ""
    minutes = said["seconds_left"] / 60
    return (
        f"{said['title']}: step {said['step']} of {said['num_steps']}, loss {said['loss']:.3f}, "
        f"{said['samples_per_second']:.2f} samples/s, about {minutes:.0f} min left"
    )
