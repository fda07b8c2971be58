"""Which faces of a video are one person's, and how alike they are.

Axes: N faces in order of time, K other faces, D the embedding. Embeddings have length 1, so that
their products are cosines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

SAME_PERSON = 0.4  # cosine from which on two ArcFace embeddings count as one person's

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The faces of one person, wherever in the video they are.

    ``faces`` are row numbers in order of time, ``medoid`` is the row most like all of them, and
    ``cosines`` are those of the faces to it (the medoid's own, 1, included).
    """

    faces: tuple[int, ...]
    medoid: int
    cosines: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """How alike the faces of each track are, every face weighted by the time that it stands for."""

    mean_cosine: float
    fraction_same: float  # of the face time whose cosine is at least ``SAME_PERSON``


def find_tracks(embeddings_ND: Floats, *, same_person: float = SAME_PERSON) -> list[Track]:
    """Greedy clustering in order of time, over all shots.

    A face joins the track whose mean direction is most like it, if that cosine is at least
    ``same_person``; otherwise it founds a track.

    embeddings_ND: rows of length 1; N may be 0. Tracks come in the order of their first face.
    """
    sums: list[Floats] = []
    members: list[list[int]] = []
    rows_ND = np.asarray(embeddings_ND, dtype=np.float64)
    for face, row_D in enumerate(rows_ND):
        cosines = [float(sum_D @ row_D / max(np.linalg.norm(sum_D), 1e-12)) for sum_D in sums]
        best = int(np.argmax(cosines)) if cosines else -1
        if cosines and cosines[best] >= same_person:
            members[best].append(face)
            sums[best] = sums[best] + row_D
        else:
            members.append([face])
            sums.append(row_D)
    return [_track(rows_ND, faces) for faces in members]


def _track(rows_ND: Floats, faces: list[int]) -> Track:
    own_ND = rows_ND[faces]
    # The sum of a row's cosines to all is its cosine to the sum: N products instead of N^2.
    medoid = int(np.argmax(own_ND @ own_ND.sum(axis=0)))
    cosines = np.clip(own_ND @ own_ND[medoid], -1.0, 1.0)
    return Track(
        faces=tuple(faces), medoid=faces[medoid], cosines=tuple(float(value) for value in cosines)
    )


def consistency(
    tracks: list[Track], seconds_N: npt.ArrayLike, *, same_person: float = SAME_PERSON
) -> Consistency:
    """The mean over all faces of their cosine to their track's medoid, weighted by face time.

    seconds_N: > 0, for how long each face is taken to be seen. There must be a track
    (``ValueError``).
    """
    if not tracks:
        raise ValueError("0 tracks have no consistency; ask only where there is a face")
    seconds = np.asarray(seconds_N, dtype=np.float64)
    weights = seconds[[face for track in tracks for face in track.faces]]
    cosines = np.array([cosine for track in tracks for cosine in track.cosines])
    return Consistency(
        mean_cosine=float(np.average(cosines, weights=weights)),
        fraction_same=float(np.average(cosines >= same_person, weights=weights)),
    )


def pair_faces(cosines_NK: Floats) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) with the largest sum of cosines, min(N, K) of them, by row."""
    rows, columns = linear_sum_assignment(np.asarray(cosines_NK), maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
