"""Videos to leaderboard: the five stages one after the other, however they are started."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

REPO = Path(__file__).resolve().parents[2]
TABLES = (
    *("clips", "clips/_measured", "storyboards", "latents", "conditions"),
    *("checkpoints/_index", "generations", "scores"),
)
LEADERBOARDS = ("leaderboard.md", "leaderboard.json")


def table_bytes(run: Path) -> dict[str, bytes]:
    """Every data file of every table, by its place in the run directory."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for table in TABLES
        for path in sorted((run / table).glob("*.parquet"))
    }


def test_the_chain_leaves_every_table_and_a_leaderboard(finished_run: Path) -> None:
    """Each table has rows that plain pyarrow reads, each stage's rows are conserved."""
    summary = json.loads((finished_run / "summary.json").read_text())

    for table in TABLES:
        assert pq.read_table(finished_run / table).num_rows > 0, table
    assert {"ingest", "caption", "latents", "train", "eval"} <= summary["stages"].keys()
    for name, stage in summary["stages"].items():
        assert stage["rows_in"] == stage["kept"] + stage["dropped"] + stage["failed"], name
        assert 0 == stage["failed"], (name, stage["reasons"])
    for suffix in ("html", "md", "json"):
        assert (finished_run / f"leaderboard.{suffix}").stat().st_size > 0


def test_no_clip_is_both_trained_on_and_evaluated(finished_run: Path) -> None:
    """The clips of the checkpoints and of the samples are disjoint, and both exist."""
    checkpoints = pq.read_table(finished_run / "checkpoints/_index").to_pylist()
    samples = pq.read_table(finished_run / "generations").to_pylist()

    trained_on = {clip for row in checkpoints for clip in row["clip_ids"]}
    evaluated = {row["clip_id"] for row in samples}

    assert trained_on
    assert evaluated
    assert not trained_on & evaluated


def test_every_arm_is_asked_for_the_same_frames_from_the_same_noise(finished_run: Path) -> None:
    """Omega and seed of a clip do not depend on the arm."""
    samples = pq.read_table(finished_run / "generations").to_pylist()
    asked = {
        (row["clip_id"], tuple(row["omega"]), row["seed"])
        for row in samples
        if row["task"] == "retrieve"
    }

    assert len(asked) == len({row["clip_id"] for row in samples})


def test_a_second_run_computes_nothing_and_changes_nothing(
    small_videos: Path, chain: Callable[..., Path], finished_run: Path
) -> None:
    """All rows are reused and the tables' files are the same, byte for byte."""
    before = table_bytes(finished_run)

    chain(small_videos, finished_run)

    summary = json.loads((finished_run / "summary.json").read_text())
    assert all(stage["reused"] == stage["rows_in"] for stage in summary["stages"].values())
    assert before == table_bytes(finished_run)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token authentication, which a cluster should have and Ray has by default."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))


@pytest.fixture
def cluster_address(token: None) -> Iterator[str]:
    """A cluster of its own, started as a user does with ``ray start --head``."""
    del token  # it stands in the environment of all that is started here
    gcs_port, dashboard_port = free_port(), free_port()
    ray = str(Path(sys.executable).with_name("ray"))
    ports = {
        "--port": gcs_port,
        "--dashboard-port": dashboard_port,
        "--ray-client-server-port": free_port(),
        "--dashboard-agent-listen-port": free_port(),
    }
    options = [f"{name}={port}" for name, port in ports.items()]
    head = subprocess.Popen(
        [
            *(ray, "start", "--head", "--block", "--num-cpus=2", "--node-ip-address=127.0.0.1"),
            *("--dashboard-host=127.0.0.1", "--disable-usage-stats", *options),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_port(dashboard_port, head)
        yield f"http://127.0.0.1:{dashboard_port}"
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()


def submit(command: list[str], seconds: float = 180.0) -> subprocess.CompletedProcess[str]:
    """Submit a job and wait for it; a new cluster takes a while until its agent answers."""
    until = time.monotonic() + seconds
    while True:
        done = subprocess.run(
            command, cwd=REPO, capture_output=True, text=True, timeout=400, check=False
        )
        if "No available agent" not in done.stderr or time.monotonic() > until:
            return done
        time.sleep(3)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    """Until somebody listens; fails when the process ends or time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, "ray start ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    pytest.fail(f"nothing listened on port {port} within {seconds} s")


@pytest.mark.timeout(900)
def test_jobs_on_a_cluster_leave_the_same_tables(
    cluster_address: str, small_videos: Path, finished_run: Path, tmp_path: Path
) -> None:
    """``ray job submit ... -- python -m pipelines.<stage>``, five times: equal bytes."""
    out = tmp_path / "out"
    ray = str(Path(sys.executable).with_name("ray"))
    excludes = json.dumps({"excludes": [".git", ".venv", "runs", "docs", "tests"]})
    for stage in ("ingest", "caption", "latents", "train", "eval"):
        source = ["--input", str(small_videos)] if stage == "ingest" else []
        command = [
            *(ray, "job", "submit", "--address", cluster_address, "--working-dir", "."),
            *("--runtime-env-json", excludes, "--", sys.executable, "-m", f"pipelines.{stage}"),
            *("--preset", "debug", "--output", str(out), *source),
        ]
        done = submit(command)
        assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-2000:]

    expected, submitted = table_bytes(finished_run), table_bytes(out)
    assert sorted(expected) == sorted(submitted)
    assert [name for name in expected if expected[name] != submitted[name]] == []


@pytest.mark.timeout(900)
def test_a_demo_that_is_killed_again_and_again_ends_with_the_same_tables(
    small_videos: Path, finished_run: Path, tmp_path: Path
) -> None:
    """``kill -9`` of the driver at random moments, then the same command: equal bytes."""
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "pipelines.demo", "--preset", "debug"),
        *("--videos", str(small_videos), "--out", str(out)),
    ]
    rng = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(
            command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(rng.uniform(8.0, 30.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = subprocess.run(
        command, cwd=REPO, capture_output=True, text=True, timeout=600, check=False
    )
    assert 0 == done.returncode, done.stderr[-3000:]

    expected, resumed = table_bytes(finished_run), table_bytes(out)
    assert sorted(expected) == sorted(resumed)
    assert [name for name in expected if expected[name] != resumed[name]] == []
    assert "Leaderboard:" in done.stdout
