"""Which tier a clip is of, and which clips stay where kinds of them have quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from pfp.ingest.clip_tables import clip_ids
from pfp.ingest.filters import Filter
from pfp.ingest.quotas import Quota
from pfp.ingest.select import Candidates
from pfp.ingest.verdicts import is_kept, with_dropped

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


def limit_to_quotas(candidates: Candidates, quotas: Sequence[Quota]) -> Candidates:
    """The windows; those are dropped of which there are too many. Needs tiers."""
    windows = candidates.windows
    for quota in quotas:
        rows = np.flatnonzero(is_kept(windows))
        kept = Candidates(candidates.videos, windows.take(pa.array(rows)))
        surplus = quota.surplus(_with_video(kept)[quota.column], clip_ids(kept))
        windows = with_dropped(windows, rows[surplus.rows], surplus.verdicts())
    return Candidates(candidates.videos, windows)


def _with_video(candidates: Candidates) -> pa.Table:
    """The windows with columns of their videos."""
    videos, windows = candidates
    own = videos.select(_OF_VIDEO).take(windows["video"])
    return pa.table(
        {name: own[name] for name in _OF_VIDEO}
        | {name: windows[name] for name in windows.column_names}
    )
