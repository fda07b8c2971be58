"""Scores that a table holds already and that are still true, though nobody asked for them now."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, Final

import pyarrow as pa

from pfp.errors import ConfigError, SchemaError
from pfp.eval.measure.contents import Contents
from pfp.eval.measure.protocol import ALIGNS, CUTS, DECODERS, PROTOCOLS, Protocol
from pfp.eval.measure.score_rows import INPUT_SCHEMA, MetricSpec, judge_of, row_of
from pfp.eval.metrics import resolve
from pfp.io import tables
from pfp.io.filesystems import Folder
from pfp.runtime import Stage
from pfp.runtime.keys import result_keys
from pfp.runtime.staged import StagedFiles
from pfp.schema import EvalSample, ScoreRecord

_COLUMNS: Final = (
    *("score_id", "sample_id", "metric", "params", "weights_sha256", "protocol", "decoder"),
    *("result_key", "verdict"),
)


def still_true(
    stage: Stage, directory: str, samples: Sequence[EvalSample], wanted: pa.Table
) -> pa.Table:
    """Input rows of scores that a table or a killed run holds and ``wanted`` does not.

    Only those of these samples whose key would come out the same today. What failed for the moment
    would be tried again, so it is left out if this run does not ask the judge that it needs.
    """
    by_id = {sample.sample_id: sample for sample in samples}
    asked = set(wanted["score_id"].to_pylist())
    contents = Contents()
    keys: dict[str, str] = {}
    rows: dict[str, dict[str, Any]] = {}
    known = _stored(directory)
    momentary = any(_is_momentary(stored) for stored in known)
    judge = judge_of(stage.worker_args["judge"])[0] if momentary else None
    for stored in known:
        sample = by_id.get(stored["sample_id"])
        spec = _spec_of(stored)
        if sample is None or spec is None or stored["score_id"] in asked:
            continue
        if _is_momentary(stored) and json.loads(stored["params"]).get("judge", judge) != judge:
            continue
        rows[stored["score_id"]] = row_of(sample, spec, contents)
        keys[stored["score_id"]] = stored["result_key"]
    table = pa.Table.from_pylist(list(rows.values()), schema=INPUT_SCHEMA)
    now = result_keys(stage, table).to_pylist()
    same = [key == keys[name] for key, name in zip(now, rows, strict=True)]
    return table.filter(pa.array(same, pa.bool_()))


def _stored(directory: str) -> list[dict[str, Any]]:
    """The table's rows, then those that a killed run has committed."""
    rows: list[dict[str, Any]] = []
    # No table yet, or one of an older pfp, of which the stage speaks.
    with contextlib.suppress(SchemaError):
        rows += tables.read_table(directory, ScoreRecord, columns=_COLUMNS).to_pylist()
    staged = StagedFiles.of(Folder.at(directory), "")
    for name in staged.file_names():
        rows += staged.read(name).select(_COLUMNS).to_pylist()
    return rows


def _is_momentary(stored: dict[str, Any]) -> bool:
    """Whether a row failed in a way that may not happen again."""
    return stored["verdict"]["kind"] == "failed" and bool(stored["verdict"]["retryable"])


def _spec_of(stored: dict[str, Any]) -> MetricSpec | None:
    """How a stored score was measured; None for metrics and protocols that are no longer here."""
    name, _, _ = stored["metric"].rpartition("@")
    try:
        card = resolve(name).card
    except ConfigError:
        return None
    protocol = _protocol_of(stored["protocol"], stored["decoder"])
    if card.metric_id != stored["metric"] or protocol is None:
        return None
    return MetricSpec(
        card=card,
        protocol=protocol,
        protocol_name=stored["protocol"],
        params=stored["params"],
        weights_sha256=stored["weights_sha256"],
        unscored=None,
    )


@lru_cache(maxsize=1 << 8)  # a table has few of them, in each of its rows
def _protocol_of(filed_under: str, decoder: str) -> Protocol | None:
    """The protocol whose fingerprint this is; profiles such as ``recon-v1`` are of ``whole``.

    None for a decoder, a protocol or a rule for cuts that is no longer here.
    """
    decoder_name = next((name for name in DECODERS if name == decoder.partition(" ")[0]), None)
    if decoder_name is None:
        return None
    if filed_under.partition(" (")[0] not in PROTOCOLS:
        return Protocol(decoder=decoder_name) if decoder_name == "pyav" else None
    for name, align, cuts in product(PROTOCOLS, ALIGNS, CUTS):
        if decoder_name == "decord" and name == "whole":
            continue
        protocol = Protocol(name=name, decoder=decoder_name, align=align, cuts=cuts)
        if protocol.fingerprint == filed_under:
            return protocol
    return None
