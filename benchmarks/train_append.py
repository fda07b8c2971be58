"""What appending one second to a memory costs: after a short history, a long one, and anew.

Axes: B batch, C latent channels, T latent frames, H rows, W columns, N tokens, D inner width.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.figures import ratios
from benchmarks.train_figure import Figure, Setting, Timed, in_turn, timed
from pfp.models.memory.encoder import make_encoder
from pfp.models.memory.tokens import MemoryTokens
from pfp.models.memory.variants import EncoderState, MemoryEncoder
from pfp.models.precision import bf16_products
from pfp.models.rates import Rate

RATE: Final = Rate(height=4, width=4, time=2)
LATENTS_PER_SECOND: Final = 6  # 24 frames per second, temporal stride 4
SECONDS: Final = (20, 60, 300)
_CHUNK: Final = 20  # seconds that are encoded at once on the way to a long history


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Latents ``(C, H, W)``, the DiT's inner width, and the lengths of histories in seconds."""

    latent_CHW: tuple[int, int, int] = (16, 60, 104)
    inner_dim: int = 3072
    seconds: tuple[int, ...] = SECONDS


_TINY: Final = Sizes(latent_CHW=(4, 8, 8), inner_dim=8, seconds=(1, 2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A history that was appended to until here."""

    run: MemoryTokens
    state: EncoderState


class Histories:
    """The proposed encoder with random weights, the latents of a long video, and its beginnings.

    Products are bf16, as when a video is generated. Latents are bf16 too: 300 s of them are 360 MB.
    """

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        torch.manual_seed(0)
        self.sizes, self.device = sizes, device
        channels, height, width = sizes.latent_CHW
        num_latents = sizes.seconds[-1] * LATENTS_PER_SECOND
        lr_THW = (num_latents // RATE.time, height // RATE.height, width // RATE.width)
        with torch.device(device):
            self.patch_embedding = nn.Conv3d(channels, sizes.inner_dim, (1, 2, 2), (1, 2, 2))
            encoder = make_encoder("proposed", RATE, self.patch_embedding)
            self.hr = torch.randn(1, channels, num_latents, height, width, dtype=torch.bfloat16)
            self.lr = torch.randn(1, channels, *lr_THW, dtype=torch.bfloat16)
        assert isinstance(encoder, MemoryEncoder)
        assert encoder.hr is not None
        nn.init.normal_(encoder.hr.project.weight, std=0.02)
        self.encoder = encoder.eval()
        self.pasts: Mapping[int, Past] = self._grown()

    def latents(self, start_seconds: int, end_seconds: int) -> tuple[Tensor, Tensor]:
        """HR and LR latents of a stretch."""
        start, end = (LATENTS_PER_SECOND * each for each in (start_seconds, end_seconds))
        return self.hr[:, :, start:end], self.lr[:, :, start // RATE.time : end // RATE.time]

    def encode(self, seconds: int) -> MemoryTokens:
        """The whole history at once."""
        with torch.inference_mode(), bf16_products(self.device.type):
            return self.encoder.encode(*self.latents(0, seconds), self.patch_embedding)

    def append(self, past: Past) -> MemoryTokens:
        """One second more, the first of the video again: HR and LR branch of what is new."""
        with torch.inference_mode(), bf16_products(self.device.type):
            new = self.encoder.encode_append(*self.latents(0, 1), past.state, self.patch_embedding)
        return new[0]

    def _grown(self) -> dict[int, Past]:
        """The history after each of ``sizes.seconds``."""
        edges = sorted({*range(_CHUNK, self.sizes.seconds[-1], _CHUNK), *self.sizes.seconds})
        with torch.inference_mode(), bf16_products(self.device.type):
            first = self.latents(0, edges[0])
            run, state = self.encoder.encode_start(*first, self.patch_embedding)
            runs, states = [run], [state]
            for start, end in pairwise(edges):
                new = self.latents(start, end)
                run, state = self.encoder.encode_append(*new, state, self.patch_embedding)
                runs.append(runs[-1].followed_by(run))
                states.append(state)
        return {
            edge: Past(run=run, state=state)
            for edge, run, state in zip(edges, runs, states, strict=True)
            if edge in self.sizes.seconds
        }


@lru_cache(maxsize=1)  # two figures measure on the same, which takes longer to make than to measure
def _histories(setting: Setting) -> Histories:
    return Histories(_TINY if setting.tiny else Sizes(), setting.device)


def _said(histories: Histories, setting: Setting, seconds: Mapping[str, list[float]]) -> str:
    size = "x".join(map(str, histories.sizes.latent_CHW))
    took = ", ".join(f"{name} {statistics.median(each):.4f} s" for name, each in seconds.items())
    return (
        f"latents of {size}, {LATENTS_PER_SECOND} a second, 4x4x2, width "
        f"{histories.sizes.inner_dim}, random weights, bf16 products; {setting.name}; {took}"
    )


def _appends(histories: Histories, lengths: Sequence[int]) -> dict[str, Timed]:
    """Appending a second after each length, several times in a row, since it is short."""
    return {
        f"append, {each} s": timed(
            partial(histories.append, histories.pasts[each]), histories.device, repeats=4
        )
        for each in lengths
    }


def append_300s_vs_20s(setting: Setting) -> list[Figure]:
    """Seconds of ``encode_append`` of one second of latents after 300 s, over those after 20 s.

    HR and LR branch of the proposed variant. Tokens are joined when a section is sampled, not when
    they are appended: a copy of 590 MB after 300 s with their features, which is not part of it.
    """
    histories = _histories(setting)
    lengths = [histories.sizes.seconds[at] for at in (0, -1)]
    seconds = in_turn(_appends(histories, lengths), setting)
    before, after = seconds.values()
    return [
        Figure(
            name="append_300s_vs_20s",
            goal="<= 1.1",
            values=tuple(ratios(after, before)),
            note=_said(histories, setting, seconds),
        )
    ]


def append_vs_recompute(setting: Setting) -> list[Figure]:
    """Seconds of encoding a whole history at once, over those of appending one second to it.

    A figure for each length: how many times cheaper it is to append. Latents of full size at every
    length.
    """
    histories = _histories(setting)
    lengths = histories.sizes.seconds
    works = _appends(histories, lengths)
    for each in lengths:
        works[f"anew, {each} s"] = timed(partial(histories.encode, each), setting.device)
    seconds = in_turn(works, setting)
    return [
        Figure(
            name=f"append_vs_recompute.{each}s",
            values=tuple(ratios(seconds[f"anew, {each} s"], seconds[f"append, {each} s"])),
            note=_said(histories, setting, seconds) if each == lengths[-1] else "",
        )
        for each in lengths
    ]
