"""Generated videos to scores: one row per sample and metric, each sample decoded once.

The key of a score is the content of both videos, the metric's version and parameters, and the
digest of its weights. So one more metric computes only that metric, and weights that arrive later
compute only what they were missing for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pfp.errors import NothingUsable, RetryableError, WeightsError
from pfp.eval.locate import local_path, locate
from pfp.eval.metrics import Metric, MetricCard, resolve
from pfp.io import media, tables, weights
from pfp.io.digests import sha256_file, sha256_json
from pfp.runtime import Progress, Resources, Stage, StageReport, map_rows, run_stage
from pfp.runtime.run import Engine
from pfp.schema import KEPT, Dropped, Failed, GenerationRecord, Kept, ScoreRecord

PROTOCOL: Final = "recon-v1"
TASK: Final = "retrieve"  # the one task whose samples have a true video to compare with
STAGE: Final = "score"
Video = npt.NDArray[np.uint8]

INPUT_SCHEMA: Final = pa.schema(
    [
        pa.field("score_id", pa.string(), nullable=False),
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("params", pa.string(), nullable=False),
        pa.field("weights_sha256", pa.string()),
        pa.field("video", pa.string(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
        pa.field("video_sha256", pa.string()),
        pa.field("reference_sha256", pa.string()),
    ]
)
CONTENT_COLUMNS: Final = ("metric", "params", "weights_sha256", "video_sha256", "reference_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings:
    """What is measured. ``metrics`` are names of ``pfp-eval ls metrics``."""

    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips_alex")
    protocol: str = PROTOCOL
    # Some whole samples a batch: rows of one sample lie side by side and share its decoded frames.
    resources: Resources = field(default_factory=lambda: Resources(batch_size=24))


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
    generations = tables.read_records(f"{run}/generations", GenerationRecord)
    inputs = score_inputs(run, generations, settings.metrics)
    if not inputs.num_rows:
        raise NothingUsable(
            f"{run}/generations has no usable retrieval sample; generate some first"
        )
    return run_stage(
        score_stage(settings), inputs, f"{run}/scores", engine=engine, progress=progress
    )


def score_stage(settings: ScoreSettings) -> Stage:
    """The stage that turns rows of ``score_inputs`` into ScoreRecords."""
    return Stage(
        name=STAGE,
        record=ScoreRecord,
        worker=ScoreSamples,
        worker_args={"protocol": settings.protocol},
        input_key="score_id",
        content_columns=CONTENT_COLUMNS,
        fingerprint=sha256_json({"protocol": settings.protocol, "decoder": decoder()}),
        resources=settings.resources,
        on_error=ScoreFailed(protocol=settings.protocol),
    )


def decoder() -> str:
    """What decodes the videos, with its version: other decoders may differ by a level or two."""
    return f"pyav {version('av')}"


def score_inputs(
    run_directory: str, generations: Sequence[GenerationRecord], metrics: Sequence[str]
) -> pa.Table:
    """One row per generated retrieval sample and metric, the rows of a sample side by side."""
    cards = [resolve(name).card for name in metrics]
    digests = {card.name: _weights_sha256(card) for card in cards}
    rows = []
    for record in generations:
        if record.task != TASK or not isinstance(record.verdict, Kept):
            continue
        video = locate(run_directory, record.video_uri or "")
        reference = locate(run_directory, record.reference_uri or "")
        sample = {
            "sample_id": record.sample_id,
            "arm": record.arm,
            "clip_id": record.clip_id,
            "video": video,
            "reference": reference,
            "video_sha256": _content_sha256(video, record),
            "reference_sha256": _content_sha256(reference, record),
        }
        rows += [
            {
                **sample,
                "score_id": f"{record.sample_id}/{card.metric_id}",
                "name": card.name,
                "metric": card.metric_id,
                "params": json.dumps(card.params, sort_keys=True),
                "weights_sha256": digests[card.name],
            }
            for card in cards
        ]
    return pa.Table.from_pylist(rows, schema=INPUT_SCHEMA)


def _weights_sha256(card: MetricCard) -> str | None:
    """The digest of the metric's weights if all are here: their arrival makes new keys."""
    if not card.weights or _missing_weights(card):
        return None
    digests = {name: weights.entry_of(name).sha256 for name in card.weights}
    return digests[card.weights[0]] if len(digests) == 1 else sha256_json(digests)


def _missing_weights(card: MetricCard) -> str | None:
    """The first of the metric's weights that cannot be used here."""
    for name in card.weights:
        try:
            weights.find(name)
        except WeightsError:
            return name
    return None


def _content_sha256(place: str, record: GenerationRecord) -> str | None:
    """The digest of a video here; of one elsewhere, the key of what made it; None if missing."""
    path = local_path(place)
    if path is None:
        return record.result_key
    return sha256_file(path) if path.is_file() else None


class ScoreSamples:
    """Rows of ``score_inputs`` to ScoreRecords; keeps loaded metrics and one sample's frames."""

    def __init__(self, *, protocol: str) -> None:
        """protocol: what the scores are filed under."""
        self._protocol = protocol
        self._failed = ScoreFailed(protocol=protocol)
        self._metrics: dict[str, Metric] = {}
        self._frames_of: tuple[str, str] | None = None
        self._frames: tuple[Video, Video] | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ScoreRecord per row, in order."""
        return map_rows(batch, self._score, self._failed)

    def _score(self, row: dict[str, Any]) -> ScoreRecord:
        metric = self._metrics.setdefault(row["name"], resolve(row["name"])())
        if metric.card.weights and row["weights_sha256"] is None:
            name = _missing_weights(metric.card) or metric.card.weights[0]
            return _without_weights(row, name, self._protocol)
        try:
            found = metric.measure(*self._pair(row["video"], row["reference"]))
        except WeightsError as error:
            # They were found where the run was planned, so this says nothing about the row.
            raise RetryableError(f"{error}; give every worker the same PFP_WEIGHTS_DIR") from error
        return _record(
            row,
            self._protocol,
            value=found.value,
            num_frames=found.num_frames,
            evidence=json.dumps(found.evidence),
            verdict=KEPT,
        )

    def _pair(self, video: str, reference: str) -> tuple[Video, Video]:
        """Both videos' frames; the rows of one sample follow one another, so one pair is kept."""
        if self._frames is None or self._frames_of != (video, reference):
            self._frames = self._frames_of = None  # two samples never lie in memory at once
            self._frames = (media.read_video(video), media.read_video(reference))
            self._frames_of = (video, reference)
        return self._frames


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFailed:
    """Makes the record of a row that broke; a class so that it travels to workers."""

    protocol: str

    def __call__(self, row: dict[str, Any], verdict: Failed) -> ScoreRecord:
        """The record with the failure as its reason."""
        reason = f"{verdict.error}: {verdict.message}"
        return _record(row, self.protocol, unscored_reason=reason, verdict=verdict)


def _without_weights(row: dict[str, Any], name: str, protocol: str) -> ScoreRecord:
    """No path in it: the same row on every machine that lacks the weights."""
    reason = f"weights missing, `pfp weights fetch {name}`"
    return _record(
        row,
        protocol,
        unscored_reason=reason,
        verdict=Dropped(reason="weights_missing", detail=reason),
    )


def _record(
    row: dict[str, Any],
    protocol: str,
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
        arm=row["arm"],
        clip_id=row["clip_id"],
        metric=row["metric"],
        value=value,
        unscored_reason=unscored_reason,
        num_frames=num_frames,
        params=row["params"],
        weights_sha256=row["weights_sha256"],
        protocol=protocol,
        decoder=decoder(),
        evidence=evidence,
        verdict=verdict,
    )
