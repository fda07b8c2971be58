"""Ingest of a store on a cluster of two nodes, one of which dies on the way."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from tests.latents.s3_server import BUCKET, S3Server
from tests.pipelines.clusters import REPO, Cluster, kill_node, use_token

NUM_COPIES = 5  # of each video; copies of files are measured, too


@pytest.mark.timeout(600)
def test_a_node_that_dies_costs_nothing(
    small_videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ray job submit``, from s3:// to s3://, leaves the bytes that one process leaves."""
    use_token(monkeypatch)
    with S3Server() as server:
        for path in small_videos.iterdir():
            for copy in range(NUM_COPIES):
                store().put_object(BUCKET, f"in/{copy}/{path.name}", path.read_bytes())
        with Cluster(num_cpus=1) as cluster:
            other = cluster.add_node(num_cpus=1)
            job = subprocess.Popen(
                cluster.job("python", *ingest(server, "cluster")),
                cwd=REPO,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            wait_for_rows("runs/cluster", job)
            kill_node(other)
            assert job.poll() is None, "nothing was left to do"
            output, _ = job.communicate(timeout=400)
            assert 0 == job.returncode, output[-3000:]

        subprocess.run(
            [sys.executable, *ingest(server, "alone"), "--engine", "local"], cwd=REPO, check=True
        )
        assert tables("runs/alone") == tables("runs/cluster")
        assert 3 <= len(tables("runs/alone"))


def store() -> Any:
    """The server's objects."""
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def ingest(server: S3Server, name: str) -> list[str]:
    """The stage's command line, without the interpreter."""
    return [
        *("-m", "pipelines.ingest", "--preset", "debug", "--set", "num_workers=2"),
        *("--input", server.uri("in"), "--output", server.uri(f"runs/{name}")),
    ]


def tables(run: str) -> dict[str, bytes]:
    """The data files of a run by their place in it."""
    found = store().buckets[BUCKET].keys
    names = [key for key in found if key.startswith(f"{run}/") and key.endswith(".parquet")]
    return {name.removeprefix(run): found[name].value for name in names}


def wait_for_rows(run: str, job: subprocess.Popen[str]) -> None:
    """Until the first rows are measured and the job has more to do."""
    until = time.monotonic() + 300
    while len(tables(run)) < 3:
        assert job.poll() is None, job.communicate()[0][-3000:]
        assert time.monotonic() < until
        time.sleep(0.2)
