"""A stage whose rows say what shall become of them; also a program, so that it can be killed."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from pfp import runtime
from pfp.errors import ConfigError, RetryableError
from pfp.schema import KEPT, Dropped, Failed, StoryboardRecord


class NumbersWorker:
    """Squares ``n`` unless ``do`` says otherwise, and notes in ``log`` each row that it begins.

    ``do``: keep | drop | fail | flaky (retryable failure) | die (SIGKILL to itself) | die_once.
    It expects what ``PreprocessNumbers`` adds, if the rows have it.
    """

    def __init__(self, *, log: str, seconds: float = 0.0, broken: str | None = None) -> None:
        self._log = Path(log)
        self._seconds = seconds
        if broken is not None:
            raise ConfigError(broken)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One row per row."""
        return runtime.map_rows(batch, self._square, failed_row)

    def _square(self, row: dict[str, Any]) -> StoryboardRecord:
        note(self._log, row)
        time.sleep(self._seconds)
        payload = row.get("payload")
        assert payload is None or payload[:8] == row["n"].to_bytes(8)
        match row["do"]:
            case "drop":
                verdict: Any = Dropped(reason="odd_one_out", detail="was told to", score=1.0)
                return _record(row, verdict)
            case "fail":
                raise ValueError(f"row {row['clip_id']} is bad")
            case "flaky":
                raise RetryableError("the server is busy")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die_once":
                die_once(self._log, row)
        return _record(row, KEPT)


PAYLOAD = pa.schema([pa.field("payload", pa.large_binary())])


class PreprocessNumbers:
    """Adds ``payload``, ``payload_bytes`` long, and notes in ``log`` each row that it begins.

    ``do``: first_fail | first_flaky | first_die | first_die_once; anything else is preprocessed.
    """

    def __init__(
        self, *, log: str, payload_bytes: int = 8, seconds: float = 0.0, broken: str | None = None
    ) -> None:
        self._log = Path(log)
        self._payload_bytes = payload_bytes
        self._seconds = seconds
        if broken is not None:
            raise ConfigError(broken)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The row with its payload."""
        return runtime.preprocess_rows(batch, self._preprocess, PAYLOAD)

    def _preprocess(self, row: dict[str, Any]) -> dict[str, bytes]:
        note(self._log, row)
        time.sleep(self._seconds)
        match row["do"]:
            case "first_fail":
                raise ValueError(f"row {row['clip_id']} cannot be preprocessed")
            case "first_flaky":
                raise RetryableError("the disk is busy")
            case "first_die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "first_die_once":
                die_once(self._log, row)
        return {"payload": row["n"].to_bytes(8).ljust(self._payload_bytes)}


def note(log: Path, row: dict[str, Any]) -> None:
    """Adds the row, the process and the time to the log."""
    with log.open("a") as file:
        file.write(f"{row['clip_id']} {os.getpid()} {time.monotonic()}\n")


def die_once(log: Path, row: dict[str, Any]) -> None:
    """SIGKILL to this process, unless the row has killed one before."""
    mark = log.with_suffix(f".{row['clip_id']}")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _record(row: dict[str, Any], verdict: Any) -> StoryboardRecord:
    return StoryboardRecord(
        clip_id=row["clip_id"], backend="offline", tokens_in=row["n"] ** 2, verdict=verdict
    )


def failed_row(row: dict[str, Any], verdict: Failed) -> StoryboardRecord:
    """The row of a number that could not be squared."""
    return StoryboardRecord(clip_id=row["clip_id"], backend="offline", verdict=verdict)


def make_stage(log: Path, *, batch_size: int = 4, **changes: Any) -> runtime.Stage:
    """The stage with its usual settings, or some of them changed."""
    worker_args = {"log": str(log), **changes.pop("worker_args", {})}
    num_workers = changes.pop("num_workers", None)
    settings: dict[str, Any] = {
        "name": "numbers",
        "record": StoryboardRecord,
        "worker": NumbersWorker,
        "worker_args": worker_args,
        "input_key": "clip_id",
        "content_columns": ("n", "do"),
        "fingerprint": "square@1",
        "resources": runtime.Resources(batch_size=batch_size, num_workers=num_workers),
        "on_error": failed_row,
    }
    return runtime.Stage(**{**settings, **changes})


def make_two_step_stage(
    log: Path, *, preprocess_args: dict[str, Any] | None = None, **changes: Any
) -> runtime.Stage:
    """The stage with a first step on one worker, which notes its rows in ``first_log(log)``."""
    preprocess = runtime.Preprocess(
        worker=PreprocessNumbers,
        worker_args={"log": str(first_log(log)), **(preprocess_args or {})},
        columns=PAYLOAD,
        resources=runtime.Resources(num_workers=1),
    )
    return make_stage(log, **{"batch_size": 1, "preprocess": preprocess, **changes})


def first_log(log: Path) -> Path:
    """Where the first step notes the rows that it begins."""
    return log.with_suffix(".first")


def make_inputs(num_rows: int, **do: list[int]) -> pa.Table:
    """Numbered rows to keep, but for those listed: ``make_inputs(9, drop=[1], fail=[2])``."""
    what = {number: name for name, numbers in do.items() for number in numbers}
    return pa.table(
        {
            "clip_id": [f"clip-{number:05d}" for number in range(num_rows)],
            "n": pa.array(range(num_rows), pa.int64()),
            "do": [what.get(number, "keep") for number in range(num_rows)],
        }
    )


def begun(log: Path) -> list[str]:
    """The clip ids of all rows that workers have begun, in that order."""
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def main() -> None:
    """Runs the stage as its own process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("log", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--two-steps", action="store_true")
    args = parser.parse_args()
    make = make_two_step_stage if args.two_steps else make_stage
    stage = make(args.log, batch_size=args.batch_size, worker_args={"seconds": args.seconds})
    with runtime.connect(args.engine, num_cpus=2):
        report = runtime.run_stage(
            stage, make_inputs(args.rows), args.directory, engine=args.engine
        )
    sys.stdout.write(f"{report.line()}\n")


if __name__ == "__main__":
    main()
