"""The aesthetic metrics: their scales, which frames they see, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pfp.errors import PermanentError, WeightsError
from pfp.eval.metrics import resolve
from pfp.eval.metrics.aesthetic import Aesthetic, AestheticV2
from pfp.eval.metrics.base import Metric
from pfp.io.digests import sha256_file
from pfp.io.weights import Lock, Weights
from pfp.measures import aesthetic, clip_pixels

MODEL = "vision-of-one-layer-quickgelu"
CONFIG = {
    "embed_dim": 768,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "patch_size": 14, "width": 64, "layers": 1},
    "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1},
}


class ImprovedHead(nn.Module):
    """The five layers as their author wrote them, dropout included."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(768, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, vector_NE: Tensor) -> Tensor:
        """Ratings, (N, 1)."""
        rating_N1: Tensor = self.layers(vector_NE)
        return rating_N1


class Networks:
    """A small CLIP and both heads with random weights."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.clip = open_clip.CLIP(**CONFIG).eval()
        self.v1 = nn.Linear(768, 1)
        self.v2 = ImprovedHead().eval()
        for parameter in (*self.v1.parameters(), *self.v2.parameters()):
            nn.init.normal_(parameter, std=0.1)


@pytest.fixture(scope="module")
def networks() -> Networks:
    """One set of them for the whole file."""
    return Networks()


@pytest.fixture
def lock(networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """A lock whose files hold those networks, in a weights folder of their own."""
    config = tmp_path / f"{MODEL}.json"
    config.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(config)
    monkeypatch.setattr(aesthetic, "CLIP_MODEL", MODEL)
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path / "weights"))
    files = {
        "clip-vit-l-14": "open_clip_model.safetensors",
        "aesthetic-v1": "linear.pth",
        "aesthetic-v2": "mlp.pth",
    }
    paths = {name: tmp_path / "weights" / name / file for name, file in files.items()}
    for path in paths.values():
        path.parent.mkdir(parents=True)
    save_file(networks.clip.state_dict(), paths["clip-vit-l-14"])
    torch.save(networks.v1.state_dict(), paths["aesthetic-v1"])
    torch.save(networks.v2.state_dict(), paths["aesthetic-v2"])
    return {
        name: Weights(
            name=name,
            urls=(f"https://example.org/{path.name}",),
            sha256=sha256_file(path),
            bytes=path.stat().st_size,
            licence="none",
            non_commercial=False,
            cite="nobody",
        )
        for name, path in paths.items()
    }


def noise(num_frames: int, height: int, width: int) -> np.ndarray:
    """Random frames."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def ratings_by(networks: Networks, head: nn.Module, pixels: list[Tensor]) -> list[float]:
    """The head's answers to CLIP's unit vectors, one frame at a time."""
    with torch.no_grad():
        vectors = [networks.clip.encode_image(frame[None], normalize=True) for frame in pixels]
        return [float(head(vector)) for vector in vectors]


def test_v1_is_the_mean_rating_over_ten(lock: Lock, networks: Networks) -> None:
    """V1 sees VBench's pixels, with their overshoot, and divides by 10."""
    frames = noise(3, 60, 90)
    pixels = [clip_pixels.unclamped(frame) for frame in frames]
    expected = [rating / 10 for rating in ratings_by(networks, networks.v1, pixels)]

    result = Aesthetic(lock=lock).measure(frames)

    assert expected == pytest.approx(result.evidence["per_frame"], abs=1e-6)
    assert np.mean(expected) == pytest.approx(result.value, abs=1e-6)
    assert result.num_frames == 3


def test_v2_is_the_mean_rating(lock: Lock, networks: Networks) -> None:
    """V2 sees CLIP's own antialiased pixels and keeps its scale from 1 to 10."""
    frames = noise(2, 300, 240)
    pixels = [clip_pixels.antialiased(frame) for frame in frames]

    result = AestheticV2(lock=lock).measure(frames)

    expected = ratings_by(networks, networks.v2, pixels)
    assert expected == pytest.approx(result.evidence["per_frame"], abs=1e-6)
    assert np.mean(expected) == pytest.approx(result.value, abs=1e-6)


def test_both_use_one_tower(lock: Lock) -> None:
    """Measured in one run, the two versions hold CLIP once."""
    v1, v2 = Aesthetic(lock=lock), AestheticV2(lock=lock)
    video = noise(1, 30, 30)
    v1.measure(video)
    v2.measure(video)

    assert v1._networks[0] is v2._networks[0]


@pytest.mark.parametrize("version", [Aesthetic, AestheticV2])
def test_they_see_all_frames_by_the_pass(version: type[Metric]) -> None:
    """Seventy frames pass 32 at a time, each exactly once and in order."""
    num_frames_of_passes = []

    def tower(pixels_NCHW: Tensor) -> Tensor:
        num_frames_of_passes.append(len(pixels_NCHW))
        return torch.stack([pixels_NCHW.mean(dim=(1, 2, 3)), torch.ones(len(pixels_NCHW))], dim=1)

    metric = version()
    metric._networks = (tower, lambda vector_NE: vector_NE[:, :1])
    frames = np.arange(70, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 3), np.uint8)

    result = metric.measure(frames)

    assert [32, 32, 6] == num_frames_of_passes
    assert result.num_frames == 70
    assert sorted(result.evidence["per_frame"]) == result.evidence["per_frame"]
    assert len(set(result.evidence["per_frame"])) == 70


@pytest.mark.parametrize(
    ("version", "missing"),
    [
        (Aesthetic, "clip-vit-l-14"),
        (Aesthetic, "aesthetic-v1"),
        (AestheticV2, "clip-vit-l-14"),
        (AestheticV2, "aesthetic-v2"),
    ],
)
def test_without_weights_they_say_how_to_get_them(
    lock: Lock, tmp_path: Path, version: type[Metric], missing: str
) -> None:
    """A missing file is an error with the command that brings it; open_clip downloads nothing."""
    entry = lock[missing]
    (tmp_path / "weights" / missing / entry.file_name).unlink()

    with pytest.raises(WeightsError, match=f"`pfp weights fetch {missing}`"):
        version(lock=lock).measure(noise(1, 16, 16))


def test_a_strip_is_refused(lock: Lock) -> None:
    """A frame of which CLIP would see one part in a hundred is refused with its size."""
    with pytest.raises(PermanentError, match="too little of 400x4 pixels"):
        Aesthetic(lock=lock).measure(noise(1, 4, 400))


@pytest.mark.parametrize("name", ["aesthetic", "aesthetic.v2"])
def test_what_is_not_a_number_is_no_score(name: str) -> None:
    """A tower that puts out NaN makes an error, never a value."""
    metric = resolve(name)()
    metric._networks = (lambda _: torch.full((1, 2), torch.nan), lambda vector_NE: vector_NE[:, :1])

    with pytest.raises(PermanentError, match="answered nan at frame 0"):
        metric.measure(noise(1, 16, 16))
