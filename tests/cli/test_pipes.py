"""Commands whose reader goes away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


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
