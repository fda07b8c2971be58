"""What a stage is: a worker over rows, what its results depend on, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from pfp.errors import ConfigError
from pfp.schema.record import Record
from pfp.schema.verdict import Failed

Worker: TypeAlias = Callable[[pa.Table], pa.Table]
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one worker needs. ``num_workers`` None: as many as fit on the machines there are."""

    num_cpus: float = 1
    num_gpus: float = 0
    memory_bytes: int | None = None
    batch_size: int = 1
    num_workers: int | None = None

    def __post_init__(self) -> None:
        """Refuses what could never run."""
        if self.batch_size < 1:
            message = f"batch_size is {self.batch_size}; give 1 or more rows"
            raise ConfigError(message)
        if self.num_workers is not None and self.num_workers < 1:
            message = f"num_workers is {self.num_workers}; give 1 or more, or None for all that fit"
            raise ConfigError(message)
        if self.num_cpus < 0 or self.num_gpus < 0 or self.num_cpus + self.num_gpus == 0:
            message = (
                f"a worker with {self.num_cpus} CPUs and {self.num_gpus} GPUs cannot be placed; "
                "give at least one of them"
            )
            raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """A first step on workers of its own, such as decoding on CPUs for a model on a GPU.

    ``worker(**worker_args)`` is made once per worker process and then called with one row at a
    time: the input columns plus ``result_key``. It returns that row with ``columns`` added and
    turns its errors into a failure that travels along (``preprocess_rows`` does both). The stage's
    own worker then gets the row, unless it has failed.

    Preprocessed rows wait in memory until a worker is free. The engine lets few of them wait, but
    one must fit: hand over megabytes, not minutes of video.
    """

    worker: Callable[..., Worker]
    worker_args: Mapping[str, Any] = field(default_factory=dict)
    columns: pa.Schema
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One pass over a table of inputs that gives one output row for each input row.

    ``worker(**worker_args)`` is made once per worker process and then called with batches: the
    input columns plus ``result_key``, which replaces an input column of that name. It returns, in
    order, one row of ``record`` per row of the batch and turns a row's errors into ``Failed`` rows
    itself (``map_rows``). Any exception that it lets out ends the stage.

    ``fingerprint`` is a digest of all that results depend on besides the row: parameters, prompt,
    model, weights. ``content_columns`` are the input columns that they depend on; ``input_key``,
    the unique column that names a row, always counts among them.

    ``on_error`` makes the output row of an input row whose worker died ``max_attempts`` times. By
    default the row takes the input's columns of the same names and nulls elsewhere.

    ``preprocess`` is an optional first step on other workers. Both steps then take one row at a
    time.

    ``config`` is the whole configuration, a dataclass or a mapping, which is written beside the
    table (``pfp.runtime.stage_config``). It decides nothing here.

    ``count_noticed`` counts the rows of the finished table in a directory that are kept with
    something in them for a person to look at.
    """

    name: str
    record: type[Record]
    worker: Callable[..., Worker]
    worker_args: Mapping[str, Any] = field(default_factory=dict)
    input_key: str
    content_columns: tuple[str, ...]
    fingerprint: str
    resources: Resources = Resources()
    max_attempts: int = 3
    on_error: Callable[[Row, Failed], Record] | None = None
    preprocess: Preprocess | None = None
    config: object | None = None
    count_noticed: Callable[[str], int] | None = None

    def __post_init__(self) -> None:
        """Refuses a stage that would never try, or that would hand over several rows at once."""
        if self.max_attempts < 1:
            message = f"stage {self.name}: max_attempts is {self.max_attempts}; give 1 or more"
            raise ConfigError(message)
        if self.preprocess is not None:
            batch_size = max(self.resources.batch_size, self.preprocess.resources.batch_size)
            if batch_size > 1:
                message = (
                    f"stage {self.name}: batch_size is {batch_size}, but preprocessed rows are "
                    "handed over one by one; give both steps 1"
                )
                raise ConfigError(message)
