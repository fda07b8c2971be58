"""Tracks of faces against plain loops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from pfp.eval.metrics.face_tracks import consistency, find_tracks, pair_faces


def some_faces(seed: int, num_people: int, num_faces: int, noise: float) -> np.ndarray:
    """Unit vectors around a few directions, in random order."""
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(num_people, 16))
    rows = people[rng.integers(0, num_people, num_faces)] + noise * rng.normal(size=(num_faces, 16))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def cosine(a: list[float], b: list[float]) -> float:
    """By the definition."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def by_loops(rows: list[list[float]], threshold: float) -> list[tuple[list[int], int]]:
    """Members and medoid of each track, with lists and loops only."""
    tracks: list[list[int]] = []
    for face, row in enumerate(rows):
        best, best_cosine = None, threshold
        for track in tracks:
            mean = [sum(rows[i][d] for i in track) / len(track) for d in range(len(row))]
            if cosine(mean, row) >= best_cosine:
                best, best_cosine = track, cosine(mean, row)
        if best is None:
            tracks.append([face])
        else:
            best.append(face)
    medoids = [
        max(track, key=lambda i: (sum(cosine(rows[i], rows[j]) for j in track), -i))
        for track in tracks
    ]
    return list(zip(tracks, medoids, strict=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [0.1, 1.0, 3.0])
def test_tracks_agree_with_plain_loops(seed: int, noise: float) -> None:
    """Members, medoids and cosines of up to many tracks are those of the loops."""
    rows = some_faces(seed, 4, 40, noise)
    expected = by_loops(rows.tolist(), 0.4)

    tracks = find_tracks(rows)

    found = [(list(track.faces), track.medoid) for track in tracks if len(track.faces) > 2]
    # Two faces are equally like each other: either may be called the medoid.
    assert [item for item in expected if len(item[0]) > 2] == found
    assert [members for members, _ in expected] == [list(track.faces) for track in tracks]
    for track in tracks:
        straight = [cosine(rows[i].tolist(), rows[track.medoid].tolist()) for i in track.faces]
        assert straight == pytest.approx(track.cosines)


@pytest.mark.parity
def test_the_mean_cosine_agrees_with_plain_loops(parity: Callable[..., None]) -> None:
    """The score of thirty videos of up to five people, faces of equal time."""
    differences = []
    for seed in range(30):
        rows = some_faces(seed, 1 + seed % 5, 30, 1.0)
        cosines = [
            cosine(rows[face].tolist(), rows[medoid].tolist())
            for members, medoid in by_loops(rows.tolist(), 0.4)
            for face in members
        ]
        found = consistency(find_tracks(rows), np.ones(30))
        differences.append(abs(sum(cosines) / 30 - found.mean_cosine))

    parity("identity.arcface", "tracks by plain loops", max(differences), tolerance=1e-9)


def test_a_person_seen_again_after_a_cut_keeps_the_track() -> None:
    """Tracks go across shots: what lies between two sightings does not matter."""
    a, b = np.eye(2)
    tracks = find_tracks(np.array([a, a, b, b, a]))

    assert [(0, 1, 4), (2, 3)] == [track.faces for track in tracks]


def test_the_threshold_itself_is_the_same_person() -> None:
    """A cosine of exactly the threshold joins, one below it founds a track."""
    same = find_tracks(np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]]), same_person=0.5)
    other = find_tracks(np.array([[1.0, 0.0], [0.499, math.sqrt(1 - 0.499**2)]]), same_person=0.5)

    assert (1, 2) == (len(same), len(other))


def test_no_faces_have_no_tracks_and_no_consistency() -> None:
    """Nothing in, nothing out; a mean of nothing is refused."""
    assert [] == find_tracks(np.empty((0, 512)))
    with pytest.raises(ValueError, match="0 tracks"):
        consistency([], [])


def test_consistency_weighs_faces_by_their_time() -> None:
    """A face that stands for three seconds counts three times one that stands for one."""
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    found = consistency(find_tracks(rows), [1.0, 1.0, 3.0, 1.0])

    assert (1 + 1 + 3 * 0.6 + 1) / 6 == pytest.approx(found.mean_cosine)
    assert 1.0 == found.fraction_same
    strict = consistency(find_tracks(rows), [1.0, 1.0, 3.0, 1.0], same_person=0.7)
    assert 0.5 == pytest.approx(strict.fraction_same)


@pytest.mark.parametrize(("num_rows", "num_columns"), [(1, 1), (1, 4), (3, 2), (4, 4), (2, 3)])
def test_pairs_are_the_best_of_all_one_to_one_pairings(num_rows: int, num_columns: int) -> None:
    """The sum of their cosines is the largest that any pairing has."""
    cosines = np.random.default_rng(num_rows + 7 * num_columns).normal(size=(num_rows, num_columns))
    short, long = sorted((num_rows, num_columns))
    wide = cosines if num_rows <= num_columns else cosines.T
    best = max(
        sum(wide[i, j] for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(long), short)
    )

    pairs = pair_faces(cosines)

    assert short == len(pairs) == len({i for i, _ in pairs}) == len({j for _, j in pairs})
    assert best == pytest.approx(sum(cosines[i, j] for i, j in pairs))
