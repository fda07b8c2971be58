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
from typing import Final

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
from pfp.schema.windows import Window
from pfp.train.loader import WindowBatches, batch_loader
from pfp.train.objective import Batch
from pfp.train.order import WindowChoice, WindowOrder, WindowPlan

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


class Ranges:
    """The byte ranges of some steps' batches in the files of the table, for ``preadv``."""

    def __init__(self, table: Path, choices: list[WindowChoice], time_stride: int) -> None:
        self._blobs = Blobs(table, LatentRecord)
        self._reader = LatentReader(table)
        spans = [span for choice in choices for span in _spans(choice, time_stride)]
        self._sizes = [self._shape(span) for span in spans]
        self._memory = np.zeros(max(map(int, map(np.prod, self._sizes))), np.float16)
        self._parts = [self._place(span) for span in spans]
        self._files = {
            name: os.open(table / name, os.O_RDONLY) for name in {name for name, _ in self._parts}
        }

    @property
    def num_bytes(self) -> int:
        """How much all of them are."""
        return sum(2 * int(np.prod(size)) for size in self._sizes)

    def read(self) -> None:
        """One system call each, into memory that is there: the least that can be done."""
        for (name, offset), size in zip(self._parts, self._sizes, strict=True):
            self._read(name, offset, self._memory[: int(np.prod(size))])

    def read_into_new_memory(self) -> None:
        """One system call each, into an array of its own."""
        for (name, offset), size in zip(self._parts, self._sizes, strict=True):
            self._read(name, offset, np.empty(int(np.prod(size)), np.float16))

    def first(self) -> NDArray[np.float16]:
        """The values of the first range: the HR history of the first sample."""
        values = np.empty(self._sizes[0], np.float16)
        self._read(*self._parts[0], values)
        return values

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._files.values():
            os.close(descriptor)

    def _read(self, name: str, offset: int, into: NDArray[np.float16]) -> None:
        if os.preadv(self._files[name], [into.data.cast("B")], offset) != into.nbytes:
            raise OSError(f"{name} gave fewer bytes than asked for; the table has changed")

    def _shape(self, span: LatentSpan) -> tuple[int, ...]:
        return (span.stop - span.start, *self._reader.shape(span.row, span.branch)[1:])

    def _place(self, span: LatentSpan) -> tuple[str, int]:
        latent = np.empty(self._reader.shape(span.row, span.branch)[1:], np.float16)
        place = self._blobs.part(span.row, span.branch, span.start * latent.nbytes, latent)
        return place.name, place.offset


def _spans(choice: WindowChoice, time_stride: int) -> list[LatentSpan]:
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
    same batches, one call each, into memory that is there; the note says what it does into new
    memory, which the system must map first.
    """
    clips = _TINY if setting.tiny else Clips()
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "latents"
        records = [made_up(number, clips.shape_TCHW) for number in range(clips.num_clips)]
        write_table(table, LatentRecord.table(records), LatentRecord)
        del records
        reader = LatentReader(table)
        order = WindowOrder([clips.shape_TCHW] * clips.num_clips, clips.plan, seed=0)
        batches = WindowBatches(reader, lambda _row, _latent: _TEXT, order)
        steps = range(clips.num_steps)
        choices = [choice for step in steps for choice in order.at(step)]
        ranges = Ranges(table, choices, reader.lr_frame_stride)
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
    if not np.array_equal(ours, ranges.first()):
        raise RuntimeError("the ranges are not those of the batches; correct the benchmark")
