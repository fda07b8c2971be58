"""Text-video cosines with a narrow ViCLIP of random weights that lies in the weights folder."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor

from pfp.errors import PermanentError, WeightsError
from pfp.eval.metrics import OpenedSample, semantic
from pfp.eval.metrics.base import Frame
from pfp.eval.metrics.semantic import Semantic, SemanticStoryboard, frames_of_shot, middle_frames
from pfp.eval.networks import clip_text
from pfp.eval.networks.viclip import Viclip, ViclipConfig, load_viclip
from pfp.io.digests import sha256_file
from pfp.io.weights import Lock, Weights
from pfp.schema import Shot

NARROW = ViclipConfig(
    vision_width=64, num_vision_layers=1, text_width=64, num_text_layers=1, embedding_size=32
)
PROMPT = "A red kite climbs over a grey beach"
LONG = f"{PROMPT}. " * 3 + "Then a whale breaches, and everybody shouts!"


def narrow_network() -> Viclip:
    """Random weights that let frames and words matter."""
    generator = torch.Generator().manual_seed(4)
    network = Viclip(NARROW)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                scale = 1.0 if "embedding" in name else 2.0 * weight[0].numel() ** -0.5
                weight.copy_(scale * torch.randn(weight.shape, generator=generator))
    return network


def lock_of(folder: Path, network: Viclip) -> Lock:
    """A lock whose ViCLIP is this network, written where the weights are looked for."""
    path = folder / "viclip-internvid-10m-flt" / "ViClip-InternVid-10M-FLT.pth"
    path.parent.mkdir()
    torch.save({"model": network.state_dict()}, path)
    entry = Weights(
        name="viclip-internvid-10m-flt",
        urls=(f"https://example.org/{path.name}",),
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        licence="none",
        non_commercial=False,
        cite="nobody",
    )
    return {entry.name: entry}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights folder of this file's tests."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def written(folder: Path) -> Lock:
    """The narrow network, written once."""
    return lock_of(folder, narrow_network())


@pytest.fixture
def lock(folder: Path, written: Lock, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """The lock, with the environment that leads to its folder."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(folder))
    return written


@pytest.fixture
def network(folder: Path, lock: Lock) -> Viclip:
    """The network that the metrics load."""
    (name,) = lock
    return load_viclip(folder / name / lock[name].file_name)


def noise(num_frames: int, height: int = 60, width: int = 90, seed: int = 1) -> np.ndarray:
    """A random video of coarse blocks, uint8 (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    shape = (num_frames, height // 10, width // 10, 3)
    blocks = rng.integers(0, 256, shape, dtype=np.uint8)
    return blocks.repeat(10, axis=1).repeat(10, axis=2)


def video_vector(network: Viclip, frames_THWC: np.ndarray) -> Tensor:
    """Bytes resized, clamped, rounded, cropped, normalised, and embedded."""
    frames_TCHW = torch.from_numpy(frames_THWC.transpose(0, 3, 1, 2).astype(np.float32))
    height, width = frames_TCHW.shape[2:]
    size = (224, int(224 * width / height)) if height <= width else (int(224 * height / width), 224)
    resized = F.interpolate(frames_TCHW, size, mode="bicubic", align_corners=False)
    resized = resized.clamp(0, 255).round()
    top, left = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    square = resized[:, :, top : top + 224, left : left + 224] / 255
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    with torch.inference_mode():
        return network.embed_videos(((square - mean) / std)[None])[0]


def text_vector(network: Viclip, tokens: list[int]) -> Tensor:
    """One context of 30 tokens at most, embedded."""
    with torch.inference_mode():
        return network.embed_texts(torch.tensor([clip_text.in_context(tokens)]))[0]


# -- which frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (1, [0] * 8),
        (2, [0, 1, 1, 1, 1, 1, 1, 1]),
        (7, [0, 1, 2, 3, 4, 5, 6, 6]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (9, [0, 1, 2, 3, 4, 5, 6, 7]),
        (16, [0, 2, 4, 6, 8, 10, 12, 14]),
        (81, [4, 14, 24, 34, 44, 54, 64, 75]),
        (241, [14, 44, 74, 104, 134, 164, 194, 225]),
    ],
)
def test_the_middle_frames_are_those_of_the_table(num_frames: int, expected: list[int]) -> None:
    """Eight frames, one from each part; a short video's last frame fills up."""
    assert expected == middle_frames(num_frames)
    sample = OpenedSample(num_frames=num_frames, fps=24.0, height=60, width=90)
    assert expected == Semantic().frames_of(sample)


