"""Ray clusters of a test's own, started as users do, and jobs that are submitted to them."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import psutil
import pytest

REPO = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).with_name("ray"))


def use_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token authentication, which a cluster should have, and this environment's Python first."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))


class Cluster:
    """``ray start --head`` with some CPUs, and nodes that join it; all are killed at the end.

    They see the environment that there is when they start.
    """

    def __init__(self, num_cpus: int) -> None:
        self._gcs_port, dashboard_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{dashboard_port}"
        self._nodes: list[subprocess.Popen[bytes]] = []
        ports = {
            "--port": self._gcs_port,
            "--dashboard-port": dashboard_port,
            "--ray-client-server-port": free_port(),
            "--dashboard-agent-listen-port": free_port(),
        }
        head = self._start(
            *("--head", "--dashboard-host=127.0.0.1", f"--num-cpus={num_cpus}"),
            *(f"{name}={port}" for name, port in ports.items()),
        )
        try:
            wait_for_port(dashboard_port, head)
            wait_for_jobs(self.address)
        except BaseException:
            self.stop()
            raise

    def add_node(self, num_cpus: int) -> subprocess.Popen[bytes]:
        """One more machine, as far as Ray knows."""
        return self._start(
            f"--address=127.0.0.1:{self._gcs_port}",
            f"--num-cpus={num_cpus}",
            f"--dashboard-agent-listen-port={free_port()}",
        )

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        node = subprocess.Popen(
            [
                *(RAY, "start", "--block", "--node-ip-address=127.0.0.1"),
                *("--disable-usage-stats", *options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._nodes.append(node)
        return node

    def job(self, *command: str) -> list[str]:
        """The command line that submits a job and follows it."""
        submit = [RAY, "job", "submit", "--address", self.address, "--working-dir", "."]
        return [*submit, "--", *command]

    def stop(self) -> None:
        """Kill all nodes."""
        for node in reversed(self._nodes):
            kill_node(node)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def kill_node(node: subprocess.Popen[bytes]) -> None:
    """Kill a node and all that runs on it.

    Not ``ray stop``, which ends every Ray of this machine; and not a request to end, because a head
    that is asked to end waits half a minute for its children.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in [*psutil.Process(node.pid).children(recursive=True), node]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    node.wait()


def wait_for_jobs(address: str, seconds: float = 300.0) -> None:
    """Until a job that does nothing comes through, as the docs tell users of a new cluster.

    The dashboard answers before the agent that starts jobs does; until then submitting ends with
    "No available agent to submit job".
    """
    until = time.monotonic() + seconds
    while True:
        command = [RAY, "job", "submit", "--address", address, "--", "true"]
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
