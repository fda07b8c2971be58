"""Identity over frames that are drawn: a bright square is a face, its colour is the person."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from pfp.errors import PermanentError, WeightsError
from pfp.eval.metrics.base import Frame, Metric, MetricValue, OpenedSample
from pfp.eval.metrics.identity import (
    Identity,
    ReferenceIdentity,
    _reference,
    sampled_frames,
)
from pfp.io.weights import Lock
from pfp.measures.faces import Face, FaceFinder
from tests.measures.face_networks import colour_cosine, draw, save_both

Colour = tuple[int, int, int]
RED, ORANGE, BLUE, GREEN = (255, 0, 0), (255, 100, 0), (0, 0, 255), (0, 255, 0)
LEFT, RIGHT = (64, 64), (384, 64)


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lock]:
    """A weights folder with the drawn detector and recogniser, and its lock."""
    folder = tmp_path_factory.mktemp("weights")
    return folder, save_both(folder)


@pytest.fixture
def lock(weights_folder: tuple[Path, Lock], monkeypatch: pytest.MonkeyPatch) -> Lock:
    """The lock of networks that ``find`` finds."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(weights_folder[0]))
    return weights_folder[1]


def two_fps(num_frames: int, references: Sequence[Path] = ()) -> OpenedSample:
    """A sample of which every frame is looked at."""
    return OpenedSample(
        num_frames=num_frames,
        fps=2.0,
        height=640,
        width=640,
        reference_faces=tuple(str(path) for path in references),
    )


def people(*colours: Colour) -> np.ndarray:
    """A frame with up to two people, left and right."""
    return draw(640, *((*at, colour) for at, colour in zip((LEFT, RIGHT), colours, strict=False)))


def measure(metric: Metric, frames: Sequence[np.ndarray], sample: OpenedSample) -> MetricValue:
    """As the engine does it: the frames that are asked for, in order."""
    measurement = metric.begin(sample)
    asked = metric.frames_of(sample)
    assert asked is not None
    for index in asked:
        measurement.see(Frame(index, frames[index]))
    return measurement.finish()


@pytest.mark.parametrize(
    ("fps", "num_frames", "expected"),
    [
        (24.0, 25, [0, 12, 24]),
        (25.0, 51, [0, 12, 25, 37, 50]),
        (29.97, 31, [0, 14, 29]),
        (2.0, 3, [0, 1, 2]),
        (1.0, 3, [0, 1, 2]),
        (24.0, 1, [0]),
    ],
)
def test_two_frames_a_second_are_looked_at(
    fps: float, num_frames: int, expected: list[int]
) -> None:
    """Those at 0, 1/2, 1, ... seconds; all of a video that has fewer."""
    sample = OpenedSample(num_frames=num_frames, fps=fps, height=1, width=1)

    assert expected == sampled_frames(sample)


def test_one_colour_is_one_person_who_stays_the_same(lock: Lock) -> None:
    """The score is 1, and the evidence says where each face was."""
    frames = [people(RED), people(RED), people(RED)]

    result = measure(Identity(lock=lock), frames, two_fps(3))

    assert pytest.approx(1.0, abs=1e-5) == result.value
    assert 1 == result.evidence["num_tracks"]
    assert 1.0 == result.evidence["fraction_same"] == result.evidence["coverage"]
    box = result.evidence["faces"][2]["box"]
    assert (2, 1.0, [64.0, 64.0, 160.0, 160.0]) == (
        result.evidence["faces"][2]["frame"],
        result.evidence["faces"][2]["seconds"],
        box,
    )
    assert result.evidence == json.loads(json.dumps(result.evidence))


def test_the_score_is_the_mean_cosine_to_the_medoid(lock: Lock) -> None:
    """Two red frames and an orange one: one track, whose medoid is red."""
    frames = [people(RED), people(ORANGE), people(RED)]

    result = measure(Identity(lock=lock), frames, two_fps(3))

    expected = (2 + colour_cosine(RED, ORANGE)) / 3
    assert colour_cosine(RED, ORANGE) > 0.4
    assert expected == pytest.approx(result.value, abs=2e-3)
    assert [0, 0, 0] == [face["track"] for face in result.evidence["faces"]]


