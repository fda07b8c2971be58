"""A worker whose decoder misbehaves: a module of its own, which child processes can import."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa

from pfp.ingest import measure as measuring
from pipelines.ingest.worker import MeasureVideos


class MeasureSomePoison(MeasureVideos):
    """The stage's worker, whose decoder misbehaves where a file's name says so."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """As the worker itself."""
        measuring.measure_video = measure_or_misbehave
        return super().__call__(batch)


def measure_or_misbehave(video_uri: str) -> dict[str, Any]:
    """What was measured; of poison, whatever it does."""
    name = video_uri.rpartition("/")[2].partition("-")[0]
    if name in MISBEHAVIOUR:
        return MISBEHAVIOUR[name]()
    return measure_here(video_uri)


def _sleep() -> dict[str, Any]:
    time.sleep(3600)
    return {}


def _crash() -> dict[str, Any]:
    ctypes.string_at(0)
    return {}


def _fill_memory() -> dict[str, Any]:
    held = []
    while True:
        held.append(bytearray(b"x" * (64 << 20)))


def _answer_junk() -> dict[str, Any]:
    return {"no_such_field": object(), "width": "wide"}


measure_here = measuring.measure_video
MISBEHAVIOUR: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "sleeps": _sleep,
    "crashes": _crash,
    "fills": _fill_memory,
    "answers": _answer_junk,
}
