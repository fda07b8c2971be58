"""``pfp checkpoint``: what a training has learned so far, as a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from pfp.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``checkpoint`` with its commands to the parser of ``pfp``."""
    parser = subparsers.add_parser("checkpoint", help="make a checkpoint of a training's state")
    parser.set_defaults(run=run)
    commands = parser.add_subparsers(dest="checkpoint_command", required=True, metavar="COMMAND")
    export = commands.add_parser(
        "export",
        help="write a state as a checkpoint",
        description="Write the newest state of a training, which may still be running, as a "
        "checkpoint: config.json, model card, safetensors, and ema/ where averages are kept. The "
        "base is not needed. Open states of your own only: torch keeps a pickle in them.",
    )
    export.add_argument(
        "state",
        metavar="STATE",
        help="a run's checkpoints/.state-*, or one of the step-* in it; any number of processes "
        "may have written it",
    )
    export.add_argument("out", metavar="OUT", help="the checkpoint's folder, a new one")


def run(arguments: argparse.Namespace) -> int:
    """Write the checkpoint; raises a ``PfpError`` with the cure when something is wrong."""
    state, out = Path(arguments.state), Path(arguments.out)
    if out.exists():
        raise InputError(f"{out} exists; name a new folder")
    from pfp.models.memory.checkpoint import read_description
    from pfp.train.export import export_state

    export_state(state, out)
    described = read_description(out)
    print(f"{out}: {described.get('title', described['variant'])}, step {described['num_steps']}")
    return 0
