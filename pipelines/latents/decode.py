"""The worker that decodes clips for another one to encode. No torch here."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pfp.io.media import Guard
from pfp.latents.frames import clip_frames
from pfp.latents.plan import num_frames_between
from pfp.latents.preprocess import PreprocessSettings
from pfp.runtime import preprocess_rows
from pfp.schema import ClipRecord
from pipelines.latents.clips import clip_of
from pipelines.latents.config import LatentsConfig

FRAMES: Final = "frames_THWC"  # uint8 RGB of the settings' size; null if it is left to the encoder
FRAMES_SCHEMA: Final = pa.schema([pa.field(FRAMES, pa.large_binary())])


class DecodeClips:
    """Decodes clips whole in a killable child, but for those too large to be handed over."""

    def __init__(self, config: LatentsConfig) -> None:
        self._settings = config.preprocess
        self._handover_bytes = config.handover_bytes
        self._guard = Guard(
            timeout_seconds=config.decode_timeout_seconds, memory_bytes=config.decode_memory_bytes
        )
        weakref.finalize(self, self._guard.close)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The clips with the column ``FRAMES``."""
        return preprocess_rows(batch, self._decode, FRAMES_SCHEMA)

    def _decode(self, row: Mapping[str, Any]) -> dict[str, bytearray | None]:
        clip = clip_of(row)
        if size_bytes(clip, self._settings) > self._handover_bytes:
            return {FRAMES: None}
        frames_THWC = bytearray()
        for frame_HWC in clip_frames(clip, self._settings, self._guard):
            frames_THWC += np.ascontiguousarray(frame_HWC).data
        return {FRAMES: frames_THWC}


def size_bytes(clip: ClipRecord, settings: PreprocessSettings) -> int:
    """How large the decoded clip is at most; 0 without a span or size, which decoding refuses."""
    span = clip.start_seconds, clip.end_seconds
    if span[0] is None or span[1] is None or clip.width is None or clip.height is None:
        return 0
    height, width = settings.size_for(clip.width, clip.height)
    return num_frames_between(span[0], span[1], fps=settings.fps) * height * width * 3


def frames_of(
    content: pa.Buffer, clip: ClipRecord, settings: PreprocessSettings
) -> NDArray[np.uint8]:
    """Frames that were handed over, ``(T, H, W, 3)``, not copied and therefore not writable."""
    assert clip.width is not None
    assert clip.height is not None
    height, width = settings.size_for(clip.width, clip.height)
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, height, width, 3)
