"""The stages of ingest that take hours: what rows depend on and what workers need."""

from __future__ import annotations

from pfp.ingest.audio import AUDIO_VERSION
from pfp.ingest.measure import MEASURE_VERSION
from pfp.ingest.text import TEXT_VERSION, failed_text
from pfp.io.digests import sha256_json
from pfp.runtime import Resources, Stage
from pfp.schema.audio import AudioRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.text import TextRecord
from pipelines.ingest.config import IngestConfig
from pipelines.ingest.worker import (
    MeasureAudio,
    MeasureVideos,
    ReadText,
    failed_measure,
    failed_sound,
)


def measure_stage(config: IngestConfig) -> Stage:
    """Files to what was measured about them. A file counts as unchanged while size and time are."""
    return Stage(
        name="measure",
        record=MeasuredRecord,
        worker=MeasureVideos,
        worker_args={"limits": config.limits},
        input_key="video_uri",
        content_columns=("size_bytes", "changed_ns"),
        fingerprint=sha256_json(["measure", MEASURE_VERSION]),
        resources=_one_core(config),
        on_error=failed_measure,
        config=config,
    )


def audio_stage(config: IngestConfig) -> Stage:
    """Videos that were measured to what is measured about their sound, by their bytes alone."""
    return Stage(
        name="audio",
        record=AudioRecord,
        worker=MeasureAudio,
        worker_args={"limits": config.limits},
        input_key="video_uri",
        content_columns=("video_sha256",),
        fingerprint=sha256_json(["audio", AUDIO_VERSION]),
        resources=_one_core(config),
        on_error=failed_sound,
        config=config,
    )


def text_stage(config: IngestConfig) -> Stage:
    """Windows, as ``clips_to_read`` gives them, to the text in them, by bytes and span alone."""
    return Stage(
        name="text",
        record=TextRecord,
        worker=ReadText,
        worker_args={"limits": config.limits},
        input_key="clip_id",
        content_columns=("video_sha256", "start_seconds", "end_seconds"),
        fingerprint=sha256_json(["text", TEXT_VERSION]),
        resources=_one_core(config),
        on_error=failed_text,
        config=config,
    )


def _one_core(config: IngestConfig) -> Resources:
    return Resources(num_cpus=1, batch_size=config.batch_size, num_workers=config.num_workers)
