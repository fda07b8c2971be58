"""Every metric belongs to a family, and every mended one to what it mends."""

from __future__ import annotations

from pfp.eval.leaderboard.families import REST, families_of, mended_pairs
from pfp.eval.metrics import METRICS, resolve

CARDS = [resolve(name).card for name in METRICS]


def test_every_metric_has_a_family() -> None:
    """No metric of pfp's is left over, and none is shown twice."""
    families = families_of(CARDS)

    shown = [card.name for family in families for card in family.cards]
    assert sorted(METRICS) == sorted(shown)
    assert REST not in [family.title for family in families]


def test_mended_metrics_know_what_they_mend() -> None:
    """Whichever of the two forms has the plain name."""
    pairs = {(pair.as_published.name, pair.mended.name) for pair in mended_pairs(CARDS)}

    assert {
        ("identity.vbench2", "identity.vbench2.fixed"),
        ("dynamics", "dynamics.fixed"),
        ("cloth.vbench2.compat", "cloth.vbench2"),
        ("instance.vbench2.compat", "instance.vbench2"),
        ("magbench.matched.psnr.compat", "magbench.matched.psnr"),
        ("magbench.matched.ssim.compat", "magbench.matched.ssim"),
        ("magbench.matched.lpips.compat", "magbench.matched.lpips"),
    } == pairs


def test_one_form_alone_is_no_pair() -> None:
    """Without its counterpart a metric is compared with nothing."""
    assert [] == mended_pairs([resolve("dynamics.fixed").card])
