"""docs/latents.md is enough to read a table: its own code, run where pfp is not imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pfp.io import table_writer, tables
from pfp.latents.encode import encode_frames
from pfp.latents.preprocess import PreprocessSettings
from pfp.latents.read import LatentReader
from pfp.schema import Dropped, LatentRecord
from pfp.schema.latent import LatentSpan

PAGE = Path(__file__).resolve().parents[2] / "docs" / "latents.md"
SETTINGS = PreprocessSettings(fps=12.0, long_side=48, short_side=32)
WITHOUT_PFP = "\nassert 'pfp' not in sys.modules\n"


def code_with(word: str) -> str:
    """The page's block of Python that has that word."""
    (block,) = [
        each
        for each in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if word in each
    ]
    return block


def run(code: str, *arguments: object, home: Path) -> bytes:
    """What a program of its own prints, away from this checkout and offline."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *map(str, arguments)],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr.decode()
    return done.stdout


def write(folder: Path, vae: Any, frames_THWC: Any, dtype: str) -> Path:
    """A table of four clips, one of them without latents, in several files and groups."""
    clips = [
        encode_frames(
            vae, frames_THWC[:length], SETTINGS, clip_id=f"{length}", start_seconds=0.0, dtype=dtype
        )
        for length in (13, 33, 45)
    ]
    dropped = LatentRecord(clip_id="2", verdict=Dropped(reason="num_frames_below_min", detail=""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_writer, "BLOB_GROUP_BYTES", 20_000)
        table = LatentRecord.table([*clips, dropped])
        tables.write_table(folder, table, LatentRecord, rows_per_file=3)
    return folder


@pytest.fixture(scope="module", params=["float16", "int8"])
def table(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    vae: Any,
    frames_THWC: Any,
) -> Path:
    """The table of each dtype."""
    return write(tmp_path_factory.mktemp("t") / "latents", vae, frames_THWC, request.param)


@pytest.mark.parametrize("window", [("13", 0, 4), ("33", 3, 7), ("45", 5, 12)])
def test_a_window_is_read_as_the_page_says(
    tmp_path: Path, table: Path, window: tuple[str, int, int]
) -> None:
    """By pyarrow, numpy and one range of bytes, where pfp is not imported."""
    reader = LatentReader(table)
    clip_id, first, stop = window
    (expected,) = reader.read([LatentSpan(reader.row_of(clip_id), "hr", first, stop)])
    code = code_with("_index.parquet")
    code += f"{WITHOUT_PFP}sys.stdout.buffer.write(window_TCHW.astype('<f2').tobytes())"

    found = run(code, table, *window, home=tmp_path)

    assert expected.tobytes() == found


def test_datasets_reads_whole_clips_as_the_page_says(
    tmp_path: Path, vae: Any, frames_THWC: Any
) -> None:
    """The first row with latents is that of the first key."""
    table = write(tmp_path / "latents", vae, frames_THWC, "float16")
    code = code_with("load_dataset")
    code += f"{WITHOUT_PFP}sys.stdout.buffer.write(hr_TCHW.tobytes())"

    found = run(code, table, home=tmp_path)

    assert LatentReader(table).load("13").hr_TCHW.tobytes() == found


def test_the_page_names_every_column() -> None:
    """A column that is added is described."""
    named = set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text().replace(".kind`", "`")))

    assert [] == [name for name in LatentRecord.SCHEMA.names if name not in named]
