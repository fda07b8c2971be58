"""How commands end, and what they print on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pfp.cli.command import exit_status, prints_safely
from pfp.errors import InputError


@pytest.mark.parametrize(
    "command", [("main", "--help"), ("main", "weights", "ls"), ("eval", "ls", "metrics")]
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(
    command: tuple[str, ...], unbuffered: str
) -> None:
    """``pfp ... | head`` prints no traceback, also when nothing is read at all."""
    reader, writer = os.pipe()
    os.close(reader)
    module, *arguments = command
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"pfp.cli.{module}", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)

    assert "Traceback" not in done.stderr
    assert "BrokenPipeError" not in done.stderr


WAITING = """
import sys, time
from pfp.cli.command import exit_status, prints_safely
@prints_safely
def main():
    def wait():
        print("ready", flush=True)
        time.sleep(60)
    return exit_status("pfp x", wait, stopped="stopped; the same command goes on from here")
sys.exit(main())
"""
WAITING_FOR_RAY = """
import sys, time
from pfp.cli.command import exit_status
from pfp.runtime.connect import connect
def wait():
    with connect("ray", num_cpus=1):
        import ray
        print("ready", flush=True)
        ray.get(ray.remote(time.sleep).remote(60))
sys.exit(exit_status("pfp x", wait))
"""


def _ended_by(number: int, program: str) -> tuple[int, str]:
    """The exit status and standard error of a program that got a signal once it was ready."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        return process.returncode, said


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_command_with_one_sentence(name: str) -> None:
    """A scheduler's SIGTERM and a closed terminal end as Ctrl-C does, with their own status."""
    number = getattr(signal, name)

    ended = _ended_by(number, WAITING)

    sentence = f"pfp x: stopped; the same command goes on from here ({name})\n"
    assert ended == (128 + number, sentence)


@pytest.mark.slow
def test_a_signal_ends_a_command_that_runs_on_ray_with_one_sentence() -> None:
    """Ray puts a handler of its own in place, which exits without a word."""
    assert _ended_by(signal.SIGTERM, WAITING_FOR_RAY) == (143, "pfp x: stopped (SIGTERM)\n")


def test_nohup_is_obeyed() -> None:
    """A command that was told to outlive its terminal does not end by SIGHUP."""
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{WAITING}"
    program = ignoring.replace("time.sleep(60)", "time.sleep(2)")

    assert _ended_by(signal.SIGHUP, program) == (0, "")


def test_what_a_command_prints_cannot_steer_a_terminal_or_tell_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names from outside reach stdout and stderr escaped, and keys redacted."""
    monkeypatch.setenv("GEMINI_API_KEY", "a-key-of-mine")

    @prints_safely
    def main() -> int:
        def run() -> int:
            sys.stdout.write("clip \x1b[2J a-key-of-mine\n")
            raise InputError("\x1b]0;title\x07 s3://KEY:SECRET@b/x")

        return exit_status("pfp x", run)

    status = main()

    said = capsys.readouterr()
    assert said.out == "clip \\x1b[2J [redacted]\n"
    assert said.err == "pfp x: \\x1b]0;title\\x07 s3://[redacted]@b/x\n"
    assert status == 2


def test_a_fault_of_ours_is_no_failed_gate(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 is what ``compare --fail-if`` says; a bug ends with 70 and its traceback."""

    def run() -> int:
        raise KeyError("s3://KEY:SECRET@b/x")

    status = exit_status("pfp x", run)

    said = capsys.readouterr().err
    assert status == 70
    assert "Traceback" in said
    assert "SECRET" not in said
