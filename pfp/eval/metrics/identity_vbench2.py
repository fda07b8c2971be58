"""Human Identity of VBench-2.0: as its code scores it, and with each known fault mended.

Both compare the face of every frame with that of the first, without alignment. They differ so:

====================================  ===========================  ================================
                                      ``identity.vbench2``         ``identity.vbench2.fixed``
====================================  ===========================  ================================
the detector's normalisation          the image's statistics       the trained statistics
a later frame without a face          counts as consistent         does not count
the box                               drawn in green, cut out too  not drawn
a first frame of several faces        no score                     each is followed, one to one
a later frame of several faces        does not count               counts, newcomers apart
a box without a whole pixel           an error                     no face
====================================  ===========================  ================================

Neither holds more than one frame, and both say how much of the video the score rests on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, final

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, PermanentError
from pfp.eval.metrics.base import (
    Frame,
    Measurement,
    Metric,
    MetricCard,
    MetricValue,
    OpenedSample,
    SecondsPer,
)
from pfp.io import weights
from pfp.io.weights import Lock

if TYPE_CHECKING:  # a name for annotations: the module itself is loaded when a measurement begins
    from pfp.eval.networks.retinaface import FoundFaces

DETECTOR = "retinaface-resnet50"
RECOGNISER = "arcface-resnet18-110"
SAME_PERSON = 0.4
MIN_FRAMES = 20
GREEN = (0, 255, 0)
PARAMS = {
    "detector": "RetinaFace ResNet-50, longer side 2048, score > 0.7, NMS 0.4",
    "recogniser": "ArcFace ResNet-18, 128x128 grey, with its mirror image",
    "aligned": False,
    "same_person": SAME_PERSON,
    "min_frames": MIN_FRAMES,
}
RULE_PARAMS = frozenset({"same_person", "min_frames"})
NOT_ONE_FACE = "not_one_face_in_first_frame"
NO_FACE = "no_face_in_first_frame"
CITATION = "Zheng et al., VBench-2.0, 2025, Human Identity; Deng et al., RetinaFace, CVPR 2020"
LICENCE = "MIT (RetinaFace weights of retinaface_pytorch); unstated (ArcFace weights)"
LIBRARIES = ("opencv-python-headless", "scipy", "torch", "torchvision")
SECONDS_PER = SecondsPer(seconds=10.0, per="frame")

FrameArray: TypeAlias = npt.NDArray[np.uint8]
Embedding: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Finds faces in an image, and embeds a face that was cut out of one."""

    detect: Callable[[FrameArray], FoundFaces]
    embed: Callable[[FrameArray], Embedding]


@final
class IdentityVbench2(Metric):
    """The fraction of frames whose face has a cosine >= 0.4 to the first frame's, as published."""

    card: ClassVar = MetricCard(
        name="identity.vbench2",
        version=1,
        title="Identity (VBench-2.0)",
        unit="",
        direction="higher",
        low=0.0,
        high=1.0,
        decimals=2,
        scale=100,
        summary="Fraction of frames whose face matches frame 0's; no face at all counts as one.",
        citation=CITATION,
        licence=LICENCE,
        weights=(DETECTOR, RECOGNISER),
        libraries=LIBRARIES,
        seconds_per=SECONDS_PER,
        params={**PARAMS, "compat": "vbench2"},
    )

    rule_params: ClassVar = RULE_PARAMS

    _networks: Networks | None = None

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any video; one of fewer than 21 frames gets no score."""
        del sample
        if self._networks is None:
            self._networks = load_networks(self._lock, self._device, batch_statistics=True)
        return AsPublished(self._networks)

    @classmethod
    def rescore(cls, evidence: Mapping[str, Any], num_frames: int) -> MetricValue:
        """The stored cosines against today's threshold."""
        del num_frames
        return settle(evidence, NOT_ONE_FACE)


@final
class IdentityVbench2Fixed(Metric):
    """The same fraction with the published code's faults mended."""

    card: ClassVar = MetricCard(
        name="identity.vbench2.fixed",
        version=1,
        title="Identity (VBench-2.0, mended)",
        unit="",
        direction="higher",
        low=0.0,
        high=1.0,
        decimals=2,
        scale=100,
        summary="Fraction of faces that match their person's in frame 0, over frames with a face.",
        citation=CITATION,
        licence=LICENCE,
        weights=(DETECTOR, RECOGNISER),
        libraries=LIBRARIES,
        seconds_per=SECONDS_PER,
        params={**PARAMS, "compat": "fixed"},
    )

    rule_params: ClassVar = RULE_PARAMS

    _networks: Networks | None = None

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any video; one of fewer than 21 frames gets no score."""
        del sample
        if self._networks is None:
            self._networks = load_networks(self._lock, self._device, batch_statistics=False)
        return Mended(self._networks)

    @classmethod
    def rescore(cls, evidence: Mapping[str, Any], num_frames: int) -> MetricValue:
        """The stored cosines against today's threshold."""
        del num_frames
        return settle(evidence, NO_FACE)


