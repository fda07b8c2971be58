"""VBench-2.0's Human Identity as published and mended: each known fault, done and not done."""

from __future__ import annotations

import functools
import json
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import PermanentError, WeightsError
from pfp.eval.metrics import identity_vbench2
from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricValue
from pfp.eval.metrics.identity_vbench2 import (
    AsPublished,
    IdentityVbench2,
    IdentityVbench2Fixed,
    Mended,
    Networks,
    clean_crop,
    painted_crop,
)
from pfp.eval.networks import retinaface
from pfp.eval.networks.retinaface import FoundFaces
from pfp.io.weights import Lock
from tests.eval.networks.vbench2_networks import save_both

SIDE = 20
BOXES = ((2.0, 2.0, 9.0, 18.0), (11.0, 2.0, 18.0, 18.0))
NOBODY: tuple[float, ...] = ()


def found(*boxes: Sequence[float], num_outside: int = 0) -> FoundFaces:
    """What the detector says."""
    return FoundFaces(
        boxes_N4=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        scores_N=np.ones(len(boxes)),
        num_outside=num_outside,
    )


def person(angle: float) -> np.ndarray:
    """An embedding whose cosine to ``person(0)`` is the cosine of the angle."""
    return np.float32([np.cos(angle), np.sin(angle)])


def like(cosine: float) -> float:
    """The angle of that cosine."""
    return float(np.arccos(cosine))


class Scripted:
    """Networks that say what the test wants: per frame the angles of the people in it."""

    def __init__(self, frames: Iterable[Sequence[float]]) -> None:
        self.frames = [tuple(angles) for angles in frames]
        self.crops: list[np.ndarray] = []
        self._seen = iter(self.frames)
        self._waiting: list[float] = []

    def detect(self, image: np.ndarray) -> FoundFaces:
        """One box a person, left to right."""
        assert (SIDE, SIDE, 3) == image.shape
        angles = next(self._seen)
        self._waiting = list(angles)
        return found(*BOXES[: len(angles)])

    def embed(self, crop: np.ndarray) -> np.ndarray:
        """The people of the frame in turn."""
        self.crops.append(crop.copy())
        return person(self._waiting.pop(0))

    @property
    def networks(self) -> Networks:
        """As the metrics take them."""
        return Networks(detect=self.detect, embed=self.embed)


def grey() -> np.ndarray:
    """A frame without any green."""
    return np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)


def run(kind: type[Measurement], frames: Iterable[Sequence[float]]) -> MetricValue:
    """The measurement of scripted frames."""
    script = Scripted(frames)
    measurement = kind(script.networks)
    for index in range(len(script.frames)):
        measurement.see(Frame(index, grey()))
    result = measurement.finish()
    assert result.evidence == json.loads(json.dumps(result.evidence))
    return result


SAME, OTHER = (like(0.9),), (like(0.1),)


def test_the_score_is_the_fraction_of_frames_like_the_first() -> None:
    """Thirty frames like it and ten unlike it: 3/4, with and without faults."""
    frames = [(0.0,), *[SAME] * 30, *[OTHER] * 10]

    for kind in (AsPublished, Mended):
        result = run(kind, frames)
        assert 0.75 == result.value
        assert (40, 1.0) == (result.num_frames, result.evidence["coverage"])
        (last,) = result.evidence["faces"][-1:]
        assert (40, list(BOXES[0])) == (last["frame"], last["box"])
        assert 0.1 == pytest.approx(last["cosine"], abs=1e-6)


def published(frames: Sequence[Sequence[float]]) -> float:
    """The published rules in a few lines; -1 is no score."""
    if len(frames[0]) != 1:
        return -1
    counted = [angles for angles in frames[1:] if len(angles) < 2]
    same = [not angles or np.cos(angles[0] - frames[0][0]) >= 0.4 for angles in counted]
    return sum(same) / len(same) if len(same) >= 20 else -1


@pytest.mark.parity
def test_as_published_agrees_with_the_published_rules_on_random_videos(
    parity: Callable[..., None],
) -> None:
    """Two hundred videos of nobody, one person or two, some of them too short."""
    rng = np.random.default_rng(0)
    expected, values = [], []
    for _ in range(200):
        people = rng.choice(3, p=[0.2, 0.6, 0.2], size=rng.integers(1, 60))
        frames = [tuple(rng.uniform(0, np.pi, size=count)) for count in people]
        value = run(AsPublished, frames).value
        expected.append(published(frames))
        values.append(-1 if value is None else value)

    assert 20 < expected.count(-1) < 180
    difference = float(np.abs(np.array(expected) - values).max())
    reference = "VBench-2.0's counting rules over 200 random videos"
    parity("identity.vbench2", reference, difference, tolerance=0.0)


@pytest.mark.parametrize(("cosine", "expected"), [(0.41, 1.0), (0.39, 0.0)])
def test_four_tenths_is_the_same_person(cosine: float, expected: float) -> None:
    """Just above it all frames are consistent, just below none."""
    for kind in (AsPublished, Mended):
        assert expected == run(kind, [(0.0,), *[(like(cosine),)] * 20]).value


