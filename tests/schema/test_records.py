"""Records: what a dataclass holds comes back from Arrow and from Parquet; nothing else gets in."""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pfp import schema
from pfp.errors import PfpError, SchemaError
from pfp.io import tables
from pfp.schema import KEPT, Dropped, Failed, Record, failed_verdict
from pfp.schema.record import NAME_KEY, VERSION_KEY
from pfp.schema.verdict import VERDICT_TYPE, verdict_from_struct, verdict_to_struct
from tests.schema import stored_columns
from tests.schema.stored_columns import RECORDS

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.floats(allow_nan=False)
VERDICTS = st.one_of(
    st.just(KEPT),
    st.builds(
        Dropped,
        reason=TEXT,
        detail=TEXT,
        score=st.none() | NUMBERS,
        threshold=st.none() | NUMBERS,
    ),
    st.builds(
        Failed,
        error=TEXT,
        message=TEXT,
        attempts=st.integers(1, 9),
        retryable=st.booleans(),
    ),
)


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of an Arrow type, as plain Python."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TEXT
    if pa.types.is_large_binary(kind):
        return st.binary(max_size=16)
    if pa.types.is_integer(kind):
        bits = kind.bit_width
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if pa.types.is_floating(kind):
        return st.floats(allow_nan=False, width=kind.bit_width)
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_list(kind):
        return st.lists(values(kind.value_type), max_size=3)
    assert pa.types.is_struct(kind), f"{kind} has no strategy here"
    return st.fixed_dictionaries({field.name: of_field(field) for field in kind})


def of_field(field: pa.Field) -> st.SearchStrategy[Any]:
    """Values of a column: null too where the schema allows it."""
    if field.type == VERDICT_TYPE:
        return VERDICTS
    return st.none() | values(field.type) if field.nullable else values(field.type)


@st.composite
def records(draw: st.DrawFn, record: type[Record]) -> Record:
    """A record whose columns hold anything that the schema allows."""
    row = {field.name: draw(of_field(field)) for field in record.SCHEMA}
    if record is schema.ScoreRecord:
        # A score is a number or a reason.
        row["value"] = draw(st.none() | NUMBERS)
        row["unscored_reason"] = draw(TEXT) if row["value"] is None else None
    for blob in record.BLOBS:
        # The bytes of a tensor fit its shape.
        row[f"{blob}_shape"] = [1] if row[blob] is not None else []
        row[blob] = b"ab" if row[blob] is not None else None
        row |= {"dtype": "float16"} if "dtype" in row else {}
    # Rows are plain; a record may have tuples and values of its own classes instead.
    return record.from_row({**row, "verdict": verdict_to_struct(row["verdict"])})


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
def test_fields_are_the_schemas_columns_in_order(record: type[Record]) -> None:
    """The dataclass and the Arrow schema name the same columns."""
    assert record.SCHEMA.names == [field.name for field in fields(record)]  # type: ignore[arg-type]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
def test_a_records_columns_are_those_of_the_files_that_there_are(record: type[Record]) -> None:
    """Names, order, types and nulls, as ``stored_columns.txt`` has them for this version."""
    stored = stored_columns.FILE.read_text(encoding="utf-8").split("\n\n")
    expected = next(text for text in stored if text.startswith(f"{record.NAME} "))
    assert expected.rstrip("\n") == stored_columns.text_of(record).rstrip("\n"), (
        f"if this is meant, raise {record.__name__}.VERSION and run "
        "`python -m tests.schema.stored_columns`"
    )


def test_every_record_has_its_stored_columns() -> None:
    """No record is left out of ``stored_columns.txt``, and none in it is gone."""
    stored = stored_columns.FILE.read_text(encoding="utf-8").split("\n\n")
    assert [record.NAME for record in RECORDS] == [text.split()[0] for text in stored]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
