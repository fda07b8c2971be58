"""What was read in windows, beside what was measured of them; and which are to be read."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import ConfigError
from pfp.ingest.clip_tables import clip_ids
from pfp.ingest.recipe import Recipe
from pfp.ingest.select import Candidates, drop_by_filters
from pfp.ingest.verdicts import is_kept
from pfp.schema.text import TextRecord

NEEDED: Final = ("clip_id", "text_area", "text_lines")
_OF_VIDEO: Final = ("video_uri", "video_sha256", "size_bytes", "height", "width")
_OF_WINDOW: Final = ("start_seconds", "end_seconds")


def asks_text(recipe: Recipe) -> bool:
    """Whether a filter of the recipe's windows asks about text."""
    return recipe.windows is not None and "text" in recipe.windows.network_filters


def clips_to_read(candidates: Candidates) -> pa.Table:
    """The kept windows, each with its ``clip_id``, its span, and what must be known of its file."""
    kept = _kept(candidates)
    own = kept.videos.select(_OF_VIDEO).take(kept.windows["video"])
    columns = {name: own[name] for name in _OF_VIDEO}
    return pa.table(
        {"clip_id": clip_ids(kept)} | columns | {name: kept.windows[name] for name in _OF_WINDOW}
    )


def drop_by_text(candidates: Candidates, recipe: Recipe, text: pa.Table | None) -> Candidates:
    """The windows with columns of their text, without those that the recipe's filter refuses.

    ``text`` has the columns ``NEEDED``; None, where nothing was read. Raises ``ConfigError`` when
    the filter asks about a window that was not read.
    """
    if text is None and not asks_text(recipe):
        return candidates
    text = TextRecord.SCHEMA.empty_table().select(NEEDED) if text is None else text
    places = pc.index_in(clip_ids(candidates), text["clip_id"].combine_chunks())
    windows = candidates.windows.append_column("text_area", text["text_area"].take(places))
    windows = windows.append_column("num_text_lines", _num_lines(text).take(places))
    if recipe.windows is not None and asks_text(recipe):
        unread = is_kept(windows) & ~np.asarray(pc.is_valid(places))
        if unread.any():
            raise not_read(f"{unread.sum()} of {is_kept(windows).sum()} clips")
        windows = drop_by_filters(windows, recipe.windows.network_filters)
    return Candidates(candidates.videos, windows)


def not_read(which: str) -> ConfigError:
    """The error that a recipe asks about text, which was not read in these clips."""
    return ConfigError(
        f"filter text of windows asks about text, which was not read in {which}; run python -m "
        "pipelines.ingest with this recipe"
    )


def _num_lines(text: pa.Table) -> pa.ChunkedArray:
    """How many lines were read in each window; null where that failed."""
    counts = pc.cast(pc.list_value_length(text["text_lines"]), pa.int32())
    return pc.if_else(pc.is_valid(text["text_area"]), counts, None)


def _kept(candidates: Candidates) -> Candidates:
    windows = candidates.windows.filter(pa.array(is_kept(candidates.windows)))
    return Candidates(candidates.videos, windows)
