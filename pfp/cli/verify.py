"""``pfp verify``: whether the tables of a run are what their stages wrote."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pfp.errors import InputError, PfpError

if TYPE_CHECKING:
    from pfp.schema.record import Record


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``verify`` to the parser of ``pfp``."""
    parser = commands.add_parser("verify", help="read a run's tables again and check every digest")
    parser.add_argument("directory", metavar="RUN", nargs="?", default="runs/demo")
    parser.add_argument("--table", help="only this one, for example latents")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line a table and one a problem; 1 if there is any."""
    from pfp.io.tables import verify_table

    run_directory = Path(arguments.directory)
    records = _tables_of(run_directory)
    if arguments.table is not None and arguments.table not in records:
        message = f"there is no table {arguments.table!r}; give one of {', '.join(records)}"
        raise InputError(message)
    names = [arguments.table] if arguments.table else list(records)
    there = [name for name in names if _is_table(run_directory / name)]
    lost = [name for name in names if name not in there and _holds_rows(run_directory / name)]
    if not there and not lost:
        message = f"{run_directory} holds none of {', '.join(names)}; give a run directory"
        raise InputError(message)
    problems = [
        f"{run_directory / name} holds rows and no manifest: its stage did not end, or the "
        "manifest was lost; run the stage again"
        for name in lost
    ]
    for name in there:
        found = verify_table(run_directory / name, records[name])
        print(f"{name}: {'as it was written' if not found else f'{len(found)} problems'}")
        problems += found
    if not problems and arguments.table is None:
        problems += _across_tables(run_directory, there)
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def _is_table(directory: Path) -> bool:
    from pfp.io.manifest import MANIFEST_NAME

    return (directory / MANIFEST_NAME).is_file()


def _holds_rows(directory: Path) -> bool:
    """Whether a stage wrote rows there: finished ones, or such as wait to be joined to a table."""
    from pfp.io.manifest import DATA_NAME
    from pfp.runtime.pending import PENDING_NAME

    if not directory.is_dir():
        return False
    names = (path.name for path in directory.iterdir())
    return any(name == PENDING_NAME or DATA_NAME.fullmatch(name) for name in names)


def _tables_of(run_directory: Path) -> dict[str, type[Record]]:
    """The tables that a run may have, and what is in them."""
    from pfp.schema import (
        CheckpointRecord,
        ClipRecord,
        ConditionRecord,
        GenerationRecord,
        LatentRecord,
        ScoreRecord,
        StoryboardRecord,
    )
    from pfp.schema.measured import MeasuredRecord

    records: dict[str, type[Record]] = {
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
    copies = sorted(path.name for path in run_directory.glob("latents_lr_*") if path.is_dir())
    records |= dict.fromkeys(copies, LatentRecord)  # of further rates, each a table of its own
    for shard in sorted(path.name for path in run_directory.glob("shards/*") if path.is_dir()):
        records[f"shards/{shard}/generations"] = GenerationRecord
        records[f"shards/{shard}/scores"] = ScoreRecord
    return records


def _across_tables(run_directory: Path, there: Sequence[str]) -> list[str]:
    """What is wrong between whole tables, and with the files that they are about."""
    problems = []
    if "clips" in there:
        problems += _changed_videos(run_directory)
    if any(name.rpartition("/")[2] == "scores" for name in there):
        found = _problems_of_report(run_directory)
        print(f"report: {'can be written' if not found else 'cannot be written'}")
        problems += found
    return problems


def _changed_videos(run_directory: Path) -> list[str]:
    """One sentence for each kept clip whose file holds other bytes now."""
    import pyarrow.compute as pc

    from pfp.io.tables import read_table
    from pfp.io.unchanged import FILE_COLUMNS, FileChangedError, check_unchanged
    from pfp.schema import ClipRecord

    kept = pc.field("verdict", "kind") == "kept"
    columns = ["video_uri", *FILE_COLUMNS]
    clips = read_table(run_directory / "clips", ClipRecord, columns=columns, filter=kept)
    problems, num_gone = [], 0
    for batch in clips.to_batches(max_chunksize=1 << 14):
        for row in batch.to_pylist():
            try:
                check_unchanged(row.pop("video_uri"), **row)
            except FileChangedError as error:
                problems.append(str(error))
            except InputError:  # the tables can be used without them, or elsewhere
                num_gone += 1
    state = "as they were ingested" if not problems else f"{len(problems)} problems"
    print(f"videos: {state}{f', {num_gone} are not here' if num_gone else ''}")
    return problems


def _problems_of_report(run_directory: Path) -> list[str]:
    """Why no report can be made of the scores, if that is so."""
    from pfp.eval.leaderboard.build import check_columns
    from pfp.eval.scores.runs import read_run

    try:
        stored = read_run(run_directory)
        check_columns(stored.generations, stored.scores)
    except PfpError as error:
        return [str(error)]
    return []
