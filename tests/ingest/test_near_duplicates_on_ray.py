"""Near duplicates as a distributed join: the same bytes as on one machine."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.near_duplicates import made_up_videos
from pfp.ingest import near_candidates, near_duplicates
from pfp.ingest.near_candidates import Samples
from pfp.io.tables import read_records, write_table
from pfp.runtime.shared_tasks import TasksOnRay
from pfp.schema import Dropped, RunDirectory
from pfp.schema.measured import MeasuredRecord
from pipelines.ingest.select import main as select
from tests.ingest.conftest import MakeClip
from tests.ingest.test_near_duplicates import RULE
from tests.ingest.test_run import file_bytes

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.slow]


@pytest.fixture
def in_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in parts, pairs in batches and thinned on the way, as with millions of videos."""
    monkeypatch.setattr(near_candidates, "MAX_SAMPLES_OF_PART", 1 << 12)
    monkeypatch.setattr(near_duplicates, "_MAX_SEEDS_HELD", 1 << 11)
    monkeypatch.setattr(near_duplicates, "_PAIRS_OF_TASK", 1 << 6)


@pytest.mark.usefixtures("in_many_parts")
def test_two_workers_find_what_one_process_finds() -> None:
    """Byte for byte."""
    videos, _ = made_up_videos(800)
    tasks: list[TasksOnRay[Samples]] = []

    def on_ray(samples: Samples) -> TasksOnRay[Samples]:
        tasks.append(TasksOnRay(samples))
        return tasks[-1]

    here, there = RULE.find(videos), RULE.find(videos, tasks_over=on_ray)

    assert here.num_rows > 50
    assert 1 == len(tasks)
    assert as_bytes(here) == as_bytes(there)


def as_bytes(table: pa.Table) -> bytes:
    """What a file of it holds."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


def test_select_on_ray_leaves_the_same_tables(tmp_path: Path, make_clip: MakeClip) -> None:
    """Only when it is told to: Ray is not started for a choice that takes a second."""
    signatures = made_up_videos(40)[0]["frame_signatures"].to_pylist()
    measured = [
        make_clip(
            video_uri=f"file:///{k}", video_sha256=f"{k:016x}" * 4, frame_signatures=signature
        )
        for k, signature in enumerate(signatures)
    ]
    for engine in ("local", "ray"):
        run = RunDirectory(tmp_path / engine)
        write_table(run.measured.path, MeasuredRecord.table(measured), MeasuredRecord)
        assert 0 == select(["--recipe", "demo", "--output", run.uri, "--engine", engine])

    verdicts = [row.verdict for row in read_records(*run.videos)]
    assert "near_duplicate" in {one.reason for one in verdicts if isinstance(one, Dropped)}
    for folder in ("videos", "clips"):
        assert file_bytes(tmp_path / "local" / folder) == file_bytes(tmp_path / "ray" / folder)
