"""What a table consists of: the list of its files, which changes in one step."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from pfp.errors import SchemaError
from pfp.io.blob_index import store_index
from pfp.io.filesystems import ASIDE_PREFIX, Folder
from pfp.io.table_writer import ROWS_PER_FILE, DataFile
from pfp.schema.record import Record

MANIFEST_NAME: Final = "_manifest.json"
DATA_NAME: Final = re.compile(r"part-\d{5,}-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a table consists of."""

    record: str
    version: int
    rows_per_file: int
    files: tuple[DataFile, ...]

    @property
    def num_rows(self) -> int:
        """The rows of all files."""
        return sum(file.num_rows for file in self.files)

    def to_bytes(self) -> bytes:
        """The manifest as JSON with sorted keys."""
        content = {**asdict(self), "num_rows": self.num_rows}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """The inverse of ``to_bytes``; ``ValueError``, ``KeyError`` or ``TypeError`` if foreign."""
        values = json.loads(content)
        files = tuple(DataFile(**file) for file in values["files"])
        names = ("record", "version", "rows_per_file")
        return cls(files=files, **{name: values[name] for name in names})


def read_manifest(folder: Folder, record: type[Record]) -> Manifest:
    """The manifest of a table of that record and version; otherwise a ``SchemaError``."""
    try:
        manifest = Manifest.from_bytes(folder.read(MANIFEST_NAME))
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{folder.path} holds no {record.NAME} table; run the stage that writes it first"
        raise SchemaError(message) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{folder.file(MANIFEST_NAME)} is damaged ({error}); run the stage again"
        raise SchemaError(message) from error
    if manifest.record != record.NAME:
        message = (
            f"{folder.path} holds {manifest.record} records, not {record.NAME} records; "
            "give the directory of the right table"
        )
        raise SchemaError(message)
    if manifest.version != record.VERSION:
        message = (
            f"{folder.path} holds {record.NAME} v{manifest.version}, "
            f"this pfp reads v{record.VERSION}; run the stage again"
        )
        raise SchemaError(message)
    return manifest


def commit_files(
    folder: Folder,
    record: type[Record],
    files: Sequence[DataFile],
    *,
    rows_per_file: int = ROWS_PER_FILE,
) -> None:
    """Makes these files the table, in one step, then removes data files that are not of it.

    The index of a table with blobs names the manifest that it belongs to and comes first, so a
    reader finds both or makes the index for itself.
    """
    manifest = Manifest(
        record=record.NAME, version=record.VERSION, rows_per_file=rows_per_file, files=tuple(files)
    )
    content = manifest.to_bytes()
    if record.BLOBS:
        store_index(folder, record, files, content)
    if not folder.has(MANIFEST_NAME) or folder.read(MANIFEST_NAME) != content:
        folder.write(MANIFEST_NAME, content)
    remove_strays(folder, manifest)


def remove_strays(folder: Folder, manifest: Manifest) -> None:
    """Removes what a crash may have left: data files not in the manifest, files written aside."""
    listed = {file.name for file in manifest.files}
    for name in folder.names():
        stray = DATA_NAME.fullmatch(name) is not None and name not in listed
        if stray or name.startswith(ASIDE_PREFIX):
            folder.delete(name)
