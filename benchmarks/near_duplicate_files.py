"""Copies of a video as they are found in the wild: recoded, scaled, cropped, cut out, sped up.

Axes: H height, W width, C colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Self, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from pfp.io.media import probe

Frame: TypeAlias = npt.NDArray[np.uint8]

MAX_SIDE: Final = 480  # pixels; larger originals are reduced before anything is done to them
MIN_EXCERPT_SECONDS: Final = 4.0  # shorter ones are not made


def _crop(left: float, right: float, top: float, bottom: float) -> Callable[[Frame], Frame]:
    """Cuts off shares of the width and of the height."""

    def crop(frame_HWC: Frame) -> Frame:
        height, width = frame_HWC.shape[:2]
        rows = slice(round(top * height), height - round(bottom * height))
        columns = slice(round(left * width), width - round(right * width))
        return frame_HWC[rows, columns]

    return crop


def _half(frame_HWC: Frame) -> Frame:
    height, width = (side // 2 * 2 for side in frame_HWC.shape[:2])
    blocks = frame_HWC[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)


def _logo(frame_HWC: Frame) -> Frame:
    """An opaque mark in the corner at the top right, 15 % wide and 8 % high."""
    marked = frame_HWC.copy()
    height, width = frame_HWC.shape[:2]
    rows = slice(height * 4 // 100, height * 12 // 100)
    marked[rows, width * 82 // 100 : width * 97 // 100] = (230, 30, 30)
    marked[rows, width * 86 // 100 : width * 90 // 100] = (250, 250, 250)
    return marked


def _bars(rows: float, columns: float) -> Callable[[Frame], Frame]:
    """Black bars on both sides, each a share of the height or of the width."""

    def barred(frame_HWC: Frame) -> Frame:
        height, width = frame_HWC.shape[:2]
        high, wide = round(rows * height), round(columns * width)
        return np.pad(frame_HWC, ((high, high), (wide, wide), (0, 0)))

    return barred


def _mirrored(frame_HWC: Frame) -> Frame:
    return frame_HWC[:, ::-1]


def _as_it_is(frame_HWC: Frame) -> Frame:
    return frame_HWC


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What is done to each frame, to the rate of frames, and which part of the time is taken."""

    frame: Callable[[Frame], Frame] = _as_it_is
    speed: float = 1.0
    crf: int = 28
    start: float = 0.0  # shares of the duration
    end: float = 1.0

    def has_place_in(self, seconds: float) -> bool:
        """Whether a video of that length gives a copy that is worth finding."""
        is_whole = (self.start, self.end) == (0.0, 1.0)
        return is_whole or (self.end - self.start) * seconds >= MIN_EXCERPT_SECONDS


COPIES: Final[Mapping[str, Copy]] = {
    "recoded": Copy(crf=40),
    "half_size": Copy(frame=_half),
    "crop_5": Copy(frame=_crop(0.025, 0.025, 0.025, 0.025)),
    "crop_5_corner": Copy(frame=_crop(0.05, 0.0, 0.05, 0.0)),
    "logo": Copy(frame=_logo),
    "letterbox": Copy(frame=_bars(0.15, 0.0)),
    "pillarbox": Copy(frame=_bars(0.0, 0.2)),
    "mirror": Copy(frame=_mirrored),
    "faster_5": Copy(speed=1.05),
    "slower_5": Copy(speed=0.95),
    "excerpt_third": Copy(start=0.37, end=0.37 + 1 / 3),
}


def write_copies(video: Path, folder: Path, copies: Mapping[str, Copy] = COPIES) -> dict[str, Path]:
    """Write ``folder/NAME.mp4`` for each copy of a video, in one pass over its frames."""
    told = probe(video)
    seconds = told.duration_seconds or 0.0
    wanted = {name: copy for name, copy in copies.items() if copy.has_place_in(seconds)}
    paths = {name: folder / f"{name}.mp4" for name in wanted}
    fps = Fraction(told.fps or 25).limit_denominator(1001)
    with ExitStack() as stack:
        sinks = {
            name: stack.enter_context(_Sink(paths[name], copy, fps))
            for name, copy in wanted.items()
        }
        for at_seconds, frame_HWC in reduced_frames(video):
            for name, copy in wanted.items():
                if copy.start * seconds <= at_seconds < copy.end * seconds or copy.end == 1:
                    sinks[name].push(copy.frame(frame_HWC))
    return paths


def reduced_frames(video: Path) -> Iterator[tuple[float, Frame]]:
    """The time and the pixels of each frame, the longer side at most ``MAX_SIDE``."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            factor = min(1.0, MAX_SIDE / max(frame.width, frame.height))
            width, height = (round(side * factor / 2) * 2 for side in (frame.width, frame.height))
            yield frame.time or 0.0, frame.to_ndarray(format="rgb24", width=width, height=height)


class _Sink:
    """An H.264 file that frames are added to; sides are made even by leaving out a line."""

    def __init__(self, path: Path, copy: Copy, fps: Fraction) -> None:
        self._container = av.open(str(path), "w")
        rate = (fps * Fraction(copy.speed).limit_denominator(1000)).limit_denominator(100_000)
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.options = {"crf": str(copy.crf), "preset": "veryfast"}
        self._stream.pix_fmt = "yuv420p"
        self._is_sized = False

    def __enter__(self) -> Self:
        return self

    def push(self, frame_HWC: Frame) -> None:
        height, width = (side // 2 * 2 for side in frame_HWC.shape[:2])
        if not self._is_sized:
            self._stream.height, self._stream.width, self._is_sized = height, width, True
        even_HWC = np.ascontiguousarray(frame_HWC[:height, :width])
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(even_HWC, "rgb24")))

    def __exit__(self, *_: object) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


def write_frames(path: Path, frames_THWC: Iterable[Frame], fps: int) -> Path:
    """Write drawn frames as they are, as an H.264 file."""
    with _Sink(path, Copy(), Fraction(fps)) as sink:
        for frame_HWC in frames_THWC:
            sink.push(frame_HWC)
    return path
