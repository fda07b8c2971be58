"""The caption stage: its worker, and what its rows depend on."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pfp.caption import NOTICE, Captioner, caption_clip, load_prompt
from pfp.caption.backends import BACKENDS, Backend, load_backend
from pfp.errors import ConfigError
from pfp.io.digests import sha256_json
from pfp.io.tables import read_table
from pfp.io.unchanged import FILE_COLUMNS, unchanged
from pfp.runtime import Resources, Stage, map_rows
from pfp.schema import Failed, StoryboardRecord
from pipelines.caption.config import CaptionConfig

# What is read of a clip. Where the video lies is not part of its content.
CLIP_COLUMNS: Final = (
    *("clip_id", "video_uri", "video_sha256", "size_bytes", "changed_ns"),
    *("start_seconds", "end_seconds", "shots"),
)
CONTENT_COLUMNS: Final = (
    *("clip_id", "video_sha256", "start_seconds", "end_seconds", "shots", "sidecar_sha256"),
)


def caption_stage(config: CaptionConfig) -> Stage:
    """The stage; its fingerprint is that of the captioner and of how shots are cut."""
    captioner = build_captioner(config)
    return Stage(
        name="caption",
        record=StoryboardRecord,
        worker=CaptionWorker,
        worker_args={"config": config},
        input_key="clip_id",
        content_columns=CONTENT_COLUMNS,
        fingerprint=sha256_json([captioner.fingerprint, config.max_span_seconds]),
        resources=Resources(batch_size=config.batch_size, num_workers=config.num_workers),
        on_error=failed_storyboard,
        config=config,
        count_noticed=count_noticed,
    )


def build_captioner(config: CaptionConfig) -> Captioner:
    """The captioner that a config describes; ConfigError for an unknown backend or prompt."""
    return Captioner(
        backends=[_backend(name, config) for name in config.backends],
        prompt=load_prompt(config.prompt),
        sampling=config.sampling,
        rules=config.rules,
    )


class CaptionWorker:
    """Captions a batch of clips, up to ``max_concurrency`` of them at once.

    Calls to a server mostly wait, so they share one process; one clip's error is its own.
    """

    def __init__(self, config: CaptionConfig) -> None:
        """Raise ConfigError when a backend could not answer, for example without its key."""
        self._config = config
        self._captioner = build_captioner(config)
        self._captioner.check_ready()
        weakref.finalize(self, self._captioner.close)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``StoryboardRecord`` row per row of the batch, in order."""
        with ThreadPoolExecutor(self._config.max_concurrency) as pool:
            rows = batch.to_pylist()
            futures = {row["clip_id"]: pool.submit(self._caption, row) for row in rows}
            return map_rows(batch, lambda row: futures[row["clip_id"]].result(), failed_storyboard)

    def _caption(self, row: Mapping[str, Any]) -> StoryboardRecord:
        clip = caption_clip(row, max_span_seconds=self._config.max_span_seconds)
        with unchanged(row["video_uri"], **{name: row[name] for name in FILE_COLUMNS}):
            return self._captioner.caption(clip)


def count_noticed(directory: str) -> int:
    """The kept rows of a storyboards table that have a notice among their ``repair_ops``."""
    kept = pc.field("verdict", "kind") == "kept"
    table = read_table(directory, StoryboardRecord, columns=["repair_ops"], filter=kept)
    ops = table["repair_ops"]
    has_notice = pc.match_substring(pc.list_flatten(ops), NOTICE)
    return len(pc.unique(pc.list_parent_indices(ops).filter(has_notice)))


def failed_storyboard(row: Mapping[str, Any], verdict: Failed) -> StoryboardRecord:
    """The record of a clip whose captioning broke outside of every backend."""
    return StoryboardRecord(clip_id=row["clip_id"], backend="none", verdict=verdict)


def _backend(name: str, config: CaptionConfig) -> Backend:
    if name == "gemini":
        return load_backend(
            name,
            model=config.model,
            base_url=config.base_url,
            timeout_seconds=config.request_timeout_seconds,
            max_attempts=config.request_attempts,
        )
    if name == "offline":
        return load_backend(name, timeout_seconds=config.decode_timeout_seconds)
    if name not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise ConfigError(f"caption route {config.route!r}: {name!r} is none of {known}")
    return load_backend(name)
