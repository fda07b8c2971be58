"""A manifest to a run directory: ``generations/`` says what was given, ``scores/`` its worth.

<out>/generations, <out>/scores            of a whole run
<out>/run.json                             which manifest it was of
<out>/shards/<i>-of-<n>/...                the same of one shard each; readers join them
<out>/answers.jsonl                        what judges said
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pfp.errors import ConfigError, NothingUsable, SchemaError
from pfp.eval.manifest import read_manifest
from pfp.eval.measure.protocol import AlignName, CutsName, DecoderName, Protocol, ProtocolName
from pfp.eval.measure.score import ScoreSettings, score_samples, score_stage
from pfp.eval.measure.score_rows import (
    INPUT_SCHEMA,
    MetricSpec,
    compares,
    family_of,
    rows_of,
)
from pfp.eval.measure.suites import choose_metrics, follows_user
from pfp.eval.metrics import resolve
from pfp.eval.metrics.judge_prompts import read_judge_prompts
from pfp.eval.scores.origin import Origin
from pfp.io import tables
from pfp.runtime import Backlog, Progress, Resources, StageReport, backlog, summary
from pfp.runtime.run import Engine
from pfp.runtime.stage_config import StageConfig
from pfp.schema import EvalSample, ScoreRecord
from pfp.schema.record import Record
from pfp.schema.run_directory import RunDirectory, TableLocation

ANSWERS: Final = "answers.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What ``pfp-eval run`` is told. ``shard`` is ``(i, n)``, the i-th of n from 1.

    ``protocol`` and ``cuts`` are for the metrics that are named and for VBench's, ``align`` is for
    those that compare with a reference. ``judge_prompts`` is the path of a prompt file or of a
    VBench-2.0 checkout, with the words for the questions of ``cloth.vbench2`` and ``instance``.
    """

    manifest: str
    out: str
    suite: str | None = None
    metrics: tuple[str, ...] = ()
    protocol: ProtocolName | None = None
    decoder: DecoderName = "pyav"
    align: AlignName = "error"
    cuts: CutsName = "none"
    limit: int | None = None
    shard: tuple[int, int] | None = None
    device: str = "auto"
    judge: str | None = None
    judge_prompts: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could choose no sample."""
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; give 1 or more samples")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise ConfigError(f"shard is {self.shard[0]}/{self.shard[1]}; give i/n, i from 1 to n")

    @property
    def directory(self) -> str:
        """Where this run's tables go."""
        out = self.out.rstrip("/")
        return out if self.shard is None else RunDirectory(out).shard(*self.shard).uri


