"""Locks: one writer per folder, and a dead one never in the way."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import fs as pafs

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


def num_open() -> int:
    """The descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_locking_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """Neither a lock that was held nor one that was refused."""
    before = num_open()
    with locked(Folder.at(tmp_path)):
        for _ in range(3):
            with pytest.raises(InputError), locked(Folder.at(tmp_path)):
                pass
        assert before + 1 == num_open()
    assert before == num_open()


def test_a_lock_whose_file_went_away_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner removed it between our opening and our locking: what we hold is nobody's name."""
    lock, taken = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        lock(descriptor, operation)
        taken.append(descriptor)
        if len(taken) == 1:
            (tmp_path / "_lock").unlink()
        if len(taken) == 2:
            (tmp_path / "_lock").rename(tmp_path / "moved")
            (tmp_path / "_lock").touch()

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(Folder.at(tmp_path)), pytest.raises(InputError), locked(Folder.at(tmp_path)):
        pass

    assert 3 == len(taken)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"pid": 1}'])
def test_an_owner_who_has_not_signed_yet_is_another_process(tmp_path: Path, content: bytes) -> None:
    """What stands in the file is for the message alone."""
    path = tmp_path / "_lock"
    path.write_bytes(content)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(InputError, match="is being written by another process; wait"),
            locked(Folder.at(tmp_path)),
        ):
            pass

    assert content == path.read_bytes()


def test_the_owner_before_is_overwritten(tmp_path: Path) -> None:
    """A longer name that a dead process left does not stand behind ours."""
    (tmp_path / "_lock").write_bytes(b"x" * 5000)
    with locked(Folder.at(tmp_path)):
        content = (tmp_path / "_lock").read_text()

    assert content.startswith(f'{{"pid": {os.getpid()}, ')
    assert content.endswith('"}')


def test_the_folder_is_made(tmp_path: Path) -> None:
    """With its parents, before anything is written."""
    with locked(Folder.at(tmp_path / "a" / "b")):
        assert ["_lock"] == Folder.at(tmp_path / "a" / "b").names()


def test_an_object_store_has_no_lock() -> None:
    """Two writers are let in, and no file is left for readers to wonder about."""
    store = pafs._MockFileSystem()
    store.create_dir("b/t")
    folder = Folder(store, "b/t")
    with locked(folder), locked(folder):
        assert [] == folder.names()


def test_an_error_under_a_lock_releases_it(tmp_path: Path) -> None:
    """The next run is not kept out by a failed one."""
    with pytest.raises(KeyError), locked(Folder.at(tmp_path)):
        raise KeyError
    with locked(Folder.at(tmp_path)):
        pass
