"""The clips that a training sees, as one Parquet file that checkpoints name by its digest.

Beside five million ids of 16 characters, which would be 100 MB in each ``config.json`` and each row
of the table of checkpoints, a digest is as exact.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pfp.errors import SchemaError

_COLUMN: Final = "clip_id"


class ClipList(NamedTuple):
    """A list that lies in ``folder``. ``sha256`` is the digest of its ids, one a line."""

    folder: str
    sha256: str
    num_clips: int

    @property
    def path(self) -> Path:
        """The Parquet file, of one column ``clip_id``."""
        return Path(self.folder) / f"{self.sha256}.parquet"

    def read(self) -> pa.StringArray:
        """The ids. Raises SchemaError if the file is missing, or does not hold what was written."""
        cure = "run the train stage again, which writes it anew"
        try:
            column = pq.read_table(self.path, columns=[_COLUMN]).column(_COLUMN)
        except FileNotFoundError as error:
            raise SchemaError(
                f"{self.path}, the clips of a training, is missing; {cure}"
            ) from error
        except (pa.ArrowException, KeyError) as error:
            raise SchemaError(f"{self.path} is no list of clips ({error}); {cure}") from error
        if _digest(column.to_pylist()) != self.sha256:
            raise SchemaError(f"{self.path} does not hold the clips that its name tells; {cure}")
        return column.combine_chunks()


def write_clip_list(folder: str | Path, clip_ids: Sequence[str]) -> ClipList:
    """Write the ids, in their order, unless they lie there already and whole."""
    clips = ClipList(str(folder), _digest(clip_ids), len(clip_ids))
    try:
        clips.read()
    except SchemaError:
        Path(folder).mkdir(parents=True, exist_ok=True)
        aside = clips.path.with_suffix(f".{os.getpid()}.aside")
        pq.write_table(pa.table({_COLUMN: pa.array(clip_ids, pa.string())}), aside)
        aside.replace(clips.path)
    return clips


def _digest(clip_ids: Sequence[str]) -> str:
    return hashlib.sha256("".join(f"{clip}\n" for clip in clip_ids).encode()).hexdigest()
