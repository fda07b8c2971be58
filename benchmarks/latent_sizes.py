"""What a clip's latents take in each encoding, how fast they are read, and what int8 costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.figures import interleaved_seconds, print_figure
from pfp.io.media import probe, read_frames
from pfp.io.tables import write_table
from pfp.latents.encode import encode_frames
from pfp.latents.preprocess import PreprocessSettings
from pfp.latents.read import LatentReader
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE
from pfp.schema import LatentRecord
from pfp.schema.latent import LatentSpan
from pipelines.latents.config import demo

NUM_FRAMES = 237  # 60 latents, 20 s at the demo's rate
WINDOW_LATENTS = 11
ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip's frames as encoded, and its record in fp16."""

    frames_FHWC: NDArray[np.uint8]
    record: LatentRecord

    @property
    def latents(self) -> NDArray[np.float16]:
        """Its HR latents, ``(T, C, H, W)``."""
        return np.frombuffer(self.record.hr or b"", np.float16).reshape(self.record.hr_shape)


def measure(folder: Path, videos: Sequence[Path]) -> None:
    """A figure for each encoding, and one for what int8 loses."""
    vae = load_vae("tiny")
    settings = replace(demo().preprocess, min_num_frames=4 * WINDOW_LATENTS - 3)
    clips = [clip for video in videos if (clip := _encoded(vae, video, settings)) is not None]
    int8 = [_as_int8(vae, clip, settings) for clip in clips]
    readers: dict[str, Callable[[int, int | None], object]] = {}
    sizes: dict[str, int] = {}
    for name, records in (("fp16", [clip.record for clip in clips]), ("int8", int8)):
        readers[name], sizes[name] = _table(folder / name, records)
    for name, options in (
        ("zstd", {"compression": "zstd"}),
        ("byte_stream_split_zstd", {"compression": "zstd", "column_encoding": "BYTE_STREAM_SPLIT"}),
    ):
        readers[name], sizes[name] = _parquet(folder / f"{name}.parquet", clips, options)
    whole, window = (
        interleaved_seconds(
            {name: _all_of(read, len(clips), num) for name, read in readers.items()}, ROUNDS
        )
        for num in (None, WINDOW_LATENTS)
    )
    latent_bytes = [clip.latents[0].nbytes for clip in clips]
    whole_bytes = sum(clip.latents.nbytes for clip in clips)
    for name, size in sizes.items():
        speeds = (
            total / statistics.median(seconds[name]) / 1e6
            for total, seconds in (
                (whole_bytes, whole),
                (WINDOW_LATENTS * sum(latent_bytes), window),
            )
        )
        print_figure(
            f"bytes_per_clip.{name}",
            [size / len(clips)],
            unit="bytes",
            goal=None,
            note=(
                f"{size / whole_bytes:.3f} of plain fp16; HR latents of {len(clips)} clips, tiny "
                "VAE at 160x96; MB of fp16 read per second: whole clip {:.0f}, window of "
                "{} latents {:.0f}"
            ).format(next(speeds), WINDOW_LATENTS, next(speeds)),
            digits=0,
        )
    _int8_cost(vae, clips, folder / "int8")


def _encoded(vae: LatentVAE, video: Path, settings: PreprocessSettings) -> Clip | None:
    found = probe(video)
    height, width = settings.size_for(found.width, found.height)
    frames_FHWC = read_frames(
        video, fps=settings.fps, height=height, width=width, end_seconds=NUM_FRAMES / settings.fps
    )
    record = encode_frames(vae, frames_FHWC, settings, clip_id=video.stem, start_seconds=0.0)
    return Clip(frames_FHWC=frames_FHWC, record=record) if record.hr is not None else None


def _as_int8(vae: LatentVAE, clip: Clip, settings: PreprocessSettings) -> LatentRecord:
    name = clip.record.clip_id
    return encode_frames(
        vae, clip.frames_FHWC, settings, clip_id=name, start_seconds=0.0, dtype="int8"
    )


def _table(
    folder: Path, records: list[LatentRecord]
) -> tuple[Callable[[int, int | None], object], int]:
    """How a clip or a window of our table is read, and what its HR column takes."""
    write_table(folder, LatentRecord.table(records), LatentRecord)
    reader = LatentReader(folder)

    def read(row: int, num_latents: int | None) -> object:
        return reader.read([LatentSpan(row, "hr", 0, num_latents or reader.shape(row)[0])])

    return read, sum(len(record.hr or b"") for record in records)


def _parquet(
    path: Path, clips: Sequence[Clip], options: dict[str, Any]
) -> tuple[Callable[[int, int | None], object], int]:
    """The same for a Parquet column of fp16 values with a row group for each clip."""
    schema = pa.schema([("hr", pa.float16())])
    # Large pages, to be fair: zstd has one table of codes for 128 KiB, in which a small page's two
    # planes of bytes would be mixed and splitting them be in vain.
    pages = {"data_page_size": 1 << 30, "max_rows_per_page": 1 << 30}
    with pq.ParquetWriter(path, schema, use_dictionary=False, **pages, **options) as writer:
        for clip in clips:
            values = pa.array(clip.latents.reshape(-1))
            writer.write_table(pa.table({"hr": values}), row_group_size=len(values))
    parquet = pq.ParquetFile(path)
    groups = [parquet.metadata.row_group(number) for number in range(len(clips))]

    def read(row: int, num_latents: int | None) -> object:
        shape = clips[row].record.hr_shape
        column = parquet.read_row_group(row)["hr"].combine_chunks()
        return column.to_numpy().reshape(shape)[:num_latents]

    return read, sum(group.column(0).total_compressed_size for group in groups)


def _all_of(
    read: Callable[[int, int | None], object], num_clips: int, num_latents: int | None
) -> Callable[[], object]:
    return lambda: [read(row, num_latents) for row in range(num_clips)]


def _int8_cost(vae: LatentVAE, clips: Sequence[Clip], folder: Path) -> None:
    """How many dB further from the source the decoded video is."""
    reader = LatentReader(folder)
    losses, exact = [], []
    for clip in clips:
        coarse = reader.load(clip.record.clip_id).hr_TCHW
        fine_db, coarse_db = (
            _psnr(clip.frames_FHWC, vae.decode(each.astype(np.float32)))
            for each in (clip.latents, coarse)
        )
        losses.append(fine_db - coarse_db)
        exact.append(fine_db)
    print_figure(
        "int8_psnr_cost",
        losses,
        unit="dB",
        goal=None,
        note=(
            f"per clip, n clips; worst {max(losses):.3f} dB; decoded from fp16 they are "
            f"{min(exact):.1f} to {max(exact):.1f} dB from their source"
        ),
    )


def _psnr(source_FHWC: NDArray[np.uint8], decoded_FHWC: NDArray[np.uint8]) -> float:
    error = np.subtract(source_FHWC[: len(decoded_FHWC)], decoded_FHWC, dtype=np.float32)
    return float(10 * np.log10(255.0**2 / np.square(error).mean(dtype=np.float64)))
