"""Reading latents against what a file system gives and against other ways to store them.

All sides read the same random fp16 latents, from a warm page cache, in this process, on one thread.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from benchmarks.figures import interleaved_seconds, print_figure, ratios
from pfp.io.tables import write_table
from pfp.latents.read import LatentReader
from pfp.schema import KEPT, LatentRecord
from pfp.schema.latent import LatentSpan
from pfp.schema.windows import num_frames_of, num_lr_latents_of

CLIPS_PER_GROUP = 64  # of the Parquet table of whole-clip blobs
WINDOW_LATENTS = (11, 60)


@dataclass(frozen=True, kw_only=True)
class Size:
    """``num_clips`` clips of HR latents ``(T, C, H, W)``, read in ``num_windows`` windows."""

    name: str
    shape: tuple[int, int, int, int]
    num_clips: int
    num_windows: int
    rounds: int


# 20 s at 480 x 832 of a VAE with 16 channels and stride 8; and 60 latents of the demo's kind.
SIZES = [
    Size(name="480p", shape=(120, 16, 60, 104), num_clips=64, num_windows=64, rounds=9),
    Size(name="demo", shape=(60, 16, 24, 40), num_clips=128, num_windows=512, rounds=15),
]
QUICK = [
    replace(SIZES[0], num_clips=16, num_windows=16, rounds=5),
    replace(SIZES[1], num_clips=64, rounds=9),
]


def made_up(number: int, shape: tuple[int, int, int, int]) -> LatentRecord:
    """A clip of noise; its LR latents are a quarter as large in each direction, half in time."""
    rng = np.random.default_rng(number)
    num_latents, channels, height, width = shape
    lr_shape = num_lr_latents_of(num_latents), channels, height // 4, width // 4
    noise_TCHW, lr_TCHW = (
        rng.standard_normal(each, np.float32).astype("<f2") for each in (shape, lr_shape)
    )
    return LatentRecord(
        clip_id=f"{number:06d}",
        hr=noise_TCHW.tobytes(),
        hr_shape=list(shape),
        lr=lr_TCHW.tobytes(),
        lr_shape=list(lr_shape),
        dtype="float16",
        fps=24.0,
        start_seconds=0.0,
        num_frames=num_frames_of(num_latents),
        num_frames_dropped=0,
        height=height * 8,
        width=width * 8,
        lr_factor=4,
        lr_frame_stride=2,
        temporal_stride=4,
        spatial_stride=8,
        vae_id="noise",
        vae_sha256="0" * 64,
        latents_mean=[0.0] * channels,
        latents_std=[2.0] * channels,
        normalised=True,
        append_exact=True,
        preproc_sha256="0" * 64,
        hr_channel_mean=[0.0] * channels,
        hr_channel_std=[1.0] * channels,
        verdict=KEPT,
    )


class Stores:
    """The same clips as our table, as Parquet blobs and as safetensors files."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.size = size
        self.table, self.blobs, self.tensors = (
            folder / size.name / kind for kind in ("table", "blobs.parquet", "tensors")
        )
        self.tensors.mkdir(parents=True)
        records = [made_up(number, size.shape) for number in range(size.num_clips)]
        for number, record in enumerate(records):
            hr_TCHW = np.frombuffer(record.hr or b"", "<f2").reshape(size.shape)
            save_file({"hr": hr_TCHW}, self.tensors / f"{number}.safetensors")
        rows = LatentRecord.table(records)
        pq.write_table(
            rows.select(["clip_id", "hr"]),
            self.blobs,
            row_group_size=CLIPS_PER_GROUP,
            use_dictionary=False,
            compression="none",
        )
        write_table(self.table, rows, LatentRecord)
        rng = np.random.default_rng(0)
        self.windows = [self._window(rng) for _ in range(size.num_windows)]
        self.epoch = [
            LatentSpan(int(row), "hr", 0, size.shape[0]) for row in rng.permutation(size.num_clips)
        ]
        self.latent_bytes = 2 * int(np.prod(size.shape[1:]))
        self.memory_TCHW = np.zeros(size.shape, np.float16)
        self.reader = LatentReader(self.table)

    def _window(self, rng: np.random.Generator) -> LatentSpan:
        num_latents = min(
            int(rng.integers(WINDOW_LATENTS[0], WINDOW_LATENTS[1] + 1)), self.size.shape[0]
        )
        start = int(rng.integers(0, self.size.shape[0] - num_latents + 1))
        return LatentSpan(int(rng.integers(self.size.num_clips)), "hr", start, start + num_latents)

    def num_bytes(self, spans: list[LatentSpan]) -> int:
        """How much these spans are."""
        return sum(span.stop - span.start for span in spans) * self.latent_bytes

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Descriptor and offset of each clip's HR latents, found by searching for its bytes."""
        places: list[tuple[int, int]] = []
        for file in sorted(self.table.glob("part-*.parquet")):
            descriptor = os.open(file, os.O_RDONLY)
            content = np.memmap(file, np.uint8, "r")
            at = 0
            while len(places) < self.size.num_clips:
                with safe_open(self.tensors / f"{len(places)}.safetensors", "numpy") as tensors:
                    beginning = tensors.get_slice("hr")[:1].tobytes()[:64]
                found = _find(content, beginning, at)
                if found is None:
                    break
                places.append((descriptor, found))
                at = found + self.latent_bytes * self.size.shape[0]
        return places

    def by_pread(self, spans: list[LatentSpan]) -> None:
        """The least that can be done: one system call a span into memory that is there."""
        memory = self.memory_TCHW.data.cast("B")
        for row, _, start, stop in spans:
            descriptor, place = self.places[row]
            num_bytes = (stop - start) * self.latent_bytes
            into = memory[:num_bytes]
            if os.preadv(descriptor, [into], place + start * self.latent_bytes) != num_bytes:
                raise OSError("a short read; the table has changed")

    def by_us(self, spans: list[LatentSpan]) -> None:
        """Into memory that is there, as a loader fills its batch."""
        for span in spans:
            self.reader.read([span], [self.memory_TCHW[: span.stop - span.start]])

    def by_us_fresh(self, spans: list[LatentSpan]) -> None:
        """Into an array of its own each."""
        for span in spans:
            self.reader.read([span])

    def by_safetensors(self, spans: list[LatentSpan]) -> None:
        """One file a clip, opened for each span, as loaders do."""
        for row, _, start, stop in spans:
            with safe_open(self.tensors / f"{row}.safetensors", "numpy") as tensors:
                tensors.get_slice("hr")[start:stop]

    def by_blobs(self, spans: list[LatentSpan]) -> None:
        """The row group of the clip, then a slice of the clip's blob."""
        with pq.ParquetFile(self.blobs) as parquet:
            for row, _, start, stop in spans:
                group, number = divmod(row, CLIPS_PER_GROUP)
                column = parquet.read_row_group(group, columns=["hr"])["hr"]
                whole: NDArray[np.float16] = np.frombuffer(column[number].as_buffer(), np.float16)
                whole.reshape(self.size.shape)[start:stop].copy()