class EmptyShard(NothingUsable):
    """Samples are dealt out by their ids, so that of few a shard may get none."""

    def __init__(self, message: str, origin: Origin) -> None:
        super().__init__(message)
        self.origin = origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Samples and metrics of a run, before anything is measured."""

    origin: Origin
    samples: tuple[EvalSample, ...]  # to be measured
    known: tuple[EvalSample, ...]  # all of the manifest or the shard, whatever the limit
    specs: tuple[MetricSpec, ...]
    settings: ScoreSettings
    asked: RunSettings  # what the rest follows from

    def backlog(self) -> Backlog:
        """Which rows a run would compute; nothing is written."""
        stage = score_stage(self.settings, num_metrics=len(self.specs))
        inputs = pa.Table.from_pylist(rows_of(self.samples, self.specs), schema=INPUT_SCHEMA)
        return backlog(stage, inputs, RunDirectory(self.asked.directory).scores.path)


def prepare(settings: RunSettings) -> Prepared:
    """The samples of the manifest and the metrics as they could be measured here.

    Raises:
        InputError: the manifest has a fault.
        ConfigError: a metric, suite, protocol, decoder or judge is not there, or ``judge_prompts``
            hold no words.
        EmptyShard: the shard has no sample.
    """
    chosen = choose_metrics(settings.suite, settings.metrics, settings.protocol)
    given = None if settings.judge_prompts is None else read_judge_prompts(settings.judge_prompts)
    specs = tuple(
        MetricSpec.resolve(
            name, _protocol_of(name, protocol, settings), judge=settings.judge, prompts=given
        )
        for name, protocol in chosen.items()
    )
    _check_reach(settings, specs)
    manifest = read_manifest(settings.manifest)
    origin = Origin.of(manifest, settings.shard)
    known = _of_shard(manifest.samples, settings.shard)
    wanted = _of_shard(manifest.samples[: settings.limit], settings.shard)
    if not wanted:
        message = f"{settings.manifest} has no sample for this shard; use fewer shards"
        raise EmptyShard(message, origin)
    return Prepared(
        origin=origin,
        samples=wanted,
        known=known,
        specs=specs,
        settings=ScoreSettings(
            metrics=tuple(chosen),
            device=settings.device,
            judge=settings.judge,
            answers=f"{settings.directory}/{ANSWERS}",
            prompts=None if given is None else given.to_json(),
            resources=Resources(num_gpus=int(settings.device.startswith("cuda"))),
        ),
        asked=settings,
    )


def _protocol_of(metric: str, name: ProtocolName, settings: RunSettings) -> Protocol:
    cuts = settings.cuts if follows_user(metric, settings.metrics) else "none"
    return Protocol(name=name, decoder=settings.decoder, align=settings.align, cuts=cuts)


def _check_reach(settings: RunSettings, specs: Sequence[MetricSpec]) -> None:
    """Raise ``ConfigError`` for an option that changes no metric of the run."""
    if settings.cuts != "none" and all(spec.protocol.cuts == "none" for spec in specs):
        raise ConfigError(
            f"cuts {settings.cuts!r} are for metrics that are named and for VBench's, and there "
            "are none; name some with --metrics"
        )
    if settings.align != "error" and not any(compares(spec.card) for spec in specs):
        raise ConfigError(
            f"align {settings.align!r} is for metrics that compare with a reference, and there are "
            "none; leave --align"
        )
    if settings.judge_prompts is not None and not any(
        family_of(resolve(spec.card.name)) for spec in specs
    ):
        raise ConfigError(
            f"the words of {settings.judge_prompts} are for cloth.vbench2, instance and their "
            "variants, and there are none; leave --judge-prompts"
        )


def run(prepared: Prepared, *, engine: Engine, progress: Progress | None = None) -> StageReport:
    """Bring the run directory up to date with the manifest, and say what became of the rows.

    The labels come last: until all is measured readers see the scores of the manifest before, with
    its labels, and never those of one under the names of the other.
    """
    directory = prepared.asked.directory
    run = RunDirectory(directory)
    earlier = _sample_ids(run.generations)
    report = score_samples(
        prepared.samples,
        prepared.specs,
        run.scores.path,
        prepared.settings,
        known=prepared.known,
        config=_options(prepared.asked),
        engine=engine,
        progress=progress,
    )
    present = earlier | _sample_ids(run.scores)
    kept = [sample for sample in prepared.known if sample.sample_id in present]
    _write_samples(prepared.asked, kept, prepared.origin)
    summary.merge_stage(directory, report)
    return report


def leave_empty(settings: RunSettings, origin: Origin) -> None:
    """Let readers see that a shard was here and had nothing to do."""
    none = ScoreRecord.table([])
    tables.write_table(RunDirectory(settings.directory).scores.path, none, ScoreRecord)
    _write_samples(settings, [], origin)


def _write_samples(settings: RunSettings, samples: Sequence[EvalSample], origin: Origin) -> None:
    table = EvalSample.table(list(samples))
    generations = RunDirectory(settings.directory).generations
    tables.write_table(generations.path, table, EvalSample)
    origin.write(settings.directory)
    StageConfig.of("pfp-eval run", _options(settings)).write(generations.path)


def _options(settings: RunSettings) -> dict[str, Any]:
    """Every option but the place, so that equal settings make equal files."""
    return {name: value for name, value in asdict(settings).items() if name != "out"}


def default_out(manifest: str | Path) -> str:
    """``runs/<name of the manifest>``."""
    return f"runs/{Path(manifest).resolve().stem}"


def _sample_ids(where: TableLocation[Record]) -> set[str]:
    """The samples of a table; none if there is no table."""
    try:
        table = tables.read_table(*where, columns=["sample_id"])
    except SchemaError:
        return set()
    return set(table["sample_id"].to_pylist())


def _of_shard(
    samples: Sequence[EvalSample], shard: tuple[int, int] | None
) -> tuple[EvalSample, ...]:
    """The shard's own samples: which one a sample is in depends on its id alone."""
    if shard is None:
        return tuple(samples)
    index, count = shard
    return tuple(sample for sample in samples if _place_in(sample.sample_id, count) == index - 1)


def _place_in(sample_id: str, num_shards: int) -> int:
    digest = hashlib.sha256(sample_id.encode()).digest()
    return int.from_bytes(digest[:8]) % num_shards
