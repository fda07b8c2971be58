"""Autoregressive generation: each section is sampled from the compressed history, then joins it.

Axes: T latent frames, F video frames, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfp.errors import InputError
from pfp.generate.decoding import GrowingDecode
from pfp.generate.low_resolution import Shrink
from pfp.generate.memory import GrowingMemory, HistoryChunk
from pfp.generate.plan import section_seed
from pfp.generate.sampler import sample_frames
from pfp.generate.settings import SamplerSettings
from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.dit import MemoryDiT
from pfp.models.vae.latent_vae import LatentVAE


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one step of the roll-out made: uint8 RGB frames ``(F, H, W, 3)``, and how to go on."""

    frames_FHWC: NDArray[np.uint8]
    chunk: HistoryChunk


class Rollout:
    """A video that is made section by section, with all that the next section needs.

    That is the memory, the open encode of its LR video, and the last latents as the decoder's
    context. Neither time nor memory of a section grows with what came before, but for the tokens
    themselves; ``memory.reencode_reason`` says why if they do.
    """

    def __init__(
        self, model: MemoryDiT, vae: LatentVAE, shrink: Shrink, settings: SamplerSettings
    ) -> None:
        self._model, self._vae, self._settings = model, vae, settings
        self.memory = GrowingMemory(model, vae, shrink, autocast=settings.autocast)
        self._decode = GrowingDecode(vae)

    @property
    def num_latents(self) -> int:
        """Latent frames so far, the history's included."""
        return self.memory.num_latents

    def start_from_frames(self, frames_HWC: Iterable[NDArray[np.uint8]]) -> HistoryChunk:
        """Goes on from a real video: uint8 RGB frames, taken one by one and not kept.

        There must be ``4k + 1`` of them (``InputError``). Only at the beginning.
        """
        num_frames = 0

        def tapped() -> Iterator[NDArray[np.uint8]]:
            nonlocal num_frames
            for frame_HWC in frames_HWC:
                self.memory.add_frame(frame_HWC)
                num_frames += 1
                yield frame_HWC

        pieces = list(self._vae.encode_stream(tapped()))
        if num_frames % self._vae.temporal_stride != 1:
            raise InputError(f"a history of {num_frames} frames is not 4k + 1; cut some off")
        return self._join(np.concatenate(pieces), num_frames)

    def start_from_latents(
        self, hr_TCHW: NDArray[np.float32], frames_FHWC: NDArray[np.uint8]
    ) -> HistoryChunk:
        """``start_from_frames`` of frames whose HR latents are known."""
        for frame_HWC in frames_FHWC:
            self.memory.add_frame(frame_HWC)
        return self._join(hr_TCHW, len(frames_FHWC))

    def replay(self, chunk: HistoryChunk) -> None:
        """Takes what an earlier run has made as made."""
        self.memory.replay(chunk)
        self._decode.add_context(chunk.hr_TCHW)

    def sample(
        self,
        text: Tensor | TextConditions,
        *,
        num_latents: int,
        latent_size: tuple[int, int],
        seed: int,
        negative: Tensor | TextConditions | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> Section:
        """The next section, made from this prompt alone and from everything before it.

        The conditions are those of ``sample_frames``. Memory sees the section decoded.
        """
        first = self.num_latents
        sampled = sample_frames(
            self._model,
            memory=self.memory.memory(),
            text=text,
            negative=negative,
            frame_index_BT=torch.arange(first, first + num_latents)[None],
            latent_size=latent_size,
            settings=self._settings,
            seed=seed,
            on_step=on_step,
        )
        hr_TCHW = sampled[0].transpose(0, 1).cpu().numpy()
        frames_FHWC = self._decode.append(hr_TCHW)
        for frame_HWC in frames_FHWC:
            self.memory.add_frame(frame_HWC)
        chunk = self.memory.append(hr_TCHW, num_frames=len(frames_FHWC))
        return Section(frames_FHWC=frames_FHWC, chunk=chunk)

    def _join(self, hr_TCHW: NDArray[np.float32], num_frames: int) -> HistoryChunk:
        self._decode.add_context(hr_TCHW)
        return self.memory.append(hr_TCHW, num_frames=num_frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What has been seen so far: its HR latents, and the frames themselves.

    ``hr_TCHW`` has one latent frame more than a multiple of the rate's, so that HR and LR end
    together; the frames are uint8 RGB, ``4T - 3`` of them.
    """

    hr_TCHW: NDArray[np.float32]
    frames_FHWC: NDArray[np.uint8]


def continue_history(
    model: MemoryDiT,
    vae: LatentVAE,
    history: History,
    section_texts: Sequence[Tensor | TextConditions],
    shrink: Shrink,
    *,
    section_latents: int,
    settings: SamplerSettings,
    seed: int,
    negative: Tensor | TextConditions | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Yield each section's frames in turn, uint8 RGB ``(4 * section_latents, H, W, 3)``.

    ``section_texts`` holds each section's prompt, the nearest in time, alone (section 4.1); it and
    ``negative`` are as for ``sample_frames``.
    ``section_latents`` is a multiple of the rate's latent frames, so that HR and LR stay in step.
    The history's frames stay as they were; what is generated is decoded in their context.
    """
    rollout = Rollout(model, vae, shrink, settings)
    rollout.start_from_latents(history.hr_TCHW, history.frames_FHWC)
    for number, text in enumerate(section_texts):
        section = rollout.sample(
            text,
            negative=negative,
            num_latents=section_latents,
            latent_size=(history.hr_TCHW.shape[2], history.hr_TCHW.shape[3]),
            seed=section_seed(seed, number),
        )
        yield section.frames_FHWC
