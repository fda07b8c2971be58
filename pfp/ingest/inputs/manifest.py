"""Manifests: a row per file, with what is known of it beside its path or URI.

A manifest is right or wrong as a whole, and that is told before work starts; whether a file is
there is a matter of its own row.
"""

from __future__ import annotations

import os
import posixpath
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import InputError
from pfp.ingest.inputs.blocks import full_block
from pfp.ingest.inputs.lookup import StateLookup
from pfp.ingest.inputs.manifest_rows import COLUMN_NAMES, READERS, RawBlock, json_text
from pfp.ingest.inputs.store_files import StorePlace
from pfp.io.filesystems import check_uri
from pfp.io.media import path_to_uri, shown_name, uri_to_path
from pfp.io.media.source import is_local, local_path
from pfp.limits import MAX_LINE_BYTES
from pfp.texts import listed, quoted

_INTEGERS: Final = ("size_bytes", "changed_ns")
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)


def is_manifest(name: str) -> bool:
    """Whether a file of that name is read as a manifest."""
    return Path(name).suffix.lower() in READERS


def manifest_blocks(source: str) -> Iterator[pa.Table]:
    """The rows of a ``.jsonl``, ``.csv`` or ``.parquet`` file as blocks, in the manifest's order.

    Relative paths count from the manifest's folder, also in a store. Sizes and times of change are
    looked up where one of them is not given; they stay null for what is not there.

    Raises ``InputError`` for a manifest without a column of paths, with values of wrong types, and
    with URIs that cannot be used, by the row; ``PermanentError`` or ``RetryableError`` where the
    store of the files gives no answer at all.
    """
    reader = READERS[Path(source.partition("?")[0]).suffix.lower()]
    uri_of, states = _uris_beside(source), StateLookup()
    for raw in reader(source):
        yield states.fill(_block(raw, uri_of))


def _block(raw: RawBlock, uri_of: Callable[[str], str]) -> pa.Table:
    names = _named(raw)
    uris = _uris(raw, raw.columns[names["video_uri"]], uri_of)
    columns: dict[str, Any] = {
        name: _typed(raw, name, raw.columns[own])
        for name, own in names.items()
        if name != "video_uri"
    }
    if raw.extra is not None:
        return full_block({"video_uri": uris, "extra": raw.extra, **columns})
    others = [own for own in raw.columns.column_names if own not in names.values()]
    if others:
        columns["extra"] = _extra(raw, raw.columns.select(others))
    return full_block({"video_uri": uris, **columns})


def _named(raw: RawBlock) -> dict[str, str]:
    """The manifest's own names of the columns of INPUT_SCHEMA that it has."""
    names: dict[str, str] = {}
    for own in raw.columns.column_names:
        name = COLUMN_NAMES.get(own)
        if name in names:
            raise InputError(
                f"{raw.name} has the columns {names[name]} and {own}, which mean the same; keep one"
            )
        if name is not None:
            names[name] = own
    if "video_uri" not in names:
        found = listed([*raw.columns.column_names, *raw.extra_names])
        raise InputError(
            f"{raw.name} has no column video_uri, uri or path (it has {found}); rename the one "
            "that names the files"
        )
    return names


# --------------------------------------------------------------------------------------- values


def _uris(raw: RawBlock, paths: pa.ChunkedArray, uri_of: Callable[[str], str]) -> list[str]:
    uris = []
    names = paths if pa.types.is_binary(paths.type) else _text(raw, "video_uri", paths)
    for index, name in enumerate(names.to_pylist()):
        if not name:
            raise InputError(f"{raw.at(index)} names no file; give a path or a URI, or remove it")
        try:
            uris.append(uri_of(os.fsdecode(name)))
        except InputError as error:
            raise InputError(f"{raw.at(index)}: {error}") from error
    return uris


def _typed(raw: RawBlock, name: str, column: pa.ChunkedArray) -> pa.Array:
    if name in _INTEGERS:
        return _integers(raw, name, column)
    return _text(raw, name, column)


