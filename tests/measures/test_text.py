"""PP-OCR's own networks on cards that Pillow draws, whose words and places are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from pfp.errors import WeightsError
from pfp.measures import text
from pfp.measures.text import TextReader

WORDS = "The Long Winter"


@pytest.fixture(scope="module")
def reader() -> TextReader:
    """Opened once for all tests."""
    return TextReader()


def card(words: str, size: int = 30) -> tuple[npt.NDArray[np.uint8], float]:
    """A title card and the share of it that the ink's bounding box takes."""
    image = Image.new("RGB", (320, 192), (20, 20, 40))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    draw.text((30, 80), words, fill=(240, 240, 240), font=font)
    x0, y0, x1, y1 = draw.textbbox((30, 80), words, font=font)
    return np.asarray(image), (x1 - x0) * (y1 - y0) / (320 * 192)


def noise() -> npt.NDArray[np.uint8]:
    """A frame without text that is not uniform."""
    return np.random.default_rng(0).integers(0, 256, (192, 320, 3), dtype=np.uint8)


def test_a_title_card_is_read_to_the_letter_and_its_area_is_that_of_the_ink(
    reader: TextReader,
) -> None:
    """Case, spaces and order too."""
    frame_HWC, share = card(WORDS)
    found = reader.find([frame_HWC])
    assert found.lines == (WORDS,)
    assert share <= found.area < 2 * share  # a box has a margin round the ink


def test_frames_without_text_have_neither_area_nor_lines(reader: TextReader) -> None:
    """Neither a black frame nor noise."""
    found = reader.find([np.zeros((192, 320, 3), np.uint8), noise()])
    assert (found.area, found.lines) == (0.0, ())


def test_a_lone_character_is_no_text(reader: TextReader) -> None:
    """The recogniser is as sure of a crossing of branches; of several characters it is not."""
    found = reader.find([card("A", 100)[0]])
    assert (found.area, found.lines) == (0.0, ())


def test_the_area_is_that_of_the_fullest_frame_and_a_line_is_told_once(reader: TextReader) -> None:
    """Frames beside it change nothing."""
    frame_HWC, _ = card(WORDS)
    alone = reader.find([frame_HWC])
    assert reader.find([noise(), frame_HWC, frame_HWC]) == alone


def test_a_missing_network_is_named_and_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library itself would fetch it."""
    monkeypatch.setattr(text, "DETECTOR_FILE", "other.onnx")
    with pytest.raises(WeightsError, match=r"other\.onnx; install"):
        TextReader()
