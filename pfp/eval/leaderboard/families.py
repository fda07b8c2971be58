"""Metrics that are read together: what one part of a page, or one table of a paper, shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pfp.eval.metrics.base import MetricCard

# What the names of a family's metrics begin with, in the order of the page.
FAMILIES: Final = {
    "Reconstruction": ("psnr", "high_band_psnr", "ssim", "lpips"),
    "Consistency": ("identity.", "cloth.", "instance."),
    "Quality": ("clarity", "aesthetic", "dynamics", "semantic", "flow_warp"),
    "A scene seen again": ("magbench.",),
}
REST: Final = "Others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A title and its metrics."""

    title: str
    cards: tuple[MetricCard, ...]


def families_of(cards: Sequence[MetricCard]) -> list[Family]:
    """The cards by family, in the order of ``FAMILIES``; families without any are left out."""
    by_title: dict[str, list[MetricCard]] = {title: [] for title in (*FAMILIES, REST)}
    for card in cards:
        by_title[_title_of(card)].append(card)
    return [Family(title=title, cards=tuple(found)) for title, found in by_title.items() if found]


def _title_of(card: MetricCard) -> str:
    begins = (title for title, starts in FAMILIES.items() if card.name.startswith(starts))
    return next(begins, REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A metric with its reference's faults, and the same without them."""

    as_published: MetricCard
    mended: MetricCard


def mended_pairs(cards: Sequence[MetricCard]) -> list[Mended]:
    """The pairs ``X`` and ``X.fixed``, ``X.compat`` and ``X`` of which both are there."""
    by_name = {card.name: card for card in cards}
    pairs = []
    for name, card in by_name.items():
        if f"{name}.fixed" in by_name:
            pairs.append(Mended(as_published=card, mended=by_name[f"{name}.fixed"]))
        if f"{name}.compat" in by_name:
            pairs.append(Mended(as_published=by_name[f"{name}.compat"], mended=card))
    return pairs
