"""Text in frames, found and read by PP-OCR through ``rapidocr``, whose wheel has the networks.

The detector also marks stripes, leaves and windows as text, so a box counts only when the
recogniser is sure of what it reads there, and reads more than one character.

Axes: N frames, H height, W width, C colour (R, G, B), P corners (x, y).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, WeightsError

DETECTOR_FILE: Final = "PP-OCRv6_det_small.onnx"  # the names in the wheel of rapidocr
RECOGNISER_FILE: Final = "PP-OCRv6_rec_small.onnx"
MIN_SCORE: Final = 0.8  # of the recogniser, in [0, 1]
# Whatever crosses or is round is read as one character, with scores of up to 0.99.
MIN_CHARACTERS: Final = 2
MAX_SIDE: Final = 960  # pixels; longer frames are scaled down for the detector, none is scaled up


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundText:
    """The text in some frames.

    ``area`` is the largest share of a frame that boxes of text take, in [0, 1]: a title that only
    one of the frames shows counts whole. ``lines`` are those read, each once, as they come.
    """

    area: float
    lines: tuple[str, ...]


class TextReader:
    """PP-OCR's detector and recogniser on the CPU; text is taken to be upright."""

    def __init__(self, *, num_threads: int = 1) -> None:
        """num_threads: of onnxruntime, for each network.

        Raises:
            ConfigError: rapidocr is not installed.
            WeightsError: its networks are not beside it.
        """
        settings = _settings(network_files(), num_threads)
        import rapidocr

        self._read: Final[Any] = rapidocr.RapidOCR(params=settings)

    def find(self, rgb_NHWC: Sequence[npt.NDArray[np.uint8]]) -> FoundText:
        """The text in RGB frames, each of its own size; area 0 and no lines where there is none."""
        areas, lines = [0.0], dict[str, None]()
        for rgb_HWC in rgb_NHWC:
            area, read = self._find_in(rgb_HWC)
            areas.append(area)
            lines.update(dict.fromkeys(read))
        return FoundText(area=max(areas), lines=tuple(lines))

    def _find_in(self, rgb_HWC: npt.NDArray[np.uint8]) -> tuple[float, list[str]]:
        found = self._read(np.ascontiguousarray(rgb_HWC[:, :, ::-1]), text_score=MIN_SCORE)
        if found.boxes is None:
            return 0.0, []
        counts = [len(line.strip()) >= MIN_CHARACTERS for line in found.txts]
        lines = [line for line, is_text in zip(found.txts, counts, strict=True) if is_text]
        return _covered(found.boxes[counts], rgb_HWC.shape[:2]), lines


def network_files() -> dict[str, Path]:
    """Where the networks lie, by rapidocr's names of them; opens none.

    Raises:
        ConfigError: rapidocr or onnxruntime is not installed.
        WeightsError: its networks are not beside it.
    """
    try:
        import onnxruntime  # noqa: F401 - rapidocr imports it late
        import rapidocr
    except ImportError as error:
        message = f"text needs {error.name}; pip install 'pfp[ingest-networks]'"
        raise ConfigError(message) from error
    folder = Path(rapidocr.__file__).parent / "models"
    files = {"Det": folder / DETECTOR_FILE, "Rec": folder / RECOGNISER_FILE}
    for path in files.values():
        if not path.is_file():
            message = f"there is no {path}; install the pinned rapidocr again"
            raise WeightsError(message)
    return files


def _settings(files: Mapping[str, Path], num_threads: int) -> dict[str, Any]:
    """Settings of rapidocr. Files are named, since it would download those that it misses."""
    return {f"{part}.model_path": str(path) for part, path in files.items()} | {
        "Det.limit_type": "max",
        "Det.limit_side_len": MAX_SIDE,
        "Global.use_cls": False,
        "Global.log_level": "error",
        "EngineConfig.onnxruntime.intra_op_num_threads": num_threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": num_threads,
    }


def _covered(boxes_NP2: npt.NDArray[np.float32], size_HW: tuple[int, ...]) -> float:
    """The share of a frame that lies in any of the quadrilaterals; overlaps count once."""
    import cv2

    mask_HW = np.zeros(size_HW, np.uint8)
    for box_P2 in boxes_NP2:
        cv2.fillConvexPoly(mask_HW, np.round(box_P2).astype(np.int32), 1)
    return float(mask_HW.mean())
