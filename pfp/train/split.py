"""Which clips are trained on and which are left for evaluation: a pure function of their ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def split_clips(
    clip_ids: Iterable[str], *, clips_per_train_clip: int
) -> tuple[list[str], list[str]]:
    """``(train, held_out)``: one clip in ``clips_per_train_clip`` is trained on, each list sorted.

    The order that decides is that of the ids' digests, so a clip's side does not follow its name
    or place. With fewer clips than that, all are held out.
    """
    ordered = sorted(set(clip_ids), key=lambda clip: hashlib.sha256(clip.encode()).hexdigest())
    num_train = len(ordered) // clips_per_train_clip
    return sorted(ordered[:num_train]), sorted(ordered[num_train:])
