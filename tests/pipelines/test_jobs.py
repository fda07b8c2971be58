"""Each stage as a submitted job: ``ray job submit`` against a cluster that was started for it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.pipelines.run_files import table_bytes

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token authentication, which a cluster should have, and this environment's Python first."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
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
    )
    try:
        wait_for_port(dashboard_port, head)
        address = f"http://127.0.0.1:{dashboard_port}"
        wait_for_jobs(address)
        yield address
    finally:
        # Not `ray stop`, which ends every Ray of this machine; and not a request to end, because
        # a head that is asked to end waits half a minute for its children.
        family = [*psutil.Process(head.pid).children(recursive=True), head]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        head.wait()


def wait_for_jobs(address: str, seconds: float = 300.0) -> None:
    """Until a job that does nothing comes through, as the docs tell users of a new cluster.

    The dashboard answers before the agent that starts jobs does; until then submitting ends with
    "No available agent to submit job".
    """
    ray = str(Path(sys.executable).with_name("ray"))
    until = time.monotonic() + seconds
    while True:
        command = [ray, "job", "submit", "--address", address, "--", "true"]
        done = subprocess.run(
            command, cwd=REPO, capture_output=True, text=True, timeout=400, check=False
        )
        if not done.returncode:
            return
        assert time.monotonic() < until, done.stdout[-3000:] + done.stderr[-2000:]
        time.sleep(2)


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
    for stage in ("ingest", "caption", "latents", "train", "eval"):
        source = ["--input", str(small_videos)] if stage == "ingest" else []
        command = [
            *(ray, "job", "submit", "--address", cluster_address, "--working-dir", "."),
            *("--", "python", "-m", f"pipelines.{stage}"),
            *("--preset", "debug", "--output", str(out), *source),
        ]
        done = subprocess.run(
            command, cwd=REPO, capture_output=True, text=True, timeout=400, check=False
        )
        assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-2000:]

    expected, submitted = table_bytes(finished_run), table_bytes(out)
    assert sorted(expected) == sorted(submitted)
    assert [name for name in expected if expected[name] != submitted[name]] == []
