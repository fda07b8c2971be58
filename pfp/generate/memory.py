"""Memory of a video that grows: what is new is appended, the past is not encoded again.

Axes: T latent frames, F video frames, C channels, H rows, W columns. HR latents are the video's
own, LR latents those of its small, slow copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfp.errors import ConfigError
from pfp.generate.low_resolution import LowResolutionVideo, LrChunk, Shrink
from pfp.models.backbones.interface import Memory
from pfp.models.memory.dit import MemoryDiT
from pfp.models.memory.multi_rate import MultiRateEncoder
from pfp.models.memory.tokens import MemoryTokens, joined
from pfp.models.memory.variants import EncoderState, MemoryEncoder
from pfp.models.precision import bf16_products
from pfp.models.rates import Rate
from pfp.models.vae.latent_vae import LatentVAE


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryChunk:
    """New latents of a video as the memory takes them; all that a later run needs of them.

    ``lrs`` has an entry for each encoder, None for one that uses no LR video.
    """

    num_frames: int
    hr_TCHW: NDArray[np.float32]
    lrs: tuple[LrChunk | None, ...] = ()


class GrowingMemory:
    """phi(H) of a video that is given frame by frame and latent by latent.

    The cost of ``append`` depends on what is new (section 3.2), and the tokens are those of
    ``MemoryDiT.encode_history`` over everything, up to the rounding of sums. ``reencode_reason``
    says why that is not so, if it is not: an encoder that refuses to append, or a VAE whose LR
    latents depend on what follows. Then all latents are kept and ``memory`` encodes them.
    """

    def __init__(
        self, model: MemoryDiT, vae: LatentVAE, shrink: Shrink, *, autocast: bool = True
    ) -> None:
        self._model, self._autocast = model, autocast
        self._lr_videos = [
            None if rate is None else LowResolutionVideo(vae, rate, shrink)
            for rate in lr_rates(model)
        ]
        self._runs: list[list[MemoryTokens]] = []  # of each encoder, what each append gave
        self._states: tuple[EncoderState, ...] = ()
        self._chunks: list[HistoryChunk] = []
        self.num_latents = 0
        self.reencode_reason: str | None = None
        if not vae.append_exact and any(self._lr_videos):
            self.reencode_reason = f"the LR latents of VAE {vae.vae_id} depend on what follows"

    def add_frame(self, frame_HWC: NDArray[np.uint8]) -> None:
        """The video's next frame, uint8 RGB; the latents follow with ``append``."""
        for video in self._lr_videos:
            if video is not None:
                video.add_frame(frame_HWC)

    def append(self, hr_TCHW: NDArray[np.float32], *, num_frames: int) -> HistoryChunk:
        """Adds the HR latents of the ``num_frames`` frames given since the last call."""
        chunk = HistoryChunk(
            num_frames=num_frames,
            hr_TCHW=hr_TCHW,
            lrs=tuple(None if video is None else video.advance() for video in self._lr_videos),
        )
        self._append(chunk)
        return chunk

    def replay(self, chunk: HistoryChunk) -> None:
        """Adds a chunk that ``append`` returned in an earlier run, to the same effect."""
        for video, lr in zip(self._lr_videos, chunk.lrs, strict=True):
            if video is not None:
                video.replay(cast("LrChunk", lr), chunk.num_frames)
        self._append(chunk)

    def memory(self) -> Memory | None:
        """The memory of everything so far; None of nothing, and of a variant without memory."""
        if self._model.encoder is None or not self.num_latents:
            return None
        if self.reencode_reason is None:
            return self._model.as_memory(_one_run([_one_run(runs) for runs in self._runs]))
        hr = self._tensor(np.concatenate([chunk.hr_TCHW for chunk in self._chunks]))
        lrs = [self._whole_lr(index) for index in range(len(self._lr_videos))]
        with torch.inference_mode(), bf16_products(self._device.type, enabled=self._autocast):
            return self._model.encode_history(hr, *lrs)

    def _append(self, chunk: HistoryChunk) -> None:
        if self._model.encoder is not None and self.reencode_reason is None:
            try:
                self._advance(chunk)
            except ConfigError as error:
                if self.num_latents:
                    raise
                self.reencode_reason = str(error)
        if self.reencode_reason is not None:
            self._chunks.append(chunk)
        self.num_latents += len(chunk.hr_TCHW)

    def _advance(self, chunk: HistoryChunk) -> None:
        encoder: Any = self._model.encoder
        lrs = [None if lr is None else self._tensor(lr.latents_TCHW) for lr in chunk.lrs]
        given = (self._tensor(chunk.hr_TCHW), self._as_encoder_takes(lrs))
        with torch.inference_mode(), bf16_products(self._device.type, enabled=self._autocast):
            if not self.num_latents:
                made = encoder.encode_start(*given, self._model.patch_embedding)
            else:
                states = self._states if self._is_multi_rate else self._states[0]
                made = encoder.encode_append(*given, states, self._model.patch_embedding)
        new, states = made if self._is_multi_rate else ((made[0],), (made[1],))
        if not self.num_latents:
            self._model.as_memory(_one_run(new))  # refuses what cannot be appended to
            self._runs = [[] for _ in new]
        for runs, run in zip(self._runs, new, strict=True):
            if run.replaces_past:
                runs.clear()
            runs.append(run)  # joined when they are asked for: joining copies all of them
        self._states = states

    @property
    def _device(self) -> torch.device:
        return self._model.patch_embedding.weight.device

    @property
    def _is_multi_rate(self) -> bool:
        return isinstance(self._model.encoder, MultiRateEncoder)

    def _as_encoder_takes(self, lrs: list[Tensor | None]) -> Tensor | list[Tensor | None] | None:
        return lrs if self._is_multi_rate else lrs[0]

    def _whole_lr(self, index: int) -> Tensor | None:
        video = self._lr_videos[index]
        if video is None:
            return None
        chunks = [cast("LrChunk", chunk.lrs[index]).latents_TCHW for chunk in self._chunks]
        known = [latents for latents in chunks if latents is not None]
        return self._tensor(np.concatenate(known) if known else video.whole())

    def _tensor(self, latents_TCHW: NDArray[np.float32] | None) -> Tensor:
        assert latents_TCHW is not None
        return torch.from_numpy(latents_TCHW).transpose(0, 1)[None].to(self._device)


def lr_rates(model: MemoryDiT) -> list[Rate | None]:
    """The rate of each encoder's LR video, None for one that uses none; empty without memory."""
    encoder = model.encoder
    if encoder is None:
        return []
    encoders = encoder.encoders if isinstance(encoder, MultiRateEncoder) else [encoder]
    return [
        each.rate if isinstance(each, MemoryEncoder) and each.uses_lr else None for each in encoders
    ]


def _one_run(runs: Sequence[MemoryTokens]) -> MemoryTokens:
    return runs[0] if len(runs) == 1 else joined(runs)
