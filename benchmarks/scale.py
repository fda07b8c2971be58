"""What five million files cost before and after they are decoded, in time and memory.

    python -m benchmarks.scale [--rows 500000 5000000] [PART ...]

Two JSON lines a part and number of rows, ``<part>_<rows>_minutes`` and ``<part>_<rows>_peak_gb``.
Each is measured in a process of its own, whose inputs are made before its clock starts and whose
peak is the resident memory that the part adds to what Python and its imports hold.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs as pafs

from pfp.schema.run_directory import RunDirectory

if TYPE_CHECKING:
    from pfp.schema import MeasuredRecord

Work: TypeAlias = Callable[[], object]
ROWS: Final = (500_000, 5_000_000)
GOALS: Final = {"minutes": "<= 10", "gb": "<= 8"}
_CHUNK_ROWS: Final = 100_000


# ------------------------------------------------------------------------------------- listing


def listing(num_rows: int, folder: Path) -> Work:
    """A Parquet manifest in no order, with sizes, ids, captions and one more column."""
    from pfp.ingest.inputs import gather_inputs

    path = folder / "files.parquet"
    with pq.ParquetWriter(path, _manifest_rows(0, 1).schema) as writer:
        for first in range(0, num_rows, _CHUNK_ROWS):
            writer.write_table(_manifest_rows(first, min(num_rows, first + _CHUNK_ROWS)))
    return lambda: _check_rows(gather_inputs(path), num_rows)


def store_listing(num_rows: int, folder: Path) -> Work:
    """Objects in five hundred folders of a store that answers at once, as pyarrow hands them over.

    What the network takes, a request for each thousand objects, comes on top.
    """
    from pfp.ingest.inputs import store_files
    from pfp.ingest.inputs.patterns import EVERYTHING

    del folder
    place = store_files.StorePlace(
        filesystem=_Store(num_rows), path="bucket", before="s3://", after="?region=us-east-1"
    )

    def work() -> None:
        found = store_files.store_files("s3://bucket", place, skip=(), pattern=EVERYTHING)
        _check_rows(pa.concat_tables(found), num_rows)

    return work


class _Store:
    """As much of a file system as a listing asks for: folders of equally many objects."""

    num_folders: Final = 500

    def __init__(self, num_rows: int) -> None:
        self._num_files = num_rows // self.num_folders

    def get_file_info(self, selector: pafs.FileSelector) -> list[Any]:
        """What lies in the folder that is asked for."""
        if selector.base_dir == "bucket":
            return [
                pafs.FileInfo(f"bucket/folder-{number:04d}", pafs.FileType.Directory)
                for number in range(self.num_folders)
            ]
        name = f"{selector.base_dir}/a-video-with-a-name-of-usual-length-"
        return [
            pafs.FileInfo(f"{name}{number:09d}.mp4", pafs.FileType.File, size=number, mtime_ns=7)
            for number in range(self._num_files)
        ]


def _manifest_rows(first: int, end: int) -> pa.Table:
    """Rows ``[first, end)``, under names that are in no order."""
    numbers = np.arange(first, end)
    # A bijection of 64-bit numbers: odd multipliers have inverses.
    mixed = pa.array(numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    ids = pc.binary_join_element_wise("id", mixed.cast(pa.string()), "-")
    names = pc.binary_join_element_wise("s3://bucket/videos/of/somebody/", ids, ".mp4", "")
    return pa.table(
        {
            "video_uri": names,
            "size_bytes": numbers,
            "changed_ns": numbers,
            "id": ids,
            "source": pa.array(["a source"] * len(numbers)),
            "caption": pa.array(["a caption of some forty letters, as many have"] * len(numbers)),
            "views": numbers,
        }
    )


# -------------------------------------------------------------------------------------- resume


def resume(num_rows: int, folder: Path) -> Work:
    """What a second run finds: the rows of the listing that are not measured yet, one in a hundred.

    The listing has ids, captions and one more column, and is in no order.
    """
    from pfp.runtime.keys import result_keys
    from pfp.runtime.run import backlog
    from pipelines.ingest.config import full
    from pipelines.ingest.stages import measure_stage

    stage = measure_stage(full())
    files = _manifest_rows(0, num_rows)
    out, kinds = RunDirectory(folder), _kinds()

    def parts() -> Iterator[pa.Table]:
        for first in range(0, num_rows - num_rows // 100, _CHUNK_ROWS):
            listed = files.slice(first, min(_CHUNK_ROWS, num_rows - num_rows // 100 - first))
            columns = {name: listed[name] for name in ("video_uri", "size_bytes", "changed_ns")}
            columns["result_key"] = result_keys(stage, listed)
            yield _like(kinds, first, columns)

    _write_measured(out, parts())
    return lambda: _check_rows(backlog(stage, files, out.measured.path).todo, num_rows // 100)


# -------------------------------------------------------------------------------------- select


def selection(num_rows: int, folder: Path) -> Work:
    """Measured videos of 10 to 70 s to tables of videos and clips, by the recipe ``full``.

    Without near duplicates, which are a part of their own. A tenth of the files are copies.
    """
    from pfp.ingest.recipe import load_recipe
    from pfp.runtime.stage_config import StageConfig
    from pipelines.ingest.select import select

    out, kinds = RunDirectory(folder), _kinds()
    recipe = replace(load_recipe("full"), near_duplicates=None)
    firsts = range(0, num_rows, _CHUNK_ROWS)
    _write_measured(out, (_measured_rows(kinds, n, min(num_rows, n + _CHUNK_ROWS)) for n in firsts))

    def work() -> None:
        videos, _ = select(out, recipe, StageConfig.of("ingest", {}), told=None)
        if videos.rows_in != num_rows:
            raise ValueError(f"{num_rows} videos became {videos.rows_in}; the part is broken")

    return work


def _measured_rows(kinds: pa.Table, first: int, end: int) -> pa.Table:
    """Rows ``[first, end)`` like those of ``kinds`` in turn, each of a file of its own."""
    numbers = np.arange(first, end)
    contents = pc.utf8_lpad(pa.array(numbers - numbers % 10 // 9).cast(pa.string()), 16, "0")
    names = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 12, "0")
    columns = {
        "video_uri": pc.binary_join_element_wise("s3://bucket/of/somebody/", names, ".mp4", ""),
        "video_sha256": pc.binary_join_element_wise(*[contents] * 4, ""),
    }
    return _like(kinds, first, columns)


def _like(kinds: pa.Table, first: int, columns: Mapping[str, Any]) -> pa.Table:
    """Rows like those of ``kinds`` in turn, but for some columns, which say how many there are."""
    num_rows = len(columns["video_uri"])
    rows = kinds.take(pa.array(np.arange(first, first + num_rows) % kinds.num_rows))
    for name, column in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


def _kinds() -> pa.Table:
    """Some kinds of measured videos, of 10 to 70 s."""
    from pfp.schema import MeasuredRecord

    return MeasuredRecord.table([_measured(number) for number in range(256)])


def _write_measured(out: RunDirectory, parts: Iterable[pa.Table]) -> None:
    """The table of measured videos, in the order of the parts."""
    from pfp.io.filesystems import Folder
    from pfp.io.manifest import commit_files
    from pfp.io.table_writer import ROWS_PER_FILE, TableWriter
    from pfp.schema import MeasuredRecord

    place = Folder.at(out.measured.path)
    place.make()
    with TableWriter(place, MeasuredRecord) as writer:
        for part in parts:
            writer.append(part)
        commit_files(place, MeasuredRecord, writer.finish(), rows_per_file=ROWS_PER_FILE)


def _measured(number: int) -> MeasuredRecord:
    """One of some kinds of videos: of any length, upright and wide, some dark, still or damaged."""
    from pfp.schema import KEPT, MeasuredRecord
    from pfp.schema.measured import SecondMeasures

    rng = np.random.default_rng(number)
    seconds = float(rng.integers(100, 700)) / 10
    size = (1280, 720) if number % 2 else (720, 1280)
    track = [
        SecondMeasures(
            luma_mean=float(rng.uniform(20, 200)),
            luma_std=50.0,
            motion=float(rng.uniform(0, 20)),
            frozen=float(rng.random() < 0.02),
            black=float(rng.random() < 0.02),
            uniform=0.0,
            num_damaged=int(rng.random() < 0.001),
        )
        for _ in range(int(np.ceil(seconds)))
    ]
    cuts = [0.0, *np.sort(rng.uniform(0, seconds, rng.integers(0, 12))).tolist(), seconds]
    return MeasuredRecord(
        video_uri="",
        video_sha256="",
        size_bytes=1,
        container="mp4",
        codec="h264",
        width=size[0],
        height=size[1],
        orientation="landscape" if number % 2 else "portrait",
        duration_seconds=seconds,
        promised_seconds=seconds,
        fps=30.0,
        num_frames=int(30 * seconds),
        max_gap_seconds=1 / 30,
        num_timestamp_jumps=0,
        num_size_changes=0,
        decode_error_count=0,
        combed_fraction=0.0,
        stereo_layout="mono",
        projection="flat",
        hidden_fraction=0.0,
        transfer="sdr" if number % 16 else "pq",
        bar_fraction=0.0,
        backdrop_fraction=0.0,
        shots=[
            {"start_seconds": start, "end_seconds": end, "kind": "cut" if start else "start"}
            for start, end in itertools.pairwise(cuts)
        ],
        track=track,
        verdict=KEPT,
        result_key="0" * 64,
    )


def _check_rows(table: pa.Table, num_rows: int) -> None:
    if table.num_rows != num_rows:
        raise ValueError(f"{num_rows} rows became {table.num_rows}; the part is broken")


# --------------------------------------------------------------------------------------- dedup


def dedup(num_rows: int, folder: Path) -> Work:
    """Made-up videos of twenty signatures, a tenth of them near copies, to the copies."""
    from benchmarks.near_duplicates import made_up_videos
    from pfp.ingest.recipe import load_recipe

    del folder
    rule = load_recipe("full").near_duplicates
    if rule is None:
        raise ValueError("the recipe full tells no copies; the part is broken")
    videos, _ = made_up_videos(num_rows)
    return lambda: _check_rows(rule.find(videos), num_rows // 10)


# ---------------------------------------------------------------------------- quotas and funnel


def quota(num_rows: int, folder: Path) -> Work:
    """As many clips, of which upright ones are scarce, to half upright and half wide ones."""
    from pfp.ingest.quotas import Quota

    del folder
    shares = {"portrait": 0.5, "landscape": 0.5}
    numbers = np.arange(num_rows)
    kinds = pa.array(np.where(numbers % 4 == 0, "portrait", "landscape"))
    ids = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 24, "0")

    def work() -> None:
        surplus = Quota(column="orientation", shares=shares).surplus(kinds, ids)
        if len(surplus.rows) != num_rows // 2:
            raise ValueError(f"{len(surplus.rows)} clips are too many; the part is broken")

    return work


def funnel(num_rows: int, folder: Path) -> Work:
    """The tables that ``selection`` leaves, to the counts by reason."""
    from pfp.ingest.funnel import funnels

    selection(num_rows, folder)()

    def work() -> None:
        files, _ = funnels(str(folder))
        if files.num_rows != num_rows:
            raise ValueError(f"{num_rows} files became {files.num_rows}; the part is broken")

    return work


# What is measured: each makes its input in a folder and returns the work.
PARTS: Final[Mapping[str, Callable[[int, Path], Work]]] = {
    "listing": listing,
    "store_listing": store_listing,
    "resume": resume,
    "selection": selection,
    "dedup": dedup,
    "quota": quota,
    "funnel": funnel,
}


# ----------------------------------------------------------------------------------- measuring


def figures(part: str, num_rows: int) -> list[dict[str, object]]:
    """The two figures of one part at one number of rows, memory in GB (10^9 bytes)."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure_here, args=(part, num_rows, theirs))
    process.start()
    theirs.close()
    minutes, cpu_minutes, peak_gb = ours.recv()
    process.join()
    name = f"{part}_{_shown(num_rows)}"
    return [
        _figure(f"{name}_minutes", minutes, "minutes", f"{cpu_minutes:.3f} minutes of CPU"),
        _figure(f"{name}_peak_gb", peak_gb, "gb", f"{num_rows} rows"),
    ]


def _measure_here(part: str, num_rows: int, answer: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = PARTS[part](num_rows, Path(folder))
        pa.default_memory_pool().release_unused()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (Linux, man 5 proc)
        held_bytes = psutil.Process().memory_info().rss
        start, cpu_start = time.perf_counter(), time.process_time()
        work()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answer.send((seconds / 60, cpu_seconds / 60, (peak_bytes - held_bytes) / 1e9))


def _figure(name: str, value: float, unit: str, note: str) -> dict[str, object]:
    goal = GOALS[unit]
    figure = {"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "n": 1}
    return {**figure, "spread": None, "note": note}


def _shown(num_rows: int) -> str:
    return f"{num_rows // 1000}k" if num_rows < 10**6 else f"{num_rows / 1e6:g}m"


def main(argv: list[str] | None = None) -> int:
    """Print the figures of the parts that are named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    options = parser.parse_args(argv)
    for part in options.parts or PARTS:
        for num_rows in options.rows:
            for figure in figures(part, num_rows):
                print(json.dumps(figure), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
