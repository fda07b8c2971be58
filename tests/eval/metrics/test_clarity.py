"""Clarity as a metric: which frames it sees, what it keeps, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyiqa
import pytest
import torch
from torch import Tensor

from pfp.errors import PermanentError, WeightsError
from pfp.eval.metrics import resolve
from pfp.eval.metrics.base import OpenedSample
from pfp.eval.metrics.clarity import FRAMES_PER_PASS, Clarity
from pfp.io.digests import sha256_file
from pfp.io.weights import Lock, Weights


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """MUSIQ of the true size with the random weights that it begins with."""
    torch.manual_seed(0)
    metric: torch.nn.Module = pyiqa.create_metric("musiq-spaq", pretrained=False, device="cpu")
    return metric


@pytest.fixture
def lock(network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """A lock whose musiq-spaq is that network's file in the weights folder."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    path = tmp_path / "musiq-spaq" / "musiq_spaq_ckpt.pth"
    path.parent.mkdir()
    torch.save(network.net.state_dict(), path)
    entry = Weights(
        name="musiq-spaq",
        urls=(f"https://example.org/{path.name}",),
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        licence="none",
        non_commercial=True,
        cite="nobody",
    )
    return {"musiq-spaq": entry}


class Brightness:
    """Stands for MUSIQ where only the handling of frames matters: the mean value in percent."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, frames_NCHW: Tensor) -> Tensor:
        """Of each frame one number, (N, 1)."""
        self.shapes.append(tuple(frames_NCHW.shape))
        return 100 * frames_NCHW.mean(dim=(1, 2, 3))[:, None]


def measured_by(network: Brightness) -> Clarity:
    """The metric with another network in MUSIQ's place."""
    metric = Clarity()
    metric._network = network
    return metric


def grey_frames(code_values: list[int], height: int, width: int) -> np.ndarray:
    """Frames of one code value each."""
    return np.array(code_values, np.uint8)[:, None, None, None] * np.ones(
        (height, width, 3), np.uint8
    )


def test_it_scores_every_frame_with_the_locked_network(
    lock: Lock, network: torch.nn.Module
) -> None:
    """Each frame's score is pyiqa's of that frame in [0, 1]; the value is their mean."""
    frames = np.random.default_rng(0).integers(0, 256, (2, 12, 120, 3), dtype=np.uint8)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    expected = [float(network(frame[None])) for frame in pixels]

    result = Clarity(lock=lock).measure(frames)

    assert expected == pytest.approx(result.evidence["per_frame"], abs=1e-4)
    assert np.mean(result.evidence["per_frame"]) == pytest.approx(result.value)
    assert result.num_frames == 2


def test_it_sees_all_frames_by_the_pass() -> None:
    """Twenty frames pass eight at a time, in order, each exactly once."""
    network = Brightness()
    code_values = [10 * t for t in range(20)]

    result = measured_by(network).measure(grey_frames(code_values, 6, 8))

    assert [code_value / 2.55 for code_value in code_values] == pytest.approx(
        result.evidence["per_frame"]
    )
    assert [8, 8, 4] == [shape[0] for shape in network.shapes]
    assert FRAMES_PER_PASS == 8


def test_long_sides_are_cut_to_512() -> None:
    """A frame of 832x480 reaches the network as 512x295; one of 512x40 as it is."""
    network = Brightness()
    metric = measured_by(network)
    metric.measure(grey_frames([1], 480, 832))
    metric.measure(grey_frames([1], 40, 512))

    assert [(1, 3, 295, 512), (1, 3, 40, 512)] == network.shapes


def test_a_second_video_finds_the_network_loaded(lock: Lock, tmp_path: Path) -> None:
    """The weights are read once: the next video is measured though their file is gone."""
    video = grey_frames([30], 16, 100)
    metric = Clarity(lock=lock)
    first = metric.measure(video)
    (tmp_path / "musiq-spaq" / "musiq_spaq_ckpt.pth").unlink()

    assert first == metric.measure(video)


def test_without_weights_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing weights are an error with the command that brings them; nothing is downloaded."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))

    with pytest.raises(WeightsError, match="`pfp weights fetch musiq-spaq"):
        Clarity().measure(grey_frames([1], 16, 16))
    assert [] == list(tmp_path.iterdir())


def test_a_strip_is_refused() -> None:
    """A frame too thin for MUSIQ is refused before any is seen."""
    with pytest.raises(PermanentError, match="one of 1000x1 pixels has no breadth"):
        measured_by(Brightness()).begin(OpenedSample(num_frames=1, fps=24.0, height=1, width=1000))


def test_what_is_not_a_number_is_no_score() -> None:
    """A network that answers NaN makes an error that names the frame, never a value."""
    metric = Clarity()
    metric._network = lambda _: torch.tensor([[50.0], [float("nan")]])

    with pytest.raises(PermanentError, match="answered nan at frame 1"):
        metric.measure(grey_frames([1, 2], 16, 16))


def test_the_card_names_the_licence_and_the_mode() -> None:
    """A reader learns that commercial use is barred, and how frames are resized."""
    card = resolve("clarity").card

    assert "Noncommercial" in card.licence
    assert (0.0, 100.0) == (card.low, card.high)
    assert ("longer", False) == (card.params["mode"], card.params["antialias"])
