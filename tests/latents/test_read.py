"""Latents back from disk: bit for bit, and refused when they would be misread."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.errors import InputError, SchemaError
from pfp.io import table_writer, tables
from pfp.io.filesystems import Folder
from pfp.io.ranges import LocalRanges, Range
from pfp.latents.encode import encode_frames
from pfp.latents.preprocess import PreprocessSettings
from pfp.latents.read import ClipLatents, LatentReader
from pfp.schema import Dropped, LatentRecord
from pfp.schema.latent import Branch
from pfp.schema.latent import LatentSpan as Span

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


def load_latent(directory: Path, clip_id: str) -> ClipLatents:
    """One clip of a table."""
    return LatentReader(directory).load(clip_id)


@pytest.fixture(scope="module")
def reader(records: list[LatentRecord], tmp_path_factory: pytest.TempPathFactory) -> LatentReader:
    """A table that is cut into several files and row groups, opened."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_writer, "ROWS_PER_GROUP", 2)
        folder = tmp_path_factory.mktemp("cut")
        tables.write_table(folder, LatentRecord.table(records), LatentRecord, rows_per_file=3)
    return LatentReader(folder)


def test_latents_come_back_bit_for_bit(
    table: Path, records: Any, vae: Any, frames_THWC: Any
) -> None:
    """What is read is what the VAE made, in fp16."""
    expected = vae.encode(frames_THWC[:45]).astype(np.float16)

    reader = LatentReader(write(table, records), vae_sha256=vae.sha256)
    hr_TCHW, lr_TCHW, record = reader.load("b")

    assert (hr_TCHW.dtype, lr_TCHW.dtype, lr_TCHW.shape) == (np.float16, np.float16, (6, 16, 2, 3))
    np.testing.assert_array_equal(expected, hr_TCHW)
    only_in_the_table = {"hr_channel_mean": [], "hr_channel_std": []}
    assert replace(records[1], hr=None, lr=None, **only_in_the_table) == record


def test_iteration_gives_the_kept_clips_in_order(table: Path, records: Any) -> None:
    """Dropped rows have no latents and are passed over."""
    found = [latents.record.clip_id for latents in LatentReader(write(table, records))]

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
        assert reader.shape(reader.row_of(clip_id)) == tuple(record.hr_shape)
    assert (len(reader), reader.clip_ids) == (5, list("abcde"))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_window_and_any_frame_set_are_those_of_the_whole(
    reader: LatentReader, data: st.DataObject
) -> None:
    """Reading a part gives the bytes that reading the whole and slicing gives."""
    row = data.draw(st.integers(0, len(reader) - 1))
    branch: Branch = data.draw(st.sampled_from(["hr", "lr"]))
    num_latents = reader.shape(row, branch)[0]
    whole = reader.load(reader.clip_ids[row])
    whole_TCHW = whole.hr_TCHW if branch == "hr" else whole.lr_TCHW
    start = data.draw(st.integers(0, num_latents - 1))
    stop = data.draw(st.integers(start + 1, num_latents))
    omega = data.draw(st.lists(st.integers(0, num_latents - 1), max_size=9))

    (window_TCHW,) = reader.read([Span(row, branch, start, stop)])

    assert whole_TCHW[start:stop].tobytes() == window_TCHW.tobytes()
    assert whole_TCHW[omega].tobytes() == reader.frames(row, omega, branch).tobytes()


def test_a_window_costs_its_own_bytes_and_no_more(table: Path, records: Any) -> None:
    """One range for a window, one for each run of a frame set."""
    asked: list[Range] = []

    class Watching(LocalRanges):
        def read(self, ranges: Sequence[Range]) -> None:
            asked.extend(ranges)
            super().read(ranges)

    folder = write(table, records)
    reader = LatentReader(folder, ranges=Watching(Folder.at(folder)))
    frame_bytes = 16 * 8 * 12 * 2

    reader.read([Span(1, "hr", 2, 7)])
    reader.frames(1, [9, 3, 4, 5])

    assert [5 * frame_bytes, frame_bytes, 3 * frame_bytes] == [len(each.into) for each in asked]