def test_the_middle_frames_of_any_length_agree_with_whole_numbers() -> None:
    """The frame between the edges i n // 8 and (i + 1) n // 8 - 1, for every length from 8 on."""
    for n in range(8, 2000):
        edges = [i * n // 8 for i in range(9)]
        expected = [(a + b - 1) // 2 for a, b in pairwise(edges)]
        assert expected == middle_frames(n)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, range(24)),
        (1.0, 2.0, range(24, 48)),
        (0.49, 0.51, range(12, 13)),
        (1.9, 9.0, range(46, 50)),
        (3.0, 4.0, range(72, 72)),
        (0.01, 0.02, range(1, 1)),
    ],
)
def test_a_shot_has_the_frames_that_begin_in_it(start: float, end: float, expected: range) -> None:
    """The span is half-open, ends with the video, and may hold no frame."""
    sample = OpenedSample(num_frames=50, fps=24.0, height=60, width=90)
    shot = Shot(start_seconds=start, end_seconds=end, caption="x")

    assert expected == frames_of_shot(shot, sample)


# -- semantic --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_frames", "height", "width"), [(20, 60, 90), (3, 90, 60), (1, 300, 300)]
)
def test_the_value_is_the_cosine_of_video_and_prompt(
    lock: Lock, network: Viclip, num_frames: int, height: int, width: int
) -> None:
    """Landscape, portrait and square, long and short: what the protocol says, to 1e-5."""
    video = noise(num_frames, height, width)
    indices = middle_frames(num_frames)

    result = Semantic(lock=lock).measure(video, prompt=PROMPT)

    text = text_vector(network, clip_text.tokens_of(PROMPT))
    expected = float(video_vector(network, video[indices]) @ text)
    assert result.value == pytest.approx(expected, abs=1e-5)
    assert result.num_frames == min(num_frames, 8)
    assert result.evidence == {"frames": indices, "num_tokens": 8, "truncated_tokens": 0}


def test_a_long_prompt_is_cut_and_the_cut_counted(lock: Lock) -> None:
    """What follows the 30th token changes nothing but the count."""
    start = "go " * 30
    metric, video = Semantic(lock=lock), noise(8)

    whole = metric.measure(video, prompt=start)
    cut = metric.measure(video, prompt=f"{start} far away")

    assert whole.value == cut.value
    assert (whole.evidence["truncated_tokens"], cut.evidence["truncated_tokens"]) == (0, 2)


@pytest.mark.parametrize("prompt", [None, "", " \n"])
def test_without_a_prompt_there_is_no_value(lock: Lock, prompt: str | None) -> None:
    """A missing or blank prompt is refused, not scored as an empty text."""
    with pytest.raises(PermanentError, match="semantic needs a prompt, not "):
        Semantic(lock=lock).measure(noise(8), prompt=prompt)


def test_a_video_that_ends_early_is_refused(lock: Lock) -> None:
    """Frames that never come make no value of those that came."""
    sample = OpenedSample(num_frames=16, fps=24.0, height=60, width=90, prompt=PROMPT)
    measurement = Semantic(lock=lock).begin(sample)
    for index, frame_HWC in enumerate(noise(5)):
        measurement.see(Frame(2 * index, frame_HWC))

    with pytest.raises(PermanentError, match="ended before frame 10"):
        measurement.finish()


# -- semantic.storyboard ---------------------------------------------------------------------------


def shots_of(*spans: tuple[float, float, str]) -> tuple[Shot, ...]:
    """Shots of (start, end, caption)."""
    return tuple(Shot(start_seconds=a, end_seconds=b, caption=text) for a, b, text in spans)


def test_each_shot_is_compared_with_its_own_caption(lock: Lock) -> None:
    """The shots' cosines are ``semantic`` of the cut-out shots, the value their weighted mean.

    The shots overlap and do not come in order.
    """
    video = noise(48)
    captions = ["a whale", PROMPT, "two children"]
    shots = shots_of((1.0, 2.0, captions[0]), (0.0, 0.25, captions[1]), (0.125, 1.25, captions[2]))

    result = SemanticStoryboard(lock=lock).measure(video, fps=24.0, shots=shots)

    parts = [video[24:48], video[:6], video[3:30]]
    expected = [
        Semantic(lock=lock).measure(part, prompt=caption).value
        for part, caption in zip(parts, captions, strict=True)
    ]
    actual = [shot["cosine"] for shot in result.evidence["shots"]]
    assert actual == pytest.approx(expected, abs=1e-6)
    assert [shot["num_frames"] for shot in result.evidence["shots"]] == [24, 6, 27]
    assert result.evidence["shots"][1]["frames"] == [0, 1, 2, 3, 4, 5, 5, 5]
    assert result.value == pytest.approx(np.dot(actual, [24, 6, 27]) / 57)
    assert result.evidence["mean_over_shots"] == pytest.approx(np.mean(actual))
    assert result.num_frames == len({i for s in result.evidence["shots"] for i in s["frames"]})


