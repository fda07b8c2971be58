"""How surely copies are found and unlike videos kept, and what millions of them take.

    python -m benchmarks.near_duplicates [--clips FOLDER] [--drawn 4] [--scale 500000]

One JSON line a figure. ``--clips`` takes the videos of a folder besides the drawn ones; ``--scale``
measures time and memory with that many made-up videos of twenty signatures instead.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.near_duplicate_files import COPIES, Copy, write_copies, write_frames
from benchmarks.near_duplicate_scenes import FPS, no_merge_set
from experiments.synthetic_clips import make_clips
from pfp.ingest.measure import measure_video
from pfp.ingest.near_duplicates import INPUT, NearDuplicates
from pfp.ingest.recipe import load_recipe
from pfp.ingest.signatures import NUM_BYTES

# Parts of one video that have nothing in common but the scene.
PARTS: Final[Mapping[str, Copy]] = {
    "first_third": Copy(end=1 / 3),
    "middle_third": Copy(start=1 / 3, end=2 / 3),
    "last_third": Copy(start=2 / 3, end=0.999),
}
NUM_SAMPLES: Final = 20  # of a made-up video
COPIED: Final = 0.1  # of the made-up videos
WITH_INTRO: Final = 0.2  # begin with one of ten intros of three seconds


def main(argv: list[str] | None = None) -> int:
    """Print the figures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=Path, help="folder of videos, read in place")
    parser.add_argument("--drawn", type=int, default=4, help="drawn clips of 20 to 30 s")
    parser.add_argument("--scale", type=int, help="number of made-up videos")
    options = parser.parse_args(argv)
    rule = load_recipe("demo").near_duplicates
    assert rule is not None
    figures = (
        scale_figures(rule, options.scale)
        if options.scale
        else recognition_figures(rule, options.clips, options.drawn)
    )
    for figure in figures:
        print(json.dumps(figure), flush=True)
    return 0


# ------------------------------------------------------------------------------------ recognition


def recognition_figures(
    rule: NearDuplicates, clips: Path | None, num_drawn: int
) -> Iterator[dict[str, Any]]:
    """Precision and recall by transformation, and merges in the set that must not be merged."""
    with tempfile.TemporaryDirectory() as folder:
        videos = sorted(path for path in clips.iterdir() if path.is_file()) if clips else []
        if num_drawn:
            videos += make_clips(Path(folder) / "drawn", num_clips=num_drawn, seed=9, workers=1)
        rows = [row for video in videos for row in _rows_of(video, Path(folder))]
        rows += _scene_rows(Path(folder))
    yield from figures_of(rule, rows)