def test_people_who_come_back_keep_their_tracks_across_shots(lock: Lock) -> None:
    """Two people together, then alone, then an empty shot: two tracks, coverage three quarters."""
    frames = [people(RED, BLUE), people(BLUE), people(RED), people()]

    result = measure(Identity(lock=lock), frames, two_fps(4))

    by_frame = {(face["frame"], face["track"]) for face in result.evidence["faces"]}
    assert 2 == result.evidence["num_tracks"]
    assert {0: {0, 2}, 1: {0, 1}} in (
        {t: {f for f, track in by_frame if track == t} for t in (0, 1)},
        {1 - t: {f for f, track in by_frame if track == t} for t in (0, 1)},
    )
    assert 0.75 == result.evidence["coverage"]
    assert 3 == result.num_frames
    assert pytest.approx(1.0, abs=1e-5) == result.value


def test_a_person_who_is_replaced_is_seen_only_in_the_number_of_tracks(lock: Lock) -> None:
    """The documented blind spot: another person is another track, as consistent as the first."""
    result = measure(Identity(lock=lock), [people(RED), people(BLUE)], two_fps(2))

    assert pytest.approx(1.0, abs=1e-5) == result.value
    assert 2 == result.evidence["num_tracks"]


def test_no_face_anywhere_is_no_score(lock: Lock) -> None:
    """A reason, and coverage 0."""
    result = measure(Identity(lock=lock), [people(), people()], two_fps(2))

    assert (None, "no_face", 0) == (result.value, result.unscored_reason, result.num_frames)
    assert (0.0, 2) == (result.evidence["coverage"], result.evidence["num_sampled"])


