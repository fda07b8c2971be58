"""Locks: one writer per folder, and a dead one never in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pfp.errors import InputError
from pfp.io.filesystems import Folder
from pfp.io.locks import locked

HOLD = """
import sys, time
from pfp.io.filesystems import Folder
from pfp.io.locks import locked
with locked(Folder.at(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    return process


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    """The message names the process that holds the lock."""
    process = hold(tmp_path)
    try:
        pattern = f"is being written by process {process.pid} on .* since .*; wait for it"
        with pytest.raises(InputError, match=pattern), locked(Folder.at(tmp_path)):
            pass
    finally:
        process.kill()
        process.communicate()


def test_a_writer_that_was_killed_is_not_in_the_way(tmp_path: Path) -> None:
    """The lock of a dead process is free, though its file is still there."""
    process = hold(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [tmp_path / "_lock"] == list(tmp_path.iterdir())
    with locked(Folder.at(tmp_path)):
        pass


def test_a_released_lock_leaves_no_file(tmp_path: Path) -> None:
    """A finished table's folder holds the table only."""
    with locked(Folder.at(tmp_path)):
        assert [tmp_path / "_lock"] == list(tmp_path.iterdir())
    assert [] == list(tmp_path.iterdir())


def test_the_same_process_cannot_lock_twice(tmp_path: Path) -> None:
    """Two threads of one process are two writers too."""
    with (
        locked(Folder.at(tmp_path)),
        pytest.raises(InputError, match=f"process {os.getpid()}"),
        locked(Folder.at(tmp_path)),
    ):
        pass
