"""map_rows: a row's error costs that row, anything else goes through."""

from __future__ import annotations

import errno
from typing import Any

import pyarrow as pa
import pytest

from pfp import runtime
from pfp.errors import InputError, InvariantError, PermanentError, RetryableError
from pfp.schema import KEPT, Failed, StoryboardRecord
from tests.runtime.numbers_stage import failed_row

BATCH = pa.table({"clip_id": ["a", "b", "c"], "result_key": ["1", "2", "3"]})


def raising(error: BaseException) -> Any:
    """A function that raises for row b and keeps the others."""

    def function(row: dict[str, Any]) -> StoryboardRecord:
        if row["clip_id"] == "b":
            raise error
        return StoryboardRecord(clip_id=row["clip_id"], backend="offline", verdict=KEPT)

    return function


def verdicts(error: BaseException) -> list[Any]:
    """The verdicts of the three rows when b raises."""
    table = runtime.map_rows(BATCH, raising(error), failed_row)
    return [StoryboardRecord.from_row(row).verdict for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (RetryableError("busy"), True),
        (MemoryError("busy"), True),
        (PermanentError("busy"), False),
        (KeyError("busy"), False),
        (OSError(errno.EIO, "busy"), False),
        (InputError("busy"), False),
    ],
)
def test_an_error_becomes_the_rows_verdict(error: Exception, retryable: bool) -> None:  # noqa: FBT001
    """Class, message, and whether another attempt may help; its neighbours are kept."""
    kept_a, failed_b, kept_c = verdicts(error)
    assert [KEPT, KEPT] == [kept_a, kept_c]
    expected = Failed(error=type(error).__name__, message=str(error), retryable=retryable)
    assert expected == failed_b


def test_rows_take_their_result_keys_along() -> None:
    """Output row i carries the key of input row i."""
    table = runtime.map_rows(BATCH, raising(KeyError()), failed_row)
    assert ["1", "2", "3"] == table["result_key"].to_pylist()
    assert StoryboardRecord.SCHEMA == table.schema


def test_a_full_disk_ends_the_stage() -> None:
    """It is not the row's fault, and every other row would fail too."""
    with pytest.raises(InputError, match="the disk or its quota is full"):
        verdicts(OSError(errno.ENOSPC, "full"))


def test_a_full_disk_that_is_already_explained_ends_the_stage() -> None:
    """Writers of files may have put it into a sentence before."""
    explained = InputError("no room")
    explained.__cause__ = OSError(errno.ENOSPC, "full")
    with pytest.raises(InputError, match="full"):
        verdicts(explained)


def test_a_broken_promise_ends_the_stage() -> None:
    """A mistake of pfp's own is never a verdict."""
    with pytest.raises(InvariantError, match="ours"):
        verdicts(InvariantError("ours"))


def test_an_interrupt_goes_through() -> None:
    """Ctrl-C is not a failed row."""
    with pytest.raises(KeyboardInterrupt):
        verdicts(KeyboardInterrupt())


def captioned(caption: object, **fields: Any) -> StoryboardRecord:
    """A kept record of row b with that caption."""
    shot = {"start_seconds": 0.0, "end_seconds": 1.0, "caption": caption}
    return StoryboardRecord(clip_id="b", backend="offline", shots=[shot], verdict=KEPT, **fields)


@pytest.mark.parametrize(
    "record",
    [
        captioned("half an emoji: \ud83d"),
        captioned(None),
        captioned(7),
        captioned(b"\xff"),
        captioned("x", attempts=2**31),
        captioned("x", attempts=2**80),
        captioned("x", tokens_in="many"),
        captioned("x", cost_usd=10**400),
        captioned("x", repair_ops=[["nested"]]),
        captioned("x", repair_ops=None),
    ],
)
def test_a_row_that_cannot_be_stored_is_a_failed_row(record: StoryboardRecord) -> None:
    """Its neighbours, whose answers may have been paid for, are kept."""

    def function(row: dict[str, Any]) -> StoryboardRecord:
        kept = StoryboardRecord(clip_id=row["clip_id"], backend="offline", verdict=KEPT)
        return record if row["clip_id"] == "b" else kept

    table = runtime.map_rows(BATCH, function, failed_row)
    kept_a, failed_b, kept_c = [StoryboardRecord.from_row(row) for row in table.to_pylist()]
    assert ["a", "b", "c"] == [kept_a.clip_id, failed_b.clip_id, kept_c.clip_id]
    assert [KEPT, KEPT] == [kept_a.verdict, kept_c.verdict]
    assert isinstance(failed_b.verdict, Failed)
    assert failed_b.verdict.message.startswith("the row's values cannot be stored (")
    assert not failed_b.verdict.retryable
    assert ["1", "2", "3"] == table["result_key"].to_pylist()


@pytest.mark.parametrize("said", ["\ud83d", "x" * 3_000_000, "a\x00b", "\ud83d" * 100_000])
def test_a_failure_can_be_stored_whatever_it_quotes(said: str) -> None:
    """Messages quote what came from outside; they are bounded, and of valid code points."""
    verdict = verdicts(PermanentError(f"{said}; mend it"))[1]
    assert isinstance(verdict, Failed)
    assert len(verdict.message.encode()) < 20_000
    assert verdict.message.endswith("; mend it")


@pytest.mark.parametrize("value", [2**31, "seven", "\ud83d"])
def test_a_preprocessed_row_that_fits_no_column_takes_its_failure_along(value: object) -> None:
    """The rows beside it are preprocessed."""
    columns = pa.schema([("squared", pa.int32())])

    def preprocess(row: dict[str, Any]) -> dict[str, Any]:
        return {"squared": value if row["clip_id"] == "b" else 1}

    table = runtime.preprocess_rows(BATCH, preprocess, columns)
    assert [1, None, 1] == table["squared"].to_pylist()
    failures = table["_preprocess_failure"].to_pylist()
    assert [None, None] == [failures[0], failures[2]]
    assert failures[1]["message"].startswith("the row's values cannot be stored (")
