"""The workers of the ingest stage: files in, what was measured about each out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pfp.ingest.audio import audio_of, failed_audio
from pfp.ingest.measure import MeasureSettings, failed_record, measure
from pfp.ingest.text import failed_text, text_of
from pfp.measures.text import TextReader
from pfp.runtime import map_rows
from pfp.schema import Failed
from pfp.schema.audio import AudioRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.text import TextRecord


class MeasureVideos:
    """Measures files one after the other in a child process of its own."""

    def __init__(self, limits: MeasureSettings) -> None:
        self._limits = limits
        self._guard = limits.guard()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``MeasuredRecord`` for each row of ``list_inputs``."""
        return map_rows(batch, self._measure, failed_measure)

    def _measure(self, row: Mapping[str, Any]) -> MeasuredRecord:
        return measure(row["video_uri"], row["size_bytes"], self._guard, self._limits)


def failed_measure(row: Mapping[str, Any], verdict: Failed) -> MeasuredRecord:
    """The record of a file that could not be measured."""
    return failed_record(row["video_uri"], row["size_bytes"], verdict)


class MeasureAudio:
    """Measures the sound of files one after the other in a child process of its own."""

    def __init__(self, limits: MeasureSettings) -> None:
        self._limits = limits
        self._guard = limits.guard()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``AudioRecord`` for each row of ``measured_videos``."""
        return map_rows(batch, self._measure, failed_sound)

    def _measure(self, row: Mapping[str, Any]) -> AudioRecord:
        known = (row["video_uri"], row["video_sha256"], row["size_bytes"])
        return audio_of(*known, self._guard, self._limits)


def failed_sound(row: Mapping[str, Any], verdict: Failed) -> AudioRecord:
    """The record of a file whose sound could not be measured."""
    return failed_audio(row["video_uri"], row["video_sha256"], verdict)


class ReadText:
    """Reads the text in windows: frames from a child process, networks on one thread in this."""

    def __init__(self, limits: MeasureSettings) -> None:
        self._limits = limits
        self._guard = limits.guard()
        self._reader = TextReader(num_threads=1)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``TextRecord`` for each row of ``clips_to_read``."""
        return map_rows(batch, self._read, failed_text)

    def _read(self, row: Mapping[str, Any]) -> TextRecord:
        return text_of(row, self._guard, self._limits, self._reader)