def test_latents_are_read_straight_into_what_the_caller_has(reader: LatentReader) -> None:
    """A part of a batch is filled in place, without a copy in between."""
    batch = np.zeros((2, 3, 16, 8, 12), np.float16)

    (filled,) = reader.read([Span(1, "hr", 4, 7)], [batch[1]])

    assert np.shares_memory(batch, filled)
    assert (reader.load("b").hr_TCHW[4:7] == batch[1]).all()
    with pytest.raises(InputError, match=r"is fp16 \(3, 16, 8, 12\), not float32"):
        reader.read([Span(1, "hr", 4, 7)], [np.zeros((3, 16, 8, 12), np.float32)])  # type: ignore[list-item]


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 3), (5, 4), (10, 13)])
def test_a_span_that_the_clip_does_not_have(reader: LatentReader, start: int, stop: int) -> None:
    """Nothing beside the clip is ever read for it."""
    with pytest.raises(InputError, match=r"are not among the 12 of clip b"):
        reader.read([Span(1, "hr", start, stop)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_reader_works_in_other_processes(reader: LatentReader, method: str) -> None:
    """As in the workers of a DataLoader: opened here, used there, and still used here."""
    expected = reader.load("b").hr_TCHW[2:5].tobytes()
    with (
        warnings.catch_warnings(),
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool,
    ):
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads about
        spans = [Span(1, "hr", 2, 5)]
        found = [pool.submit(reader.read, spans).result()[0].tobytes() for _ in range(4)]

    assert [expected] * 4 == found
    assert expected == reader.read(spans)[0].tobytes()


def test_int8_is_half_the_bytes_and_half_a_level_off(
    table: Path, vae: Any, frames_THWC: Any
) -> None:
    """Each value is within half a scale of its channel; the reader gives fp16 either way."""
    made = [
        encode_frames(
            vae, frames_THWC[:45], SETTINGS, clip_id=dtype, start_seconds=0.0, dtype=dtype
        )
        for dtype in ("float16", "int8")
    ]
    exact = load_latent(write(table / "a", made[:1]), "float16")
    coarse = load_latent(write(table / "b", made[1:]), "int8")

    assert 2 * len(made[1].hr or b"") == len(made[0].hr or b"")
    scale_C = np.asarray(made[1].hr_scale, np.float32)[:, None, None]
    error = np.abs(exact.hr_TCHW.astype(np.float32) - coarse.hr_TCHW)
    assert (error <= scale_C * 0.5 + np.abs(exact.hr_TCHW) * 2.0**-10).all()
    assert error.max() > 0
    with pytest.raises(SchemaError, match="differ in dtype"):
        LatentReader(write(table / "c", made))


def test_latents_cannot_be_changed_by_accident(table: Path, records: Any) -> None:
    """Arrays are read-only: two readers of one clip must not see each other's edits."""
    latents = load_latent(write(table, records), "a")

    with pytest.raises(ValueError, match="read-only"):
        latents.hr_TCHW[0] = 0


def test_a_clip_that_is_not_there(table: Path, records: Any) -> None:
    """A dropped clip has no latents to load."""
    with pytest.raises(InputError, match="holds no latent 'f'"):
        load_latent(write(table, records), "f")


def test_a_foreign_vae_is_refused(table: Path, records: Any) -> None:
    """Latents of another VAE decode to garbage, so they are not handed out."""
    with pytest.raises(SchemaError, match=r"latents of VAE tiny .*, not of ffffffffffff"):
        LatentReader(write(table, records), vae_sha256="f" * 64)


@pytest.mark.parametrize(
    ("factor", "stride", "rate"),
    [(2, 4, "2x2x4"), (4, 4, "4x4x4"), (2, 2, "2x2x2"), (None, 1, "4x4x1"), (2, None, "2x2x2")],
)
def test_the_lr_copy_of_another_rate_is_refused(
    table: Path, records: Any, factor: int | None, stride: int | None, rate: str
) -> None:
    """It would not fit the encoder's tokens, or would and mean another time; the cure is said."""
    cure = f"--set preprocess.lr_factor={rate[0]} --set preprocess.lr_frame_stride={rate[4]}"
    with pytest.raises(
        SchemaError, match=f"the LR copy of rate 4x4x2, not of {rate}; run .*{cure}"
    ):
        LatentReader(write(table, records), lr_factor=factor, lr_frame_stride=stride)


def test_an_lr_copy_of_no_known_rate_is_refused(table: Path, records: Any) -> None:
    """A table that another program wrote must say it, too."""
    with pytest.raises(SchemaError, match="do not say which rate the LR copy is for"):
        LatentReader(write(table, [replace(records[0], lr_frame_stride=None)]))


def test_the_lr_copy_of_the_rate_is_read(table: Path, records: Any) -> None:
    """As the footer says, which is asked before anything is read."""
    reader = LatentReader(write(table, records), lr_factor=4, lr_frame_stride=2)

    assert (2, True) == (reader.lr_frame_stride, reader.has_hr)


def test_a_table_of_an_earlier_version_is_refused(
    table: Path, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 2 did not say which rate its LR copy was for."""
    with monkeypatch.context() as patch:
        patch.setattr(LatentRecord, "VERSION", 2)
        write(table, records)

    with pytest.raises(SchemaError, match="holds latent v2, this pfp reads v3; run the stage"):
        LatentReader(table)


@pytest.fixture(scope="module")
def lr_alone(vae: Any, frames_THWC: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the LR copies for 2x2x8 of two clips, and of a dropped one."""
    made = [
        encode_frames(
            vae,
            frames_THWC[:length],
            SETTINGS.with_lr_rate("2x2x8"),
            clip_id=clip_id,
            start_seconds=0.5,
            with_hr=False,
        )
        for clip_id, length in (("a", 21), ("b", 45))
    ]
    dropped = Dropped(reason="num_frames_below_min", detail="")
    folder = tmp_path_factory.mktemp("run") / "latents_lr_2x2x8"
    return write(folder, [*made, LatentRecord(clip_id="f", verdict=dropped)])


def test_a_table_of_lr_latents_alone(lr_alone: Path, vae: Any, frames_THWC: Any) -> None:
    """Its spans are read like any others, and it says which clips and frames they are of."""
    reader = LatentReader(lr_alone, vae_sha256=vae.sha256, lr_factor=2, lr_frame_stride=8)
    expected = encode_frames(
        vae, frames_THWC[:45], SETTINGS.with_lr_rate("2x2x8"), clip_id="b", start_seconds=0.5
    )

    assert ((2, 16, 4, 6), False) == (reader.shape(1, "lr"), reader.has_hr)
    assert ["a", "b"] == reader.clip_ids
    (lr_TCHW,) = reader.read([Span(1, "lr", 0, 2)])
    assert expected.lr == lr_TCHW.tobytes()
    nothing: dict[str, Any] = {"hr_shape": [], "hr_channel_mean": [], "hr_channel_std": []}
    assert replace(expected, hr=None, lr=None, **nothing) == reader.record(1)
    for ask in (reader.shape, lambda row: reader.read([Span(row, "hr", 0, 1)])):
        with pytest.raises(InputError, match="holds LR latents alone; read HR latents from"):
            ask(1)
    with pytest.raises(InputError, match="holds LR latents alone"):
        reader.load("b")


def test_a_mixed_table_is_refused(table: Path, records: Any) -> None:
    """Two VAEs in one table are an error even when none is asked for."""
    mixed = [records[0], replace(records[1], vae_sha256="e" * 64)]

    with pytest.raises(SchemaError, match="clips differ in vae_sha256"):
        LatentReader(write(table, mixed))


def test_the_flag_is_honoured(table: Path, records: Any) -> None:
    """Latents that say that they are not normalised are refused."""
    with pytest.raises(SchemaError, match="latents that are not normalised"):
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
        ({"hr_shape": [12, 16, 8, 11]}, "36864 bytes of hr, its shape says 33792"),
        ({"lr": None}, "None bytes of lr, its shape says 1152"),
        ({"lr": b"x"}, "1 bytes of lr"),
        ({"dtype": "float32"}, "36864 bytes of hr, its shape says 0"),
    ],
)
def test_records_that_contradict_themselves_are_not_written(
    table: Path, records: Any, change: dict[str, Any], message: str
) -> None:
    """Bytes that are not the tensor that the row describes never get into a table."""
    with pytest.raises(SchemaError, match=message):
        write(table, [replace(records[1], **change)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": b"", "lr_shape": [0, 16, 2, 3]}, "6 LR latents, not 45 and 0"),
        ({"num_frames": 48}, "12 HR latents go with 45 frames"),
        ({"hr": b"\xff" * 36864}, "NaN or infinity"),
        ({"hr_shape": [12, 128, 12]}, r"latents of \[3\] axes"),
    ],
)
def test_damaged_records_are_refused(
    table: Path, records: Any, change: dict[str, Any], message: str
) -> None:
    """Bytes that are not the tensor that the header describes are never reinterpreted."""
    folder = write(table, [replace(records[1], **change)])

    with pytest.raises(SchemaError, match=message):
        LatentReader(folder).load("b")


def test_a_missing_file_is_a_schema_error(table: Path, records: Any) -> None:
    """A table that lost a file between opening and reading says which, and what to do."""
    reader = LatentReader(write(table, records))
    for file in table.glob("*.parquet"):
        file.unlink()

    with pytest.raises(SchemaError, match=r"\.parquet cannot be opened"):
        reader.load("a")
