"""A stage over a table: what is committed is reused, the rest computed, all of it accounted for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import ConfigError, InvariantError
from pfp.io.filesystems import Folder
from pfp.io.locks import locked
from pfp.runtime.compact import compact, run_here
from pfp.runtime.index import choose, prior_attempts, scan
from pfp.runtime.keys import PRIOR_ATTEMPTS, RESULT_KEY, result_keys
from pfp.runtime.local_engine import run_local
from pfp.runtime.progress import NoProgress, Progress
from pfp.runtime.ray_engine import run_ray, write_on_ray
from pfp.runtime.report import StageReport, report_of
from pfp.runtime.stage import Stage
from pfp.runtime.stage_config import StageConfig, changes_since
from pfp.runtime.staged import StagedFiles

Engine: TypeAlias = Literal["ray", "local"]

# So many small files make one larger one: a stage of millions of rows must not leave as many.
FILES_PER_MERGE = 1000
SMALL_FILE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a run of a stage would find: rows of the inputs to compute, and keys of those kept.

    Rows in neither were dropped or failed for good.
    """

    todo: pa.Table
    kept_keys: frozenset[str]


def backlog(stage: Stage, inputs: pa.Table, directory: str | Path) -> Backlog:
    """What ``run_stage`` would do with these inputs and this directory; nothing is written."""
    wanted = result_keys(stage, inputs)
    folder = Folder.at(directory)
    chosen = choose(scan(folder, stage.record, StagedFiles.of(folder, "")), wanted)
    todo = _todo(stage, inputs, wanted, prior_attempts(chosen, wanted, stage.max_attempts))
    kinds = pc.struct_field(chosen["verdict"].combine_chunks(), "kind")
    kept = chosen["key"].filter(pc.equal(kinds, "kept"))
    return Backlog(todo=todo.drop_columns([PRIOR_ATTEMPTS]), kept_keys=frozenset(kept.to_pylist()))


def run_stage(
    stage: Stage,
    inputs: pa.Table,
    directory: str | Path,
    *,
    engine: Engine = "ray",
    progress: Progress | None = None,
) -> StageReport:
    """Brings the table in ``directory`` up to date with the inputs and says what became of them.

    Rows whose result key is committed, by a finished run or by one that was killed, are not
    computed again, except failures that are worth another attempt. Rows that left the inputs
    leave the table. The table is the same, byte for byte, however often the run was interrupted.
    The stage's configuration is written beside it; which settings are others than those of the run
    before is told first.

    ``InputError`` if the directory cannot be written, is full, is being written by another run or
    holds other records.
    """
    if engine not in ("ray", "local"):
        message = f"engine {engine!r} is not one of 'ray', 'local'"
        raise ConfigError(message)
    progress = progress or NoProgress()
    started = time.monotonic()
    wanted = result_keys(stage, inputs)
    folder = Folder.at(directory)
    config = None if stage.config is None else StageConfig.of(stage.name, stage.config)
    with locked(folder):
        try:
            if config is not None:
                _tell_changes(stage.name, changes_since(str(directory), config), progress)
            chosen, num_computed = _run(stage, inputs, wanted, folder, engine, progress)
            if config is not None:
                config.write(str(directory))
        finally:
            progress.stop()
    report = report_of(
        stage.name,
        chosen,
        seconds=time.monotonic() - started,
        reused=len(wanted) - num_computed,
        rows_in=inputs.num_rows,
        noticed=0 if stage.count_noticed is None else stage.count_noticed(str(directory)),
    )
    progress.finish(report)
    return report


def _tell_changes(name: str, changes: list[str], progress: Progress) -> None:
    if changes:
        progress.tell(f"{name}: settings are others than in the run before: {'; '.join(changes)}")


def _run(  # noqa: PLR0917 - the parts of one call
    stage: Stage,
    inputs: pa.Table,
    wanted: pa.Array,
    folder: Folder,
    engine: Engine,
    progress: Progress,
) -> tuple[pa.Table, int]:
    """The rows of the finished table, as the index has them, and how many were computed."""
    staged = StagedFiles.of(folder, uuid.uuid4().hex)
    index = scan(folder, stage.record, staged)
    chosen = choose(index, wanted)
    todo = _todo(stage, inputs, wanted, prior_attempts(chosen, wanted, stage.max_attempts))
    progress.start(stage.name, len(wanted), len(wanted) - todo.num_rows)
    if todo.num_rows:
        staged.make()
        run = run_ray if engine == "ray" else run_local
        _drain(run(stage, todo, staged), stage, staged, progress)
        index = scan(folder, stage.record, staged)
        chosen = choose(index, wanted)
    if chosen.num_rows != len(wanted):
        message = (
            f"stage {stage.name}: {len(wanted)} rows went in but {chosen.num_rows} came out; "
            "run it again, and report it if that does not help"
        )
        raise InvariantError(message)
    run_all = write_on_ray if engine == "ray" else run_here
    compact(folder, stage.record, index, chosen, run_all=run_all)
    staged.clear()
    return chosen, todo.num_rows


def _todo(stage: Stage, inputs: pa.Table, wanted: pa.Array, prior: pa.Array) -> pa.Table:
    """The inputs that have to be computed, with their result keys, in the order of ``input_key``.

    That order makes neighbours in a staged file neighbours in the table, for tables keyed alike.
    """
    names = [name for name in inputs.column_names if name not in (RESULT_KEY, PRIOR_ATTEMPTS)]
    todo = inputs.select(names).append_column(RESULT_KEY, wanted)
    todo = todo.append_column(PRIOR_ATTEMPTS, prior).filter(pc.is_valid(prior))
    return todo.take(pc.sort_indices(todo[stage.input_key])).combine_chunks()


def _drain(
    receipts: Iterator[pa.Table], stage: Stage, staged: StagedFiles, progress: Progress
) -> None:
    """Follows the receipts of committed files and merges small ones into larger ones."""
    small: list[str] = []
    for receipt in receipts:
        progress.advance(pc.sum(receipt["num_rows"]).as_py())
        is_small = pc.less(receipt["size_bytes"], SMALL_FILE_BYTES)
        small += receipt.filter(is_small)["file"].to_pylist()
        if len(small) >= FILES_PER_MERGE:
            staged.merge(small, stage.record)
            small = []
