"""One image file as 8-bit RGB, as players show it.

- EXIF: the image is turned upright where that is asked for.
- Alpha, transparent colours and palettes: over black, as players show video.
- 16 bits a sample: the high byte, which gives back 8-bit images that were stored with 16.
- Grey and black-and-white: three equal channels. CMYK: converted without its profile.
- Colour profiles and gamma are not applied: frames of videos have none.

Axes: H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from pfp.errors import PermanentError
from pfp.io.media.container import MAX_PIXELS, RejectedVideo
from pfp.io.media.source import Source, open_binary, shown_name

_MAGIC: Final = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (8, b"WEBP", "WEBP"),
)
_FORMATS: Final = tuple(name for _, _, name in _MAGIC)
_LYING: Final = frozenset({5, 6, 7, 8})  # EXIF orientations that exchange width and height


def image_format(head: bytes) -> str | None:
    """The format of an image that pfp reads, from its first 12 bytes; None for anything else."""
    return next((name for at, magic, name in _MAGIC if head.startswith(magic, at)), None)


@contextmanager
def open_image(source: Source) -> Iterator[Image.Image]:
    """The open image, its first frame not decoded yet.

    Raises ``PermanentError`` for what cannot be read, ``RejectedVideo`` for what is too large, and
    ``InputError`` where there is no file.
    """
    name = shown_name(source)
    with open_binary(source) as file:
        with explained(name), warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
            image = Image.open(file, formats=_FORMATS)
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name, f"{image.width}x{image.height}")
            yield image


def shown_size(image: Image.Image, *, upright: bool) -> tuple[int, int]:
    """``(width, height)`` of the image, turned by its EXIF orientation if ``upright``."""
    lies = upright and image.getexif().get(ExifTags.Base.Orientation) in _LYING
    return (image.height, image.width) if lies else (image.width, image.height)


def to_rgb(image: Image.Image, *, upright: bool) -> npt.NDArray[np.uint8]:
    """The frame at which an open image stands, uint8 RGB ``(H, W, 3)``."""
    image.load()
    turned = ImageOps.exif_transpose(image) if upright else image
    if turned.mode.startswith("I"):  # 16 bits of grey; PIL's own conversion clips them at 255
        grey_HW = np.asarray(turned).astype(np.uint32)
        key = turned.info.get("transparency")
        grey_HW = np.where(grey_HW == key, 0, grey_HW) if isinstance(key, int) else grey_HW
        return np.repeat((grey_HW >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if turned.has_transparency_data:
        black = Image.new("RGBA", turned.size, (0, 0, 0, 255))
        turned = Image.alpha_composite(black, turned.convert("RGBA"))
    return np.array(turned.convert("RGB"), dtype=np.uint8)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Whatever PIL's readers raise at damaged bytes becomes a ``PermanentError`` with the name."""
    try:
        yield
    except (PermanentError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(name, "far too many") from error
    except Exception as error:
        reason = str(error).partition(" <")[0] or type(error).__name__
        message = f"{name} cannot be read as an image ({reason}); the file is damaged"
        raise PermanentError(message) from error


def _too_large(name: str, size: str) -> RejectedVideo:
    message = f"{name} has {size} pixels, more than {MAX_PIXELS}; scale it down first"
    return RejectedVideo("pixels_above_max", message)
