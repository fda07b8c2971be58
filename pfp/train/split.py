"""Which clips are trained on and which are held out: a pure function of each clip's video."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from pfp.schema.clip_id import video_of


def split_clips(clip_ids: Iterable[str], *, held_out_share: float) -> tuple[list[str], list[str]]:
    """``(trained_on, held_out)``, each sorted; about ``held_out_share`` of many videos is held out.

    All clips of a video are on one side, which follows from its digest, so that further clips move
    none across. Where so few videos would leave none held out, the one with the highest digest is.
    """
    clips = set(clip_ids)
    shares = {video: digest_share(video) for video in map(video_of, clips)}
    held_out = {video for video, share in shares.items() if share >= 1 - held_out_share}
    if shares and held_out_share and not held_out:
        held_out = {max(shares, key=shares.__getitem__)}
    apart = {clip for clip in clips if video_of(clip) in held_out}
    return sorted(clips - apart), sorted(apart)


def lowest_digests(clip_ids: Iterable[str], num: int) -> list[str]:
    """So many of the clips, chosen by their digests; all of them where there are fewer."""
    return sorted(clip_ids, key=digest_share)[:num]


def digest_share(name: str) -> float:
    """The first 53 bits of the name's SHA-256 as a number in [0, 1), exact in a float."""
    digest = hashlib.sha256(name.encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)