def load_networks(lock: Lock | None, device: str, *, batch_statistics: bool) -> Networks:
    """Both networks; ``batch_statistics`` leaves the detector in training mode.

    Raises:
        WeightsError: weights are missing or foreign.
        ConfigError: the ``metrics`` or ``train`` extra is not installed.
    """
    paths = [weights.find(name, lock=lock) for name in (DETECTOR, RECOGNISER)]
    try:
        from pfp.eval.networks import arcface_resnet18, retinaface
    except ImportError as error:
        raise ConfigError(
            f"VBench-2.0's identity needs {error.name}; pip install 'pfp[metrics,train]'"
        ) from error
    detector = retinaface.load(paths[0], device=device).train(batch_statistics)
    recogniser = arcface_resnet18.load(paths[1], device=device)
    return Networks(
        detect=lambda frame_HWC: retinaface.detect(detector, frame_HWC),
        embed=lambda face: arcface_resnet18.embed(recogniser, face),
    )


class _AgainstFirst(Measurement):
    """Counts what later frames say of the faces of the first."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._first: list[Embedding] | None = None
        self._reason: str | None = None
        self._num_seen = 0
        self._num_counted = 0  # frames
        self._num_with_face = 0  # frames of which a face was compared, the first one included
        self._shown: list[dict[str, Any]] = []

    def see(self, frame: Frame) -> None:
        """Looks no further once the first frame has made a score impossible."""
        self._num_seen += 1
        if self._reason is not None:
            return
        found = self._networks.detect(frame.rgb_HWC)
        if self._first is None:
            self._begin_with(frame, found)
        else:
            self._compare(frame, found, self._first)

    @abstractmethod
    def _begin_with(self, frame: Frame, found: FoundFaces) -> None:
        """Sets the first frame's faces or the reason why there is no score."""

    @abstractmethod
    def _compare(self, frame: Frame, found: FoundFaces, first: list[Embedding]) -> None:
        """Counts a later frame."""

    def _count(self, frame: Frame, box_4: npt.NDArray[np.float64], cosine: float) -> None:
        """One face of a later frame, whose cosine to its first is known."""
        shown = {"frame": frame.index, "box": box_4.tolist(), "cosine": float(cosine)}
        self._shown.append(shown)

    @abstractmethod
    def _counts(self) -> dict[str, int]:
        """What else the evidence counts."""

    def finish(self) -> MetricValue:
        """Consistent faces over compared ones, if at least twenty frames count."""
        evidence = {
            "num_seen": self._num_seen,
            "num_counted": self._num_counted,
            "num_with_face": self._num_with_face,
            "coverage": self._num_with_face / self._num_seen if self._num_seen else 0.0,
            **self._counts(),
            "faces": self._shown,
        }
        return settle(evidence, self._reason or "")


def settle(evidence: Mapping[str, Any], reason_at_first: str) -> MetricValue:
    """What was counted and the faces' cosines to a value.

    A video whose first frame has nothing to compare with has no value, for ``reason_at_first``.
    """
    num_free = evidence.get("num_without_face_but_consistent", 0)
    num_compared = num_free + len(evidence["faces"])
    num_consistent = num_free + sum(not face["cosine"] < SAME_PERSON for face in evidence["faces"])
    reason = None
    if evidence["num_seen"] and not evidence["num_with_face"]:
        reason = reason_at_first
    elif evidence["num_counted"] < MIN_FRAMES:
        reason = "too_few_frames"
    return MetricValue(
        value=None if reason else num_consistent / num_compared,
        num_frames=evidence["num_counted"],
        evidence={**evidence, "num_compared": num_compared, "num_consistent": num_consistent},
        unscored_reason=reason,
    )


