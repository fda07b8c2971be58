"""Measured clips to decide about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pfp.ingest.signatures import NUM_BYTES
from pfp.io.media import iter_stored, read_frames
from pfp.io.tables import read_records
from pfp.schema import KEPT, ClipRecord, Dropped, Failed, RunDirectory, VideoRecord
from pfp.schema.measured import MeasuredRecord
from tests.hostile_files import Kind
from tests.media_files import PATCHES

MakeClip = Callable[..., MeasuredRecord]


@pytest.fixture(scope="session")
def make_clip() -> MakeClip:
    """Builds the record of a clip that every shipped recipe keeps, with changes."""

    def make(**changes: Any) -> MeasuredRecord:
        fields: dict[str, Any] = {
            "video_uri": "file:///videos/a.mp4",
            "video_sha256": "a" * 64,
            "size_bytes": 1000,
            "container": "mp4",
            "codec": "h264",
            "pixel_format": "yuv420p",
            "bit_depth": 8,
            "width": 1280,
            "height": 720,
            "rotation_degrees": 0,
            "orientation": "landscape",
            "duration_seconds": 30.0,
            "promised_seconds": 30.0,
            "fps": 24.0,
            "num_frames": 720,
            "promised_num_frames": 720,
            "max_gap_seconds": 1 / 24,
            "num_timestamp_jumps": 0,
            "num_size_changes": 0,
            "decode_error_count": 0,
            "interlaced_fraction": 0.0,
            "combed_fraction": 0.0,
            "stereo_layout": "mono",
            "projection": "flat",
            "hidden_fraction": 0.0,
            "transfer": "sdr",
            "luma_mean": 100.0,
            "luma_std": 50.0,
            "black_fraction": 0.0,
            "uniform_fraction": 0.0,
            "bar_fraction": 0.0,
            "backdrop_fraction": 0.0,
            "motion": 20.0,
            "frozen_fraction": 0.0,
            "frozen_tail_seconds": 0.0,
            "frame_signatures": np.random.default_rng(0).bytes(20 * NUM_BYTES),
            "shots": [{"start_seconds": 0.0, "end_seconds": 30.0, "kind": "start"}],
            "track": [],
            "verdict": KEPT,
        }
        return MeasuredRecord(**{**fields, **changes})

    return make


class Ingested(NamedTuple):
    """What ingest says of one file: what it measured, and what it decided."""

    measured: MeasuredRecord
    video: VideoRecord


def ingested(run_directory: Path) -> dict[str, Ingested]:
    """The files of a run, by folder and name."""
    run = RunDirectory(run_directory)
    measured = {record.video_uri: record for record in read_records(*run.measured)}
    return {
        "/".join(video.video_uri.rsplit("/", 2)[1:]): Ingested(measured[video.video_uri], video)
        for video in read_records(*run.videos)
    }


def outcome(decided: ClipRecord | VideoRecord) -> str:
    """The verdict in one word: ``kept``, the reason it was dropped for, or the error's class."""
    match decided.verdict:
        case Dropped():
            return decided.verdict.reason
        case Failed():
            return decided.verdict.error
        case _:
            return "kept"


def assert_ends_as(file: Ingested, kind: Kind) -> None:
    """Check its verdict, and the length, the frames, the shots and the size that the kind names."""
    measured, video = file
    assert outcome(video) in kind.outcomes
    if kind.seconds is not None:
        assert kind.seconds == pytest.approx(measured.duration_seconds or 0.0, abs=0.05)
    if kind.num_frames is not None:
        assert kind.num_frames == measured.num_frames
    if kind.num_shots is not None:
        assert kind.num_shots[0] <= len(measured.shots) <= kind.num_shots[1]
    if kind.size is not None:
        assert kind.size == (measured.width, measured.height)


def assert_shows_patches(path: Path, *, height: int, width: int) -> None:
    """Check that both readers give ``PATCHES`` in the lower half, within 6 code values."""
    stored_HWC = next(iter_stored(path))
    read_HWC = read_frames(path, fps=24, height=height, width=width, num_frames=1)[0]

    for frame_HWC in (stored_HWC, read_HWC):
        shown = frame_HWC[height * 3 // 4, width // 8 :: width // 4].astype(int)
        assert 6 >= np.abs(shown - np.array(PATCHES)).max()