def _find(content: NDArray[np.uint8], beginning: bytes, start: int) -> int | None:
    """Where bytes begin at or after ``start``; clips lie one after the other, LR in between."""
    step = 1 << 24
    for place in range(start, len(content), step):
        at = bytes(content[place : place + step + len(beginning)]).find(beginning)
        if at >= 0:
            return place + at
    return None


def measure(folder: Path, only: set[str], *, quick: bool) -> None:
    """All figures of reading."""
    for size in QUICK if quick else SIZES:
        stores = Stores(folder, size)
        for name, spans in (("window", stores.windows), ("epoch", stores.epoch)):
            if f"{name}_read_vs_pread" in only:
                _vs_pread(stores, name, spans)
        if "window_read_vs_safetensors" in only:
            _vs_safetensors(stores)
        if "window_read_vs_blob" in only:
            _vs_blob(stores)


def _said(stores: Stores, spans: list[LatentSpan], seconds: dict[str, list[float]]) -> str:
    num_bytes = stores.num_bytes(spans)
    speeds = ", ".join(
        f"{name} {num_bytes / statistics.median(each) / 1e9:.2f}" for name, each in seconds.items()
    )
    shape = "x".join(map(str, stores.size.shape))
    return (
        f"{len(spans)} reads of {num_bytes / len(spans) / 1e6:.2f} MB on average from "
        f"{stores.size.num_clips} clips of {shape} fp16, page cache warm; GB/s: {speeds}"
    )


def _vs_pread(stores: Stores, name: str, spans: list[LatentSpan]) -> None:
    works: dict[str, Callable[[], object]] = {
        "preadv": lambda: stores.by_pread(spans),
        "pfp": lambda: stores.by_us(spans),
        "pfp into new arrays": lambda: stores.by_us_fresh(spans),
    }
    if name == "epoch":
        works["pfp load (with LR and the look for NaN)"] = lambda: (
            [stores.reader.load(clip_id) for clip_id in stores.reader.clip_ids] and None
        )
    seconds = interleaved_seconds(works, stores.size.rounds)
    print_figure(
        f"{name}_read_vs_pread.{stores.size.name}",
        ratios(seconds["preadv"], seconds["pfp"]),
        unit="ratio of bytes per second",
        goal=">= 0.8",
        note=_said(stores, spans, seconds),
    )


def _vs_safetensors(stores: Stores) -> None:
    spans = stores.windows
    works = {
        "safetensors": lambda: stores.by_safetensors(spans),
        "pfp": lambda: stores.by_us_fresh(spans),
    }
    seconds = interleaved_seconds(works, stores.size.rounds)
    print_figure(
        f"window_read_vs_safetensors.{stores.size.name}",
        ratios(seconds["safetensors"], seconds["pfp"]),
        unit="ratio of bytes per second",
        goal=">= 1",
        note="both into new arrays; " + _said(stores, spans, seconds),
    )


def _vs_blob(stores: Stores) -> None:
    spans = stores.windows[:4]  # each costs a row group of up to 1.5 GB
    works = {
        "blobs": lambda: stores.by_blobs(spans),
        "pfp": lambda: stores.by_us_fresh(spans),
    }
    seconds = interleaved_seconds(works, 3)
    print_figure(
        f"window_read_vs_blob.{stores.size.name}",
        ratios(seconds["blobs"], seconds["pfp"]),
        unit="ratio of bytes per second",
        goal=">= 5",
        note="both into new arrays; " + _said(stores, spans, seconds),
        digits=1,
    )
