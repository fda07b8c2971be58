"""What is to be measured, as rows: one per sample and metric, with all that its score depends on.

The key of a score is the content of what its metric looks at, the metric's version and parameters,
the digest of its weights, and the protocol. So one more metric computes only that metric, and
weights or a judge that come later compute only what they were missing for.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import pyarrow as pa

from pfp.errors import ConfigError, WeightsError
from pfp.eval.measure.contents import Contents, digest_of
from pfp.eval.measure.environment import DECODER_PACKAGES
from pfp.eval.measure.protocol import Protocol
from pfp.eval.metrics import Metric, MetricCard, resolve
from pfp.eval.metrics.base import has_input, inputs_used, missing_input
from pfp.eval.metrics.judge_prompts import GivenPrompts, digest_of_prompts
from pfp.io import weights
from pfp.io.digests import sha256_json
from pfp.io.locate import local_path
from pfp.io.media.decode import READER_VERSION
from pfp.schema import EvalSample

_TEXTS: Final = (
    *("score_id", "sample_id", "name", "metric", "params"),
    *("protocol", "protocol_name", "align", "cuts", "decoder", "decoder_name"),
    "video",
)
_MAYBE: Final = (
    *("weights_sha256", "video_sha256", "reference_sha256", "history_sha256", "conditions_sha256"),
    *("stand_ins", "reference", "history", "unscored_reason", "unscored_detail"),
)
PARTS: Final = ("video", "reference", "history")
GIVEN_PROMPT: Final = "prompt_sha256"  # of words that a user gave; pfp's own have a version
INPUT_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in _TEXTS),
        *(pa.field(name, pa.string()) for name in _MAYBE),
        pa.field("fps", pa.float64()),  # of images, which have no rate of their own
        pa.field("states", pa.struct([(part, pa.string()) for part in PARTS]), nullable=False),
        pa.field("sample", pa.struct(list(EvalSample.SCHEMA)), nullable=False),
    ]
)
CONTENT_COLUMNS: Final = (
    *("metric", "params", "weights_sha256", "protocol", "decoder"),
    *("video_sha256", "reference_sha256", "history_sha256", "conditions_sha256"),
    *("stand_ins", "fps"),
)
# What a sample must have beside its video, and what mends it.
MISSING_INPUTS: Final = {
    "reference": "no reference video, add `reference` to the manifest",
    "history": "no history video, add `history` to the manifest",
    "prompt": "no prompt, add `prompt` to the manifest",
    "shots": "no storyboard, add `storyboard` to the manifest",
    "reference_faces": "no reference faces, add `reference_faces` to the manifest",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric to be measured. ``unscored`` is a reason and its cure if nothing can be."""

    card: MetricCard
    protocol: Protocol
    protocol_name: str  # as scores are filed under it
    params: str  # JSON
    weights_sha256: str | None
    unscored: tuple[str, str] | None

    @classmethod
    def resolve(
        cls,
        name: str,
        protocol: Protocol,
        *,
        filed_under: str | None = None,
        judge: str | None = None,
        prompts: GivenPrompts | None = None,
    ) -> MetricSpec:
        """A metric as this machine could measure it now. ``prompts`` are words that a user gave.

        Raises ConfigError for an unknown metric and for a judge's name of no known form.
        """
        kind = resolve(name)
        card = kind.card
        params, unscored = dict(card.params), None
        digest, missing = _weights_of(card)
        if missing is not None:
            unscored = missing
        if takes_judge(kind):
            params["judge"], problem = judge_of(judge)
            params |= sampling_of(judge)
            unscored = unscored or (None if problem is None else ("no_judge", problem))
            if prompts is not None and (family := family_of(kind)) is not None:
                unscored = unscored or _in_given_words(params, family, prompts)
        return cls(
            card=card,
            protocol=protocol,
            protocol_name=filed_under or _own_protocol(card, protocol).fingerprint,
            params=json.dumps(params, sort_keys=True),
            weights_sha256=digest,
            unscored=unscored,
        )

    @property
    def looked_at_by(self) -> Protocol:
        """The protocol without what does not matter to the metric."""
        return _own_protocol(self.card, self.protocol)


