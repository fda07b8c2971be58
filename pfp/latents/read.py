"""Latents back from disk, checked. Axes: T latents, C channels, H and W rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pfp.errors import InputError, SchemaError
from pfp.io.blobs import Blobs
from pfp.io.ranges import RangeReader
from pfp.latents.moments import MAX_EVIDENCE, MIN_CLIPS, Moments, Pool, evidence_of_raw
from pfp.latents.preprocess import rate_text
from pfp.latents.quantise import STORED_DTYPES, dequantised
from pfp.schema import KEPT, LatentRecord
from pfp.schema.latent import Branch
from pfp.schema.latent import LatentSpan as Span
from pfp.schema.windows import TIME_STRIDE, num_frames_of, num_lr_latents_of

Latents: TypeAlias = NDArray[np.float16]
_HALF: Final = np.dtype(np.float16)  # comparing with the type makes a dtype of it each time
_EXPONENT: Final = 0x7C00  # of fp16; all its bits are set in NaN and infinity only
_PIECE_VALUES: Final = 1 << 18
_COMPARED: Final = ("vae_sha256", "preproc_sha256", "latents_mean", "latents_std", "dtype")


class ClipLatents(NamedTuple):
    """fp16 ``(T, C, H, W)`` HR and LR latents, read-only, and what the index says of the clip."""

    hr_TCHW: Latents
    lr_TCHW: Latents
    record: LatentRecord


class LatentReader:
    """The kept latents of a table: clips, windows and frame sets, each read as just its bytes.

    On opening, the table's index and what its files say of themselves are read, not the latents,
    and refused with a ``SchemaError`` if they are of another VAE than ``vae_sha256``, of several
    VAEs or preprocessings, or not normalised: by their flag, or by the look of their pooled
    moments. So is an LR copy that is not ``lr_factor`` times smaller and does not take every
    ``lr_frame_stride``-th frame, where these are given: it would be of another rate than the
    encoder. Clips are numbered in the order of their ids. ``ranges`` reads in another way than the
    table's file system does by default.

    A table of a further LR copy (``latents_lr_2x2x8``) has no HR latents: ``has_hr`` is False, and
    only spans of ``lr`` can be read.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        vae_sha256: str | None = None,
        lr_factor: int | None = None,
        lr_frame_stride: int | None = None,
        ranges: RangeReader | None = None,
    ) -> None:
        self._blobs = Blobs(directory, LatentRecord, ranges=ranges)
        where = self._blobs.folder.path  # not the URI, which may hold a key
        self.shared = _check(where, self._blobs, vae_sha256)
        _check_rate(where, self.shared, lr_factor, lr_frame_stride)
        self._dtype: np.dtype[Any] = STORED_DTYPES[self.shared.get("dtype", "float16")]
        self._shapes = {
            branch: _shapes(where, self._blobs.columns[f"{branch}_shape"], ranks)
            for branch, ranks in (("hr", ([], [4], [0])), ("lr", ([], [4])))
        }
        self.has_hr = len(self._shapes["hr"]) == len(self)

    @property
    def lr_frame_stride(self) -> int:
        """How many times slower LR video is: T of the rate HxWxT that it is for."""
        stride: int = self.shared.get("lr_frame_stride", TIME_STRIDE)
        return stride

    @property
    def clip_ids(self) -> list[str]:
        """The kept clips, in the order of their rows."""
        ids: list[str] = self._blobs.keys.to_pylist()
        return ids

    def __len__(self) -> int:
        return len(self._blobs)

    def __iter__(self) -> Iterator[ClipLatents]:
        """All kept clips in the order of their rows, one in memory at a time."""
        return (self.load(clip_id) for clip_id in self.clip_ids)

    def row_of(self, clip_id: str) -> int:
        """The clip's row; ``InputError`` when the table has not kept that clip."""
        return self._blobs.row_of(clip_id)

    def shape(self, row: int, branch: Branch = "hr") -> tuple[int, ...]:
        """``(T, C, H, W)`` of a clip's latents, without reading them.

        ``InputError`` for ``hr`` of a table that has LR latents alone.
        """
        if branch == "hr" and not self.has_hr:
            raise InputError(
                f"{self._blobs.folder.path} holds LR latents alone; read HR latents from latents/"
            )
        return tuple(self._shapes[branch][row].tolist())

    def record(self, row: int) -> LatentRecord:
        """What the index says of a clip: its record without bytes and moments."""
        known = {name: column[row].as_py() for name, column in self._blobs.columns.items()}
        lr_height, lr_width = (
            side * self.shared["spatial_stride"] for side in known["lr_shape"][2:]
        )
        return LatentRecord(
            clip_id=self._blobs.keys[row].as_py(),
            **(self.shared | known),
            height=lr_height * self.shared["lr_factor"],
            width=lr_width * self.shared["lr_factor"],
            lr_height=lr_height,
            lr_width=lr_width,
            lr_fps=known["fps"] / self.lr_frame_stride,
            verdict=KEPT,
        )

    def load(self, clip_id: str) -> ClipLatents:
        """One clip's latents, looked at: ``SchemaError`` if lengths do not fit or a value is NaN.

        ``InputError`` when the table has not kept that clip.
        """
        row = self.row_of(clip_id)
        shapes = [self.shape(row, branch) for branch in ("hr", "lr")]
        _check_lengths(self.record(row))
        hr_TCHW, lr_TCHW = self.read(
            [
                Span(row, "hr", 0, shapes[0][0]),
                Span(row, "lr", 0, shapes[1][0]),
            ]
        )
        for branch, latents in (("hr", hr_TCHW), ("lr", lr_TCHW)):
            if not _all_finite(latents):
                raise SchemaError(
                    f"clip {clip_id}: {branch} latents hold NaN or infinity; "
                    "run pipelines/latents again"
                )
            latents.flags.writeable = False
        return ClipLatents(hr_TCHW, lr_TCHW, self.record(row))

    def read(self, spans: Sequence[Span], into: Sequence[Latents] | None = None) -> list[Latents]:
        """The latents of spans, fp16 ``(stop - start, C, H, W)`` each, in one go.

        Given ``into``, contiguous arrays of these shapes, fp16 latents are read straight into them.
        ``InputError`` for a span that the clip does not have.
        """
        shapes = [self._shape_of(span) for span in spans]
        if into is None:
            arrays = [np.empty(shape, np.float16) for shape in shapes]
        else:
            arrays = list(into)
            for span, shape, array in zip(spans, shapes, arrays, strict=True):
                if array.shape != shape or array.dtype != _HALF:
                    raise InputError(f"{span} is fp16 {shape}, not {array.dtype} {array.shape}")
        if self._dtype == _HALF:
            self._read(spans, arrays)
            return arrays
        stored = [np.empty(shape, self._dtype) for shape in shapes]
        self._read(spans, stored)
        for span, values, array in zip(spans, stored, arrays, strict=True):
            array[:] = dequantised(values, self._scale(span))
        return arrays

    def _read(self, spans: Sequence[Span], arrays: Sequence[NDArray[Any]]) -> None:
        part = self._blobs.part
        self._blobs.read(
            [
                part(row, branch, start * (array.nbytes // len(array)), array)
                for (row, branch, start, _), array in zip(spans, arrays, strict=True)
            ]
        )

    def _scale(self, span: Span) -> list[float]:
        scale: list[float] = self._blobs.columns[f"{span.branch}_scale"][span.row].as_py()
        return scale

    def frames(self, row: int, latents: Sequence[int], branch: Branch = "hr") -> Latents:
        """A frame set: the latents in the given order, ``(len, C, H, W)``; each run is one read."""
        array = np.empty((len(latents), *self.shape(row, branch)[1:]), np.float16)
        breaks = [at for at, (a, b) in enumerate(pairwise(latents), 1) if b != a + 1]
        runs = [(a, b) for a, b in pairwise([0, *breaks, len(latents)]) if b > a]
        spans = [Span(row, branch, latents[a], latents[b - 1] + 1) for a, b in runs]
        self.read(spans, [array[a:b] for a, b in runs])
        return array

    def _shape_of(self, span: Span) -> tuple[int, ...]:
        row, branch, start, stop = span
        num_latents, *rest = self.shape(row, branch)
        if not 0 <= start < stop <= num_latents:
            raise InputError(
                f"latents [{start}, {stop}) are not among the {num_latents} of clip "
                f"{self._blobs.keys[row]}; give a span within"
            )
        return (stop - start, *rest)


def _shapes(directory: str, column: pa.Array, allowed: Sequence[list[int]]) -> NDArray[np.int32]:
    """int32 ``(clips, 4)``; ``(0, 4)`` where no clip has any."""
    ranks = pc.unique(pc.list_value_length(column)).to_pylist()
    if ranks not in allowed:
        raise SchemaError(
            f"{directory} holds latents of {ranks} axes, not of (T, C, H, W); "
            "run pipelines/latents again"
        )
    shapes: NDArray[np.int32] = column.flatten().to_numpy().reshape(-1, 4)
    return shapes


def _check(directory: str, blobs: Blobs, vae_sha256: str | None) -> dict[str, Any]:
    """What all clips share; refuses the table as a whole."""
    described = [each for each in blobs.descriptions if each.get("num_clips")]
    shared: list[dict[str, Any]] = [entry for each in described for entry in each["shared"]]
    if len(blobs) and not shared:
        raise SchemaError(
            f"{directory}: the files do not say which VAE made the latents; "
            "run pipelines/latents again"
        )
    for entry in shared:
        if entry["normalised"] is not True:
            raise SchemaError(
                f"{directory} holds latents that are not normalised (the flag is "
                f"{entry['normalised']}); run pipelines/latents again"
            )
        if vae_sha256 is not None and entry["vae_sha256"] != vae_sha256:
            raise SchemaError(
                f"{directory} holds latents of VAE {entry['vae_id']} "
                f"{_short(entry['vae_sha256'])}, not of {_short(vae_sha256)}; use that VAE, "
                "or run pipelines/latents again"
            )
        for name in _COMPARED:
            if entry[name] != shared[0][name]:
                raise SchemaError(
                    f"{directory}: clips differ in {name} ({_short(shared[0][name])} and "
                    f"{_short(entry[name])}); run pipelines/latents again"
                )
    _check_moments(directory, described, shared)
    return shared[0] if shared else {}


def _check_rate(
    directory: str, shared: dict[str, Any], lr_factor: int | None, lr_frame_stride: int | None
) -> None:
    """Refuses an LR copy of another rate, where one is asked for."""
    if not shared:
        return
    found = shared["lr_factor"], shared["lr_frame_stride"]
    if None in found:
        raise SchemaError(
            f"{directory}: the files do not say which rate the LR copy is for; "
            "run pipelines/latents again"
        )
    wanted = lr_factor or found[0], lr_frame_stride or found[1]
    if wanted != found:
        raise SchemaError(
            f"{directory} holds the LR copy of rate {rate_text(*found)}, not of "
            f"{rate_text(*wanted)}; run pipelines.latents with "
            f"--set preprocess.lr_factor={wanted[0]} --set preprocess.lr_frame_stride={wanted[1]}"
        )


def _check_moments(
    directory: str, described: list[dict[str, Any]], shared: list[dict[str, Any]]
) -> None:
    pool, num_clips = Pool(), 0
    for each in described:
        num_clips += each["num_clips"]
        moments = each["hr_moments"]
        if moments is not None:
            mean, std = np.array(moments["mean"]), np.array(moments["std"])
            pool.add(Moments(mean=mean, std=std, weight=moments["num_values"]))
    if num_clips < MIN_CLIPS or not pool.count:
        return
    evidence = evidence_of_raw(pool.moments(), shared[0]["latents_mean"], shared[0]["latents_std"])
    if evidence > MAX_EVIDENCE:
        raise SchemaError(
            f"{directory}: the latents say that they are normalised but look raw "
            f"(evidence {evidence:.2f} nats per value, at most {MAX_EVIDENCE}); "
            "run pipelines/latents again"
        )


def _all_finite(latents_TCHW: Latents) -> bool:
    """Whether no value is NaN or infinity, by the bits: ``np.isfinite`` of fp16 converts each.

    In pieces that stay in the cache this costs about what reading costs.
    """
    bits = latents_TCHW.reshape(-1).view(np.uint16)
    pieces = (bits[at : at + _PIECE_VALUES] for at in range(0, len(bits), _PIECE_VALUES))
    return all(int((piece & _EXPONENT).max()) < _EXPONENT for piece in pieces)


def _check_lengths(record: LatentRecord) -> None:
    num_latents, num_lr_latents = record.hr_shape[0], record.lr_shape[0]
    stride = record.lr_frame_stride or TIME_STRIDE
    expected = num_frames_of(num_latents), num_lr_latents_of(num_latents, time_stride=stride)
    if (record.num_frames, num_lr_latents) != expected:
        raise SchemaError(
            f"clip {record.clip_id}: {num_latents} HR latents go with {expected[0]} frames and "
            f"{expected[1]} LR latents, not {record.num_frames} and {num_lr_latents}; "
            "run pipelines/latents again"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 12 else f"{text[:12]}..."
