"""``pfp verify``: whether the tables of a run are what their stages wrote."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pfp.errors import InputError, PfpError, SchemaError

if TYPE_CHECKING:
    from pfp.schema.record import Record
    from pfp.schema.run_directory import RunDirectory, TableLocation


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``verify`` to the parser of ``pfp``."""
    parser = commands.add_parser("verify", help="read a run's tables again and check every digest")
    parser.add_argument("directory", metavar="RUN", nargs="?", default="runs/demo")
    parser.add_argument("--table", help="only this one, for example latents")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line a table and one a problem; 1 if there is any."""
    from pfp.io.run_tables import has_table, tables_of
    from pfp.io.tables import verify_table
    from pfp.schema.run_directory import RunDirectory

    if Path(arguments.directory).is_file():
        raise InputError(f"{arguments.directory} is a file; give a run directory")
    run_directory = RunDirectory(arguments.directory)
    tables = tables_of(run_directory)
    if arguments.table is not None and arguments.table not in tables:
        message = f"there is no table {arguments.table!r}; give one of {', '.join(tables)}"
        raise InputError(message)
    if arguments.table is not None:
        tables = {arguments.table: tables[arguments.table]}
    there = {name: table for name, table in tables.items() if has_table(table)}
    lost = [table.path for table in tables.values() if _holds_rows(table.path)]
    lost = [path for path in lost if path not in {table.path for table in there.values()}]
    if not there and not lost:
        message = f"{arguments.directory} holds none of {', '.join(tables)}; give a run directory"
        raise InputError(message)
    problems = [
        f"{path} holds rows and no manifest: its stage did not end, or the "
        "manifest was lost; run the stage again"
        for path in lost
    ]
    for name, table in there.items():
        found = verify_table(*table) + _problems_of_config(table.path)
        print(f"{name}: {'as it was written' if not found else f'{len(found)} problems'}")
        problems += found
    if not problems and arguments.table is None:
        problems += _across_tables(run_directory, there.values())
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def _problems_of_config(path: str) -> list[str]:
    from pfp.runtime.stage_config import read_config

    try:
        read_config(path)
    except SchemaError as error:
        return [str(error)]
    return []


def _holds_rows(path: str) -> bool:
    """Whether a stage wrote rows there: finished ones, or such as wait to be joined to a table."""
    from pfp.io.filesystems import Folder
    from pfp.io.manifest import DATA_NAME
    from pfp.runtime.staged import STAGED_NAME

    folder = Folder.at(path)
    return STAGED_NAME in folder.folder_names() or any(map(DATA_NAME.fullmatch, folder.names()))


def _across_tables(run: RunDirectory, there: Iterable[TableLocation[Record]]) -> list[str]:
    """What is wrong between whole tables, and with the files that they are about."""
    problems = []
    records = {table.record for table in there}
    if run.videos.record in records:
        problems += _changed_videos(run)
    if run.scores.record in records:
        found = _problems_of_report(run)
        print(f"report: {'can be written' if not found else 'cannot be written'}")
        problems += found
    return problems


def _changed_videos(run: RunDirectory) -> list[str]:
    """One sentence for each kept video whose file holds other bytes now."""
    import pyarrow.compute as pc

    from pfp.io.tables import read_table
    from pfp.io.unchanged import FILE_COLUMNS, FileChangedError, check_unchanged

    kept = pc.field("verdict", "kind") == "kept"
    columns = ["video_uri", *FILE_COLUMNS]
    videos = read_table(*run.videos, columns=columns, filter=kept)
    problems, num_gone = [], 0
    for batch in videos.to_batches(max_chunksize=1 << 14):
        for row in batch.to_pylist():
            try:
                check_unchanged(row.pop("video_uri"), **row)
            except FileChangedError as error:
                problems.append(str(error))
            except InputError:  # the tables can be used without them, or elsewhere
                num_gone += 1
    state = "as they were ingested" if not problems else f"{len(problems)} problems"
    print(f"files: {state}{f', {num_gone} are not here' if num_gone else ''}")
    return problems


def _problems_of_report(run: RunDirectory) -> list[str]:
    """Why no report can be made of the scores, if that is so."""
    from pfp.eval.leaderboard.build import check_columns
    from pfp.eval.scores.runs import read_run

    try:
        stored = read_run(run.uri)
        check_columns(stored.generations, stored.scores)
    except PfpError as error:
        return [str(error)]
    return []
