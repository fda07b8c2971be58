"""Conditions on differences, such as ``psnr<-0.5``: what makes a comparison fail.

A condition asks the mean itself, so that a gate does not open because there are few clips; its
message says whether the difference is sure, by the test that tables decide by.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pfp.errors import ConfigError
from pfp.eval.leaderboard.leaderboard import Comparison
from pfp.eval.metrics import resolve

_FORM: Final = re.compile(r"\s*([A-Za-z0-9_.]+)\s*(<=|>=|<|>)\s*([-+]?[0-9.]+(?:e[-+]?\d+)?)\s*")
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SURE: Final = {True: "surely not 0", False: "undecided", None: "of too few clips to decide"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A condition on the mean paired difference under one metric, as tables show it (x100)."""

    text: str
    metric: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Gate:
        """``METRIC<NUMBER`` with ``<``, ``<=``, ``>`` or ``>=``; else a ConfigError."""
        match = _FORM.fullmatch(text)
        try:
            bound = None if match is None else float(match.group(3))
        except ValueError:
            bound = None
        if match is None or bound is None:
            raise ConfigError(f"--fail-if {text!r} is no condition; write one like 'psnr<-0.5'")
        resolve(match.group(1))
        return cls(text=text.strip(), metric=match.group(1), sign=match.group(2), bound=bound)


def broken(gates: Sequence[Gate], comparisons: Sequence[Comparison]) -> list[str]:
    """A sentence for each condition that holds, or that nothing was measured for."""
    by_metric = {item.metric_id.rpartition("@")[0]: item for item in comparisons}
    found = []
    for gate in gates:
        item = by_metric.get(gate.metric)
        if item is None or item.difference.mean is None:
            found.append(f"{gate.text}: not measured on any clip that both have")
            continue
        shown = item.difference.mean * resolve(gate.metric).card.scale
        if _OPERATORS[gate.sign](shown, gate.bound):
            found.append(f"{gate.text}: the difference is {shown:+.6g}, {_SURE[item.is_sure]}")
    return found
