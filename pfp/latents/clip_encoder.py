"""Clips to their latents, alone as a stream or several of one shape in one forward.

Axes: F video frames, H rows, W columns, C channels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pfp.errors import PfpError
from pfp.io.media import Guard
from pfp.latents.encode import encode_clip, encode_frames, encode_group
from pfp.latents.frames import clip_frames, decoded_bytes, frames_from
from pfp.latents.preprocess import PreprocessSettings
from pfp.models.vae.latent_vae import LatentVAE
from pfp.schema import ClipRecord, LatentRecord


class ClipEncoder:
    """Decodes and encodes clips with one VAE.

    ``clips_per_forward`` clips of one shape are encoded together, as far as ``max_held_bytes``
    bounds what is held of them decoded. ``dtype`` is what is stored. For the table of a further LR
    copy ``with_hr`` is False.
    """

    def __init__(
        self,
        vae: LatentVAE,
        settings: PreprocessSettings,
        guard: Guard,
        *,
        dtype: str,
        with_hr: bool,
        clips_per_forward: int,
        max_held_bytes: int,
    ) -> None:
        self._vae, self._settings, self._guard = vae, settings, guard
        self._options: dict[str, Any] = {"dtype": dtype, "with_hr": with_hr}
        self._clips_per_forward = clips_per_forward
        self._max_held_bytes = max_held_bytes

    def encode(self, clip: ClipRecord, frames: pa.Buffer | None = None) -> LatentRecord:
        """One clip: from frames that another process decoded, or decoded here, as a stream."""
        if frames is None:
            return encode_clip(self._vae, clip, self._settings, guard=self._guard, **self._options)
        return encode_frames(
            self._vae,
            frames_from(frames, clip, self._settings),
            self._settings,
            clip_id=clip.clip_id,
            start_seconds=clip.start_seconds or 0.0,
            **self._options,
        )

    def encode_groups(self, clips: Sequence[ClipRecord]) -> dict[str, LatentRecord]:
        """The records of clips that have companions of their shape, by id.

        Clips that are left out are to be encoded alone: those too large to be held, those without
        companions, and those that something was wrong with, so that the error is that clip's.
        """
        size = self._clips_per_forward
        if size == 1:
            return {}
        start_seconds = {clip.clip_id: clip.start_seconds or 0.0 for clip in clips}
        records: dict[str, LatentRecord] = {}
        for videos in self._decoded_by_shape(clips):
            for start in range(0, len(videos), size):
                ids = list(videos)[start : start + size]
                if len(ids) == 1:
                    continue
                with contextlib.suppress(PfpError):
                    group = encode_group(
                        self._vae,
                        {clip_id: videos[clip_id] for clip_id in ids},
                        self._settings,
                        start_seconds=start_seconds,
                        **self._options,
                    )
                    records |= {record.clip_id: record for record in group}
        return records

    def _decoded_by_shape(self, clips: Sequence[ClipRecord]) -> list[dict[str, NDArray[np.uint8]]]:
        """Decoded clips ``(F, H, W, 3)`` by id, a dict for each shape."""
        limit = self._max_held_bytes // self._clips_per_forward
        by_shape: dict[tuple[int, ...], dict[str, NDArray[np.uint8]]] = {}
        for clip in clips:
            if 0 < decoded_bytes(clip, self._settings) <= limit:
                with contextlib.suppress(PfpError):
                    video_FHWC = np.stack([*clip_frames(clip, self._settings, self._guard)])
                    by_shape.setdefault(video_FHWC.shape, {})[clip.clip_id] = video_FHWC
        return list(by_shape.values())