def test_the_schema_carries_name_and_version(record: type[Record]) -> None:
    """A file says by itself which record it holds, and in which version."""
    expected = {NAME_KEY: record.NAME.encode(), VERSION_KEY: str(record.VERSION).encode()}
    assert expected == record.SCHEMA.metadata


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
def test_every_record_has_a_verdict_a_result_key_and_a_key(record: type[Record]) -> None:
    """What the runtime relies on; none of the three may be null."""
    assert VERDICT_TYPE == record.SCHEMA.field("verdict").type
    for name in ("verdict", "result_key", record.KEY):
        assert not record.SCHEMA.field(name).nullable


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_records_come_back_from_arrow(record: type[Record], data: st.DataObject) -> None:
    """Any record that the schema allows is the same after a trip through an Arrow table."""
    originals = data.draw(st.lists(records(record), max_size=3))
    table = record.table(originals)
    assert record.SCHEMA == table.schema
    assert originals == [record.from_row(row) for row in table.to_pylist()]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_records_come_back_from_parquet(
    record: type[Record], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same, from a table on disk, in the order of the key."""
    key = lambda each: getattr(each, record.KEY)  # noqa: E731
    originals = data.draw(st.lists(records(record), max_size=3, unique_by=key))
    folder = tmp_path_factory.mktemp("t")
    tables.write_table(folder, record.table(originals), record)
    expected = sorted(originals, key=lambda each: key(each).encode())
    assert expected == tables.read_records(folder, record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
@pytest.mark.parametrize("change", ["unknown", "missing"])
def test_a_row_with_other_columns_is_a_schema_error(record: type[Record], change: str) -> None:
    """The message names the column that is too much or too few."""
    row = dict.fromkeys(record.SCHEMA.names)
    name = "surprise" if change == "unknown" else record.KEY
    if change == "unknown":
        row[name] = None
    else:
        del row[name]
    with pytest.raises(SchemaError, match=rf"{record.NAME}.*'{name}'.*; run the stage again"):
        record.from_row(row)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.NAME)
def test_records_cannot_be_changed(record: type[Record]) -> None:
    """What was judged stays as it was judged."""
    assert record.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(record)


@given(VERDICTS)
def test_a_verdict_comes_back_from_its_struct(verdict: schema.Verdict) -> None:
    """Kept, dropped and failed, each with all it says."""
    struct = verdict_to_struct(verdict)
    assert verdict == verdict_from_struct(struct)
    assert [field.name for field in VERDICT_TYPE] == list(struct)


def test_a_verdict_of_an_unknown_kind_is_refused() -> None:
    """Nothing is taken for kept by default."""
    with pytest.raises(ValueError, match="'maybe' is not one of kept, dropped, failed"):
        verdict_from_struct({"kind": "maybe"})


def test_a_failed_verdict_tells_class_and_message_on_one_line() -> None:
    """An exception's text is folded; one without text is named."""
    expected = Failed(error="OSError", message="no such file", attempts=2, retryable=True)
    assert expected == failed_verdict(OSError("no such\n  file"), attempts=2, retryable=True)
    assert Failed(error="KeyError", message="KeyError") == failed_verdict(KeyError())


@pytest.mark.parametrize(("value", "reason"), [(None, None), (0.5, "no face")])
def test_a_score_is_a_number_or_a_reason(value: float | None, reason: str | None) -> None:
    """Neither and both are refused."""
    with pytest.raises(ValueError, match="give exactly one of them"):
        schema.ScoreRecord(
            score_id="a/psnr@1",
            sample_id="a",
            metric="psnr@1",
            value=value,
            unscored_reason=reason,
            num_frames=None,
            params="{}",
            protocol="p",
            decoder="d",
            verdict=KEPT,
        )


def test_a_latent_says_which_time_it_covers() -> None:
    """49 frames at 12 fps from second 2 end at second 2 + 49/12."""
    latent = schema.LatentRecord(
        clip_id="c", fps=12.0, start_seconds=2.0, num_frames=49, verdict=KEPT
    )
    assert (2.0, 2.0 + 49 / 12) == latent.span_seconds()
    with pytest.raises(ValueError, match="clip d has no latents"):
        schema.LatentRecord(clip_id="d", verdict=failed_verdict(OSError("x"))).span_seconds()


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    """Each class stands under its base, as drawn."""
    errors = importlib.import_module("pfp.errors")
    drawn = []
    bases: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word in vars(errors)), None)
        if name is None:
            continue
        depth = line.index(name)
        bases = [base for base in bases if base[0] < depth]
        drawn.append((name, bases[-1][1] if bases else "Exception"))
        bases.append((depth, name))
    real = {
        (kind.__name__, kind.__mro__[1].__name__)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, PfpError)
    }
    assert real == set(drawn)
