"""One image file as a video: an animated GIF, PNG or WebP, or a still image of one frame.

Axes: H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from pfp.io.media.extent import Extent
from pfp.io.media.source import Source, shown_name
from pfp.io.media.still import explained, open_image, shown_size, to_rgb

# Other files of several images (a camera's JPEG with its preview) are no animations.
_ANIMATED: Final = frozenset({"GIF", "PNG", "WEBP"})
# Browsers and FFmpeg show a frame that is to last no time, or less than two hundredths of a second,
# for a tenth of one.
_MIN_MS: Final = 20
_SHORT_MS: Final = 100


def extent_of_image(source: Source, *, upright: bool, image_fps: float) -> Extent:
    """The extent of an image file; an animation is decoded once, for its rate stands nowhere.

    image_fps: the rate of an image that does not move.

    Raises ``PermanentError`` for damaged bytes and ``RejectedVideo`` for frames too large.
    """
    name = shown_name(source)
    with open_image(source) as image, explained(name):
        numbers = frame_numbers(image)
        shown_ms = _shown_ms(image, numbers) if len(numbers) > 1 else 0.0
        width, height = shown_size(image, upright=upright)
    return Extent(
        num_frames=len(numbers),
        is_agreed=True,
        fps=1000 * len(numbers) / shown_ms if shown_ms else image_fps,
        height=height,
        width=width,
    )


def is_animated(source: Source) -> bool:
    """Whether an image file has more than one frame; damage is a ``PermanentError``."""
    with open_image(source) as image, explained(shown_name(source)):
        return len(frame_numbers(image)) > 1


def iter_image(source: Source, *, upright: bool) -> Generator[npt.NDArray[np.uint8], None, None]:
    """Every frame of an image file as it is shown, uint8 RGB ``(H, W, 3)``, one at a time.

    A frame of an animation is what stands on the canvas then, not the patch that the file stores.

    Raises ``PermanentError`` for damaged bytes.
    """
    name = shown_name(source)
    with open_image(source) as image:
        with explained(name):
            numbers = frame_numbers(image)
        for number in numbers:
            with explained(name):
                image.seek(number)
                frame_HWC = to_rgb(image, upright=upright)
            yield frame_HWC


def frame_numbers(image: Image.Image) -> range:
    """The numbers of an open image's frames that are shown; one of an image that stands."""
    if image.format not in _ANIMATED:
        return range(1)
    # What a PNG shows where animations are not known is no frame of one.
    first = int(getattr(image, "default_image", False))
    return range(first, getattr(image, "n_frames", 1))


def _shown_ms(image: Image.Image, numbers: range) -> float:
    total = 0.0
    for number in numbers:
        image.seek(number)
        image.load()  # a WebP tells a frame's duration only then
        stored = float(image.info.get("duration", 0))
        total += stored if stored >= _MIN_MS else _SHORT_MS
    return total
