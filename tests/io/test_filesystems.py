"""Folders: whole files or none, and a full or read-only disk said in one sentence."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow.fs as pafs
import pytest

from pfp.errors import InputError, PermanentError, PfpError, RetryableError
from pfp.io import filesystems
from pfp.io.filesystems import (
    ASIDE_PREFIX,
    AsideFile,
    Folder,
    disk_full,
    explain_store_errors,
    explain_write_errors,
    reconnected,
    resolve,
    store_error,
)


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


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """An empty folder on a disk, and one in an object store."""
    if request.param == "disk":
        yield Folder.at(tmp_path)
    else:
        store = pafs._MockFileSystem()
        store.create_dir("bucket/run")
        yield Folder(store, "bucket/run")


def test_only_a_disk_is_local(folder: Folder, request: pytest.FixtureRequest) -> None:
    """There alone renames are atomic and locks exist."""
    assert ("[disk]" in request.node.name) == folder.is_local


def test_a_folder_lists_files_and_folders_apart(folder: Folder) -> None:
    """Sorted, with the sizes of the files; what lies deeper is not listed."""
    for name, content in {"b": b"22", "a": b"1"}.items():
        folder.write(name, content)
    inner = folder.child("inner")
    inner.make()
    inner.write("c", b"333")

    assert (["a", "b"], ["inner"]) == (folder.names(), folder.folder_names())
    assert {"a": 1, "b": 2} == folder.sizes()
    assert (["c"], {"c": 3}) == (inner.names(), inner.sizes())


def test_a_folder_that_is_not_there_is_empty(folder: Folder) -> None:
    """Asking makes none."""
    gone = folder.child("gone")

    assert ([], [], {}) == (gone.names(), gone.folder_names(), gone.sizes())
    assert [] == folder.folder_names()


def test_what_was_written_is_read(folder: Folder) -> None:
    """Also over an older file, whole."""
    folder.write("x", b"an older and longer content")
    folder.write("x", b"content")

    assert b"content" == folder.read("x")
    assert hashlib.sha256(b"content").hexdigest() == folder.sha256("x")
    assert folder.has("x")
    assert ["x"] == folder.names()


def test_what_is_not_there_is_said_by_name(folder: Folder) -> None:
    """As an error that callers know, not as a store that is down."""
    assert not folder.has("gone")
    with pytest.raises(FileNotFoundError):
        folder.read("gone")
    with pytest.raises(FileNotFoundError):
        folder.sha256("gone")
    folder.child("inner").make()
    assert not folder.has("inner")


def test_a_mark_is_an_empty_file(folder: Folder) -> None:
    """Touching is for marks alone: it empties what was there."""
    folder.write("x", b"content")
    folder.touch("x")

    assert b"" == folder.read("x")


def test_deleting_twice_is_no_error(folder: Folder) -> None:
    """What is gone is gone, whoever took it."""
    folder.write("x", b"content")
    folder.child("inner").make()
    folder.child("inner").write("y", b"content")

    for _ in range(2):
        folder.delete("x")
        folder.child("inner").delete_all()

    assert ([], []) == (folder.names(), folder.folder_names())


def test_a_path_ends_without_a_slash(tmp_path: Path) -> None:
    """However the user wrote it."""
    folder = Folder(pafs.LocalFileSystem(), f"{tmp_path}//")

    assert f"{tmp_path}/a" == folder.file("a")
    assert Folder(folder.filesystem, f"{tmp_path}/a") == folder.child("a")


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    """Somebody may have left one under the name of a table's file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is a pipe, not a file"):
        Folder.at(tmp_path).read("pipe")


def test_a_file_is_unseen_until_it_is_committed(folder: Folder) -> None:
    """Readers ignore its name, which is unlike any other's."""
    with AsideFile(folder) as one, AsideFile(folder) as other:
        one.write(b"one")
        other.write(b"other")
        assert all(name.startswith(ASIDE_PREFIX) for name in folder.names())
        assert (3, 3, False) == (one.tell(), one.size_bytes, one.closed)
        one.commit("x")
        assert one.closed
        assert b"one" == folder.read("x")
        other.commit("x")

    assert (["x"], b"other") == (folder.names(), folder.read("x"))