@final
class AsPublished(_AgainstFirst):
    """With every fault of the published code that moves a score."""

    def __init__(self, networks: Networks) -> None:
        super().__init__(networks)
        self._num_without_face = 0
        self._num_skipped = 0

    def _begin_with(self, frame: Frame, found: FoundFaces) -> None:
        if len(found.boxes_N4) != 1:
            self._reason = NOT_ONE_FACE
            return
        self._num_with_face += 1
        self._first = [self._embed(frame, found.boxes_N4[0])]

    def _compare(self, frame: Frame, found: FoundFaces, first: list[Embedding]) -> None:
        from pfp.eval.networks.arcface_resnet18 import cosine

        if len(found.boxes_N4) == 1:
            self._num_with_face += 1
            self._num_counted += 1
            embedding_D = self._embed(frame, found.boxes_N4[0])
            self._count(frame, found.boxes_N4[0], cosine(embedding_D, first[0]))
        elif len(found.boxes_N4) == 0 == found.num_outside:
            # Its detector answers with a list of one empty box, which it takes for one face.
            self._num_without_face += 1
            self._num_counted += 1
        else:
            self._num_skipped += 1

    def _embed(self, frame: Frame, box_4: npt.NDArray[np.float64]) -> Embedding:
        face_HWC = painted_crop(frame.rgb_HWC, box_4)
        if not face_HWC.size:
            raise PermanentError(
                f"the face of frame {frame.index} has no whole pixel (box {box_4.tolist()}), at "
                "which VBench-2.0 fails too; take identity.vbench2.fixed"
            )
        return self._networks.embed(face_HWC)

    def _counts(self) -> dict[str, int]:
        return {
            "num_without_face_but_consistent": self._num_without_face,
            "num_skipped": self._num_skipped,
        }


@final
class Mended(_AgainstFirst):
    """Every face of the first frame is followed, and only faces count."""

    def __init__(self, networks: Networks) -> None:
        super().__init__(networks)
        self._num_without_face = 0
        self._num_newcomers = 0

    def _begin_with(self, frame: Frame, found: FoundFaces) -> None:
        faces = self._embedded(frame, found)
        if faces:
            self._num_with_face += 1
            self._first = [embedding_D for _, embedding_D in faces]
        else:
            self._reason = NO_FACE

    def _compare(self, frame: Frame, found: FoundFaces, first: list[Embedding]) -> None:
        from pfp.eval.metrics.face_tracks import pair_faces
        from pfp.eval.networks.arcface_resnet18 import cosine

        faces = self._embedded(frame, found)
        if not faces:
            self._num_without_face += 1
            return
        self._num_with_face += 1
        self._num_counted += 1
        cosines_NK = np.array([[cosine(face_D, a_D) for a_D in first] for _, face_D in faces])
        pairs = pair_faces(cosines_NK)
        self._num_newcomers += len(faces) - len(pairs)
        for n, k in pairs:
            self._count(frame, faces[n][0], float(cosines_NK[n, k]))

    def _embedded(
        self, frame: Frame, found: FoundFaces
    ) -> list[tuple[npt.NDArray[np.float64], Embedding]]:
        crops = [(box_4, clean_crop(frame.rgb_HWC, box_4)) for box_4 in found.boxes_N4]
        return [(box_4, self._networks.embed(crop)) for box_4, crop in crops if crop.size]

    def _counts(self) -> dict[str, int]:
        return {
            "num_without_face": self._num_without_face,
            "num_newcomers": self._num_newcomers,
        }


def painted_crop(rgb_HWC: FrameArray, box_4: npt.NDArray[np.float64]) -> FrameArray:
    """The box cut out at whole pixels after it was drawn in green, two pixels wide.

    A box that ends left of or above the image is cut out as a negative index cuts, as in the
    reference.
    """
    import cv2

    x0, y0, x1, y1 = _whole(rgb_HWC, box_4)
    painted_HWC = rgb_HWC.copy()
    cv2.rectangle(painted_HWC, (x0, y0), (x1, y1), GREEN, 2)
    return painted_HWC[y0:y1, x0:x1]


def clean_crop(rgb_HWC: FrameArray, box_4: npt.NDArray[np.float64]) -> FrameArray:
    """The box cut out at whole pixels; of size 0 if none of them lies in the image."""
    x0, y0, x1, y1 = _whole(rgb_HWC, box_4)
    return rgb_HWC[y0 : max(y1, 0), x0 : max(x1, 0)]


def _whole(rgb_HWC: FrameArray, box_4: npt.NDArray[np.float64]) -> tuple[int, int, int, int]:
    height, width = rgb_HWC.shape[:2]
    x0, y0, x1, y1 = (int(value) for value in box_4)
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)
