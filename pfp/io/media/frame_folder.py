"""A folder of images as a video: one file a frame, in the natural order of their names.

Axes: H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pfp.errors import InputError, PermanentError
from pfp.io.media.animation import frame_numbers
from pfp.io.media.container import RejectedVideo
from pfp.io.media.extent import Extent
from pfp.io.media.source import Source, local_path, shown_name
from pfp.io.media.still import explained, open_image, shown_size, to_rgb

SUFFIXES: Final = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
_NUMBERS: Final = re.compile(rb"([0-9]+)")


def is_folder(source: Source) -> bool:
    """Whether a source is a folder of this machine."""
    name = os.fspath(source)
    return ("://" not in name or name.startswith("file:///")) and Path(local_path(name)).is_dir()


def images_in(folder: Source) -> list[Path]:
    """The images that lie in a folder itself, ``frame2`` before ``frame10``; hidden ones are not.

    Names are bytes and need not be UTF-8. What is no image by its suffix does not count.

    Raises ``InputError`` if the folder cannot be read, and if two names differ in nothing but
    their suffix, so that nobody knows which one is the frame.
    """
    path = Path(local_path(folder))
    try:
        names = [entry.name for entry in os.scandir(path) if entry.is_file()]
    except OSError as error:
        message = f"{shown_name(folder)} cannot be read ({error.strerror}); give a readable folder"
        raise InputError(message) from error
    found = sorted((name for name in names if _is_image(name)), key=_natural_order)
    stems: dict[str, str] = {}
    for name in found:
        other = stems.setdefault(Path(name).stem, name)
        if other != name:
            message = (
                f"{shown_name(folder)} holds {shown_name(other)} and {shown_name(name)}, which "
                "could be the same frame; keep one of them"
            )
            raise InputError(message)
    return [path / name for name in found]


def extent_of_folder(folder: Source, *, upright: bool, image_fps: float) -> Extent:
    """The extent of a folder of images, by their number and the first one's size.

    Raises ``RejectedVideo`` for a folder without images, ``PermanentError`` if the first one
    is damaged, and what ``images_in`` raises.
    """
    images = _some_images(folder)
    with open_image(images[0]) as image, explained(shown_name(images[0])):
        width, height = shown_size(image, upright=upright)
    return Extent(num_frames=len(images), is_agreed=True, fps=image_fps, height=height, width=width)


def iter_folder(folder: Source, *, upright: bool) -> Generator[npt.NDArray[np.uint8], None, None]:
    """Every image of a folder, uint8 RGB ``(H, W, 3)``, each read when its turn has come.

    Raises ``RejectedVideo`` for a folder without images, and ``PermanentError`` for an image
    that is damaged, moves, or has another size than the first.
    """
    images = _some_images(folder)
    shape: tuple[int, ...] | None = None
    for path in images:
        name = shown_name(path)
        with open_image(path) as image, explained(name):
            if len(frame_numbers(image)) > 1:
                message = f"{name} moves, so it is no frame; give it as a video of its own"
                raise PermanentError(message)
            frame_HWC = to_rgb(image, upright=upright)
        if shape is not None and frame_HWC.shape != shape:
            message = (
                f"{name} has {_size(frame_HWC.shape)} pixels and {shown_name(images[0])} "
                f"{_size(shape)}; give frames of one size"
            )
            raise PermanentError(message)
        shape = frame_HWC.shape
        yield frame_HWC


def _some_images(folder: Source) -> list[Path]:
    images = images_in(folder)
    if not images:
        message = f"{shown_name(folder)} holds no image ({' '.join(SUFFIXES)}); give a video"
        raise RejectedVideo("no_frames", message)
    return images


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _natural_order(name: str) -> tuple[list[bytes | int], bytes]:
    """Digits count as the number that they write; case only where nothing else tells names apart.

    Text and numbers take turns, so that like is compared with like.
    """
    raw = os.fsencode(name)
    parts = _NUMBERS.split(raw.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], raw


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
