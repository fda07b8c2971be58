"""The public API as its users write it. Never run: `make lint` type-checks it, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import pyarrow as pa

from pfp.errors import InputError, PfpError, RetryableError, RowError
from pfp.io.media import Probe, probe
from pfp.schema import KEPT, ClipRecord, Dropped, Failed, Kept, Record, ScoreRecord, Verdict


def verdicts_are_told_apart(verdict: Verdict) -> str:
    """A match over a verdict is complete with its three cases."""
    match verdict:
        case Kept():
            return "kept"
        case Dropped(reason=reason, score=score, threshold=threshold):
            assert_type(score, float | None)
            assert_type(threshold, float | None)
            return reason
        case Failed(error=error, attempts=attempts):
            return error * attempts


def verdicts_are_made_by_name() -> list[Verdict]:
    """Verdicts take keyword arguments; a number that a rule has not is left out."""
    return [
        KEPT,
        Dropped(
            reason="duration_below_min", detail="shorter than a shot", score=0.4, threshold=1.0
        ),
        Dropped(reason="duplicate", detail="the same as an earlier clip"),
        Failed(error="RetryableError", message="the server is busy", attempts=2, retryable=True),
    ]


def records_become_tables(clips: list[ClipRecord]) -> pa.Table:
    """A list of one kind of record is a table, and a row is that kind of record again."""
    for clip in clips:
        assert_type(clip.verdict, Verdict)
        assert_type(ClipRecord.from_row(clip.to_row()), ClipRecord)
    return ClipRecord.table(clips)


def any_record_has_a_key(record: type[Record]) -> str:
    """Generic code asks the class."""
    return record.KEY


def unknown_scores_are_none(scores: list[ScoreRecord]) -> float:
    """A score's value has to be looked at before it is averaged."""
    known = [score.value for score in scores if score.value is not None]
    return float(np.mean(known))


def files_are_probed(path: Path) -> Probe | None:
    """Errors of pfp are caught as one family, or narrowly."""
    try:
        return probe(path)
    except InputError:
        return None
    except PfpError as error:
        assert_type(error.exit_status, int)
        return None


def errors_of_rows_are_errors_of_pfp(error: RetryableError) -> tuple[RowError, PfpError]:
    """The tree: a retryable error is a row's error is an error of pfp."""
    return error, error