def test_a_long_caption_is_read_to_its_end(lock: Lock, network: Viclip) -> None:
    """Its vector is the mean of its pieces' vectors, weighted by their tokens."""
    video = noise(8)
    pieces = [f"{PROMPT}. " * 3, "Then a whale breaches, and everybody shouts!"]
    lengths = [len(clip_text.tokens_of(piece)) for piece in pieces]
    vectors = [text_vector(network, clip_text.tokens_of(piece)) for piece in pieces]
    text = sum(length * vector for length, vector in zip(lengths, vectors, strict=True))

    result = SemanticStoryboard(lock=lock).measure(video, fps=8.0, shots=shots_of((0, 1, LONG)))

    expected = F.cosine_similarity(video_vector(network, video), text, dim=0)
    assert result.value == pytest.approx(float(expected), abs=1e-5)
    assert result.evidence["shots"][0]["tokens_of_pieces"] == lengths == [27, 9]
    assert abs(result.value - Semantic(lock=lock).measure(video, prompt=LONG).value) > 1e-3


def test_a_shot_beyond_the_end_is_counted_and_not_scored(lock: Lock) -> None:
    """The value rests on the shots that the video has; the others stand in the evidence."""
    metric, video = SemanticStoryboard(lock=lock), noise(24)
    shots = shots_of((0.0, 1.0, PROMPT), (1.0, 2.0, "a whale"))

    result = metric.measure(video, fps=24.0, shots=shots)

    assert result.value == metric.measure(video, fps=24.0, shots=shots[:1]).value
    assert result.evidence["num_shots_without_frames"] == 1
    assert result.evidence["shots"][1]["cosine"] is None


def test_a_video_without_any_of_its_shots_has_no_value(lock: Lock) -> None:
    """If all shots lie beyond the end, there is a reason instead of a number."""
    shots = shots_of((5.0, 6.0, PROMPT))

    result = SemanticStoryboard(lock=lock).measure(noise(24), fps=24.0, shots=shots)

    assert (result.value, result.num_frames) == (None, 0)
    assert result.unscored_reason == "no_shot_within_the_video"


def test_frames_are_asked_for_in_order_of_time() -> None:
    """Shots out of order, and overlapping ones, ask for frames that only a forward read gives."""
    shots = shots_of((1.0, 2.0, "x"), (0.0, 1.5, "y"))
    sample = OpenedSample(num_frames=48, fps=24.0, height=60, width=90, shots=shots)

    first = [24 + 3 * i + 1 for i in range(8)]
    second = [1, 6, 10, 15, 19, 24, 28, 33]
    assert sorted(first + second) == SemanticStoryboard().frames_of(sample)


@pytest.mark.parametrize(
    ("shots", "message"),
    [((), "needs shots with captions"), (shots_of((0, 1, "x"), (1, 2, " ")), "shot 1 has no cap")],
    ids=["no shots", "no caption"],
)
def test_without_captions_there_is_no_value(
    lock: Lock, shots: tuple[Shot, ...], message: str
) -> None:
    """A video without shots and a shot without a caption are refused."""
    with pytest.raises(PermanentError, match=message):
        SemanticStoryboard(lock=lock).measure(noise(24), shots=shots)


# -- weights ---------------------------------------------------------------------------------------


def test_both_metrics_share_one_network(lock: Lock) -> None:
    """1.7 GB are loaded once."""
    first, second = Semantic(lock=lock), SemanticStoryboard(lock=lock)
    first.measure(noise(1), prompt=PROMPT)
    second.measure(noise(1), shots=shots_of((0, 1, PROMPT)))

    assert first._network is second._network


def test_without_weights_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing weights are an error with the command that brings them, never another number."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))

    with pytest.raises(WeightsError, match="pfp weights fetch viclip-internvid-10m-flt"):
        Semantic().measure(noise(8), prompt=PROMPT)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0], ids=["NaN", "infinite", "0"])
def test_broken_weights_give_an_error_and_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """A projection of NaN, of infinity or of zeros is found out by the cosine it makes."""
    monkeypatch.setenv("PFP_WEIGHTS_DIR", str(tmp_path))
    network = narrow_network()
    torch.nn.init.constant_(network.vision_encoder.proj, value)
    lock = lock_of(tmp_path, network)

    with pytest.raises(PermanentError, match="cosine is nan, so the weights viclip-internvid"):
        Semantic(lock=lock).measure(noise(8), prompt=PROMPT)


@pytest.mark.parametrize(("cosine", "good"), [(1.00005, True), (-1.0, True), (323.99, False)])
def test_what_no_cosine_can_be_is_an_error(cosine: float, *, good: bool) -> None:
    """Rounding just over 1 passes; 323.99, which a broken stack has once reported, does not."""
    if good:
        assert cosine == semantic.checked_cosine(cosine)
    else:
        with pytest.raises(PermanentError, match=r"323\.99"):
            semantic.checked_cosine(cosine)
