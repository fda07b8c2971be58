"""Latents back from disk: bit for bit, and refused when they would be misread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.errors import InputError, SchemaError
from pfp.io import table_writer, tables
from pfp.latents.encode import encode_frames
from pfp.latents.preprocess import PreprocessSettings
from pfp.latents.read import LatentReader, iter_latents, load_latent
from pfp.latents.windows import Window
from pfp.schema import Dropped, LatentRecord

SETTINGS = PreprocessSettings(fps=12.0, long_side=48, short_side=32)


@pytest.fixture(scope="module")
def records(vae: Any, frames_THWC: Any) -> list[LatentRecord]:
    """Five clips of different lengths, one of them dropped."""
    lengths = {"a": 21, "b": 45, "c": 5, "d": 9, "e": 13}
    made = [
        encode_frames(vae, frames_THWC[:length], SETTINGS, clip_id=clip_id, start_seconds=0.0)
        for clip_id, length in lengths.items()
    ]
    dropped = Dropped(reason="num_frames_below_min", detail="")
    return [*made, LatentRecord(clip_id="f", verdict=dropped)]


def write(directory: Path, records: list[LatentRecord]) -> Path:
    """The records as a table."""
    tables.write_table(directory, LatentRecord.table(records), LatentRecord)
    return directory


def test_latents_come_back_bit_for_bit(
    table: Path, records: Any, vae: Any, frames_THWC: Any
) -> None:
    """What is read is what the VAE made, in fp16."""
    expected = vae.encode(frames_THWC[:45]).astype(np.float16)

    hr_TCHW, lr_TCHW, record = load_latent(write(table, records), "b", vae_sha256=vae.sha256)

    assert (hr_TCHW.dtype, lr_TCHW.dtype, lr_TCHW.shape) == (np.float16, np.float16, (6, 16, 2, 3))
    np.testing.assert_array_equal(expected, hr_TCHW)
    assert replace(records[1], hr=None, lr=None) == record


def test_iteration_gives_the_kept_clips_in_order(table: Path, records: Any) -> None:
    """Dropped rows have no latents and are passed over."""
    found = [latents.record.clip_id for latents in iter_latents(write(table, records))]

    assert found == ["a", "b", "c", "d", "e"]


def test_iteration_across_row_groups_and_files(
    table: Path, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips are found wherever the table's cuts fall, in any order of asking."""
    monkeypatch.setattr(table_writer, "ROWS_PER_GROUP", 2)
    tables.write_table(table, LatentRecord.table(records), LatentRecord, rows_per_file=3)
    reader = LatentReader(table)

    for clip_id, record in [*zip("abcde", records, strict=False), ("a", records[0])]:
        assert reader.load(clip_id).hr_TCHW.tobytes() == record.hr
        assert reader.hr_shape(clip_id) == tuple(record.hr_shape)
    assert (len(reader), reader.clip_ids) == (5, list("abcde"))


def test_a_window_is_a_slice(table: Path, records: Any) -> None:
    """A window's slices take both branches in step from what was loaded."""
    latents = load_latent(write(table, records), "b")
    window = Window(first_latent=2, num_latents=5)

    assert latents.hr_TCHW[window.hr_slice].base is not None
    assert len(latents.hr_TCHW[window.hr_slice]) == 5
    assert len(latents.lr_TCHW[window.lr_slice]) == 3


def test_latents_cannot_be_changed_by_accident(table: Path, records: Any) -> None:
    """Arrays are read-only: two readers of one clip must not see each other's edits."""
    latents = load_latent(write(table, records), "a")

    with pytest.raises(ValueError, match="read-only"):
        latents.hr_TCHW[0] = 0


def test_a_clip_that_is_not_there(table: Path, records: Any) -> None:
    """A dropped clip has no latents to load."""
    with pytest.raises(InputError, match="no latents of clip 'f'"):
        load_latent(write(table, records), "f")


