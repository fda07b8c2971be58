"""Which metrics belong together: the paper's tables, MAG-Bench, and everything."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

from pfp.errors import ConfigError
from pfp.eval.measure.protocol import ProtocolName
from pfp.eval.metrics import METRICS, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A named choice of metrics, and the protocol that they are measured by unless told else."""

    title: str
    metrics: tuple[str, ...]
    protocol: ProtocolName = "whole"


SUITES: Final = {
    "table1": Suite(
        title="reconstruction: is what comes back what was there (paper, Table 1)",
        metrics=(
            *("psnr", "ssim", "lpips_alex"),
            *("psnr_global", "ssim_skimage7", "lpips_vgg", "high_band_psnr"),
        ),
    ),
    "table2": Suite(
        title="consistency of people and things (paper, Table 2)",
        metrics=(
            *("identity.arcface", "identity.vbench2"),
            *("cloth.storyboard", "cloth.vbench2", "instance.fraction", "instance.vbench2"),
        ),
    ),
    "table3": Suite(
        title="quality (paper, Table 3)",
        metrics=("clarity", "aesthetic", "dynamics", "semantic", "semantic.storyboard"),
        protocol="vbench",
    ),
    "magbench": Suite(
        title="a scene seen again (MAG-Bench, Tables 1 and 3)",
        metrics=tuple(
            name
            for name in METRICS
            if name.startswith("magbench.") and not name.endswith(".compat")
        ),
    ),
}
ALL: Final = "all"


def choose_metrics(
    suite: str | None, names: tuple[str, ...], protocol: ProtocolName | None
) -> dict[str, ProtocolName]:
    """The metrics of a suite and those named, each with its protocol.

    ``protocol`` is for the metrics that are named and for VBench's (Table 3); a suite's others
    are defined on the whole video. Neither a suite nor names is all metrics.

    Raises ConfigError for a suite or a metric that is not there.
    """
    chosen: dict[str, ProtocolName] = {}
    if suite == ALL or (suite is None and not names):
        chosen = dict.fromkeys(METRICS, "whole")
        for each in SUITES.values():
            chosen |= dict.fromkeys(each.metrics, _protocol_of(each, protocol))
    elif suite is not None:
        if suite not in SUITES:
            close = difflib.get_close_matches(suite, SUITES, n=1)
            known = f"use {ALL} or {', '.join(SUITES)}"
            hint = f"did you mean {close[0]!r}?" if close else known
            raise ConfigError(f"no suite is called {suite!r}; {hint}")
        chosen = dict.fromkeys(SUITES[suite].metrics, _protocol_of(SUITES[suite], protocol))
    for name in names:
        resolve(name)
        chosen[name] = protocol or _default_of(name)
    return chosen


def follows_user(metric: str, names: tuple[str, ...]) -> bool:
    """Whether the user's protocol and cuts are for a metric: it was named, or it is VBench's."""
    return metric in names or _default_of(metric) != "whole"


def suites_of(metric: str) -> list[str]:
    """The suites that a metric is in."""
    return [name for name, suite in SUITES.items() if metric in suite.metrics]


def _default_of(metric: str) -> ProtocolName:
    return next((SUITES[name].protocol for name in suites_of(metric)), "whole")


def _protocol_of(suite: Suite, protocol: ProtocolName | None) -> ProtocolName:
    return protocol if protocol is not None and suite.protocol != "whole" else suite.protocol
