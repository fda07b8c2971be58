"""Latents back from disk, checked. Axes: T latents, C channels, H and W rows and columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pfp.errors import InputError, SchemaError
from pfp.io import tables
from pfp.io.filesystems import Folder
from pfp.io.manifest import read_manifest
from pfp.latents.moments import MAX_EVIDENCE, MIN_CLIPS, Moments, Pool, evidence_of_raw
from pfp.latents.windows import num_frames_of, num_lr_latents_of
from pfp.schema import LatentRecord

_HEADER: Final = [name for name in LatentRecord.SCHEMA.names if name not in {"hr", "lr"}]
_DTYPE: Final = np.dtype("<f2")


class ClipLatents(NamedTuple):
    """fp16 ``(T, C, H, W)`` HR and LR latents, read-only, and the record without their bytes."""

    hr_TCHW: NDArray[np.float16]
    lr_TCHW: NDArray[np.float16]
    record: LatentRecord


class _Place(NamedTuple):
    group: int  # row group, counted over all files
    row: int
    hr_shape: tuple[int, ...]


class LatentReader:
    """The kept latents of a table, after the checks that keep them from being misread.

    On opening, the records' headers are read (not the latents) and refused with a ``SchemaError``
    if they are of another VAE than ``vae_sha256``, of several VAEs or preprocessings, or not
    normalised: by their flag, or by the look of their pooled moments. Each clip's bytes are checked
    when they are read: length, shape and finite values. A window is a slice of what ``load`` gives
    (``pfp.latents.windows``).
    """

    def __init__(self, directory: str | Path, *, vae_sha256: str | None = None) -> None:
        self._folder = Folder.at(directory)
        self._places: dict[str, _Place] = {}
        self._cached: tuple[int, pa.Table] | None = None
        check = _HeaderCheck(str(directory), vae_sha256)
        headers = tables.iter_tables(directory, LatentRecord, columns=_HEADER)
        for group, rows in enumerate(headers):
            for row, header in enumerate(rows.to_pylist()):
                if header["verdict"]["kind"] == "kept":
                    check.add(header)
                    place = _Place(group, row, tuple(header["hr_shape"]))
                    self._places[header["clip_id"]] = place
        check.finish()
        self._groups = _row_groups(self._folder)

    @property
    def clip_ids(self) -> list[str]:
        """The kept clips, in the order of the table."""
        return list(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[ClipLatents]:
        """All kept clips in the order of the table, one row group (32 MiB) in memory at a time."""
        return (self.load(clip_id) for clip_id in self._places)

    def hr_shape(self, clip_id: str) -> tuple[int, ...]:
        """``(T, C, H, W)`` of a clip's HR latents, without reading them."""
        return self._place(clip_id).hr_shape

    def load(self, clip_id: str) -> ClipLatents:
        """One clip's latents; ``InputError`` when the table has not kept that clip."""
        place = self._place(clip_id)
        if self._cached is None or self._cached[0] != place.group:
            self._cached = None  # let go of the old group before the new one is read
            self._cached = place.group, _row_group(self._folder, *self._groups[place.group])
        return _decoded(self._cached[1].slice(place.row, 1).to_pylist()[0])

    def _place(self, clip_id: str) -> _Place:
        if clip_id not in self._places:
            raise InputError(
                f"{self._folder.path} has no latents of clip {clip_id!r}; give one of its "
                f"{len(self._places)} kept clips"
            )
        return self._places[clip_id]


def load_latent(
    directory: str | Path, clip_id: str, *, vae_sha256: str | None = None
) -> ClipLatents:
    """One clip's latents from a table; use a ``LatentReader`` for more than one."""
    return LatentReader(directory, vae_sha256=vae_sha256).load(clip_id)


def iter_latents(directory: str | Path, *, vae_sha256: str | None = None) -> Iterator[ClipLatents]:
    """All kept clips' latents, in bounded memory."""
    return iter(LatentReader(directory, vae_sha256=vae_sha256))


