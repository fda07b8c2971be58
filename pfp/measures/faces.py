"""Faces and their embeddings by insightface's own ``FaceAnalysis``: SCRFD-10G and ArcFace R50.

The detector of insightface's buffalo_l pack is SCRFD (Guo et al., ICLR 2022), which older pages
call RetinaFace. Nothing is downloaded: both files are handed in.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, WeightsError

DETECTOR_FILE = "det_10g.onnx"  # the names under which insightface's pack knows them
RECOGNISER_FILE = "w600k_r50.onnx"
INPUT_SIZE = (640, 640)  # left open, insightface 2 would merge two passes, which scores otherwise
MIN_SCORE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """A face found in an image.

    ``box`` is x0, y0, x1, y1 in pixels of the image, which it may leave; ``score`` in [0.5, 1];
    ``embedding_D`` is float32 of length 1, D = 512.
    """

    box: tuple[float, float, float, float]
    score: float
    embedding_D: npt.NDArray[np.float32]

    @property
    def side(self) -> float:
        """The shorter side of the box in pixels."""
        x0, y0, x1, y1 = self.box
        return min(x1 - x0, y1 - y0)


class FaceFinder:
    """``FaceAnalysis`` over two files, detection and recognition only."""

    def __init__(self, detector: Path, recogniser: Path, *, device: str = "cpu") -> None:
        """device: torch's name; CUDA where onnxruntime has it, else (and for others) the CPU.

        Raises:
            ConfigError: insightface is not installed.
            WeightsError: the files are not the two networks.
        """
        try:
            import onnxruntime
            from insightface.app import FaceAnalysis
        except ImportError as error:
            raise ConfigError(
                f"face metrics need {error.name}; pip install 'pfp[metrics]'"
            ) from error
        providers = providers_for(device, onnxruntime.get_available_providers())
        self._app = _open(FaceAnalysis, detector, recogniser, providers)
        self.provider = str(self._app.models["recognition"].session.get_providers()[0])

    def find(self, rgb_HWC: npt.NDArray[np.uint8]) -> list[Face]:
        """All faces of an RGB image with a detection score of at least 0.5, best score first."""
        bgr_HWC = np.ascontiguousarray(rgb_HWC[:, :, ::-1])
        with warnings.catch_warnings():
            # Its alignment calls a method of scikit-image that is deprecated since 0.26.
            warnings.filterwarnings("ignore", message=".*estimate.*", category=FutureWarning)
            found = self._app.get(bgr_HWC)
        return [_face(item) for item in found]


def providers_for(device: str, available: list[str]) -> list[Any]:
    """Providers of onnxruntime, in order of preference, for one of torch's device names."""
    kind, _, index = device.partition(":")
    if kind == "cuda" and "CUDAExecutionProvider" in available:
        cuda = ("CUDAExecutionProvider", {"device_id": int(index or 0)})
        return [cuda, "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def _open(make: Any, detector: Path, recogniser: Path, providers: list[Any]) -> Any:
    # FaceAnalysis takes a folder and opens every network in it, so it gets one with just these.
    with tempfile.TemporaryDirectory(prefix="pfp-faces-") as folder:
        _place(detector, Path(folder) / DETECTOR_FILE)
        _place(recogniser, Path(folder) / RECOGNISER_FILE)
        try:
            app = make(
                name=folder, allowed_modules=["detection", "recognition"], providers=providers
            )
            app.prepare(ctx_id=0, det_thresh=MIN_SCORE, det_size=INPUT_SIZE)
            # The first detection reads the file once more, so it happens while the folder exists.
            app.det_model.detect(np.zeros((*INPUT_SIZE[::-1], 3), dtype=np.uint8))
            app.models["recognition"].get_feat(np.zeros((112, 112, 3), dtype=np.uint8))
        except Exception as error:  # onnxruntime's and protobuf's share no narrower class
            raise WeightsError(
                f"{detector} and {recogniser} are not insightface's SCRFD and ArcFace networks "
                f"({type(error).__name__}: {error}); fetch them again"
            ) from error
    return app


def _place(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.resolve())
    except OSError:  # a file system or a user without links
        shutil.copyfile(source, target)


def _face(found: Any) -> Face:
    x0, y0, x1, y1 = (float(value) for value in found.bbox)
    return Face(
        box=(x0, y0, x1, y1),
        score=float(found.det_score),
        embedding_D=np.asarray(found.normed_embedding, dtype=np.float32),
    )