def _text(raw: RawBlock, name: str, column: pa.ChunkedArray) -> pa.Array:
    """A column of texts; numbers are taken for ids, which often are some."""
    is_id = name == "source_id" and pa.types.is_integer(column.type)
    if not (is_id or _is_text(column.type) or pa.types.is_null(column.type)):
        raise InputError(
            f"{raw.name}: column {name} holds {column.type}, not text; write it as text, or give "
            "the column another name"
        )
    return _bounded(raw, name, column.cast(pa.large_string()).combine_chunks())


def _bounded(raw: RawBlock, name: str, column: pa.Array) -> pa.Array:
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest > MAX_LINE_BYTES:
        raise InputError(
            f"{raw.name}: a value of {name} has {longest} bytes; leave out what is longer than "
            f"{MAX_LINE_BYTES}"
        )
    return column


def _integers(raw: RawBlock, name: str, column: pa.ChunkedArray) -> pa.Array:
    """A column of whole numbers, 0 or more; a time may be a timestamp."""
    if pa.types.is_boolean(column.type):
        raise InputError(f"{raw.name}: column {name} holds {column.type}; write whole numbers")
    try:
        if pa.types.is_timestamp(column.type) and name == "changed_ns":
            column = column.cast(pa.timestamp("ns", column.type.tz))
        numbers = column.cast(pa.int64()).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{raw.at(0)} or one of the next {len(column)}: {name} is no whole number "
            f"({shown_name(str(error))}); write it without a unit, or leave it empty"
        ) from error
    negative = pc.index(pc.less(numbers, 0), value=True).as_py()
    if negative >= 0:
        raise InputError(
            f"{raw.at(negative)}: {name} is {numbers[negative]}; leave it empty where it is unknown"
        )
    return numbers


def _extra(raw: RawBlock, columns: pa.Table) -> pa.Array:
    """What else a row says, as the text of a JSON object; null where it says nothing."""
    for field in columns.schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            raise InputError(
                f"{raw.name}: column {field.name} holds bytes; leave it out of the manifest"
            )
    texts = []
    for index, row in enumerate(columns.to_pylist()):
        try:
            texts.append(json_text(row))
        except ValueError as error:
            raise InputError(f"{raw.at(index)}: {error}; leave the value empty") from error
    return _bounded(raw, "other columns", pa.array(texts, pa.large_string()))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


# ----------------------------------------------------------------------------------------- URIs


def _uris_beside(source: str) -> Callable[[str], str]:
    """What turns a path or a URI in a manifest into the one URI of its file."""
    beside = _beside_local(source) if is_local(source) else _beside_remote(source)

    def uri_of(path: str) -> str:
        if "://" not in path:
            return path_to_uri(path) if path.startswith("/") else beside(path)
        return _canonical(path)

    return uri_of


def _beside_local(source: str) -> Callable[[str], str]:
    folder = Path(local_path(source)).absolute().parent
    return lambda path: path_to_uri(folder / path)


def _beside_remote(source: str) -> Callable[[str], str]:
    place = StorePlace.of(source)
    folder, bucket = posixpath.dirname(place.path), place.path.partition("/")[0]

    def uri_of(path: str) -> str:
        full = posixpath.normpath(f"{folder}/{path}")
        if not full.startswith(f"{bucket}/"):
            raise InputError(f"{quoted(path)} leads out of the bucket; give the file's whole URI")
        return place.uri_of(full)

    return uri_of


def _canonical(uri: str) -> str:
    """A URI without what no URI can hold; refuses what leads elsewhere or holds a secret."""
    check_web(uri)
    check_uri(uri)
    if is_local(uri):
        return path_to_uri(uri_to_path(uri))
    return quote(uri, safe=string.punctuation)


def check_web(uri: str) -> None:
    """Raise ``InputError`` for an address of the web."""
    if _WEB.match(uri):
        raise InputError(
            f"{shown_name(uri)} is an address of the web, which pfp does not read; "
            "download the files to a disk or a store first, and name them there"
        )