def figures_of(rule: NearDuplicates, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of measured videos named SOURCE/COPY, the originals SOURCE/original."""
    for copy in COPIES:
        names = ("original", copy)
        found = _found(rule, rows, names)
        wanted = {row["video_uri"] for row in rows if row["copy"] == copy}
        right = [
            row for row in found if row["video_uri"].split("/")[0] == row["kept_uri"].split("/")[0]
        ]
        recall = len(right) / len(wanted) if wanted else None
        precision = len(right) / len(found) if found else None
        sources = {row["video_uri"].split("/")[0] for row in right}
        missed = ", ".join(sorted(uri for uri in wanted if uri.split("/")[0] not in sources))
        yield _figure(
            f"recall.{copy}", recall, unit="of copies", goal=">= 0.95", num=len(wanted), note=missed
        )
        yield _figure(
            f"precision.{copy}", precision, unit="of merges", goal=">= 0.99", num=len(found)
        )
    apart = (*PARTS, "scene")
    num_apart = sum(row["copy"] in apart for row in rows)
    merges = len(_found(rule, rows, apart))
    yield _figure("no_merge.merges", merges, unit="videos", goal="0", num=num_apart)


def _found(
    rule: NearDuplicates, rows: Sequence[dict[str, Any]], copies: Sequence[str]
) -> list[dict[str, Any]]:
    chosen = [{name: row[name] for name in INPUT.names} for row in rows if row["copy"] in copies]
    found: list[dict[str, Any]] = rule.find(pa.Table.from_pylist(chosen, INPUT)).to_pylist()
    return found


def _rows_of(video: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """The measured original, its copies and its parts."""
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        paths = write_copies(video, Path(inner), {**COPIES, **PARTS})
        for copy, path in {"original": video, **paths}.items():
            yield _row(f"{video.stem}/{copy}", copy, path)
    print(f"measured {video.name}", file=sys.stderr, flush=True)


def _scene_rows(folder: Path) -> Iterator[dict[str, Any]]:
    for name, frames in no_merge_set(180, 320).items():
        path = write_frames(folder / f"{name}.mp4", frames, FPS)
        yield _row(f"{name}/scene", "scene", path)


def _row(uri: str, copy: str, path: Path) -> dict[str, Any]:
    measured = {**measure_video(str(path)), "video_uri": uri}
    return {**{name: measured[name] for name in INPUT.names}, "copy": copy}


# ------------------------------------------------------------------------------------------ scale


def scale_figures(rule: NearDuplicates, num_videos: int) -> Iterator[dict[str, Any]]:
    """Time, memory and recall with made-up videos."""
    videos, original = made_up_videos(num_videos)
    wall, cpu = time.monotonic(), time.process_time()
    found = rule.find(videos)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    pairs = zip(found["video_uri"].to_pylist(), found["kept_uri"].to_pylist(), strict=True)
    num_right = sum(bool(original[int(a)] == original[int(b)]) for a, b in pairs)
    num_copies = num_videos - len(np.unique(original))
    yield _figure("scale.minutes", wall / 60, unit="minutes", goal="<= 10", num=num_videos)
    yield _figure("scale.cpu_seconds", cpu, unit="seconds", goal=None, num=num_videos)
    yield _figure("scale.peak_gb", peak_gb, unit="GB", goal="<= 8", num=num_videos)
    yield _figure(
        "scale.recall", num_right / num_copies, unit="of copies", goal=">= 0.95", num=num_copies
    )
    yield _figure(
        "scale.wrong", found.num_rows - num_right, unit="merges", goal="0", num=found.num_rows
    )


def made_up_videos(num_videos: int) -> tuple[pa.Table, np.ndarray[Any, np.dtype[np.int64]]]:
    """Videos of random signatures, some with one intro, and which one each is a copy of.

    The last ones are copies in which every bit is turned over with a chance of 3/64: between
    recoding and a crop. Their URIs are their numbers.
    """
    rng = np.random.default_rng(0)
    words_VT2 = rng.integers(1, 1 << 63, (num_videos, NUM_SAMPLES, 2), np.uint64) << np.uint64(1)
    intros_KT2 = rng.integers(1, 1 << 63, (10, 6, 2), np.uint64)
    with_intro = rng.integers(0, num_videos, int(WITH_INTRO * num_videos))
    words_VT2[with_intro, :6] = intros_KT2[with_intro % 10]
    num_copies = int(COPIED * num_videos)
    original = np.arange(num_videos)
    original[-num_copies:] = rng.integers(0, num_videos - num_copies, num_copies)
    words_VT2[-num_copies:] = words_VT2[original[-num_copies:]]
    for _ in range(3):  # each turns over one random bit
        bit = rng.integers(0, 64, (num_copies, NUM_SAMPLES, 2), np.uint8).astype(np.uint64)
        words_VT2[-num_copies:] ^= np.uint64(1) << bit
    offsets = np.arange(num_videos + 1) * NUM_SAMPLES * NUM_BYTES
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(words_VT2)]
    signatures = pa.Array.from_buffers(pa.large_binary(), num_videos, buffers)
    sizes = pa.array(np.full(num_videos, 480), pa.int32())
    columns = {
        "video_uri": pa.array(np.arange(num_videos)).cast(pa.string()),
        "frame_signatures": signatures,
        "width": sizes,
        "height": sizes,
        "duration_seconds": pa.array(np.full(num_videos, (NUM_SAMPLES + 1) / 2)),
    }
    return pa.table(columns, schema=INPUT), original


def _figure(
    name: str, value: float | None, *, unit: str, goal: str | None, num: int, note: str = ""
) -> dict[str, Any]:
    return {
        "name": f"near_duplicates.{name}",
        "value": None if value is None else round(value, 4),
        "unit": unit,
        "goal": goal,
        "n": num,
        "spread": None,
        "note": note,
    }


if __name__ == "__main__":
    sys.exit(main())
