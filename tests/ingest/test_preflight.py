"""What is wrong with the machine or the output is said before the first file is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.errors import ConfigError, InputError
from pfp.io.filesystems import Folder
from pfp.schema.run_directory import RunDirectory
from pipelines.ingest import run as ingest
from pipelines.ingest.config import debug
from pipelines.ingest.preflight import DECODERS, check_decoders, check_writable


def test_the_decoders_of_the_wheel_are_there() -> None:
    """Each is one that FFmpeg knows by that name."""
    check_decoders()

    assert {"h264", "hevc", "vp9", "av1", "prores"} <= set(DECODERS)


def test_missing_decoders_are_named_with_the_cure() -> None:
    """All of them in one sentence, without those that are there."""
    with pytest.raises(ConfigError, match=r"decodes no h267, vp11; install PyAV from its wheel"):
        check_decoders(("h264", "h267", "vp11"))


def test_a_folder_that_takes_files_is_left_empty(tmp_path: Path) -> None:
    """The folders of the three tables are there, and no file."""
    check_writable(RunDirectory(tmp_path))

    names = {"clips", "videos", "videos/_measured"}
    assert {tmp_path / name for name in names} == set(tmp_path.rglob("*"))


@pytest.mark.parametrize("table", ["clips", "videos"])
def test_a_table_that_cannot_be_written_ends_the_run_before_it_measures(
    tmp_path: Path, table: str
) -> None:
    """A file stands where the folder of a table shall lie, of the last one as of the first."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(b"text")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / table).write_text("in the way")

    with pytest.raises(InputError, match=f"{table}.* cannot be written .* choose a writable"):
        ingest.run(
            debug(),
            input_directory=str(tmp_path / "in"),
            output_directory=str(tmp_path / "run"),
            engine="local",
        )

    assert [] == list((tmp_path / "run").rglob("*.parquet"))


def test_a_store_that_returns_other_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache in between, or a disk that loses what was written."""
    monkeypatch.setattr(Folder, "read", lambda _self, _name: b"")

    with pytest.raises(InputError, match=r"gives 0 bytes back that are not the 16 written; choose"):
        check_writable(RunDirectory(tmp_path))
