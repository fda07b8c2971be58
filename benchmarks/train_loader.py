"""The training loader against what a file system gives.

Axes: B batch, T latent frames, C channels, H rows, W columns.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import ratios
from benchmarks.latent_reads import made_up
from benchmarks.train_figure import Figure, Setting, in_turn, timed
from pfp.io.blobs import Blobs
from pfp.io.prompts import Embedding
from pfp.io.tables import write_table
from pfp.latents.read import LatentReader
from pfp.schema import LatentRecord
from pfp.schema.latent import LatentSpan
from pfp.schema.run_directory import RunDirectory
from pfp.schema.windows import Window
from pfp.train.loader import WindowBatches, batch_loader
from pfp.train.objective import Batch
from pfp.train.sampler import SampledWindow, WindowPlan, WindowSampler

# Short, because the ranges that are compared hold latents alone.
_TEXT: Final = Embedding(np.zeros((32, 64), np.float16), 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """Clips of HR latents ``(T, C, H, W)``, and the batches that are cut from them."""

    shape_TCHW: tuple[int, int, int, int] = (120, 16, 60, 104)
    num_clips: int = 12
    num_steps: int = 8
    plan: WindowPlan = WindowPlan(  # noqa: RUF009 - frozen
        batch_size=2, history_frames=61, num_targets=3, continue_share=0.5
    )


_TINY: Final = Clips(
    shape_TCHW=(9, 4, 8, 8),
    num_clips=4,
    num_steps=2,
    plan=WindowPlan(batch_size=2, history_frames=5, num_targets=1, continue_share=0.5),
)


class _Part(NamedTuple):
    """fp16 values that lie one after the other in a file."""

    name: str
    offset: int
    num_values: int


class Ranges:
    """The byte ranges of each step's batch in the files of the table, for ``preadv``."""

    def __init__(self, table: Path, sampler: WindowSampler, num_steps: int) -> None:
        self._blobs, self._reader = Blobs(table, LatentRecord), LatentReader(table)
        stride = self._reader.lr_frame_stride
        self._batches = [
            [self._placed(span) for choice in sampler.at(step) for span in _spans(choice, stride)]
            for step in range(num_steps)
        ]
        sizes = [sum(part.num_values for part in batch) for batch in self._batches]
        self.num_bytes = 2 * sum(sizes)
        self._memory = np.zeros(max(sizes), np.float16)
        names = {part.name for batch in self._batches for part in batch}
        self._files = {name: os.open(table / name, os.O_RDONLY) for name in names}

    def read(self) -> None:
        """One system call each, into memory of a batch that is there: the least there is to do."""
        for batch in self._batches:
            self._read(batch, self._memory)

    def read_into_new_memory(self) -> None:
        """One system call each, into new memory for each batch."""
        for batch in self._batches:
            self._read(batch, np.empty(sum(part.num_values for part in batch), np.float16))

    def first(self) -> NDArray[np.float16]:
        """The values of the first range: the HR history of the first sample."""
        part = self._batches[0][0]
        values = np.empty(part.num_values, np.float16)
        self._read([part], values)
        return values

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._files.values():
            os.close(descriptor)

    def _read(self, parts: list[_Part], memory: NDArray[np.float16]) -> None:
        begin = 0
        for part in parts:
            into = memory[begin : begin + part.num_values]
            if os.preadv(self._files[part.name], [into.data.cast("B")], part.offset) != into.nbytes:
                raise OSError(f"{part} gave fewer bytes than asked for; the table has changed")
            begin += part.num_values

    def _placed(self, span: LatentSpan) -> _Part:
        latent = np.empty(self._reader.shape(span.row, span.branch)[1:], np.float16)
        place = self._blobs.part(span.row, span.branch, span.start * latent.nbytes, latent)
        return _Part(place.name, place.offset, (span.stop - span.start) * latent.size)


def _spans(choice: SampledWindow, time_stride: int) -> list[LatentSpan]:
    """What a sample reads: HR and LR history, and the section that follows if it is asked for."""
    window = Window(first_latent=choice.start, num_latents=choice.history, time_stride=time_stride)
    hr, lr = window.hr_slice, window.lr_slice
    spans = [
        LatentSpan(choice.row, "hr", hr.start, hr.stop),
        LatentSpan(choice.row, "lr", lr.start, lr.stop),
    ]
    if choice.targets[0] >= choice.history:
        first = choice.start + choice.history
        spans.append(LatentSpan(choice.row, "hr", first, first + len(choice.targets)))
    return spans


def loader_vs_raw_reads(setting: Setting) -> list[Figure]:
    """Bytes per second of ``batch_loader`` in this process, over ``preadv`` of the same ranges.

    Noise in a latents table on disk, page cache warm. The loader makes whole batches, each in
    memory of its own: HR and LR history, targets, text. ``preadv`` reads the byte ranges of the
    same batches, one call each, into memory of a batch that is there; the note says what it does
    into new memory, which the system must map first.
    """
    clips = _TINY if setting.tiny else Clips()
    with tempfile.TemporaryDirectory() as name:
        table = Path(RunDirectory(name).latents.path)
        records = [made_up(number, clips.shape_TCHW) for number in range(clips.num_clips)]
        write_table(table, LatentRecord.table(records), LatentRecord)
        del records
        reader = LatentReader(table)
        sampler = WindowSampler([clips.shape_TCHW] * clips.num_clips, clips.plan, seed=0)
        batches = WindowBatches(reader, lambda _row, _latent: _TEXT, sampler)
        steps = range(clips.num_steps)
        ranges = Ranges(table, sampler, clips.num_steps)
        _check_same(batches[0], ranges)

        def load() -> None:
            for _ in batch_loader(batches, steps):
                pass

        works: dict[str, Callable[[], object]] = {
            "loader": load,
            "preadv": ranges.read,
            "preadv into new memory": ranges.read_into_new_memory,
        }
        seconds = in_turn(
            {name: timed(work, setting.device) for name, work in works.items()}, setting
        )
        ranges.close()
    speeds = ", ".join(
        f"{name} {ranges.num_bytes / statistics.median(each) / 1e9:.2f}"
        for name, each in seconds.items()
    )
    shape = "x".join(map(str, clips.shape_TCHW))
    return [
        Figure(
            name="loader_vs_raw_reads",
            values=tuple(ratios(seconds["preadv"], seconds["loader"])),
            unit="of bytes/s",
            note=(
                f"{clips.num_steps} batches of {clips.plan.batch_size} windows of "
                f"{clips.plan.history_frames} latents, {ranges.num_bytes / 1e6:.1f} MB, from "
                f"{clips.num_clips} clips of {shape} fp16; no workers; {setting.name}; "
                f"GB/s: {speeds}"
            ),
        )
    ]


def _check_same(batch: Batch, ranges: Ranges) -> None:
    ours = batch.hr_BCTHW[0].transpose(0, 1).numpy()
    if not np.array_equal(ours.reshape(-1), ranges.first()):
        raise RuntimeError("the ranges are not those of the batches; correct the benchmark")
