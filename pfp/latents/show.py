"""A clip's latents decoded again beside its source: the way to see what a VAE kept.

Axes: F video frames, T latents, C channels, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pfp.errors import ConfigError, InputError
from pfp.io.clip_names import find_clips
from pfp.io.media import Guard, write_video
from pfp.io.unchanged import FILE_COLUMNS, check_unchanged
from pfp.latents.frames import clip_frames
from pfp.latents.preprocess import PreprocessSettings
from pfp.latents.read import ClipLatents, LatentReader
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE
from pfp.models.vae.tiles import TILING_SUFFIX
from pfp.schema import ClipRecord, LatentRecord
from pfp.schema.run_directory import RunDirectory
from pfp.schema.verdict import Kept

CAP_DB: Final = 100.0  # what a frame without any error counts as, as in eval's psnr
GUARD_SECONDS: Final = 600.0
GUARD_BYTES: Final = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Where the video lies, and how far each decoded frame is from its source frame.

    ``psnr_F`` is in dB over the 8-bit RGB code values of one frame, at most 100. ``layout`` says
    which half is which.
    """

    clip: ClipRecord
    record: LatentRecord
    path: Path
    layout: str
    psnr_F: NDArray[np.float64]


def show(
    clip: str,
    run_directory: str,
    *,
    out: str | Path | None = None,
    vae: str | None = None,
    device: str = "cpu",
) -> Shown:
    """Writes an MP4 of a clip's source frames and its decoded latents, and measures them.

    ``clip`` is an id, its beginning, or part of the video's path. ``vae`` (None: ``tiny``) names
    the VAE as ``load_vae`` does; it must be the one whose weights made the latents. ``out`` is
    ``RUN/shown/CLIP_ID.mp4`` unless given. The source is decoded again as it was for encoding.
    Portrait and square clips lie beside each other, landscape ones above each other.

    Raises ``InputError`` when no single clip with latents is meant or its file is gone,
    ``FileChangedError`` when the file is another one now,
    ``ConfigError`` when the VAE is another one, and what decoding raises.
    """
    reader = LatentReader(RunDirectory(run_directory).latents.path)
    record = _clip_with_latents(clip, run_directory, set(reader.clip_ids))
    # Before networks are loaded for it.
    check_unchanged(record.video_uri, **{name: getattr(record, name) for name in FILE_COLUMNS})
    latents = reader.load(record.clip_id)
    decoded_FHWC = _decode(latents, vae, device)
    path = Path(out or f"{run_directory}/shown/{record.clip_id}.mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    psnr: list[float] = []
    with Guard(GUARD_SECONDS, GUARD_BYTES) as guard:
        source = clip_frames(record, _settings(latents.record), guard)
        pairs = _pairs(record.clip_id, islice(source, len(decoded_FHWC)), decoded_FHWC)
        write_video(path, _side_by_side(pairs, psnr), latents.record.fps or 0.0)
    height, width = decoded_FHWC.shape[1:3]
    return Shown(
        clip=record,
        record=latents.record,
        path=path,
        layout="source above, decoded below" if width > height else "source left, decoded right",
        psnr_F=np.array(psnr),
    )


def _clip_with_latents(clip: str, run_directory: str, with_latents: set[str]) -> ClipRecord:
    found = [
        record for record in find_clips(clip, run_directory) if isinstance(record.verdict, Kept)
    ]
    usable = [record for record in found if record.clip_id in with_latents]
    if not usable:
        raise InputError(
            f"{clip!r} has no latents in {run_directory}; ask pfp why {clip} --run {run_directory}"
        )
    if len(usable) > 1:
        ids = ", ".join(record.clip_id for record in usable)
        raise InputError(
            f"{len(usable)} clips match {clip!r} in {run_directory}; give one of {ids}"
        )
    return usable[0]


def _decode(latents: ClipLatents, spec: str | None, device: str) -> NDArray[np.uint8]:
    vae = _vae_of(latents.record, spec, device)
    return vae.decode(latents.hr_TCHW.astype(np.float32))


def _vae_of(record: LatentRecord, spec: str | None, device: str) -> LatentVAE:
    name = record.vae_id or "unknown"
    wanted = name.removesuffix(TILING_SUFFIX)
    if spec is None and wanted != "tiny":
        raise ConfigError(
            f"the latents are VAE {name}'s, whose weights are not shipped; give its folder, "
            f"--vae {wanted}:/path/to/the/vae/folder"
        )
    vae = load_vae(spec or "tiny", device=device, tiling=name.endswith(TILING_SUFFIX))
    if vae.sha256 != record.vae_sha256:
        raise ConfigError(
            f"the latents were made by VAE {name} with weights {str(record.vae_sha256)[:12]}, not "
            f"by {spec or 'tiny'} ({vae.sha256[:12]}); give the folder of those weights with --vae"
        )
    return vae


def _settings(record: LatentRecord) -> PreprocessSettings:
    """The rate and size that the clip was encoded with."""
    height, width = record.height or 0, record.width or 0
    return PreprocessSettings(
        fps=record.fps or 0.0,
        long_side=max(height, width),
        short_side=min(height, width),
        lr_factor=1,
    )


def _pairs(
    clip_id: str, source: Iterator[NDArray[np.uint8]], decoded_FHWC: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    for index, decoded_HWC in enumerate(decoded_FHWC):
        source_HWC = next(source, None)
        if source_HWC is None or source_HWC.shape != decoded_HWC.shape:
            found = "no frame" if source_HWC is None else f"a frame of {source_HWC.shape}"
            raise InputError(
                f"clip {clip_id}: the source has {found} where the latents have frame {index} of "
                f"{decoded_HWC.shape}; run pipelines/latents again"
            )
        yield source_HWC, decoded_HWC


def _side_by_side(
    pairs: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]], psnr: list[float]
) -> Iterator[NDArray[np.uint8]]:
    """Both frames in one; their PSNR is added to ``psnr``."""
    for source_HWC, decoded_HWC in pairs:
        psnr.append(_psnr(source_HWC, decoded_HWC))
        height, width = source_HWC.shape[:2]
        yield np.concatenate([source_HWC, decoded_HWC], axis=0 if width > height else 1)


def _psnr(a_HWC: NDArray[np.uint8], b_HWC: NDArray[np.uint8]) -> float:
    """``10 log10(255^2 / mse)`` in float64, capped."""
    mse = float(np.square(np.subtract(a_HWC, b_HWC, dtype=np.float64)).mean())
    return CAP_DB if mse == 0 else min(CAP_DB, float(10 * np.log10(255.0**2 / mse)))