class _HeaderCheck:
    """Looks at all headers of a table, one by one, and refuses the table as a whole."""

    def __init__(self, directory: str, vae_sha256: str | None) -> None:
        self._directory = directory
        self._expected = vae_sha256
        self._first: dict[str, Any] | None = None
        self._pool = Pool()

    def add(self, header: dict[str, Any]) -> None:
        clip_id = header["clip_id"]
        if header["normalised"] is not True:
            raise SchemaError(
                f"{self._directory}: the latents of clip {clip_id} are not normalised (the flag is "
                f"{header['normalised']}); run pipelines/latents again"
            )
        if self._expected is not None and header["vae_sha256"] != self._expected:
            raise SchemaError(
                f"{self._directory}: clip {clip_id} was encoded by VAE {header['vae_id']} "
                f"{_short(header['vae_sha256'])}, not by {_short(self._expected)}; use that VAE, "
                "or run pipelines/latents again"
            )
        self._first = self._first or header
        for name in ("vae_sha256", "preproc_sha256", "latents_mean", "latents_std"):
            if header[name] != self._first[name]:
                raise SchemaError(
                    f"{self._directory}: clips {self._first['clip_id']} and {clip_id} differ in "
                    f"{name} ({_short(self._first[name])} and {_short(header[name])}); "
                    "run pipelines/latents again"
                )
        mean, std = np.array(header["hr_channel_mean"]), np.array(header["hr_channel_std"])
        self._pool.add(Moments(mean=mean, std=std, weight=math.prod(header["hr_shape"])))

    def finish(self) -> None:
        if self._first is None or self._pool.count < MIN_CLIPS:
            return
        mean, std = self._first["latents_mean"], self._first["latents_std"]
        evidence = evidence_of_raw(self._pool.moments(), mean, std)
        if evidence > MAX_EVIDENCE:
            raise SchemaError(
                f"{self._directory}: the latents say that they are normalised but look raw "
                f"(evidence {evidence:.2f} nats per value, at most {MAX_EVIDENCE}); "
                "run pipelines/latents again"
            )


def _decoded(row: dict[str, Any]) -> ClipLatents:
    record = LatentRecord.from_row(row)
    hr_TCHW = _tensor(record, "hr", record.hr, record.hr_shape)
    lr_TCHW = _tensor(record, "lr", record.lr, record.lr_shape)
    num_latents = len(hr_TCHW)
    expected = (num_frames_of(num_latents), num_lr_latents_of(num_latents))
    if (record.num_frames, len(lr_TCHW)) != expected:
        raise SchemaError(
            f"clip {record.clip_id}: {num_latents} HR latents go with {expected[0]} frames and "
            f"{expected[1]} LR latents, not {record.num_frames} and {len(lr_TCHW)}; "
            "run pipelines/latents again"
        )
    header = LatentRecord.from_row({**row, "hr": None, "lr": None})
    return ClipLatents(hr_TCHW, lr_TCHW, header)


def _tensor(
    record: LatentRecord, name: str, content: bytes | None, shape: list[int]
) -> NDArray[np.float16]:
    num_bytes = math.prod(shape) * _DTYPE.itemsize
    if content is None or len(shape) != 4 or len(content) != num_bytes:
        found = "no" if content is None else len(content)
        raise SchemaError(
            f"clip {record.clip_id}: {found} bytes of {name} latents are not fp16 of shape {shape} "
            f"({num_bytes} bytes); run pipelines/latents again"
        )
    latents_TCHW: NDArray[np.float16] = np.frombuffer(content, dtype=_DTYPE).reshape(shape)
    if not np.isfinite(latents_TCHW).all():
        raise SchemaError(
            f"clip {record.clip_id}: {name} latents hold NaN or infinity; "
            "run pipelines/latents again"
        )
    return latents_TCHW


def _row_groups(folder: Folder) -> list[tuple[str, int]]:
    """The row groups of all files, in order: file name and index."""
    groups = []
    for file in read_manifest(folder, LatentRecord).files:
        with _explained(folder, file.name), tables.open_parquet(folder, file.name) as parquet:
            groups += [(file.name, index) for index in range(parquet.num_row_groups)]
    return groups


def _row_group(folder: Folder, file: str, index: int) -> pa.Table:
    with _explained(folder, file), tables.open_parquet(folder, file) as parquet:
        return parquet.read_row_group(index)


@contextmanager
def _explained(folder: Folder, file: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise SchemaError(
            f"{folder.file(file)} is missing or damaged ({error}); "
            "delete it and run pipelines/latents again"
        ) from error


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 12 else f"{text[:12]}..."