def compares(card: MetricCard) -> bool:
    """Whether a metric may look at a reference, so that it matters how one is made to fit."""
    return "reference" in {*card.required_inputs, *card.requires_any, *card.optional_inputs}


def _own_protocol(card: MetricCard, protocol: Protocol) -> Protocol:
    return protocol if compares(card) else protocol.without_reference


def rows_of(samples: Sequence[EvalSample], specs: Sequence[MetricSpec]) -> list[dict[str, Any]]:
    """Rows of ``INPUT_SCHEMA``, those of a sample side by side."""
    contents = Contents()
    return [
        row_of(sample, spec, contents, stored)
        for sample in samples
        for stored in [sample.to_row()]
        for spec in specs
    ]


def row_of(
    sample: EvalSample,
    spec: MetricSpec,
    contents: Contents,
    stored: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The row of one sample under one metric; its videos are those that the metric looks at.

    ``stored`` is the sample as a row, for whoever has many metrics.
    """
    card, protocol = spec.card, spec.protocol
    places = _places(sample, card)
    reason, detail = spec.unscored or _missing(card, protocol, sample)
    return {
        "score_id": f"{sample.sample_id}/{card.metric_id}",
        "sample_id": sample.sample_id,
        "name": card.name,
        "metric": card.metric_id,
        "params": spec.params,
        "weights_sha256": spec.weights_sha256,
        "protocol": spec.protocol_name,
        "protocol_name": protocol.name,
        "align": protocol.align,
        "cuts": protocol.cuts,
        "decoder": decoder(protocol),
        "decoder_name": protocol.decoder,
        **places,
        **{f"{part}_sha256": place and contents.digest_of(place) for part, place in places.items()},
        "states": {part: place and contents.state_of(place) for part, place in places.items()},
        "stand_ins": _stand_ins(places, sample.result_key or None),
        "fps": sample.fps,
        "conditions_sha256": _conditions_sha256(card, protocol, sample),
        "sample": sample.to_row() if stored is None else stored,
        "unscored_reason": reason,
        "unscored_detail": detail,
    }


def _places(sample: EvalSample, card: MetricCard) -> dict[str, str | None]:
    used = inputs_used(card, sample)
    return {
        "video": sample.video,
        "reference": sample.reference_uri if "reference" in used else None,
        "history": sample.history_uri if "history" in used else None,
    }


def _stand_ins(places: Mapping[str, str | None], made_by: str | None) -> str | None:
    """What counts instead of the contents of videos elsewhere: what made them, or their URIs."""
    away = {
        part: made_by or place
        for part, place in places.items()
        if place is not None and local_path(place) is None
    }
    return json.dumps(away, sort_keys=True) if away else None


def _missing(
    card: MetricCard, protocol: Protocol, sample: EvalSample
) -> tuple[str | None, str | None]:
    """The reason for which a sample cannot be measured, and its cure; or neither."""
    missing = missing_input(card, sample)
    if missing is None and protocol.cuts == "storyboard" and not has_input(sample, "shots"):
        missing = "shots"
    if missing is None:
        return None, None
    if missing not in card.requires_any:
        return f"no_{missing}", MISSING_INPUTS[missing]
    names = " or ".join(f"`{name}`" for name in card.requires_any)
    return f"no_{missing}", f"nothing to compare with, add {names} to the manifest"


def changed_part(row: dict[str, Any], now: Contents) -> str | None:
    """Which video of a row no longer holds what the row was planned for; None: none of them."""
    for part, state in row["states"].items():
        place, sha256 = row[part], row[f"{part}_sha256"]
        # Another machine has other times for the same bytes.
        if sha256 and now.state_of(place) != state and now.digest_of(place) != sha256:
            return str(place)
    return None


def decoder(protocol: Protocol | None = None) -> str:
    """What decodes the videos, with its version: other decoders may differ by a code value or two.

    PyAV's frames also depend on how they are read here: ``pyav 18.1.0 (reader 2)``.
    """
    name = (protocol or Protocol()).decoder
    try:
        reader = f" (reader {READER_VERSION})" if name == "pyav" else ""
        return f"{name} {_installed(DECODER_PACKAGES[name])}{reader}"
    except PackageNotFoundError as error:
        raise ConfigError(
            f"the decoder {name} is not installed; pip install 'pfp[metrics]', or leave --decoder"
        ) from error


@cache  # reading it takes longer than all else about a row
def _installed(package: str) -> str:
    return version(package)


def missing_weights(card: MetricCard) -> list[str]:
    """Those of the metric's weights that cannot be used here."""
    missing = []
    for name in card.weights:
        try:
            weights.find(name)
        except WeightsError:
            missing.append(name)
    return missing


def weights_cure(names: Sequence[str]) -> str:
    """What is wrong with weights, and the commands that mend it: the same on any machine."""
    cures = ", ".join(f"`pfp weights {_weights_command(name)}`" for name in names)
    is_there = any(weights.path_of(name).is_file() for name in names)
    return f"weights missing{' or not usable' if is_there else ''}, {cures}"


def _weights_command(name: str) -> str:
    entry = weights.entry_of(name)
    accept = " --accept-noncommercial" if entry.non_commercial else ""
    if weights.path_of(name).is_file():
        return f"verify {name}"
    return f"fetch {name}{accept}" if entry.urls else f"import {name} FILE{accept}"


def takes_judge(kind: type[Metric]) -> bool:
    """Whether a metric asks a judge: its constructor takes one."""
    return "judge" in inspect.signature(kind).parameters


def judge_of(spec: str | None) -> tuple[dict[str, str] | None, str | None]:
    """What a judge's answers depend on, for the parameters; or None and why it cannot be asked."""
    if spec is None:
        return None, "no judge, pass --judge (such as gemini:gemini-2.5-pro)"
    from pfp.eval.judge.load import load_judge

    judge = load_judge(spec)
    try:
        judge.check_ready()
    except ConfigError as error:
        return None, f"the judge cannot be asked: {error}"
    return {"model_id": judge.model_id, "fingerprint": judge.fingerprint}, None


def family_of(kind: type[Metric]) -> str | None:
    """Under which name a user may give other words for the metric's questions."""
    family: str | None = getattr(kind, "prompt_family", None)
    return family


def _in_given_words(
    params: dict[str, Any], family: str, given: GivenPrompts
) -> tuple[str, str] | None:
    """Note in the parameters whose words are asked; or why there are none, and the cure.

    They are part of whom is asked: one column has answers to one question.
    """
    words = given.by_family.get(family)
    if words is None:
        return "no_question", (
            f"--judge-prompts has no question for {family}, which the package vbench2 0.1.1 does "
            "not ask; give a checkout of the repository, or leave --judge-prompts"
        )
    digest = digest_of_prompts(words)
    params |= {"prompt": words.prompt_id, GIVEN_PROMPT: digest}
    if params["judge"] is not None:
        judge = params["judge"]
        params["judge"] = judge | {"fingerprint": sha256_json([judge["fingerprint"], digest])}
    return None


def sampling_of(judge: str | None) -> dict[str, Any]:
    """Number of votes and temperature of a judge, where it is not one answer at temperature 0."""
    if judge is None:
        return {}
    from pfp.eval.judge.load import sampling_of as told_of

    return told_of(judge)


def _weights_of(card: MetricCard) -> tuple[str | None, tuple[str, str] | None]:
    """The digest of the metric's weights if all are here, else a reason and its cure."""
    missing = missing_weights(card)
    if missing:
        return None, ("weights_missing", weights_cure(missing))
    digests = {name: weights.sha256_of(name) for name in card.weights}
    if len(digests) > 1:
        return sha256_json(digests), None
    return next(iter(digests.values()), None), None


def _conditions_sha256(card: MetricCard, protocol: Protocol, sample: EvalSample) -> str | None:
    """The digest of texts and faces; None for metrics that only compare with another video.

    Those look at the spans of shots where each shot is measured by itself.
    """
    needs = {*card.required_inputs, *card.requires_any}
    if needs and needs <= {"reference", "history"}:
        spans = [(shot.start_seconds, shot.end_seconds) for shot in sample.shots]
        return sha256_json({"spans": spans}) if protocol.cuts == "storyboard" else None
    found = {
        "prompt": sample.prompt,
        "shots": [asdict(shot) for shot in sample.shots],
        "reference_faces": [digest_of(face) for face in sample.reference_faces],
    }
    return sha256_json(found) if any(found.values()) else None
