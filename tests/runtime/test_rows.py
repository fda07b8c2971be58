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
