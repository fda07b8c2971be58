"""Whether memory stays where it is: while clips are encoded, and in processes that read."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.figures import print_figure
from benchmarks.latent_reads import made_up
from pfp.io.digests import sha256_file
from pfp.io.media import write_video
from pfp.io.tables import write_table
from pfp.latents.preprocess import PreprocessSettings
from pfp.latents.read import LatentReader
from pfp.schema import KEPT, ClipRecord, LatentRecord
from pfp.schema.latent import LatentSpan
from pipelines.latents.config import demo

NUM_READERS = 8
BATCH = 16


def encoding(folder: Path, num_clips: int) -> None:
    """Resident memory of the stage's worker and its decoding child, clip after clip."""
    # Here and not above, because reading processes are forked without torch.
    from pipelines.latents.worker import EncodeClips

    video = folder / "small.mp4"
    noise_THWC = np.random.default_rng(0).integers(0, 256, (12, 32, 64, 3)).astype(np.uint8)
    write_video(video, noise_THWC, 12.0)
    small = PreprocessSettings(fps=12.0, long_side=64, short_side=32)
    worker = EncodeClips(config=replace(demo(), preprocess=small))
    samples = []
    for first in range(0, num_clips, BATCH):
        clips = [_clip(number, video) for number in range(first, min(first + BATCH, num_clips))]
        rows = worker(ClipRecord.table(clips))
        kinds = {verdict["kind"] for verdict in rows["verdict"].to_pylist()}
        if kinds != {"kept"}:
            raise RuntimeError(f"clips were {kinds}, not kept; look at their verdicts")
        samples.append(_resident_mb())
    _print("memory_growth.encoding", samples, f"{num_clips} clips of 12 frames, one worker: RSS")


def _clip(number: int, video: Path) -> ClipRecord:
    return ClipRecord(
        clip_id=f"{number:06d}",
        video_uri=str(video),
        video_sha256=sha256_file(video),
        size_bytes=video.stat().st_size,
        start_seconds=0.0,
        end_seconds=1.0,
        width=64,
        height=32,
        verdict=KEPT,
    )


def _resident_mb() -> float:
    here = psutil.Process()
    return sum(each.memory_info().rss for each in (here, *here.children(recursive=True))) / 1e6


def reading(folder: Path, seconds: float) -> None:
    """Proportional set size of processes that each read random windows, all together."""
    records = [made_up(number, (60, 16, 24, 40)) for number in range(128)]
    write_table(folder / "memory", LatentRecord.table(records), LatentRecord)
    del records
    pa.default_memory_pool().release_unused()
    reader = LatentReader(folder / "memory")
    context = multiprocessing.get_context("fork")
    batches = context.Value("q", 0)
    workers = [
        context.Process(target=_read_for, args=(reader, number, 2 * seconds, batches))
        for number in range(NUM_READERS)
    ]
    for worker in workers:
        worker.start()
    samples = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(seconds / 80)
        samples.append(sum(_pss_mb(worker.pid) for worker in workers))
    for worker in workers:
        worker.join()
    what = f"{NUM_READERS} processes, {batches.value} batches of {BATCH} windows: PSS of all"
    _print("memory_growth.reading", samples, what)


def _pss_mb(pid: int | None) -> float:
    """Proportional set size: pages that processes share count once in their sum."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def _read_for(reader: LatentReader, seed: int, seconds: float, batches: object) -> None:
    rng = np.random.default_rng(seed)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        spans = []
        for row in rng.integers(0, len(reader), BATCH):
            start = int(rng.integers(0, 49))
            spans.append(LatentSpan(int(row), "hr", start, start + 11))
        reader.read(spans)
        count += 1
    with batches.get_lock():  # type: ignore[attr-defined]
        batches.value += count  # type: ignore[attr-defined]
    os._exit(0)  # what torch or others would do at an exit is not theirs to do here


def _print(name: str, samples: list[float], what: str) -> None:
    """The last quarter over the first, after a tenth in which everything is touched once."""
    steady = samples[len(samples) // 10 :]
    quarter = len(steady) // 4
    first, last = (statistics.median(part) for part in (steady[:quarter], steady[-quarter:]))
    print_figure(
        name,
        [last / first],
        unit="ratio, last quarter over first",
        goal="<= 1.05",
        note=f"{what} {first:.0f} MB first, {last:.0f} MB last, {max(samples):.0f} MB at most",
    )