def test_closing_by_a_writer_leaves_the_stream_open(folder: Folder) -> None:
    """Pyarrow closes its sink before the bytes are durable; ``commit`` comes after that."""
    with AsideFile(folder) as aside:
        aside.write(b"a")
        aside.close()
        aside.flush()
        aside.write(b"b")
        aside.commit("x")

    assert b"ab" == folder.read("x")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject", PermanentError),
        ("AWS Error INVALID_ACCESS_KEY_ID", PermanentError),
        ("AWS Error SIGNATURE_DOES_NOT_MATCH", PermanentError),
        ("AWS Error NO_SUCH_BUCKET", PermanentError),
        ("AWS Error EXPIRED_TOKEN", PermanentError),
        ("google::cloud::Status(...) HTTP status 403", PermanentError),
        ("google::cloud::Status(...) HTTP status 401", PermanentError),
        ("HTTP status 404", RetryableError),
        ("HTTP status 503", RetryableError),
        ("AWS Error SLOW_DOWN", RetryableError),
        ("curlCode: 28, Timeout was reached", RetryableError),
    ],
)
def test_rights_are_told_from_luck(said: str, kind: type[PfpError]) -> None:
    """Only the latter is worth another run."""
    error = store_error("s3://b/x", OSError(said))

    assert kind is type(error)
    assert said in str(error)
    assert str(error).startswith("s3://b/x ")


def test_a_stores_answer_is_shortened_to_a_line() -> None:
    """Some send a page."""
    error = store_error("s3://b/x", OSError("a\n  b\t" + "c" * 1000))

    assert "(a b ccc" in str(error)
    assert 400 > len(str(error))


@pytest.mark.parametrize("raised", [FileNotFoundError("x"), NotADirectoryError("x")])
def test_what_is_not_there_is_no_trouble_of_the_store(raised: OSError) -> None:
    """Callers have words of their own for it."""
    with (
        pytest.raises(type(raised)),
        explain_store_errors(pafs._MockFileSystem(), "s3://b/x"),
    ):
        raise raised


def test_errors_of_a_disk_are_not_explained_as_a_stores(tmp_path: Path) -> None:
    """A disk that cannot be read will not be better for running again."""
    with (
        pytest.raises(PermissionError),
        explain_store_errors(pafs.LocalFileSystem(), str(tmp_path)),
    ):
        raise PermissionError(errno.EACCES, "no")
    with (
        pytest.raises(RetryableError, match=r"s3://b cannot be reached .*; run again later"),
        explain_store_errors(pafs._MockFileSystem(), "s3://b"),
    ):
        raise OSError("no route to host")


@pytest.mark.parametrize(
    "code",
    [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST],
)
def test_a_place_that_cannot_be_written_is_an_input_error(code: int) -> None:
    """With the system's word for it and the cure."""
    with (
        pytest.raises(InputError, match=rf"out cannot be written \({os.strerror(code)}\); choose"),
        explain_write_errors("out"),
    ):
        raise OSError(code, "x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EFBIG, "x"), True),
        (OSError(errno.EROFS, "x"), True),
        (OSError(errno.EACCES, "x"), False),
        (OSError("no number"), False),
        (ValueError("x"), False),
    ],
)
def test_a_full_disk_is_about_the_place_written_to(error: Exception, *, expected: bool) -> None:
    """A row that lacks rights is one row; a full disk is all of them."""
    found = disk_full(error)

    assert (error if expected else None) is found


def test_a_reconnected_store_asks_once_and_keeps_its_settings() -> None:
    """Callers who ask again themselves want no attempts below theirs."""
    store, _ = resolve("s3://anonymous@bucket/x?region=eu-west-1")
    again = reconnected(store)

    assert again is not store
    assert "eu-west-1" == again.region
    assert isinstance(reconnected(pafs.LocalFileSystem()), pafs.LocalFileSystem)


def test_stores_are_given_bounded_waits() -> None:
    """Also after a pickle, which is how workers get them."""
    store, _ = resolve("s3://anonymous@bucket/x?region=eu-west-1")
    (options,) = pickle.loads(pickle.dumps(store)).__reduce__()[1]

    assert (5.0, 10.0) == (options["connect_timeout"], options["request_timeout"])


def test_anonymous_asks_s3_without_a_signature() -> None:
    """Also after a pickle; other URIs take the credentials of the environment."""
    store, path = resolve("s3://anonymous@bucket/x?region=eu-west-1")
    (options,) = pickle.loads(pickle.dumps(store)).__reduce__()[1]

    assert "bucket/x" == path
    assert (True, None) == (options["anonymous"], options["access_key"])
    named, _ = resolve("s3://bucket/x?region=eu-west-1")
    assert named.__reduce__()[1][0]["anonymous"] is False


def test_a_bucket_whose_region_nobody_tells_is_no_wrong_uri(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Amazon is asked for it, and does not answer here."""

    def unreachable(uri: str) -> None:
        del uri
        raise OSError("When resolving region for bucket 'b': AWS Error NETWORK_CONNECTION")

    stub = SimpleNamespace(FileSystem=SimpleNamespace(from_uri=unreachable))
    monkeypatch.setattr(filesystems, "pafs", stub)
    with pytest.raises(RetryableError, match=r"s3://b/x cannot be reached .*; run again later"):
        resolve("s3://b/x")
