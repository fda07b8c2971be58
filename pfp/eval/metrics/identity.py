"""Identity of everybody in the video, by ArcFace: across shots, and against reference images.

``identity.arcface`` asks whether each person keeps looking the same. It cannot see one person
being replaced by another, who merely founds a track of his own: read ``num_tracks`` beside it, or
give reference faces and take ``identity.arcface.reference``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pfp.errors import PermanentError
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
from pfp.io.files import open_file
from pfp.io.weights import Lock

if TYPE_CHECKING:  # a name for annotations: the module itself is loaded when a measurement begins
    from pfp.measures.faces import Face, FaceFinder

DETECTOR = "scrfd-10g"
RECOGNISER = "arcface-w600k-r50"
SAMPLES_PER_SECOND = 2.0
MIN_SIDE = 40  # pixels: of smaller faces ArcFace has too little to go by
SAME_PERSON = 0.4
PARAMS = {
    "samples_per_second": SAMPLES_PER_SECOND,
    "detector": "SCRFD-10G, 640x640",
    "min_score": 0.5,
    "min_side": MIN_SIDE,
    "same_person": SAME_PERSON,
}
CITATION = (
    "Deng et al., ArcFace, CVPR 2019; Guo et al., Sample and computation redistribution for "
    "efficient face detection, ICLR 2022"
)
LICENCE = "MIT (insightface); its networks for non-commercial research only"
LIBRARIES = (
    *("insightface", "onnxruntime", "onnxruntime-gpu"),
    *("opencv-python-headless", "pillow", "scipy"),
)
SECONDS_PER = SecondsPer(seconds=0.3, per="frame")
COST_NOTE = "0.2 s a face more; 2 frames a second of video"


@final
class Identity(Metric):
    """Each face's cosine to the medoid of its person's track, the mean over face time."""

    card: ClassVar = MetricCard(
        name="identity.arcface",
        version=1,
        title="Identity",
        unit="",
        direction="higher",
        low=-1.0,
        high=1.0,
        decimals=3,
        summary="Mean ArcFace cosine of each face to its track's medoid, over faces at 2 fps.",
        citation=CITATION,
        licence=LICENCE,
        weights=(DETECTOR, RECOGNISER),
        libraries=LIBRARIES,
        seconds_per=SECONDS_PER,
        cost_note=COST_NOTE,
        optional_inputs=("reference_faces",),  # for the evidence
        params={**PARAMS, "tracks": "greedy by time, cosine to the track's mean"},
    )

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Two frames a second, the first one included; all frames of a slower video."""
        return sampled_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any video; reference images are only for the evidence, and may be bad."""
        return _Sightings(_find(self._lock, self._device), sample, against_reference=False)


@final
class ReferenceIdentity(Metric):
    """The cosine of faces to reference images, paired one to one in each frame."""

    card: ClassVar = MetricCard(
        name="identity.arcface.reference",
        version=1,
        title="Identity (reference)",
        unit="",
        direction="higher",
        low=-1.0,
        high=1.0,
        decimals=3,
        summary="Mean ArcFace cosine of a frame's faces to the reference faces, one to one.",
        citation=CITATION,
        licence=LICENCE,
        weights=(DETECTOR, RECOGNISER),
        libraries=LIBRARIES,
        required_inputs=("reference_faces",),
        seconds_per=SECONDS_PER,
        cost_note=COST_NOTE,
        params={**PARAMS, "pairs": "one to one in a frame, largest sum of cosines"},
    )

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """As ``Identity``; none where there is no reference image to compare with."""
        return sampled_frames(sample) if sample.reference_faces else ()

    def begin(self, sample: OpenedSample) -> Measurement:
        """Any video. A reference image without a face is a ``PermanentError``."""
        return _Sightings(_find(self._lock, self._device), sample, against_reference=True)


def sampled_frames(sample: OpenedSample) -> list[int]:
    """Numbers of the frames at 0, 1/2, 1, ... seconds."""
    step = frames_per_sample(sample)
    numbers = (int(i * step) for i in range(math.ceil(sample.num_frames / step)))
    return [number for number in numbers if number < sample.num_frames]


def frames_per_sample(sample: OpenedSample) -> float:
    """How many frames a sampled one stands for, >= 1."""
    return max(sample.fps / SAMPLES_PER_SECOND, 1.0)


def _find(lock: Lock | None, device: str) -> FaceFinder:
    detector, recogniser = (weights.find(name, lock=lock) for name in (DETECTOR, RECOGNISER))
    return _open(detector, recogniser, device)


@lru_cache(maxsize=1)
def _open(detector: Path, recogniser: Path, device: str) -> FaceFinder:
    # Both metrics get the same object, so that a frame's faces are found once for the two.
    from pfp.measures.faces import FaceFinder

    return FaceFinder(detector, recogniser, device=device)


class _Sightings(Measurement):
    """The faces of the sampled frames."""

    def __init__(
        self, finder: FaceFinder, sample: OpenedSample, *, against_reference: bool
    ) -> None:
        self._finder = finder
        self._fps = sample.fps
        self._seconds = frames_per_sample(sample) / sample.fps
        self._against_reference = against_reference
        self._references: list[tuple[str, npt.NDArray[np.float32]]] = []
        self._bad_references: list[str] = []
        for place in sample.reference_faces:
            self._look_up(place)
        self._num_sampled = 0
        self._faces: list[tuple[int, Face]] = []

    def _look_up(self, place: str) -> None:
        """Take a reference image; a bad one is the end only of what is measured against it."""
        try:
            self._references.append((place, _reference(place, self._finder)))
        except PermanentError as error:
            if self._against_reference:
                raise
            self._bad_references.append(str(error))

    def see(self, frame: Frame) -> None:
        """Keeps the frame's faces, not the frame."""
        self._num_sampled += 1
        found = frame.shared(self._finder.find)
        self._faces += [(frame.index, face) for face in found if face.side >= MIN_SIDE]

    def finish(self) -> MetricValue:
        """Unscored where there is no face, or no reference face for the metric that needs one."""
        num_with_face = len({index for index, _ in self._faces})
        evidence: dict[str, Any] = {
            "num_sampled": self._num_sampled,
            "num_with_face": num_with_face,
            "coverage": num_with_face / self._num_sampled if self._num_sampled else 0.0,
            "provider": self._finder.provider,
        }
        if self._bad_references:
            evidence["bad_references"] = self._bad_references
        reason, value = None, None
        if self._against_reference and not self._references:
            reason = "no_reference_face"
        elif not self._faces:
            reason = "no_face"
        else:
            evidence |= self._consistency() | {"reference": self._likeness()}
            source = evidence["reference"] if self._against_reference else evidence
            value = float(source["mean_cosine"])
        return MetricValue(
            value=value, num_frames=num_with_face, evidence=evidence, unscored_reason=reason
        )

    def _consistency(self) -> dict[str, Any]:
        from pfp.eval.metrics.face_tracks import consistency, find_tracks

        embeddings_ND = np.stack([face.embedding_D for _, face in self._faces])
        tracks = find_tracks(embeddings_ND, same_person=SAME_PERSON)
        seconds_N = np.full(len(self._faces), self._seconds)
        over_all = consistency(tracks, seconds_N, same_person=SAME_PERSON)
        shown: list[dict[str, Any]] = [self._shown(index, face) for index, face in self._faces]
        for number, track in enumerate(tracks):
            for face, cosine in zip(track.faces, track.cosines, strict=True):
                shown[face] |= {"track": number, "cosine": round(cosine, 4)}
        return {
            "mean_cosine": over_all.mean_cosine,
            "fraction_same": over_all.fraction_same,
            "num_tracks": len(tracks),
            "tracks": [
                {
                    "medoid": track.medoid,
                    "num_faces": len(track.faces),
                    "seconds": len(track.faces) * self._seconds,
                    "mean_cosine": float(np.mean(track.cosines)),
                }
                for track in tracks
            ],
            "faces": shown,
        }

    def _shown(self, index: int, face: Face) -> dict[str, Any]:
        return {
            "frame": index,
            "seconds": round(index / self._fps, 3),
            "box": [round(value, 1) for value in face.box],
            "score": round(face.score, 3),
        }

    def _likeness(self) -> dict[str, Any] | None:
        """Each frame's faces beside the references; None where there are none."""
        from pfp.eval.metrics.face_tracks import pair_faces

        if not self._references:
            return None
        references_KD = np.stack([embedding_D for _, embedding_D in self._references])
        pairs: list[dict[str, Any]] = []
        for index in sorted({index for index, _ in self._faces}):
            rows = [row for row, (seen, _) in enumerate(self._faces) if seen == index]
            faces_ND = np.stack([self._faces[row][1].embedding_D for row in rows])
            cosines_NK = np.clip(faces_ND @ references_KD.T, -1.0, 1.0)
            pairs += [
                {"face": rows[n], "reference": k, "cosine": float(cosines_NK[n, k])}
                for n, k in pair_faces(cosines_NK)
            ]
        cosines = np.array([pair["cosine"] for pair in pairs])
        return {
            "pictures": [path for path, _ in self._references],
            "mean_cosine": float(cosines.mean()),
            "fraction_same": float((cosines >= SAME_PERSON).mean()),
            "pairs": pairs,
        }


def _reference(place: str, finder: FaceFinder) -> npt.NDArray[np.float32]:
    """The embedding of the largest face of an image file, given by its path or URI."""
    from pfp.io.locate import local_path

    path = local_path(place)
    if path is None:
        raise PermanentError(f"reference face {place} is not on this machine; copy it here first")
    try:
        with open_file(path) as file, Image.open(file) as image:
            rgb_HWC = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).partition(" <")[0]  # what follows is how PIL calls an open file
        raise PermanentError(f"reference face {place} cannot be read: {reason}") from error
    faces = finder.find(rgb_HWC)
    if not faces:
        raise PermanentError(f"reference face {place} shows no face; crop it less or take another")

    def area(face: Face) -> float:
        x0, y0, x1, y1 = face.box
        return (x1 - x0) * (y1 - y0)

    return max(faces, key=area).embedding_D
