"""Processes that may die: making a stage's callable in one, and giving a row up that kills them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pfp.errors import InputError
from pfp.runtime.stage import Stage, Worker
from pfp.runtime.staged import StagedFiles
from pfp.schema.verdict import Failed


class MadeOnce:
    """A worker of a stage, made when the first batch comes and kept.

    What its constructor raises ends the stage, and so does a process that dies ``max_attempts``
    times in it: no row is to blame.
    """

    def __init__(
        self,
        stage: Stage,
        staged: StagedFiles,
        make: Callable[..., Worker],
        args: Mapping[str, Any],
    ) -> None:
        self._stage = stage
        self._staged = staged
        self._make = make
        self._args = args
        self._worker: Worker | None = None

    def get(self, name: str) -> Worker:
        """The worker; it may be made now, while the batch ``name`` waits."""
        if self._worker is not None:
            return self._worker
        mark = f"making-{name}"
        deaths = self._staged.num_tries(mark)
        if deaths >= self._stage.max_attempts:
            message = (
                f"stage {self._stage.name}: the worker process died {deaths} times while its "
                "worker was made; give it more memory, or run with the local engine to see why"
            )
            raise InputError(message)
        self._staged.begin_try(mark, deaths)
        self._worker = self._make(**self._args)
        self._staged.end_tries(mark, deaths + 1)
        return self._worker


def worker_died(num_times: int, *, doing: str = "") -> Failed:
    """The verdict of a row on which every attempt killed the process."""
    return Failed(
        error="WorkerDied",
        message=f"the worker process died {num_times} times on this row{doing}",
        attempts=num_times,
        retryable=False,
    )
