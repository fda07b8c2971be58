"""Which clips are trained on and which are held out: a pure function of each clip's own id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def split_clips(clip_ids: Iterable[str], *, held_out_share: float) -> tuple[list[str], list[str]]:
    """``(trained_on, held_out)``, each sorted; about ``held_out_share`` of many clips is held out.

    A clip's side follows from its own id, so that further clips move none across. Where so few
    clips would leave none held out, the one with the highest digest is.
    """
    shares = {clip: digest_share(clip) for clip in clip_ids}
    held_out = {clip for clip, share in shares.items() if share >= 1 - held_out_share}
    if shares and held_out_share and not held_out:
        held_out = {max(shares, key=shares.__getitem__)}
    return sorted(shares.keys() - held_out), sorted(held_out)


def lowest_digests(clip_ids: Iterable[str], num: int) -> list[str]:
    """So many of the clips, chosen by their digests; all of them where there are fewer."""
    return sorted(clip_ids, key=digest_share)[:num]


def digest_share(clip_id: str) -> float:
    """The first 53 bits of the id's SHA-256 as a number in [0, 1), exact in a float."""
    digest = hashlib.sha256(clip_id.encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)
