"""Samples to scores: one row per sample and metric, each sample decoded once for all its metrics.

Scores are kept: a run that asks for other metrics leaves those that are there, as long as they are
still true of their sample.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pyarrow as pa

from pfp.errors import (
    InvariantError,
    NothingUsable,
    PermanentError,
    Rejected,
    RetryableError,
    WeightsError,
)
from pfp.eval.judge import Judge
from pfp.eval.measure.contents import Contents
from pfp.eval.measure.engine import Outcome, measure_all
from pfp.eval.measure.environment import environment_of
from pfp.eval.measure.protocol import Protocol
from pfp.eval.measure.score_rows import (
    CONTENT_COLUMNS,
    INPUT_SCHEMA,
    MetricSpec,
    changed_part,
    family_of,
    missing_weights,
    rows_of,
    takes_judge,
)
from pfp.eval.measure.stored_scores import still_true
from pfp.eval.metrics import Metric, MetricValue, resolve
from pfp.eval.metrics.judge_prompts import from_json
from pfp.io import tables
from pfp.io.digests import sha256_json
from pfp.io.locate import locate
from pfp.io.media import shown_name
from pfp.runtime import Progress, Resources, Stage, StageReport, map_rows, run_stage
from pfp.runtime.run import Engine
from pfp.schema import KEPT, Dropped, EvalSample, Failed, Kept, ScoreRecord
from pfp.schema.eval_sample import RETRIEVE
from pfp.schema.run_directory import RunDirectory

PROTOCOL: Final = "recon-v1"  # what scores of retrieved frames are filed under: protocol `whole`
STAGE: Final = "score"
ROWS_PER_BATCH: Final = 24
_SENTENCES: Final = frozenset(  # whose messages say all
    {"PermanentError", "RetryableError", "InputError", "ConfigError", "WeightsError"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """What is measured. ``metrics`` are names of ``pfp-eval ls metrics``.

    ``device`` is torch's name of where networks run; ``auto`` takes a GPU if there is one.
    ``judge`` names who answers questions, as ``pfp.eval.judge.load_judge`` has it, and ``answers``
    the file that keeps what it said. ``prompts`` is JSON of words that a user gave for them.
    """

    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips_alex")
    protocol: str = PROTOCOL
    resources: Resources = field(default_factory=Resources)
    device: str = "auto"
    judge: str | None = None
    answers: str | None = None
    prompts: str | None = None


def run_score(
    run_directory: str,
    settings: ScoreSettings,
    *,
    engine: Engine = "ray",
    progress: Progress | None = None,
) -> StageReport:
    """Bring ``scores/`` of a run directory up to date with its ``generations/``.

    Raises:
        NothingUsable: no retrieval sample was generated.
        ConfigError: a metric is unknown.
    """
    run = run_directory.rstrip("/")
    made = RunDirectory(run).generations
    samples = retrieved(run, tables.read_records(*made))
    if not samples:
        raise NothingUsable(f"{made.path} has no usable retrieval sample; generate some first")
    specs = [
        MetricSpec.resolve(name, Protocol(), filed_under=settings.protocol, judge=settings.judge)
        for name in settings.metrics
    ]
    return score_samples(
        samples, specs, RunDirectory(run).scores.path, settings, engine=engine, progress=progress
    )


def score_samples(
    samples: Sequence[EvalSample],
    specs: Sequence[MetricSpec],
    directory: str,
    settings: ScoreSettings,
    *,
    known: Sequence[EvalSample] | None = None,
    config: object = None,
    engine: Engine,
    progress: Progress | None = None,
) -> StageReport:
    """Bring a table of scores up to date with the samples.

    Scores by other metrics, and of samples in ``known`` (None: ``samples``), stay in it if they
    are still true. ``config`` is what the table's ``_config.json`` tells (None: ``settings``).
    """
    stage = score_stage(settings, num_metrics=len(specs), config=config)
    wanted = pa.Table.from_pylist(rows_of(samples, specs), schema=INPUT_SCHEMA)
    known = samples if known is None else known
    inputs = pa.concat_tables([wanted, still_true(stage, directory, known, wanted)])
    return run_stage(stage, inputs, directory, engine=engine, progress=progress)


def score_stage(settings: ScoreSettings, *, num_metrics: int, config: object = None) -> Stage:
    """The stage that turns rows of ``rows_of`` into ScoreRecords; see ``score_samples``."""
    # Whole samples make a batch: rows of one sample lie side by side and share one decode.
    batch_size = num_metrics * max(1, ROWS_PER_BATCH // num_metrics)
    return Stage(
        name=STAGE,
        record=ScoreRecord,
        worker=ScoreSamples,
        worker_args={
            "device": settings.device,
            "judge": settings.judge,
            "answers": settings.answers,
            "prompts": settings.prompts,
        },
        input_key="score_id",
        content_columns=CONTENT_COLUMNS,
        fingerprint=sha256_json({"engine": 1}),
        resources=replace(settings.resources, batch_size=batch_size),
        on_error=score_failed,
        config=settings if config is None else config,
    )


def retrieved(run_directory: str, samples: Sequence[EvalSample]) -> list[EvalSample]:
    """The samples of a run directory that have a true video to be compared with, and only that.

    Retrieved frames should be the true ones: no text and no history says more, and their videos
    have a rate of their own.
    """
    return [
        replace(
            sample,
            video_uri=locate(run_directory, sample.video),
            reference_uri=locate(run_directory, sample.reference_uri or ""),
            history_uri=None,
            prompt=None,
            fps=None,
        )
        for sample in samples
        if sample.task == RETRIEVE and isinstance(sample.verdict, Kept)
    ]


class ScoreSamples:
    """Input rows to ScoreRecords; loads each model once, decodes each sample of a batch once."""

    def __init__(
        self,
        *,
        device: str = "auto",
        judge: str | None = None,
        answers: str | None = None,
        prompts: str | None = None,
    ) -> None:
        """See ``ScoreSettings``."""
        self._device, self._judge, self._answers = device, judge, answers
        self._prompts = from_json(prompts)
        self._metrics: dict[str, Metric] = {}
        self._environments: dict[tuple[str, str], str] = {}  # by metric and decoder
        self._asked: Judge | None = None  # one for all metrics: it may hold a model
        self._samples: dict[str, list[dict[str, Any]]] = {}
        self._outcomes: dict[str, Outcome] = {}

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ScoreRecord per row, in order."""
        self._samples, self._outcomes = {}, {}
        for row in batch.to_pylist():
            if row["unscored_reason"] is None:
                self._samples.setdefault(_sample_of(row), []).append(row)
        return map_rows(batch, self._score, score_failed)

    def _score(self, row: dict[str, Any]) -> ScoreRecord:
        if row["unscored_reason"] is not None:
            return _unscored(row, row["unscored_reason"], row["unscored_detail"])
        if row["score_id"] not in self._outcomes:
            self._measure(self._samples.pop(_sample_of(row)))
        outcome = self._outcomes.pop(row["score_id"])
        if isinstance(outcome, WeightsError):
            raise _about_weights(row["name"], outcome)
        if isinstance(outcome, Rejected):  # understood: no failure
            return _unscored(row, outcome.reason, _without_places(row, outcome.message))
        if isinstance(outcome, Exception):
            raise outcome
        return replace(scored(row, outcome), environment=self._with(row))

    def _measure(self, rows: list[dict[str, Any]]) -> None:
        """All metrics of one sample in one pass; one that cannot be made fails alone."""
        metrics: dict[str, Metric] = {}
        for row in rows:
            try:
                metrics[row["name"]] = self._metric(row["name"])
            except InvariantError:
                raise
            except Exception as error:  # noqa: BLE001 - it becomes the row's verdict
                self._outcomes[row["score_id"]] = error
        rows = self._still_there([row for row in rows if row["name"] in metrics])
        if not rows:
            return
        first = rows[0]
        protocol = Protocol(
            name=first["protocol_name"],
            decoder=first["decoder_name"],
            align=first["align"],
            cuts=first["cuts"],
        )
        sample = EvalSample.from_row(first["sample"])
        chosen = {row["name"]: metrics[row["name"]] for row in rows}
        outcomes = measure_all(sample, chosen, protocol)
        rows = self._still_there(rows)
        # Rows of the sample's other protocols may stand between these, their outcomes yet unread.
        self._outcomes |= {row["score_id"]: outcomes[row["name"]] for row in rows}

    def _still_there(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows whose videos are those that they were planned for; the others have failed."""
        now = Contents()
        there = []
        for row in rows:
            changed = changed_part(row, now)
            if changed is None:
                there.append(row)
                continue
            message = f"{shown_name(changed)} was replaced after the run began; run it again"
            self._outcomes[row["score_id"]] = RetryableError(message)
        return there

    def _metric(self, name: str) -> Metric:
        if name not in self._metrics:
            kind = resolve(name)
            options: dict[str, Any] = {}
            if takes_judge(kind):
                self._asked = self._asked or self._load_judge()
                options["judge"] = self._asked
                if (family := family_of(kind)) in self._prompts:
                    options["prompts"] = self._prompts[str(family)]
            device = device_of(self._device) if kind.card.weights else "cpu"
            self._metrics[name] = kind(device=device, **options)
        return self._metrics[name]

    def _with(self, row: dict[str, Any]) -> str:
        """Device and versions of this machine, as far as the metric has to do with them."""
        key = row["name"], row["decoder_name"]
        if key not in self._environments:
            kind = resolve(row["name"])
            device = device_of(self._device) if kind.card.weights else None
            more: tuple[str, ...] = ()
            if takes_judge(kind):
                from pfp.vlm.load import libraries_of, runs_here

                more = libraries_of(str(self._judge))
                device = device_of(self._device) if runs_here(str(self._judge)) else None
            self._environments[key] = environment_of(
                kind.card, row["decoder_name"], device, more=more
            )
        return self._environments[key]

    def _load_judge(self) -> Judge:
        from pfp.eval.judge.load import load_judge
        from pfp.vlm.load import runs_here

        spec = str(self._judge)
        # Only a local model is worth the seconds that torch takes to look for a GPU.
        device = device_of(self._device) if runs_here(spec) else None
        return load_judge(spec, cache=self._answers, device=device)


def device_of(name: str) -> str:
    """Where networks run: ``auto`` is the GPU that torch finds, else the CPU."""
    if name != "auto":
        return name
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def score_failed(row: dict[str, Any], verdict: Failed) -> ScoreRecord:
    """The record of a row that broke, with the failure as its reason."""
    reason = _without_places(row, verdict.message)
    if verdict.error not in _SENTENCES:  # not pfp's own: its kind may be all that it says
        reason = f"{verdict.error}: {reason}"
    return _record(row, unscored_reason=reason, verdict=verdict)


def _sample_of(row: dict[str, Any]) -> str:
    """Rows of the same one are measured in one pass."""
    parts = ("sample_id", "video", "protocol_name", "decoder_name", "align", "cuts")
    return json.dumps([row[part] for part in parts])


def _without_places(row: dict[str, Any], message: str) -> str:
    """The message with each file called by its part: the same for every sample, on any machine."""
    # One file may be several of them; then it is the video.
    parts = {"history": "its history", "reference": "its reference", "video": "the video"}
    names = {shown_name(row[column]): part for column, part in parts.items() if row[column]}
    for name in sorted(names, key=len, reverse=True):  # `a/1` begins the name `a/1_true`, too
        message = message.replace(name, names[name])
    return message


def _about_weights(name: str, error: WeightsError) -> Exception:
    """Weights were found where the run was planned: not here is another matter than unreadable."""
    if not missing_weights(resolve(name).card):
        return PermanentError(str(error))
    return RetryableError(f"{error}; give every worker the same PFP_WEIGHTS_DIR")


def scored(row: dict[str, Any], found: MetricValue) -> ScoreRecord:
    """A metric that looked and found nothing to measure has said so: no value, and no failure."""
    dropped = Dropped(
        reason=found.unscored_reason or "",
        detail=f"{row['metric']} found nothing to measure: {found.unscored_reason}",
    )
    return _record(
        row,
        value=found.value,
        unscored_reason=found.unscored_reason,
        num_frames=found.num_frames,
        evidence=json.dumps(_with_numbered_faces(row, found.evidence)),
        verdict=KEPT if found.unscored_reason is None else dropped,
    )


def _with_numbered_faces(row: dict[str, Any], evidence: dict[str, Any]) -> dict[str, Any]:
    """The evidence with reference faces by their number in the manifest: files change names."""
    likeness = evidence.get("reference")
    if "sample" not in row or not isinstance(likeness, dict) or "pictures" not in likeness:
        return evidence
    places = row["sample"]["reference_faces"]
    numbers = [places.index(place) for place in likeness["pictures"]]
    return {**evidence, "reference": {**likeness, "pictures": numbers}}


def _unscored(row: dict[str, Any], reason: str, detail: str) -> ScoreRecord:
    """No path in it: the same row on every machine that lacks the same."""
    verdict = Dropped(reason=reason, detail=detail)
    return _record(row, unscored_reason=detail, verdict=verdict)


def _record(
    row: dict[str, Any],
    *,
    verdict: Kept | Dropped | Failed,
    value: float | None = None,
    unscored_reason: str | None = None,
    num_frames: int | None = None,
    evidence: str | None = None,
) -> ScoreRecord:
    return ScoreRecord(
        score_id=row["score_id"],
        sample_id=row["sample_id"],
        metric=row["metric"],
        value=value,
        unscored_reason=unscored_reason,
        num_frames=num_frames,
        params=row["params"],
        weights_sha256=row["weights_sha256"],
        video_sha256=row["video_sha256"],
        reference_sha256=row["reference_sha256"],
        history_sha256=row["history_sha256"],
        protocol=row["protocol"],
        decoder=row["decoder"],
        evidence=evidence,
        verdict=verdict,
    )