def test_a_foreign_vae_is_refused(table: Path, records: Any) -> None:
    """Latents of another VAE decode to garbage, so they are not handed out."""
    with pytest.raises(SchemaError, match=r"encoded by VAE tiny .* not by ffffffffffff"):
        LatentReader(write(table, records), vae_sha256="f" * 64)


def test_a_mixed_table_is_refused(table: Path, records: Any) -> None:
    """Two VAEs in one table are an error even when none is asked for."""
    mixed = [records[0], replace(records[1], vae_sha256="e" * 64)]

    with pytest.raises(SchemaError, match="clips a and b differ in vae_sha256"):
        LatentReader(write(table, mixed))


def test_the_flag_is_honoured(table: Path, records: Any) -> None:
    """Latents that say that they are not normalised are refused."""
    with pytest.raises(SchemaError, match="clip a are not normalised"):
        LatentReader(write(table, [replace(records[0], normalised=False)]))


def made_up(clip_id: str, latents_TCHW: Any, like: LatentRecord) -> LatentRecord:
    """A record of given HR latents that claims to be normalised."""
    stored = latents_TCHW.astype("<f2")
    return replace(
        like,
        clip_id=clip_id,
        hr=stored.tobytes(),
        hr_channel_mean=stored.mean(axis=(0, 2, 3), dtype=np.float64).tolist(),
        hr_channel_std=stored.std(axis=(0, 2, 3), dtype=np.float64).tolist(),
    )


@pytest.mark.parametrize(
    ("num_clips", "is_raw", "refused"),
    [
        (8, True, True),
        (8, False, False),
        (3, True, False),
    ],
)
def test_raw_latents_are_recognised_by_their_moments(
    table: Path, records: Any, num_clips: int, *, is_raw: bool, refused: bool
) -> None:
    """Raw values under a true flag are refused, from four clips on; normalised ones never."""
    rng = np.random.default_rng(0)
    scale, shift = (2.0, 0.5) if is_raw else (1.0, 0.0)
    clips = [
        # Clips differ in brightness and contrast far more than tables do.
        made_up(
            str(i),
            (rng.normal(size=(12, 16, 8, 12)) * rng.uniform(0.6, 1.3) + rng.normal(0, 0.4)) * scale
            + shift,
            records[1],
        )
        for i in range(num_clips)
    ]
    write(table, clips)

    if refused:
        with pytest.raises(SchemaError, match="look raw"):
            LatentReader(table)
    else:
        assert len(LatentReader(table)) == num_clips


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hr_shape": [12, 16, 8, 11]}, r"36864 bytes of hr latents .* \(33792 bytes\)"),
        ({"hr_shape": [12, 128, 12]}, "36864 bytes of hr latents"),
        ({"lr": None}, "no bytes of lr latents"),
        ({"lr": b"", "lr_shape": [0, 16, 2, 3]}, "6 LR latents, not 45 and 0"),
        ({"num_frames": 48}, "12 HR latents go with 45 frames"),
        ({"hr": b"\xff" * 36864}, "NaN or infinity"),
    ],
)
def test_damaged_records_are_refused(
    table: Path, records: Any, change: dict[str, Any], message: str
) -> None:
    """Bytes that are not the tensor that the header describes are never reinterpreted."""
    reader = LatentReader(write(table, [replace(records[1], **change)]))

    with pytest.raises(SchemaError, match=message):
        reader.load("b")


def test_float32_bytes_are_refused(table: Path, records: Any) -> None:
    """A writer that stored float32 is noticed by the number of bytes."""
    wide = np.frombuffer(records[1].hr, "<f2").astype("<f4").tobytes()

    with pytest.raises(SchemaError, match="73728 bytes of hr latents are not fp16"):
        load_latent(write(table, [replace(records[1], hr=wide)]), "b")


def test_a_missing_file_is_a_schema_error(table: Path, records: Any) -> None:
    """A table that lost a file between opening and reading says which, and what to do."""
    reader = LatentReader(write(table, records))
    for file in table.glob("*.parquet"):
        file.unlink()

    with pytest.raises(SchemaError, match=r"\.parquet is missing or damaged"):
        reader.load("a")
