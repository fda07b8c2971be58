"""LatentVAE: pixels to normalised latents and back, the same for every VAE.

Axes: T latent frames, F video frames (``F = 4 (T - 1) + 1``), B batch (clips), C channels, H and W
rows and columns. Video frame 0 makes latent 0; frames ``4j-3 .. 4j`` make latent j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pfp.errors import InputError, PermanentError
from pfp.models.finite import is_finite

TEMPORAL_STRIDE: Final = 4


class VideoCodec(Protocol):
    """One VAE architecture: RGB in [-1, 1] to raw latents (the posterior mean) and back."""

    def encode_stream(self, groups_BCFHW: Iterator[Tensor]) -> Iterator[Tensor]:
        """Raw latents ``(B, z, t, h, w)``, in pieces, of a first frame and then groups of four."""
        ...

    def decode(self, latents_BCTHW: Tensor, *, is_start: bool) -> Iterator[Tensor]:
        """RGB near [-1, 1], ``(1, 3, f, H, W)``, in pieces; see ``LatentVAE.decode``."""
        ...


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LatentVAE:
    """A VAE with the constants that normalise its latents: ``(z - latents_mean) / latents_std``.

    ``sha256`` is the digest of the weights. ``encode`` takes one clip at a time and in pieces of
    fixed shape, so that a latent does not depend on how many clips are encoded, nor, where
    ``append_exact`` says so, on what follows it.

    ``append_exact`` is True for the causal VAEs that stream through a feature cache (tiny, Wan):
    appending frames to a clip leaves its latents as they are, to the bit with ``float32`` on the
    CPU. It is False for HunyuanVideo, whose tiles in time blend, and whose last tile of a clip
    changes when frames follow. ``vae_id`` ends in ``+tiling`` where frames are cut into spatial
    tiles (``load_vae``), because that changes latents too.
    """

    vae_id: str
    sha256: str
    z_channels: int
    spatial_stride: int
    latents_mean: tuple[float, ...]
    latents_std: tuple[float, ...]
    append_exact: bool
    codec: VideoCodec
    device: torch.device
    dtype: torch.dtype
    temporal_stride: int = TEMPORAL_STRIDE

    def encode(self, frames_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 RGB ``(4k+1, H, W, 3)`` to normalised float32 ``(k+1, z, H/stride, W/stride)``.

        Another number of frames, or a size that is no multiple of the stride, is an ``InputError``.
        """
        _check_num_frames(len(frames_THWC))
        return np.concatenate(list(self.encode_stream(frames_THWC)))

    def encode_batch(self, videos_THWC: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """The latents of several clips of one shape, ``(4k+1, H, W, 3)``, in one forward pass.

        Takes as many times the memory of ``encode`` as there are clips. Not the same bits: a
        convolution over more clips may add in another order. Measured in float32 on the CPU with
        small random weights, three clips at once against each by itself, the largest difference
        over the largest latent: 0 or 8e-8 (tiny; it depends on the size), 1e-6 (both Wan), 3e-6
        (HunyuanVideo). So a table whose rows must be byte-equal however its clips are batched
        takes ``encode``. Clips of different shapes are an ``InputError``.
        """
        shapes = sorted({np.shape(video_THWC) for video_THWC in videos_THWC})
        if not shapes:
            return []
        if len(shapes) > 1:
            raise InputError(
                f"clips of shapes {shapes[0]} and {shapes[-1]} do not make one batch; group them "
                "by shape, or encode them one by one"
            )
        _check_num_frames(shapes[0][0])
        pieces_BTCHW = [*map(self._normalised, self.codec.encode_stream(self._inputs(videos_THWC)))]
        return list(np.concatenate(pieces_BTCHW, axis=1))

    def encode_stream(
        self, frames_HWC: Iterable[NDArray[np.uint8]]
    ) -> Iterator[NDArray[np.float32]]:
        """The latents of ``encode``, in pieces along T, in memory that does not grow with F.

        Up to three frames at the end that fill no group of four are left out.
        """
        for raw_BCTHW in self.codec.encode_stream(self._inputs([frames_HWC])):
            yield self._normalised(raw_BCTHW)[0]

    def decode(
        self, latents_TCHW: NDArray[np.float32], *, is_start: bool = True
    ) -> NDArray[np.uint8]:
        """Normalised latents to uint8 RGB ``(F, H, W, 3)``, ``F = 4T - 3``.

        ``is_start`` says that latent 0 is the clip's first, which stands for one frame. Without it
        the latents are taken from the middle of a clip and every one gives four: ``F = 4T``.
        """
        shape = np.shape(latents_TCHW)
        if len(shape) != 4 or shape[0] < 1 or shape[1] != self.z_channels:
            raise InputError(
                f"latents of shape {shape} are not {self.vae_id}'s (T, {self.z_channels}, H, W); "
                "decode them with the VAE that encoded them"
            )
        mean, std = self._constants()
        raw_TCHW = np.asarray(latents_TCHW, dtype=np.float32) * std + mean
        raw_BCTHW = torch.from_numpy(raw_TCHW).transpose(0, 1)[None].to(self.device, self.dtype)
        with torch.inference_mode():
            pieces = self.codec.decode(raw_BCTHW, is_start=is_start)
            return np.concatenate(
                [_to_uint8(self._finite(piece, "decoded frames")[0]) for piece in pieces]
            )

    def _constants(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        shape = (self.z_channels, 1, 1)
        mean = np.asarray(self.latents_mean, dtype=np.float32).reshape(shape)
        return mean, np.asarray(self.latents_std, dtype=np.float32).reshape(shape)

    def _normalised(self, raw_BCTHW: Tensor) -> NDArray[np.float32]:
        mean, std = self._constants()
        self._finite(raw_BCTHW, "encoded latents")
        raw_BTCHW: NDArray[np.float32] = raw_BCTHW.transpose(1, 2).float().cpu().numpy()
        return (raw_BTCHW - mean) / std

    def _finite(self, made: Tensor, what: str) -> Tensor:
        """``made``; NaN or infinity in it, which uint8 would show as black, is an error."""
        if not is_finite(made):
            raise PermanentError(
                f"VAE {self.vae_id} {what} that hold NaN or infinity, in {self.dtype}; check its "
                "input and its weights, or compute in float32"
            )
        return made

    def _inputs(self, videos_FHWC: Sequence[Iterable[NDArray[np.uint8]]]) -> Iterator[Tensor]:
        """The groups of all clips side by side, RGB in [-1, 1] ``(B, 3, f, H, W)``."""
        for groups in zip(*map(frame_groups, videos_FHWC), strict=True):
            pixels = [self._pixels(frames_THWC) for frames_THWC in groups]
            yield pixels[0] if len(pixels) == 1 else torch.cat(pixels)

    def _pixels(self, frames_THWC: NDArray[np.uint8]) -> Tensor:
        self._check_frames(frames_THWC)
        pixels = torch.from_numpy(frames_THWC).to(self.device).permute(3, 0, 1, 2)[None]
        return (pixels.float() / 127.5 - 1).to(self.dtype)

    def _check_frames(self, frames_THWC: NDArray[np.uint8]) -> None:
        if frames_THWC.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3:
            raise InputError(
                f"frames of {frames_THWC.dtype} and shape {frames_THWC.shape[1:]} are not uint8 "
                "RGB (H, W, 3); convert them first"
            )
        height, width = frames_THWC.shape[1:3]
        stride = self.spatial_stride
        if height % stride or width % stride:
            raise InputError(
                f"{width} x {height} pixels are not multiples of {self.vae_id}'s stride {stride}; "
                f"crop or scale to {_multiple(width, stride)} x {_multiple(height, stride)}"
            )


def frame_groups(frames_HWC: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """The first frame alone, ``(1, H, W, 3)``, then fours; an unfilled last group is left out."""
    group: list[NDArray[np.uint8]] = []
    size = 1
    for frame_HWC in frames_HWC:
        group.append(frame_HWC)
        if len(group) == size:
            yield np.stack(group)
            group, size = [], TEMPORAL_STRIDE


def decode_from_repeated_start(decode: Callable[[Tensor], Tensor], latents_BCTHW: Tensor) -> Tensor:
    """Decodes a window from the middle of a clip with a decoder that knows only clips' starts.

    The first latent is put before itself in the role of the clip's start, whose one frame is then
    cut off: ``(1, 3, 4T, H, W)``.
    """
    padded = torch.cat([latents_BCTHW[:, :, :1], latents_BCTHW], dim=2)
    return decode(padded)[:, :, 1:]


def _check_num_frames(num_frames: int) -> None:
    if num_frames % TEMPORAL_STRIDE != 1:
        raise InputError(
            f"{num_frames} frames are not 4k + 1; cut the clip to "
            f"{max(1, (num_frames - 1) // TEMPORAL_STRIDE * TEMPORAL_STRIDE + 1)}"
        )


def _to_uint8(frames_CFHW: Tensor) -> NDArray[np.uint8]:
    codes_CFHW = (frames_CFHW.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: NDArray[np.uint8] = codes_CFHW.permute(1, 2, 3, 0).cpu().numpy()
    return pixels


def _multiple(size: int, stride: int) -> int:
    return max(stride, size // stride * stride)
