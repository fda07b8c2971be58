"""Folders: whole files or none, and a full or read-only disk said in one sentence."""

from __future__ import annotations

import errno
import hashlib
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from pfp.errors import InputError
from pfp.io.filesystems import AsideFile, Folder, disk_full, explain_write_errors, resolve


def test_a_local_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stage hands to its workers must not depend on their directory."""
    monkeypatch.chdir(tmp_path)
    filesystem, path = resolve("runs/x")
    assert isinstance(filesystem, pafs.LocalFileSystem)
    assert str(tmp_path / "runs" / "x") == path


def test_a_file_uri_is_a_local_path(tmp_path: Path) -> None:
    """``file://`` and a plain path lead to the same folder."""
    filesystem, path = resolve(f"file://{tmp_path}/x")
    assert isinstance(filesystem, pafs.LocalFileSystem)
    assert f"{tmp_path}/x" == path


def test_an_object_store_uri_is_resolved_without_a_connection() -> None:
    """The region comes from the URI; nothing is asked of the network."""
    filesystem, path = resolve("s3://bucket/runs?region=eu-west-1")
    assert "s3" == filesystem.type_name
    assert "bucket/runs" == path


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://KEY:SECRET@bucket/x", r"s3://\.\.\.@bucket/x holds credentials"),
        ("s3://KEY:SEC/RET@bucket/x", r"s3://\.\.\.@bucket/x holds credentials"),
        ("https://KEY@host/x.mp4", r"https://\.\.\.@host/x.mp4 holds credentials"),
        ("s3://bucket/x?endpoint_override=evil:9000", "has the settings endpoint_override"),
        ("s3://bucket/x?region=a&scheme=http", "has the settings region, scheme"),
        ("s3://bucket/x?region=evil.example%2f", "has the settings region"),
        ("gs://anonymous@bucket/x?endpoint_override=h", "has the settings endpoint_override"),
        ("s3://bucket/a#b.mp4", "write %23 for it"),
    ],
)
def test_a_uri_says_where_something_lies_and_no_more(uri: str, said: str) -> None:
    """Keys would be stored with it, and a foreign manifest could choose who gets our requests."""
    with pytest.raises(InputError, match=said) as caught:
        resolve(uri)
    assert "SEC" not in str(caught.value).replace("SECRET_ACCESS", "")
    assert "KEY" not in str(caught.value).replace("_KEY", "")


def test_the_environment_names_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores other than Amazon's are reached without a word in the URI."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    filesystem, _ = resolve("s3://bucket/x?region=eu-west-1")
    assert "http://127.0.0.1:9" == filesystem.__reduce__()[1][0]["endpoint_override"]


def test_an_unknown_scheme_is_refused() -> None:
    """The message quotes the URI and names the schemes there are."""
    with pytest.raises(InputError, match=r"ftp://x/y cannot be opened .* s3:// or gs://"):
        resolve("ftp://x/y")


def test_a_committed_file_is_there_with_its_digest_and_size(tmp_path: Path) -> None:
    """The bytes, their count and their SHA-256 agree."""
    with AsideFile(Folder.at(tmp_path)) as aside:
        aside.write(b"abc")
        aside.write(b"def")
        aside.commit("name")
    assert b"abcdef" == (tmp_path / "name").read_bytes()
    assert (6, hashlib.sha256(b"abcdef").hexdigest()) == (aside.size_bytes, aside.sha256)


def test_a_file_that_was_not_committed_leaves_nothing(tmp_path: Path) -> None:
    """An error before ``commit`` takes the half-written file away."""

    def fail() -> None:
        with AsideFile(Folder.at(tmp_path)) as aside:
            aside.write(b"abc")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [] == list(tmp_path.iterdir())


def test_a_folder_below_a_file_is_an_input_error(tmp_path: Path) -> None:
    """What cannot be a directory is said to be unwritable, with the cure."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="choose a writable output directory"):
        Folder.at(tmp_path / "file" / "out").make()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_an_input_error(code: int) -> None:
    """Space and quota are the same to the user: make room and run again."""
    error = OSError(code, "full")
    with (
        pytest.raises(InputError, match="free some space and run again"),
        explain_write_errors("x"),
    ):
        raise error
    assert error is disk_full(error)


def test_another_os_error_keeps_its_name() -> None:
    """What is not understood is not explained away."""
    with pytest.raises(OSError, match="broken"), explain_write_errors("x"):
        raise OSError(errno.EIO, "broken")
    assert disk_full(OSError(errno.EIO, "broken")) is None


def test_a_full_disk_is_found_behind_another_error() -> None:
    """A library that wraps the error does not hide it."""
    wrapped = RuntimeError("could not write")
    wrapped.__cause__ = OSError(errno.ENOSPC, "full")
    assert wrapped.__cause__ is disk_full(wrapped)


WRITE_TOO_MUCH = """
import sys
from pfp.io.filesystems import AsideFile, Folder
with AsideFile(Folder.at(sys.argv[1])) as aside:
    for _ in range(64):
        aside.write(bytes(1 << 20))
    aside.commit("big")
"""


def test_a_real_limit_on_file_size_is_explained_and_leaves_no_file(tmp_path: Path) -> None:
    """With 8 MiB allowed, 64 MiB end in one sentence and an empty folder."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE_TOO_MUCH, tmp_path],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20)),
    )
    assert "InputError" in done.stderr
    assert "the disk or its quota is full" in done.stderr
    assert [] == list(tmp_path.iterdir())
