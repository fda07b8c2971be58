"""insightface's ``FaceAnalysis`` over real ONNX files in which a bright square is a face."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pfp.errors import WeightsError
from pfp.measures.faces import FaceFinder, providers_for
from tests.measures.face_networks import (
    POINTS,
    colour_cosine,
    draw,
    save_detector,
    save_recogniser,
)

RED, ORANGE, BLUE = (255, 0, 0), (255, 100, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The detector's and the recogniser's files."""
    folder = tmp_path_factory.mktemp("networks")
    detector, recogniser = folder / "any-name.file", folder / "other-name.file"
    save_detector(detector)
    save_recogniser(recogniser)
    return detector, recogniser


@pytest.fixture(scope="module")
def finder(networks: tuple[Path, Path]) -> FaceFinder:
    """Opened once for all tests."""
    return FaceFinder(*networks)


def test_the_files_have_the_true_networks_inputs_and_outputs(networks: tuple[Path, Path]) -> None:
    """Nine outputs of SCRFD for 640x640, grouped by kind; 1x3x112x112 to 512 for ArcFace."""
    detector, recogniser = (onnxruntime.InferenceSession(str(path)) for path in networks)
    blank = np.zeros((1, 3, 640, 640), dtype=np.float32)
    shapes = [output.shape for output in detector.run(None, {"input.1": blank})]

    assert shapes == [(n, width) for width in (1, 4, 10) for n in (12800, 3200, 800)]
    assert recogniser.run(None, {"input.1": blank[:, :, :112, :112]})[0].shape == (1, 512)


def test_a_square_is_found_where_it_is(finder: FaceFinder) -> None:
    """In an image twice the detector's size the box is twice as large, and where the square is."""
    (face,) = finder.find(draw(1280, (256, 512, RED)))

    assert pytest.approx((256, 512, 448, 704)) == face.box
    assert 192 == pytest.approx(face.side)
    assert face.score > 0.99


def test_the_side_is_the_shorter_one_of_an_image_that_is_not_square(finder: FaceFinder) -> None:
    """A wide image is fitted with one scale and padded below; boxes come back in its pixels."""
    wide = np.zeros((640, 1280, 3), dtype=np.uint8)
    wide[128:384, 640:896] = RED

    (face,) = finder.find(wide)

    assert pytest.approx((640, 128, 832, 320)) == face.box


def test_the_embedding_is_of_the_right_colour_order(finder: FaceFinder) -> None:
    """RGB in, the recogniser sees RGB: cosines of embeddings are those of the colours."""
    image_HWC = draw(640, (64, 64, RED), (256, 64, ORANGE), (448, 256, BLUE))
    faces = sorted(finder.find(image_HWC), key=lambda face: face.box)
    red, orange, blue = (face.embedding_D for face in faces)

    assert [(512,)] * 3 == [row.shape for row in (red, orange, blue)]
    assert 1 == pytest.approx(float(red @ red), abs=1e-6)
    assert colour_cosine(RED, ORANGE) == pytest.approx(float(red @ orange), abs=1e-3)
    assert colour_cosine(RED, BLUE) == pytest.approx(float(red @ blue), abs=1e-3)


def test_the_crop_is_the_face_aligned_by_its_points(
    finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recogniser gets 112x112 pixels cut so that the five points lie where ArcFace wants."""
    recogniser = finder._app.models["recognition"]
    crops: list[np.ndarray] = []
    get_feat = recogniser.get_feat

    def watch(crop: np.ndarray) -> np.ndarray:
        crops.append(crop)
        return get_feat(crop)

    monkeypatch.setattr(recogniser, "get_feat", watch)
    image_HWC = draw(640, (64, 64, RED))
    for x, y in POINTS:  # green dots, 7 pixels wide, at the points of the box of 96 pixels
        column, row = (round(64 + value * 96 / 112) for value in (x, y))
        image_HWC[row - 3 : row + 4, column - 3 : column + 4] = (0, 255, 0)
    finder.find(image_HWC)

    assert (112, 112, 3) == crops[0].shape
    for x, y in POINTS:
        assert (0, 255, 0) == pytest.approx(crops[0][round(y), round(x)])  # BGR: green is green
    assert (0, 0, 255) == pytest.approx(crops[0][100, 56])  # BGR: the ground is red


def test_no_face_is_an_empty_list(finder: FaceFinder) -> None:
    """A black image has none."""
    assert [] == finder.find(draw(640))


def test_nothing_is_said_and_nothing_stays_on_disk(
    networks: tuple[Path, Path],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No output, no folder in the home directory, and the private folder is gone."""
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    found = FaceFinder(*networks).find(draw(640, (64, 64, RED)))

    assert 1 == len(found)
    assert ("", "") == capfd.readouterr()
    assert [] == [*(tmp_path / "home").iterdir(), *(tmp_path / "tmp").iterdir()]


def test_a_system_without_links_gets_copies(
    networks: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where links are refused the files are copied."""

    def refuse(self: Path, target: Path) -> None:
        raise OSError(f"{self} cannot link to {target}")

    monkeypatch.setattr(Path, "symlink_to", refuse)

    assert 1 == len(FaceFinder(*networks).find(draw(640, (64, 64, RED))))


def test_other_files_are_refused(networks: tuple[Path, Path], tmp_path: Path) -> None:
    """Bytes that are no network, and a recogniser in the detector's place, name the files."""
    detector, recogniser = networks
    damaged = tmp_path / "damaged.file"
    damaged.write_bytes(b"not a network")

    with pytest.raises(WeightsError, match=r"damaged\.file"):
        FaceFinder(damaged, recogniser)
    with pytest.raises(WeightsError, match="are not insightface's SCRFD and ArcFace networks"):
        FaceFinder(recogniser, recogniser)
    with pytest.raises(WeightsError, match="are not insightface's SCRFD and ArcFace networks"):
        FaceFinder(detector, detector)


def test_the_device_chooses_the_provider() -> None:
    """CUDA where onnxruntime has it, with the device's number; the CPU otherwise."""
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    cuda = ("CUDAExecutionProvider", {"device_id": 1})

    assert ["CPUExecutionProvider"] == providers_for("cpu", both)
    assert [cuda, "CPUExecutionProvider"] == providers_for("cuda:1", both)
    assert 0 == providers_for("cuda", both)[0][1]["device_id"]
    assert ["CPUExecutionProvider"] == providers_for("cuda", ["CPUExecutionProvider"])
