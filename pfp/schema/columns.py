"""Arrow columns from annotations: a record's fields are written once, as Python has them.

str, float, bool, bytes   string, double, bool, large_binary
int, Int32                int64, int32
X | None                  the column of X, which may be null; all others may not
list[X], tuple[X, ...]    a list of X
a TypedDict, a dataclass  a struct with a column for each of its fields
Annotated[X, Stored(...)] what ``Stored`` says, such as a narrower type than Python's
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import pyarrow as pa

Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """How the values of a field lie in a column.

    ``to_plain`` makes plain values for Arrow and ``from_plain`` undoes it; None where a value is
    plain as it is.
    """

    type: pa.DataType
    nullable: bool = False
    to_plain: Convert | None = None
    from_plain: Convert | None = None


Int32: TypeAlias = Annotated[int, Stored(type=pa.int32())]

_PLAIN: Final[Mapping[object, pa.DataType]] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.large_binary(),  # more than 2 GiB of tensors may lie in one file
}


def stored_fields(kind: type) -> dict[str, Stored]:
    """The columns of a class's annotated fields, by name and in order.

    ``TypeError`` for an annotation of which no column can be made.
    """
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: _stored(hint, f"{kind.__name__}.{name}")
        for name, hint in hints.items()
        if get_origin(hint) is not ClassVar
    }


def arrow_fields(kind: type) -> list[pa.Field]:
    """The same as Arrow has them."""
    columns = stored_fields(kind).items()
    return [pa.field(name, each.type, nullable=each.nullable) for name, each in columns]


def _stored(hint: Any, where: str) -> Stored:
    if hint in _PLAIN:
        return Stored(type=_PLAIN[hint])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for told in arguments[1:]:
            if isinstance(told, Stored):
                return told
    if origin in (Union, UnionType) and len(arguments) == 2 and NoneType in arguments:
        (inner,) = (each for each in arguments if each is not NoneType)
        return _or_null(_stored(inner, where))
    if origin is list:
        return _sequence(list, _stored(arguments[0], where))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _sequence(tuple, _stored(arguments[0], where))
    if is_typeddict(hint) and not hint.__optional_keys__:
        return _struct(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return _struct(hint)
    raise TypeError(
        f"{where} is annotated {hint}, of which no column can be made; "
        f"give it one of the annotations in the head of {__name__}"
    )


def _or_null(inner: Stored) -> Stored:
    def unless_null(convert: Convert | None) -> Convert | None:
        return convert and (lambda value: None if value is None else convert(value))

    return replace(
        inner,
        nullable=True,
        to_plain=unless_null(inner.to_plain),
        from_plain=unless_null(inner.from_plain),
    )


def _sequence(kind: type, item: Stored) -> Stored:
    def each(convert: Convert | None, made: type) -> Convert | None:
        if convert is None:
            return None if kind is list else made
        return lambda values: made(map(convert, values))

    return Stored(
        type=pa.list_(item.type),
        to_plain=each(item.to_plain, list),
        from_plain=each(item.from_plain, kind),
    )


def _struct(kind: type) -> Stored:
    columns = stored_fields(kind)
    is_plain = is_typeddict(kind) and not any(each.to_plain for each in columns.values())

    def to_plain(value: Any) -> dict[str, Any]:
        values = value if is_typeddict(kind) else {name: getattr(value, name) for name in columns}
        return convert_fields(values, {name: each.to_plain for name, each in columns.items()})

    def from_plain(value: dict[str, Any]) -> Any:
        names = {name: each.from_plain for name, each in columns.items()}
        return kind(**convert_fields(value, names))

    return Stored(
        type=pa.struct(arrow_fields(kind)),
        to_plain=None if is_plain else to_plain,
        from_plain=None if is_plain else from_plain,
    )


def convert_fields(
    values: Mapping[str, Any], converts: Mapping[str, Convert | None]
) -> dict[str, Any]:
    """The values with those converted that have something to convert them."""
    return {
        name: value if (convert := converts.get(name)) is None else convert(value)
        for name, value in values.items()
    }
