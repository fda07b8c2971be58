"""``pfp verify``: whether the tables of a run are what their stages wrote."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pfp.errors import InputError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``verify`` to the parser of ``pfp``."""
    parser = commands.add_parser("verify", help="read a run's tables again and check every digest")
    parser.add_argument("directory", metavar="RUN", nargs="?", default="runs/demo")
    parser.add_argument("--table", help="only this one, for example latents")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, rest: Sequence[str] = ()) -> int:
    """Print one line a table and one a problem; 1 if there is any."""
    del rest  # `pfp` refuses unknown arguments itself
    from pfp.ingest.measured import MeasuredRecord
    from pfp.io.manifest import MANIFEST_NAME
    from pfp.io.tables import verify_table
    from pfp.schema import (
        CheckpointRecord,
        ClipRecord,
        ConditionRecord,
        GenerationRecord,
        LatentRecord,
        ScoreRecord,
        StoryboardRecord,
    )

    records = {
        "clips/_measured": MeasuredRecord,
        "clips": ClipRecord,
        "storyboards": StoryboardRecord,
        "latents": LatentRecord,
        "conditions": ConditionRecord,
        "conditions_pooled": ConditionRecord,
        "checkpoints/_index": CheckpointRecord,
        "checkpoints/_finetuned": CheckpointRecord,
        "generations": GenerationRecord,
        "scores": ScoreRecord,
    }
    run_directory = Path(arguments.directory)
    copies = sorted(path.name for path in run_directory.glob("latents_lr_*") if path.is_dir())
    records |= dict.fromkeys(copies, LatentRecord)  # of further rates, each a table of its own
    if arguments.table is not None and arguments.table not in records:
        message = f"there is no table {arguments.table!r}; give one of {', '.join(records)}"
        raise InputError(message)
    names = [arguments.table] if arguments.table else list(records)
    there = [name for name in names if (run_directory / name / MANIFEST_NAME).is_file()]
    if not there:
        message = f"{run_directory} holds none of {', '.join(names)}; give a run directory"
        raise InputError(message)
    problems = []
    for name in there:
        found = verify_table(run_directory / name, records[name])
        print(f"{name}: {'as it was written' if not found else f'{len(found)} problems'}")
        problems += found
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0
