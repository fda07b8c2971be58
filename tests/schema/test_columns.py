"""Columns from annotations: what Python has, Arrow gets, and what no column can be is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Optional, TypedDict

import pyarrow as pa
import pytest

from pfp.schema import KEPT, Failed, Record, Verdict
from pfp.schema.columns import Int32, Stored, arrow_fields
from pfp.schema.verdict import VERDICT_TYPE


class Span(TypedDict):
    """A struct whose values are plain."""

    start: float
    label: str | None


class Half(TypedDict, total=False):
    """A key that may be missing is no column."""

    start: float


@dataclass(frozen=True)
class Box:
    """A struct whose values are objects."""

    sides: tuple[Int32, ...]
    span: Span | None = None


def _only(annotation: object) -> pa.Field:
    """The column of a class with one field."""
    (field,) = arrow_fields(type("One", (), {"__annotations__": {"field": annotation}}))
    return field


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, pa.string()),
        (int, pa.int64()),
        (Int32, pa.int32()),
        (float, pa.float64()),
        (bool, pa.bool_()),
        (bytes, pa.large_binary()),
        (list[Int32], pa.list_(pa.int32())),
        (tuple[float, ...], pa.list_(pa.float64())),
        (list[tuple[str, ...]], pa.list_(pa.list_(pa.string()))),
        (Annotated[int, Stored(type=pa.uint8())], pa.uint8()),
        (Verdict, VERDICT_TYPE),
    ],
)
def test_an_annotation_is_a_type_that_may_be_null_if_it_says_so(
    annotation: Any, expected: pa.DataType
) -> None:
    """``X`` may not be null, ``X | None`` and ``Optional[X]`` may."""
    assert pa.field("field", expected, nullable=False) == _only(annotation)
    assert pa.field("field", expected) == _only(annotation | None)
    assert pa.field("field", expected) == _only(Optional[annotation])  # noqa: UP045


@pytest.mark.parametrize("kind", [Span, Box])
def test_a_class_is_a_struct_of_its_fields(kind: type) -> None:
    """A dataclass or a TypedDict, in the order of its fields, nulls where they say so."""
    assert pa.struct(arrow_fields(kind)) == _only(kind).type


@pytest.mark.parametrize(
    "annotation",
    [Any, object, dict[str, int], set[str], int | str, tuple[int, str], complex, Half, list[Any]],
    ids=str,
)
def test_an_annotation_without_a_column_is_refused(annotation: object) -> None:
    """The sentence names the field and what it is annotated, and says where to look."""
    with pytest.raises(TypeError, match=r"One\.field is annotated .*; give it one of the annot"):
        _only(annotation)


def test_a_record_cannot_be_written_with_such_a_field() -> None:
    """It is refused where the class is written, not with the first row."""
    with pytest.raises(TypeError, match=r"Wrong\.anything is annotated typing\.Any"):

        class Wrong(Record):
            NAME: ClassVar[str] = "wrong"
            VERSION: ClassVar[int] = 1
            anything: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRecord(Record):
    """A record of objects within objects."""

    key: str
    boxes: tuple[Box, ...] = ()
    best: Box | None = None
    spans: list[Span]
    verdict: Verdict
    result_key: str = ""

    NAME: ClassVar[str] = "box"
    VERSION: ClassVar[int] = 1
    KEY: ClassVar[str] = "key"


def test_objects_come_back_from_arrow_as_what_they_were() -> None:
    """Dataclasses, tuples and nulls within one another; rows hold plain values alone."""
    span: Span = {"start": 0.5, "label": None}
    full = BoxRecord(
        key="a",
        boxes=(Box(sides=(1, 2), span=span), Box(sides=())),
        best=Box(sides=(3,)),
        spans=[span],
        verdict=Failed(error="OSError", message="gone"),
    )
    empty = BoxRecord(key="b", spans=[], verdict=KEPT)

    table = BoxRecord.table([full, empty])

    assert [{"sides": [1, 2], "span": span}, {"sides": [], "span": None}] == full.to_row()["boxes"]
    assert [full, empty] == [BoxRecord.from_row(row) for row in table.to_pylist()]
