"""What all records share: an Arrow schema made of their fields, and a way to and from rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import pyarrow as pa

from pfp.errors import AccountError, SchemaError
from pfp.redaction import safe_message
from pfp.schema.columns import Convert, arrow_fields, convert_fields, stored_fields
from pfp.schema.verdict import Failed

NAME_KEY = b"pfp.record"
VERSION_KEY = b"pfp.schema_version"


class Record:
    """One row of a table. A subclass is a frozen dataclass whose fields are the table's columns.

    ``SCHEMA`` is made of the annotations of the fields (``pfp.schema.columns``). ``NAME`` and
    ``VERSION`` go into every file's footer, and ``KEY`` names the column that identifies a row.
    Every record carries a ``verdict`` and a ``result_key``: the digest of all that the row depends
    on, which the runtime writes and resumes by.

    ``BLOBS`` names the columns whose bytes are tensors that readers want parts of: they are stored
    so that a part is one byte range (``pfp.io.blob_index``). ``INDEXED`` names the small columns
    that such a reader needs of every row before it reads any.
    """

    __slots__ = ()

    BLOBS: ClassVar[tuple[str, ...]] = ()
    INDEXED: ClassVar[tuple[str, ...]] = ()

    NAME: ClassVar[str]
    VERSION: ClassVar[int]
    KEY: ClassVar[str]
    SCHEMA: ClassVar[pa.Schema]
    _TO_PLAIN: ClassVar[Mapping[str, Convert | None]]
    _FROM_PLAIN: ClassVar[Mapping[str, Convert | None]]

    def __init_subclass__(cls) -> None:
        """Makes the schema; ``TypeError`` for an annotation that no column can have."""
        columns = stored_fields(cls)
        cls.SCHEMA = pa.schema(
            arrow_fields(cls),
            metadata={NAME_KEY: cls.NAME.encode(), VERSION_KEY: str(cls.VERSION).encode()},
        )
        cls._TO_PLAIN = {name: each.to_plain for name, each in columns.items()}
        cls._FROM_PLAIN = {name: each.from_plain for name, each in columns.items()}

    def to_row(self) -> dict[str, Any]:
        """The record as a row of plain values, in the order of its fields."""
        values = {name: getattr(self, name) for name in self._TO_PLAIN}
        return convert_fields(values, self._TO_PLAIN)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The record of a row; an unknown or a missing column is a ``SchemaError``."""
        if row.keys() != cls._FROM_PLAIN.keys():
            extra = sorted(row.keys() ^ cls._FROM_PLAIN.keys())
            message = (
                f"{cls.NAME}: columns {extra} are not those of v{cls.VERSION}; run the stage again"
            )
            raise SchemaError(message)
        return cls(**convert_fields(row, cls._FROM_PLAIN))

    @classmethod
    def blob_bytes(cls, blob: str, rows: pa.Table) -> list[int | None]:
        """The length of each row's ``blob``, as the columns of ``INDEXED`` tell; None for none."""
        raise NotImplementedError(f"{cls.NAME} has no blob {blob}")

    @classmethod
    def describe(cls, rows: pa.Table) -> dict[str, Any]:
        """What the footer of a file with blobs says, as JSON, of its rows (given without blobs)."""
        del rows
        return {}

    @classmethod
    def table(cls, records: list[Self]) -> pa.Table:
        """The records as an Arrow table with the record's schema and its version as metadata."""
        return pa.Table.from_pylist([record.to_row() for record in records], schema=cls.SCHEMA)


def failed_verdict(error: BaseException, *, attempts: int = 1, retryable: bool = False) -> Failed:
    """The ``Failed`` verdict that tells what an exception said, at a length that people read.

    After an ``AccountError`` the row has not been tried, so that no number of runs makes it final.
    """
    attempts = 0 if isinstance(error, AccountError) else attempts
    message = safe_message(" ".join(str(error).split()) or type(error).__name__)
    return Failed(
        error=type(error).__name__, message=message, attempts=attempts, retryable=retryable
    )
