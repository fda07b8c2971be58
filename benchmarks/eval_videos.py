"""Videos to be scored: short ones that move, and a long one that costs little to make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from pfp.io.media import write_video

FPS: Final = 24.0


def write_waves(path: Path, num_frames: int, height: int, width: int, *, seed: int) -> None:
    """Coloured waves that drift, with some noise so that there is something to decode."""
    write_video(path, waves(num_frames, height, width, seed=seed), FPS)


def waves(num_frames: int, height: int, width: int, *, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Frames of shape (H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    slopes = rng.uniform(-0.25, 0.25, (3, 3))
    for time in range(num_frames):
        channels = [127 + 90 * np.sin(a * x + b * y + c * time) for a, b, c in slopes]
        frame_HWC = np.stack(channels, axis=-1) + rng.normal(0, 4, (height, width, 1))
        yield frame_HWC.clip(0, 255).astype(np.uint8)


def write_square(path: Path, num_frames: int, fps: float, height: int, width: int) -> None:
    """A bright square that crosses a grey field."""

    def frames() -> Iterator[NDArray[np.uint8]]:
        for time in range(num_frames):
            frame_HWC = np.full((height, width, 3), 90, np.uint8)
            left = (width - height // 4) * time // num_frames
            frame_HWC[height // 3 : height // 3 + height // 4, left : left + height // 4] = 220
            yield frame_HWC

    write_video(path, frames(), fps)


def repeat_video(source: Path, target: Path, times: int) -> None:
    """The same video several times over, without encoding it again."""
    with av.open(str(target), "w") as output:
        made: av.VideoStream | None = None
        start = 0
        for _ in range(times):
            with av.open(str(source)) as given:
                stream = given.streams.video[0]
                if made is None:
                    made = output.add_stream_from_template(stream)
                    made.time_base = stream.time_base
                length = 0
                for packet in given.demux(stream):
                    if packet.pts is None or packet.dts is None:
                        continue  # the one that ends the file
                    length += packet.duration or 0
                    packet.pts += start
                    packet.dts += start
                    packet.stream = made
                    output.mux(packet)
                start += length
