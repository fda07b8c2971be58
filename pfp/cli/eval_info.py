"""``pfp-eval ls | show | doctor``: what there is, what it means, and what is missing."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from pfp.cli.doctor import state_in_words, tell
from pfp.errors import WeightsError

if TYPE_CHECKING:
    from pfp.eval.metrics import MetricCard


def add_parsers(commands: Any) -> None:
    """Add the commands to those of ``pfp-eval``."""
    ls = commands.add_parser("ls", help="list what there is")
    ls.add_argument("what", choices=("metrics", "suites", "weights"))
    ls.set_defaults(run=_ls)

    show = commands.add_parser("show", help="a metric's definition, constants, source and licence")
    show.add_argument("metric", metavar="METRIC")
    show.set_defaults(run=_show)

    doctor = commands.add_parser(
        "doctor", help="what is installed, which weights and keys are here"
    )
    doctor.set_defaults(run=tell)


def _ls(options: argparse.Namespace) -> int:
    match options.what:
        case "metrics":
            _ls_metrics()
        case "suites":
            _ls_suites()
        case _:
            from pfp.cli.weights import ls_weights

            ls_weights()
    return 0


def _ls_metrics() -> None:
    from pfp.eval.metrics import METRICS, resolve
    from pfp.io import weights

    states = {status.weights.name: state_in_words(status) for status in weights.ls()}
    width = 4 + max(map(len, METRICS))
    for name in METRICS:
        kind = resolve(name)
        missing = [states[each] for each in kind.card.weights if states[each] != "ready"]
        state = ", ".join(missing) or "ready"
        unit = kind.card.unit or "-"
        direction = kind.card.direction + " is better"
        print(f"{kind.card.metric_id:<{width}}{unit:<8} {direction:<19}{state}")


def _ls_suites() -> None:
    from pfp.eval.measure.suites import SUITES

    for name, suite in SUITES.items():
        print(f"{name:<10}{suite.title}; protocol {suite.protocol}")
        print(f"{'':<10}{' '.join(suite.metrics)}")
    print(f"{'all':<10}every metric of `pfp-eval ls metrics`")


def _weights_state(name: str) -> str:
    from pfp.io import weights

    return state_in_words(next(each for each in weights.ls() if each.weights.name == name))


def _needs_of(card: MetricCard) -> str:
    one_of = [" or ".join(card.requires_any)] if card.requires_any else []
    taken = [f"{need} if there is one" for need in card.optional_inputs]
    return ", ".join(("a video", *card.required_inputs, *one_of, *taken))


def _show(options: argparse.Namespace) -> int:
    from pfp.eval.measure.suites import suites_of
    from pfp.eval.metrics import resolve
    from pfp.io import weights

    card = resolve(options.metric).card
    low = "-inf" if card.low is None else f"{card.low:g}"
    high = "inf" if card.high is None else f"{card.high:g}"
    lines = [
        ("metric", f"{card.metric_id} ({card.title})"),
        ("what", card.summary),
        ("unit", card.unit or "none"),
        ("range", f"{low} to {high}, {card.direction} is better"),
        ("needs", _needs_of(card)),
        ("suites", ", ".join(suites_of(card.name)) or "none"),
        ("cost", card.cost or "little"),
        ("parameters", json.dumps(card.params, sort_keys=True)),
        ("source", card.citation),
        ("licence", card.licence),
    ]
    for name in card.weights:
        entry = weights.pinned(name)
        digest = entry.sha256 or "unknown until the first fetch"
        lines += [("weights", f"{name}, {entry.licence}, sha256 {digest}")]
        lines += [("state", _weights_state(name))]
        try:
            lines += [("path", str(weights.find(name)))]
        except WeightsError:
            lines += [("path", f"{weights.path_of(name)} (not usable yet)")]
    for name, value in lines:
        print(f"{name:<12}{value}")
    return 0