def test_faces_under_forty_pixels_do_not_count(lock: Lock) -> None:
    """A box of 96 pixels for the detector is 39 in an image of 260 and 42 in one of 280."""
    small, large = (draw(size, (size // 10, size // 10, RED)) for size in (260, 280))

    assert "no_face" == measure(Identity(lock=lock), [small], two_fps(1)).unscored_reason
    assert pytest.approx(1.0, abs=1e-5) == measure(Identity(lock=lock), [large], two_fps(1)).value


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """An image file of the red person."""
    image_HWC = np.zeros((1280, 1280, 3), dtype=np.uint8)
    image_HWC[256:512, 256:512] = RED
    path = tmp_path / "red.png"
    Image.fromarray(image_HWC).save(path)
    return path


def test_reference_faces_show_a_replaced_person(lock: Lock, reference: Path) -> None:
    """The score against the reference falls where the tracks see nothing."""
    frames, sample = [people(RED), people(BLUE)], two_fps(2, [reference])

    result = measure(ReferenceIdentity(lock=lock), frames, sample)

    expected = (1 + colour_cosine(RED, BLUE)) / 2
    assert expected == pytest.approx(result.value, abs=2e-3)
    assert 0.5 == result.evidence["reference"]["fraction_same"]
    tracks = measure(Identity(lock=lock), frames, sample)
    assert pytest.approx(1.0, abs=1e-5) == tracks.value
    assert result.evidence["reference"] == tracks.evidence["reference"]


def test_a_video_in_memory_can_be_held_against_faces(lock: Lock, reference: Path) -> None:
    """``measure`` takes the images, as a manifest does."""
    video = np.stack([people(RED), people(BLUE)])
    faces = (str(reference),)

    result = ReferenceIdentity(lock=lock).measure(video, fps=2.0, reference_faces=faces)

    assert measure(ReferenceIdentity(lock=lock), video, two_fps(2, [reference])) == result
    assert result.value is not None


def test_bystanders_do_not_count_against_the_reference(lock: Lock, reference: Path) -> None:
    """In each frame a reference is paired with one face, the one most like it."""
    frames, sample = [people(GREEN, RED), people(RED, BLUE)], two_fps(2, [reference])

    result = measure(ReferenceIdentity(lock=lock), frames, sample)

    assert pytest.approx(1.0, abs=1e-5) == result.value
    assert 2 == len(result.evidence["reference"]["pairs"])


def test_without_references_the_reference_metric_looks_at_nothing(lock: Lock) -> None:
    """It asks for no frame and says why it has no score."""
    sample = two_fps(2)
    result = measure(ReferenceIdentity(lock=lock), [people(RED)] * 2, sample)

    assert () == ReferenceIdentity(lock=lock).frames_of(sample)
    assert "no_reference_face" == result.unscored_reason


def test_the_largest_face_of_a_reference_image_counts(reference: Path) -> None:
    """Somebody in the background is not the reference."""

    class TwoFaces:
        """Sees a small face and a large one in everything."""

        def find(self, rgb_HWC: np.ndarray) -> list[Face]:
            """The small one is surer."""
            assert (1280, 1280, 3) == rgb_HWC.shape
            small, large = np.eye(2, dtype=np.float32)
            return [
                Face(box=(0.0, 0.0, 50.0, 90.0), score=0.9, embedding_D=small),
                Face(box=(100.0, 0.0, 180.0, 90.0), score=0.6, embedding_D=large),
            ]

    found = _reference(str(reference), cast("FaceFinder", TwoFaces()))

    assert [0.0, 1.0] == found.tolist()


def test_bad_reference_images_are_refused(lock: Lock, tmp_path: Path) -> None:
    """An image without a face, one that is no image and one that is not there name the file.

    Where nothing is measured against it, it is told in the evidence.
    """
    Image.fromarray(people()).save(tmp_path / "nobody.png")
    (tmp_path / "text.png").write_text("not an image")
    for name, message in (
        ("nobody.png", r"nobody\.png shows no face"),
        ("text.png", r"text\.png cannot be read"),
        ("absent.png", r"absent\.png cannot be read"),
    ):
        sample = two_fps(1, [tmp_path / name])
        with pytest.raises(PermanentError, match=message):
            ReferenceIdentity(lock=lock).begin(sample)
        result = measure(Identity(lock=lock), [people(RED)], sample)
        assert 1 == result.evidence["num_tracks"]
        assert re.search(message, result.evidence["bad_references"][0])


def test_reference_images_may_be_uris(lock: Lock, reference: Path) -> None:
    """As manifests give them; what is not on this machine says so."""
    frames = [people(RED)]
    sample = dataclasses.replace(two_fps(1), reference_faces=(reference.as_uri(),))

    result = measure(ReferenceIdentity(lock=lock), frames, sample)

    assert pytest.approx(1.0, abs=1e-5) == result.value
    assert [reference.as_uri()] == result.evidence["reference"]["pictures"]
    remote = dataclasses.replace(sample, reference_faces=("s3://bucket/anna.png",))
    with pytest.raises(PermanentError, match=r"s3://bucket/anna\.png is not on this machine"):
        ReferenceIdentity(lock=lock).begin(remote)


def test_both_metrics_find_a_frame_s_faces_once(
    lock: Lock, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that both see goes through the networks one time."""
    calls: list[int] = []
    find = FaceFinder.find

    def watch(self: FaceFinder, rgb_HWC: np.ndarray) -> object:
        calls.append(len(rgb_HWC))
        return find(self, rgb_HWC)

    monkeypatch.setattr(FaceFinder, "find", watch)
    sample = two_fps(1, [reference])
    both = [metric(lock=lock).begin(sample) for metric in (Identity, ReferenceIdentity)]
    frame = Frame(0, people(RED))
    calls.clear()
    for measurement in both:
        measurement.see(frame)

    assert [640] == calls


def test_without_weights_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: Lock
) -> None:
    """Missing weights are an error with the command that brings them."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))

    with pytest.raises(WeightsError, match="`pfp weights fetch scrfd-10g`"):
        Identity(lock=lock).begin(two_fps(1))


def test_cards_name_their_weights_and_differ() -> None:
    """Both need both networks and say that these are not for commerce."""
    cards = [Identity.card, ReferenceIdentity.card]

    assert ["identity.arcface@1", "identity.arcface.reference@1"] == [c.metric_id for c in cards]
    for card in cards:
        assert ("scrfd-10g", "arcface-w600k-r50") == card.weights
        assert "non-commercial" in card.licence
        json.dumps(dataclasses.asdict(card))
