"""A clip's frames to its LatentRecord. Axes: T latents, C channels, H and W rows and columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfp.errors import PermanentError
from pfp.io.media import Guard
from pfp.latents.frames import clip_frames
from pfp.latents.preprocess import PreprocessSettings, downscale
from pfp.latents.quantise import STORED_DTYPES, quantised
from pfp.models.vae.latent_vae import LatentVAE
from pfp.schema import KEPT, ClipRecord, Dropped, LatentRecord
from pfp.schema.windows import (
    lr_source_frames,
    num_frames_of,
    num_latents_of,
)

HALF = STORED_DTYPES["float16"]  # 11 significant bits for normalised values; bfloat16 has 8


def encode_clip(
    vae: LatentVAE,
    clip: ClipRecord,
    settings: PreprocessSettings,
    *,
    guard: Guard,
    dtype: str = "float16",
    with_hr: bool = True,
) -> LatentRecord:
    """Decodes a clip in the guard's child, piece by piece, and encodes it as it comes.

    Raises what decoding raises (``PermanentError``, ``RetryableError``, ``InputError``).
    """
    frames = clip_frames(clip, settings, guard)
    return encode_frames(
        vae,
        frames,
        settings,
        clip_id=clip.clip_id,
        start_seconds=clip.start_seconds or 0.0,
        dtype=dtype,
        with_hr=with_hr,
    )


def encode_frames(
    vae: LatentVAE,
    frames_HWC: Iterable[NDArray[np.uint8]],
    settings: PreprocessSettings,
    *,
    clip_id: str,
    start_seconds: float,
    dtype: str = "float16",
    with_hr: bool = True,
) -> LatentRecord:
    """The latents of frames that already have the settings' rate and size, uint8 RGB.

    All of them are encoded as one HR video, up to three at the end excepted that fill no latent,
    and as one LR video; ``pfp.schema.windows`` says which frames these are. The frames are taken
    one by one and not kept; the smaller LR video is. ``dtype`` is what is stored, ``"float16"`` or
    ``"int8"`` (``pfp.latents.quantise``). ``with_hr=False`` leaves the HR latents out, for a table
    of another LR copy. Too few frames make a ``Dropped`` record.
    """
    settings.check_stride(vae.spatial_stride)
    tap = _Tap(frames_HWC, settings)
    if with_hr:
        pieces = [_stored(clip_id, piece) for piece in vae.encode_stream(tap.frames())]
    else:
        deque(tap.frames(), maxlen=0)
    if tap.num_frames < settings.min_num_frames:
        return _too_short(clip_id, tap.num_frames, settings)
    lr_THWC = np.stack(tap.lr_frames[: len(_lr_frames(tap.num_frames, settings))])
    return _record(
        vae,
        settings,
        np.concatenate(pieces, dtype=HALF) if with_hr else None,
        _stored(clip_id, vae.encode(lr_THWC)),
        clip_id=clip_id,
        start_seconds=start_seconds,
        num_source_frames=tap.num_frames,
        dtype=dtype,
    )


def encode_group(
    vae: LatentVAE,
    videos_FHWC: Mapping[str, NDArray[np.uint8]],
    settings: PreprocessSettings,
    *,
    start_seconds: Mapping[str, float],
    dtype: str = "float16",
    with_hr: bool = True,
) -> list[LatentRecord]:
    """The latents of clips of one shape, given by id, in one forward of each branch.

    As ``encode_frames``, but for the last bits (``LatentVAE.encode_batch``); the videos are held
    whole. Too short clips are ``Dropped`` together, since they are equally long.
    """
    settings.check_stride(vae.spatial_stride)
    num_source_frames = len(next(iter(videos_FHWC.values())))
    if num_source_frames < settings.min_num_frames:
        return [_too_short(clip_id, num_source_frames, settings) for clip_id in videos_FHWC]
    videos = list(videos_FHWC.values())
    lr_frames = _lr_frames(num_source_frames, settings)
    lr_videos = [
        np.stack([downscale(video[i], settings.lr_factor) for i in lr_frames]) for video in videos
    ]
    hr: list[NDArray[np.float32]] | list[None] = [None] * len(videos)
    if with_hr:
        num_frames = num_frames_of(num_latents_of(num_source_frames))
        hr = vae.encode_batch([video[:num_frames] for video in videos])
    latents = zip(videos_FHWC, hr, vae.encode_batch(lr_videos), strict=True)
    return [
        _record(
            vae,
            settings,
            None if hr_TCHW is None else _stored(clip_id, hr_TCHW),
            _stored(clip_id, lr_TCHW),
            clip_id=clip_id,
            start_seconds=start_seconds[clip_id],
            num_source_frames=num_source_frames,
            dtype=dtype,
        )
        for clip_id, hr_TCHW, lr_TCHW in latents
    ]


def _record(
    vae: LatentVAE,
    settings: PreprocessSettings,
    hr_TCHW: NDArray[np.float16] | None,
    lr_TCHW: NDArray[np.float16],
    *,
    clip_id: str,
    start_seconds: float,
    num_source_frames: int,
    dtype: str,
) -> LatentRecord:
    lr_height, lr_width = (side * vae.spatial_stride for side in lr_TCHW.shape[2:])
    num_frames = num_frames_of(num_latents_of(num_source_frames))
    hr = {} if hr_TCHW is None else _content("hr", hr_TCHW, dtype) | _moments(hr_TCHW)
    return LatentRecord(
        clip_id=clip_id,
        dtype=dtype,
        **hr,
        **_content("lr", lr_TCHW, dtype),
        fps=settings.fps,
        start_seconds=start_seconds,
        num_frames=num_frames,
        num_frames_dropped=num_source_frames - num_frames,
        height=lr_height * settings.lr_factor,
        width=lr_width * settings.lr_factor,
        lr_height=lr_height,
        lr_width=lr_width,
        lr_fps=settings.lr_fps,
        lr_factor=settings.lr_factor,
        lr_frame_stride=settings.lr_frame_stride,
        preproc_sha256=settings.sha256,
        verdict=KEPT,
        **_of_vae(vae),
    )


def _lr_frames(num_source_frames: int, settings: PreprocessSettings) -> range:
    num_latents = num_latents_of(num_source_frames)
    return lr_source_frames(num_latents, time_stride=settings.lr_frame_stride)


class _Tap:
    """Passes frames on; counts them and keeps small copies of those that LR video takes."""

    def __init__(
        self, frames_HWC: Iterable[NDArray[np.uint8]], settings: PreprocessSettings
    ) -> None:
        self._frames = frames_HWC
        self._settings = settings
        self.num_frames = 0
        self.lr_frames: list[NDArray[np.uint8]] = []

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        for frame_HWC in self._frames:
            if self.num_frames % self._settings.lr_frame_stride == 0:
                self.lr_frames.append(downscale(frame_HWC, self._settings.lr_factor))
            self.num_frames += 1
            yield frame_HWC


def _too_short(clip_id: str, num_frames: int, settings: PreprocessSettings) -> LatentRecord:
    return LatentRecord(
        clip_id=clip_id,
        verdict=Dropped(
            reason="num_frames_below_min",
            detail=f"{num_frames} frames at {settings.fps:g} fps, fewer than a history window has",
            score=float(num_frames),
            threshold=float(settings.min_num_frames),
        ),
    )


def _content(branch: str, latents_TCHW: NDArray[np.float16], dtype: str) -> dict[str, Any]:
    """The columns of a branch: bytes, shape and, for int8, scales."""
    shape = {f"{branch}_shape": list(latents_TCHW.shape)}
    if dtype == "float16":
        return {branch: latents_TCHW.tobytes(), **shape}
    values, scale = quantised(latents_TCHW.astype(np.float32))
    return {branch: values.tobytes(), f"{branch}_scale": scale, **shape}


def _stored(clip_id: str, latents_TCHW: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(latents_TCHW, dtype=HALF)
    if not np.isfinite(stored).all():
        raise PermanentError(
            f"clip {clip_id} has latents up to {np.abs(latents_TCHW).max()}, which fp16 cannot "
            "hold; encode with dtype float32, and check the VAE's weights"
        )
    return stored


def _of_vae(vae: LatentVAE) -> dict[str, Any]:
    return {
        "vae_id": vae.vae_id,
        "vae_sha256": vae.sha256,
        "temporal_stride": vae.temporal_stride,
        "spatial_stride": vae.spatial_stride,
        "latents_mean": list(vae.latents_mean),
        "latents_std": list(vae.latents_std),
        "normalised": True,
        "append_exact": vae.append_exact,
    }


def _moments(hr_TCHW: NDArray[np.float16]) -> dict[str, Any]:
    """Each channel's mean and standard deviation as stored, summed in float64."""
    return {
        "hr_channel_mean": hr_TCHW.mean(axis=(0, 2, 3), dtype=np.float64).tolist(),
        "hr_channel_std": hr_TCHW.std(axis=(0, 2, 3), dtype=np.float64).tolist(),
    }
