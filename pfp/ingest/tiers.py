"""Which tier a clip is of, and which clips stay where kinds of them have quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import ConfigError
from pfp.ingest.clip_tables import TOLD, clip_ids
from pfp.ingest.filters import Filter
from pfp.ingest.quotas import Quota
from pfp.ingest.select import Candidates
from pfp.ingest.verdicts import is_kept, with_dropped
from pfp.texts import listed, quoted

# Of a video, what tiers and quotas may be told by.
_OF_VIDEO: Final = ("width", "height", "fps", "bar_fraction", "orientation", "codec")


def assign_tiers(candidates: Candidates, tiers: Mapping[str, Mapping[str, Filter]]) -> Candidates:
    """The windows with a column ``tier``: the first whose filters all take them; null for none."""
    clips = _with_video(candidates)
    names = np.full(clips.num_rows, None, object)
    for tier, filters in reversed(list(tiers.items())):
        taken = np.ones(clips.num_rows, bool)
        for bound in (bound for one in filters.values() for bound in one.bounds(clips)):
            taken &= bound.holds()
        names[taken] = tier
    windows = candidates.windows.append_column("tier", pa.array(names, pa.string()))
    return Candidates(candidates.videos, windows)


def check_quotas(quotas: Sequence[Quota], told: pa.Table | None) -> None:
    """Raise ConfigError for a share of what no file is said to be: it would leave no clip.

    ``told`` has the columns ``TOLD`` of what a manifest says of the files; None: nothing.
    """
    for quota in quotas:
        if quota.column not in TOLD:
            continue
        known = [] if told is None else pc.unique(told[quota.column]).drop_null().to_pylist()
        missing = [kind for kind in quota.shares if kind not in known]
        if missing:
            message = (
                f"quota of {quota.column}: no file has {quoted(missing[0])} in the manifest's "
                f"column {quota.column} (there: {listed(sorted(known)) or 'none'}); "
                "correct the recipe or the manifest"
            )
            raise ConfigError(message)


def limit_to_quotas(
    candidates: Candidates, quotas: Sequence[Quota], told: pa.Table | None = None
) -> Candidates:
    """The windows; those are dropped of which there are too many. Needs tiers.

    ``told`` is as in ``check_quotas``.
    """
    windows = candidates.windows
    for quota in quotas:
        rows = np.flatnonzero(is_kept(windows))
        kept = Candidates(candidates.videos, windows.take(pa.array(rows)))
        surplus = quota.surplus(_kinds(kept, quota.column, told), clip_ids(kept))
        windows = with_dropped(windows, rows[surplus.rows], surplus.verdicts())
    return Candidates(candidates.videos, windows)


def _kinds(candidates: Candidates, column: str, told: pa.Table | None) -> pa.ChunkedArray:
    """What the windows are by a column of their own, of their videos, or of a manifest."""
    videos, windows = candidates
    if column not in TOLD:
        return _with_video(candidates)[column]
    if told is None:
        return pa.chunked_array([pa.nulls(windows.num_rows, pa.string())])
    uris = videos["video_uri"].take(windows["video"])
    places = pc.index_in(uris, value_set=told["video_uri"].combine_chunks())
    return told[column].take(places)


def _with_video(candidates: Candidates) -> pa.Table:
    """The windows with columns of their videos."""
    videos, windows = candidates
    own = videos.select(_OF_VIDEO).take(windows["video"])
    return pa.table(
        {name: own[name] for name in _OF_VIDEO}
        | {name: windows[name] for name in windows.column_names}
    )
