"""Each stage as a submitted job: ``ray job submit`` against a cluster that was started for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.clusters import REPO, Cluster, use_token
from tests.pipelines.run_files import table_bytes


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of its own of two CPUs."""
    use_token(monkeypatch)
    with Cluster(num_cpus=2) as cluster:
        yield cluster


@pytest.mark.timeout(900)
def test_jobs_on_a_cluster_leave_the_same_tables(
    cluster: Cluster, small_videos: Path, finished_run: Path, tmp_path: Path
) -> None:
    """``ray job submit ... -- python -m pipelines.<stage>``, five times: equal bytes."""
    out = tmp_path / "out"
    for stage in ("ingest", "caption", "latents", "train", "eval"):
        source = ["--input", str(small_videos)] if stage == "ingest" else []
        command = cluster.job(
            *("python", "-m", f"pipelines.{stage}"),
            *("--preset", "debug", "--output", str(out), *source),
        )
        done = subprocess.run(
            command, cwd=REPO, capture_output=True, text=True, timeout=400, check=False
        )
        assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-2000:]

    expected, submitted = table_bytes(finished_run), table_bytes(out)
    assert sorted(expected) == sorted(submitted)
    assert [name for name in expected if expected[name] != submitted[name]] == []
