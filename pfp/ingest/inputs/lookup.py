"""Sizes and times of change of files that a manifest names without them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs as pafs

from pfp.errors import InputError, RowError
from pfp.ingest.inputs.blocks import INPUT_SCHEMA
from pfp.io.filesystems import explain_store_errors, resolve
from pfp.io.media import shown_name
from pfp.io.media.source import is_local
from pfp.io.unchanged import FileState, file_state

_THREADS: Final = 32  # nearly all of their time is waiting for a store's answer
_UNKNOWN: Final = FileState(size_bytes=None, changed_ns=None)


class StateLookup:
    """Asks disks and stores for states of files, over one connection to each bucket."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[pafs.FileSystem, str]] = {}

    def fill(self, block: pa.Table) -> pa.Table:
        """The block of ``INPUT_SCHEMA`` with sizes and times in rows that lack one of them.

        They are null for what is not there, or not to be asked about: the row says why when its
        turn has come. Raises the error of the first such row when a store refuses, or does not
        answer, all the rows that it is asked about here: that is no matter of a row.
        """
        is_open = pc.or_(pc.is_null(block["size_bytes"]), pc.is_null(block["changed_ns"]))
        uris = block["video_uri"].filter(is_open).to_pylist()
        if not uris:
            return block
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(self._state_or_error, uris))
        errors = [outcome for outcome in found if isinstance(outcome, RowError)]
        if len(errors) == len(found):
            raise errors[0]
        states = [_UNKNOWN if isinstance(outcome, RowError) else outcome for outcome in found]
        return _with_states(block, is_open.combine_chunks(), states)

    def _state_or_error(self, uri: str) -> FileState | RowError:
        try:
            return file_state(uri) if is_local(uri) else self._stored_state(uri)
        except InputError:
            return _UNKNOWN
        except RowError as error:
            return error

    def _stored_state(self, uri: str) -> FileState:
        """As ``file_state``, which connects anew for each file."""
        address, mark, query = uri.partition("?")
        scheme, _, path = address.partition("://")
        bucket, _, key = path.partition("/")
        name = f"{scheme}://{bucket}{mark}{query}"
        if name not in self._buckets:
            self._buckets[name] = resolve(name)
        filesystem, root = self._buckets[name]
        with explain_store_errors(filesystem, shown_name(uri)):
            info: pafs.FileInfo = filesystem.get_file_info(f"{root}/{unquote(key)}")
        if info.type != pafs.FileType.File:
            return _UNKNOWN
        return FileState(size_bytes=info.size, changed_ns=info.mtime_ns)


def _with_states(block: pa.Table, is_open: pa.Array, states: Sequence[FileState]) -> pa.Table:
    """The block with these states in the rows that are open."""
    for name in ("size_bytes", "changed_ns"):
        values = pa.array([getattr(state, name) for state in states], pa.int64())
        column = pc.replace_with_mask(block[name].combine_chunks(), is_open, values)
        place = INPUT_SCHEMA.get_field_index(name)
        block = block.set_column(place, INPUT_SCHEMA.field(place), column)
    return block
