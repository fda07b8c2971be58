"""Measured clips to decide about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pfp.schema import KEPT, ClipRecord, Dropped, Failed
from pfp.schema.measured import MeasuredRecord

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
            "phashes": ["f0f0a5a53c3c9669"] * 5,
            "shots": [{"start_seconds": 0.0, "end_seconds": 30.0, "kind": "start"}],
            "verdict": KEPT,
        }
        return MeasuredRecord(**{**fields, **changes})

    return make


def outcome(clip: ClipRecord) -> str:
    """The verdict in one word: ``kept``, the reason it was dropped for, or the error's class."""
    match clip.verdict:
        case Dropped():
            return clip.verdict.reason
        case Failed():
            return clip.verdict.error
        case _:
            return "kept"
