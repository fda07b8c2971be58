"""What a worker of the caption stage does with a batch of clips."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from pfp.caption import Captioner, caption_clip, load_prompt
from pfp.caption.backends import load_backend
from pfp.io.unchanged import FILE_COLUMNS, unchanged
from pfp.runtime import map_rows
from pfp.schema import Failed, StoryboardRecord
from pipelines.caption.config import CaptionConfig


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


def build_captioner(config: CaptionConfig) -> Captioner:
    """The captioner that a config describes; ConfigError for an unknown backend or prompt."""
    settings = config.backend_settings
    return Captioner(
        backends=[load_backend(name, settings) for name in config.backends],
        prompt=load_prompt(config.prompt),
        rules=config.rules,
    )


def failed_storyboard(row: Mapping[str, Any], verdict: Failed) -> StoryboardRecord:
    """The record of a clip whose captioning broke outside of every backend."""
    return StoryboardRecord(clip_id=row["clip_id"], backend="none", verdict=verdict)
