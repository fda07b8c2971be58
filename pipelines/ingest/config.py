"""What the ingest stage can be told, and the presets: each a function that returns it all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from pfp.ingest.measure import MeasureSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """Settings of the ingest stage.

    ``recipe`` is the name of a shipped recipe or the path of a YAML file: every threshold is there.
    ``measure_audio`` measures sound although no filter of the recipe asks about it.
    ``limits`` bound what one file may cost. Each of ``num_workers`` workers (None: one per CPU
    core) takes ``batch_size`` files at a time.
    """

    recipe: str
    measure_audio: bool = False
    limits: MeasureSettings = field(default_factory=MeasureSettings)
    num_workers: int | None = None
    batch_size: int = 1


def demo() -> IngestConfig:
    """A handful of files on one machine."""
    return IngestConfig(recipe="demo")


def debug() -> IngestConfig:
    """The demo with one worker and tight limits: what hangs, fails soon."""
    limits = MeasureSettings(timeout_seconds=20.0, memory_bytes=1 << 30)
    return replace(demo(), num_workers=1, limits=limits)


def small() -> IngestConfig:
    """Some thousand files on one machine."""
    return IngestConfig(recipe="small", batch_size=4)


def full() -> IngestConfig:
    """A cluster: long videos, 480p, 20 s. The child process of a worker may use 4 GiB."""
    limits = MeasureSettings(timeout_seconds=600.0, memory_bytes=4 << 30)
    return IngestConfig(recipe="full", limits=limits, batch_size=16)


PRESETS: Final = {"demo": demo, "debug": debug, "small": small, "full": full}
