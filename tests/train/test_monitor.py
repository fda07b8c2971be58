"""What a person sees of a training that is under way."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pfp.runtime import NoProgress
from pfp.train import monitor
from pfp.train.loop import StepReport
from pfp.train.monitor import PROGRESS_FILE, Monitor, SampledFrames, showing_progress

STATE = ".state-0123"


class Tracker:
    """Keeps the images that it is given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.images: list[tuple[int, list[str]]] = []

    def log_images(self, values: dict[str, Any], step: int, **_: object) -> None:
        """Keep their names."""
        self.images.append((step, list(values)))


def monitored(folder: Path, *trackers: Tracker, is_main: bool = True, **more: Any) -> Monitor:
    """A monitor of ten steps of four samples."""
    accelerator: Any = SimpleNamespace(log_with=[], is_main_process=is_main, trackers=trackers)
    return Monitor(
        accelerator,
        name="proposed",
        title="proposed 4x4x2",
        state_folder=folder / STATE,
        num_steps=10,
        samples_per_step=4,
        log_every_steps=5,
        **more,
    )


def done(step: int) -> StepReport:
    """The report of a step, at two samples a second."""
    return StepReport(
        step=step,
        loss=0.5,
        grad_norm=1.0,
        learning_rate=1e-3,
        samples_per_second=2.0,
        positions={},
    )


def test_the_progress_file_tells_how_long_it_will_take(tmp_path: Path) -> None:
    """Six steps of four samples are left, at two samples a second."""
    monitored(tmp_path).update(done(3))

    told = json.loads((tmp_path / STATE / PROGRESS_FILE).read_text())
    assert (4, 10, 12.0) == (told["step"], told["num_steps"], told["seconds_left"])


def test_the_progress_file_is_not_written_every_step(tmp_path: Path) -> None:
    """Steps may take milliseconds; the file is written every other second."""
    watching = monitored(tmp_path)
    watching.update(done(3))
    watching.update(done(4))

    assert 4 == json.loads((tmp_path / STATE / PROGRESS_FILE).read_text())["step"]


def test_frames_are_drawn_every_so_many_steps(tmp_path: Path) -> None:
    """After steps 3, 6 and 9 of 10, for the trackers that take images."""
    board, other = Tracker("tensorboard"), Tracker("aim")
    frames = SampledFrames(
        name="retrieved", draw=lambda: np.zeros((2, 2, 3), np.uint8), every_steps=3
    )
    watching = monitored(tmp_path, board, other, frames=frames)
    for step in range(10):
        watching.update(done(step))

    assert [(3, ["retrieved"]), (6, ["retrieved"]), (9, ["retrieved"])] == board.images
    assert [] == other.images


def test_other_processes_than_the_first_show_nothing(tmp_path: Path) -> None:
    """No file, no frames."""

    def draw() -> Any:
        raise AssertionError

    frames = SampledFrames(name="retrieved", draw=draw, every_steps=1)
    monitored(tmp_path, Tracker("tensorboard"), is_main=False, frames=frames).update(done(0))

    assert [] == list(tmp_path.iterdir())


class Notes(NoProgress):
    """Keeps the first thing that is said."""

    def __init__(self) -> None:
        self.said = ""

    def note(self, text: str) -> None:
        """Keep it."""
        self.said = self.said or text


def test_progress_files_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for all variants that train; a file that is half written is passed over."""
    monkeypatch.setattr(monitor, "SECONDS_BETWEEN_NOTES", 0.001)
    monitored(tmp_path).update(done(3))
    (tmp_path / ".state-4567").mkdir()
    (tmp_path / ".state-4567" / PROGRESS_FILE).write_text("{")
    notes = Notes()

    with showing_progress(tmp_path, notes):
        for _ in range(10_000):
            if notes.said:
                break
            monitor.time.sleep(0.001)

    assert (
        "proposed 4x4x2: step 4 of 10, loss 0.500, 2.00 samples/s, about 0 min left" == notes.said
    )