@pytest.mark.parametrize(
    ("kind", "metric"), [(AsPublished, IdentityVbench2), (Mended, IdentityVbench2Fixed)]
)
@pytest.mark.parametrize(
    "frames",
    [
        [(0.0,), *[(like(0.3),)] * 15, (), *[(like(0.5),)] * 25],
        [(0.0,), *[(like(0.3),)] * 15],
        [(), (0.0,)],
        [(0.0, 2.0), *[(like(0.3), 2.0)] * 30],
    ],
)
def test_stored_cosines_meet_another_threshold_as_a_new_measurement_does(
    kind: type[AsPublished | Mended],
    metric: type[Metric],
    frames: list[tuple[float, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was stored as JSON is enough to score a video again, with the same evidence."""
    stored = json.loads(json.dumps(run(kind, frames).evidence))
    for threshold in (0.2, 0.4, 0.6):
        monkeypatch.setattr(identity_vbench2, "SAME_PERSON", threshold)
        assert run(kind, frames) == metric.rescore(stored, 0)


def test_twenty_frames_after_the_first_are_needed() -> None:
    """Twenty give a score, nineteen a reason, in both."""
    for kind in (AsPublished, Mended):
        assert 1.0 == run(kind, [(0.0,)] * 21).value
        short = run(kind, [(0.0,)] * 20)
        assert (None, "too_few_frames", 19) == (
            short.value,
            short.unscored_reason,
            short.num_frames,
        )


def test_fault_2_a_frame_without_a_face_counts_as_consistent() -> None:
    """A person who turns into another and then vanishes: published 0.5, mended 0."""
    frames = [(0.0,), *[OTHER] * 30, *[NOBODY] * 30]
    as_published, mended = run(AsPublished, frames), run(Mended, frames)

    assert (0.5, 60) == (as_published.value, as_published.num_frames)
    assert 30 == as_published.evidence["num_without_face_but_consistent"]
    assert (0.0, 30) == (mended.value, mended.num_frames)
    assert 30 == mended.evidence["num_without_face"]
    assert [31 / 61] * 2 == [r.evidence["coverage"] for r in (as_published, mended)]


def test_faces_that_all_lie_outside_are_skipped_even_as_published() -> None:
    """The published code takes only an empty answer of the detector for a face."""
    script = Scripted([(0.0,)] * 21)
    detect = script.detect
    answers = iter([None] * 21 + [found(num_outside=2)] * 5)
    networks = Networks(detect=lambda image: next(answers) or detect(image), embed=script.embed)
    measurement = AsPublished(networks)
    for index in range(26):
        measurement.see(Frame(index, grey()))

    result = measurement.finish()

    assert (20, 5) == (result.num_frames, result.evidence["num_skipped"])


def test_fault_3_the_box_is_drawn_before_the_face_is_cut_out() -> None:
    """Published crops have a green border of two pixels (one at the far sides), mended none."""
    crops = {}
    for kind in (AsPublished, Mended):
        script = Scripted([(0.0,)] * 2)
        measurement = kind(script.networks)
        frame = grey()
        measurement.see(Frame(0, frame))
        crops[kind] = script.crops[0]
        assert np.array_equal(grey(), frame)  # the other metrics' frame stays as it was

    expected = np.full((16, 7, 3), 90, dtype=np.uint8)
    assert np.array_equal(expected, crops[Mended])
    expected[:2], expected[-1:], expected[:, :2], expected[:, -1:] = [(0, 255, 0)] * 4
    assert np.array_equal(expected, crops[AsPublished])


def test_fault_4_videos_without_a_score_say_why_and_how_much_was_seen() -> None:
    """No -1: a reason, and coverage."""
    nobody = [NOBODY, *[SAME] * 30]
    as_published, mended = run(AsPublished, nobody), run(Mended, nobody)

    assert (None, "not_one_face_in_first_frame") == (
        as_published.value,
        as_published.unscored_reason,
    )
    assert (None, "no_face_in_first_frame") == (mended.value, mended.unscored_reason)
    assert (31, 0.0) == (mended.evidence["num_seen"], mended.evidence["coverage"])
    assert 0 == run(Mended, []).num_frames


@pytest.mark.parametrize("kind", [AsPublished, Mended])
def test_fault_5_no_frame_is_kept(kind: type[Measurement]) -> None:
    """A frame is gone as soon as the next one comes."""
    measurement = kind(Scripted([(0.0,)] * 3).networks)
    for index in range(3):
        image = grey()
        measurement.see(Frame(index, image))
        alive = weakref.ref(image)
        del image
        assert alive() is None


def test_fault_6_two_people_get_no_score() -> None:
    """Mended, each is followed one to one; who comes later is counted apart."""
    right = np.pi / 2
    both = (0.0, right)
    frames = [both, *[(right, 0.0)] * 10, *[(right,)] * 10, *[(0.0, -like(-0.9))] * 10]
    as_published, mended = run(AsPublished, frames), run(Mended, frames)

    assert "not_one_face_in_first_frame" == as_published.unscored_reason
    assert (40 / 50, 30) == (mended.value, mended.num_frames)
    assert (50, 40) == (mended.evidence["num_compared"], mended.evidence["num_consistent"])


def test_fault_6_frames_with_bystanders_are_skipped() -> None:
    """Published, a frame of two faces does not count; mended, the one like the first does."""
    frames = [(0.0,), *[SAME] * 20, *[(like(0.1), like(0.2))] * 20]
    as_published, mended = run(AsPublished, frames), run(Mended, frames)

    assert (1.0, 20) == (as_published.value, as_published.num_frames)
    assert 20 == as_published.evidence["num_skipped"]
    assert (0.5, 40) == (mended.value, mended.num_frames)
    assert 20 == mended.evidence["num_newcomers"]


def test_boxes_are_cut_at_whole_pixels_inside_the_image() -> None:
    """Fractions are dropped and what leaves the image is left out."""
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    box = np.array([-3.5, 4.9, 7.99, 30.0])

    assert np.array_equal(image[4:20, 0:7], clean_crop(image, box))
    assert (16, 7, 3) == painted_crop(image, box).shape


def test_a_box_before_the_image_is_cut_from_its_end_as_published() -> None:
    """Negative indices wrap in the published code; mended, such a box is no face."""
    box = np.array([-30.0, 2.0, -4.0, 10.0])

    assert (8, SIDE - 4, 3) == painted_crop(grey(), box).shape
    assert 0 == clean_crop(grey(), box).size


def test_a_face_without_a_whole_pixel_is_an_error_only_as_published() -> None:
    """The published code dies of it; mended, there is no face in the frame."""
    thin = found((3.2, 2.0, 3.8, 10.0))
    networks = Networks(detect=lambda image: thin, embed=lambda crop: person(0))  # noqa: ARG005

    with pytest.raises(PermanentError, match=r"frame 0 has no whole pixel \(box \[3\.2, 2\.0"):
        AsPublished(networks).see(Frame(0, grey()))
    mended = Mended(networks)
    mended.see(Frame(0, grey()))
    assert "no_face_in_first_frame" == mended.finish().unscored_reason


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lock]:
    """A weights folder with both networks, and its lock."""
    folder = tmp_path_factory.mktemp("weights")
    return folder, save_both(folder)


@pytest.fixture
def lock(weights_folder: tuple[Path, Lock], monkeypatch: pytest.MonkeyPatch) -> Lock:
    """The lock of networks that ``find`` finds; images are enlarged to 64 pixels only."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(weights_folder[0]))
    small = functools.partial(retinaface.detect, max_side=64)
    monkeypatch.setattr(retinaface, "detect", small)
    return weights_folder[1]


def test_the_true_networks_score_a_video(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """RetinaFace and ArcFace of full size over a still: every frame has a face like the first."""
    monkeypatch.setattr(identity_vbench2, "MIN_FRAMES", 1)
    still = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3), dtype=np.uint8)
    frames = np.repeat(still, 2, axis=0)

    for metric in (IdentityVbench2(lock=lock), IdentityVbench2Fixed(lock=lock)):
        result = metric.measure(frames)
        assert (1.0, 1) == (result.value, result.num_frames)
        assert [1.0] == pytest.approx([face["cosine"] for face in result.evidence["faces"]])


def test_fault_1_the_detector_normalises_by_the_image_s_statistics(
    lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published, the detector is left in training mode; mended, it is not."""
    modes: list[bool] = []
    detect = retinaface.detect

    def watch(network: retinaface.RetinaFace, image: np.ndarray) -> FoundFaces:
        modes.append(network.training)
        assert network.training == network.body.bn1.training
        return detect(network, image)

    monkeypatch.setattr(retinaface, "detect", watch)
    image = np.zeros((1, 32, 48, 3), dtype=np.uint8)
    IdentityVbench2(lock=lock).measure(image)
    IdentityVbench2Fixed(lock=lock).measure(image)

    assert [True, False] == modes


def test_without_weights_it_says_how_to_get_them(
    lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing weights are an error with the command that brings them."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    image = np.zeros((1, 32, 48, 3), dtype=np.uint8)

    for metric in (IdentityVbench2(lock=lock), IdentityVbench2Fixed(lock=lock)):
        with pytest.raises(WeightsError, match="`pfp weights fetch retinaface-resnet50`"):
            metric.measure(image)


def test_the_cards_tell_the_two_apart() -> None:
    """Different names and params, the same weights, of which the licence is told."""
    published_card, mended_card = IdentityVbench2.card, IdentityVbench2Fixed.card

    assert "identity.vbench2@1" == published_card.metric_id
    assert "identity.vbench2.fixed@1" == mended_card.metric_id
    assert ("vbench2", "fixed") == (published_card.params["compat"], mended_card.params["compat"])
    assert ("retinaface-resnet50", "arcface-resnet18-110") == published_card.weights
    assert published_card.weights == mended_card.weights
