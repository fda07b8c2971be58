"""The frames of a sample's videos: of the video itself, of its reference and of its history.

Axes: H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pfp.errors import PermanentError, Unmeasurable
from pfp.eval.measure.pairing import Pairs, by_time, frame_by_frame, rates_differ
from pfp.eval.measure.protocol import Protocol
from pfp.eval.metrics.base import check_lengths
from pfp.io import media
from pfp.io.media import Extent
from pfp.schema import EvalSample

FrameArray: TypeAlias = npt.NDArray[np.uint8]
RESAMPLING: Final = Image.Resampling.BICUBIC  # as fingerprints say; it averages where it shrinks


def extent_of(source: str, sample: EvalSample, protocol: Protocol) -> Extent:
    """The extent of one of a sample's videos as the protocol looks at it."""
    return media.extent_of(source, reading=protocol.reading, image_fps=sample.fps)


def frames_of(source: str, protocol: Protocol) -> Generator[FrameArray, None, None]:
    """A video's stored frames by the protocol's decoder, one by one."""
    if protocol.decoder == "decord":
        from pfp.io.media.decord_backend import iter_stored_decord

        return iter_stored_decord(source)
    return media.iter_stored(source, reading=protocol.reading)


class Reference:
    """The true video, whose frames keep step with the video's."""

    def __init__(self, sample: EvalSample, protocol: Protocol, video: Extent) -> None:
        """Opens nothing yet."""
        self._sample, self._protocol, self._video = sample, protocol, video
        self._frames: Generator[FrameArray, None, None] | None = None
        self._pairs: Pairs | None = None
        self._extent: Extent | None = None
        self._num_read = 0
        self._last: FrameArray | None = None
        self._fault: Exception | None = None

    def pairs(self) -> Pairs:
        """Which frames of it and of the video belong together.

        Raises what opening it does, and ``PermanentError`` where there is none or lengths must
        agree and differ; then the same again, for every clip of every metric asks.
        """
        if self._fault is not None:
            raise self._fault
        if self._pairs is None:
            try:
                self._pairs = self._open()
            except Exception as error:
                self._fault = error
                raise
        return self._pairs

    def other_fps(self) -> float | None:
        """Its frame rate where that is not the video's; None before ``pairs``."""
        if self._extent is None or not rates_differ(self._video.fps, self._extent.fps):
            return None
        return self._extent.fps

    def _open(self) -> Pairs:
        if self._sample.reference_uri is None:
            raise PermanentError("there is no reference video; give one in the manifest")
        video, told = (
            self._video,
            extent_of(self._sample.reference_uri, self._sample, self._protocol),
        )
        pairs = self._paired_by_time(told) if self._protocol.align == "time" else None
        if pairs is None:
            num_frames = self._num_frames(told)
            if self._protocol.align != "truncate":
                _check_lengths(video, replace(told, num_frames=num_frames))
            pairs = frame_by_frame(min(video.num_frames, num_frames), video.fps)
        self._extent = told
        self._frames = frames_of(self._sample.reference_uri, self._protocol)
        return pairs

    def _num_frames(self, told: Extent) -> int:
        assert self._sample.reference_uri is not None
        if told.num_frames == self._video.num_frames or told.is_agreed:
            return told.num_frames
        return sum(1 for _ in frames_of(self._sample.reference_uri, self._protocol))

    def _paired_by_time(self, told: Extent) -> Pairs:
        assert self._sample.reference_uri is not None
        return by_time(
            media.frame_times(self._sample.video, self._video),
            media.frame_times(self._sample.reference_uri, told),
        )

    def at(self, index: int) -> FrameArray:
        """The frame of that number, never one before the last that was asked for.

        Raises what decoding it does, and the same again for every later frame.
        """
        if self._fault is not None:
            raise self._fault
        assert self._frames is not None
        try:
            while self._num_read <= index:
                self._last = next(self._frames)
                self._num_read += 1
        except StopIteration:
            self._fault = PermanentError(
                "the reference ends before the video; generate it frame by frame"
            )
            raise self._fault from None
        except Exception as error:
            self._fault = error
            raise
        assert self._last is not None
        return _fitted(self._last, self._video, self._protocol)

    def close(self) -> None:
        """Let go of the file."""
        if self._frames is not None:
            self._frames.close()


class History:
    """What came before the video, where it has a file of its own."""

    def __init__(self, sample: EvalSample, protocol: Protocol, video: Extent) -> None:
        """Opens nothing yet."""
        self._sample, self._protocol, self._video = sample, protocol, video
        self._extent: Extent | None = None
        self._fault: Exception | None = None

    def extent(self) -> Extent:
        """Its extent, with a sure number of frames.

        Raises what opening it does, and ``PermanentError`` if its frames are of another size;
        then the same again.
        """
        if self._fault is not None:
            raise self._fault
        if self._extent is None:
            try:
                self._extent = self._measured()
            except Exception as error:
                self._fault = error
                raise
        return self._extent

    def _measured(self) -> Extent:
        assert self._sample.history_uri is not None
        told = extent_of(self._sample.history_uri, self._sample, self._protocol)
        is_same = (told.width, told.height) == (self._video.width, self._video.height)
        if not is_same and self._protocol.align != "resize":
            raise Unmeasurable(
                "sizes_differ",
                f"the video is {self._video.width}x{self._video.height} and its history "
                f"{told.width}x{told.height} pixels; give both in one size",
            )
        if not told.is_agreed:
            told = replace(told, num_frames=sum(1 for _ in self.frames()))
        return told

    def frames(self) -> Generator[FrameArray, None, None]:
        """All its frames, in order."""
        assert self._sample.history_uri is not None
        with closing(frames_of(self._sample.history_uri, self._protocol)) as frames:
            for frame_HWC in frames:
                yield _fitted(frame_HWC, self._video, self._protocol)


def _check_lengths(video: Extent, reference: Extent) -> None:
    """Raise ``Unmeasurable`` unless both have as many frames, with what mends it."""
    if video.num_frames != reference.num_frames and rates_differ(video.fps, reference.fps):
        raise Unmeasurable(
            "lengths_differ",
            f"the video has {video.num_frames} frames at {video.fps:.4g} fps and its reference "
            f"{reference.num_frames} at {reference.fps:.4g}; pass --align time, which compares "
            "what both show at the same time",
        )
    check_lengths(video.num_frames, reference.num_frames)


def _fitted(frame_HWC: FrameArray, video: Extent, protocol: Protocol) -> FrameArray:
    """A true frame at the video's size, if the protocol resizes what does not fit."""
    if protocol.align != "resize" or frame_HWC.shape[:2] == (video.height, video.width):
        return frame_HWC
    resized = Image.fromarray(frame_HWC).resize((video.width, video.height), RESAMPLING)
    return np.asarray(resized)
