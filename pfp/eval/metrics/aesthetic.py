"""Aesthetic quality: LAION's predictors on CLIP ViT-L/14, V1 as VBench has it and V2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, final

from pfp.errors import ConfigError
from pfp.eval.metrics.base import Measurement, Metric, MetricCard, OpenedSample, SecondsPer
from pfp.eval.metrics.frame_scores import FrameScores
from pfp.io import weights

TOWER = "clip-vit-l-14"
V1_HEAD = "aesthetic-v1"
V2_HEAD = "aesthetic-v2"
FRAMES_PER_PASS = 32


@final
class Aesthetic(Metric):
    """V1, a linear head whose rating from 1 to 10 is divided by 10, of every frame."""

    card: ClassVar = MetricCard(
        name="aesthetic",
        version=1,
        title="Aesthetic",
        unit="",
        direction="higher",
        low=0.0,
        high=1.0,
        decimals=2,
        scale=100,
        summary="Mean over all frames of LAION's V1 rating / 10 on CLIP ViT-L/14.",
        citation="Schuhmann and Beaumont, LAION-Aesthetics, 2022; Radford et al., ICML 2021",
        licence="MIT (CLIP, open_clip, the V1 head)",
        weights=(TOWER, V1_HEAD),
        libraries=("open_clip_torch", "pillow", "torch", "torchvision"),
        seconds_per=SecondsPer(seconds=2.4, per="frame"),
        params={
            "head": "sa_0_4_vit_l_14_linear",
            "resize": "bicubic 224, then the middle 224x224",
            "antialias": False,
            "clamp": False,
            "precision": "fp32",
            "divided_by": 10,
            "over": "frames",
        },
    )

    _networks: Any = None

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames may not be over 64 times as long as thin (``PermanentError``)."""
        if self._networks is None:
            tower, head = (weights.find(name, lock=self._lock) for name in self.card.weights)
            aesthetic, _ = _measures()
            self._networks = (
                aesthetic.load_tower(tower, self._device),
                aesthetic.load_linear_head(head, self._device),
            )
        _, clip_pixels = _measures()
        clip_pixels.check_size(sample.height, sample.width)
        return _measurement(self._networks, clip_pixels.unclamped, self._device, divisor=10.0)


@final
class AestheticV2(Metric):
    """V2, five linear layers trained on other ratings, of every frame; not what VBench reports."""

    card: ClassVar = MetricCard(
        name="aesthetic.v2",
        version=1,
        title="Aesthetic V2",
        unit="",
        direction="higher",
        low=1.0,
        high=10.0,
        decimals=3,
        summary="Mean over all frames of LAION's V2 rating (SAC, Logos, AVA) on CLIP ViT-L/14.",
        citation="Schuhmann, Improved aesthetic predictor, 2022; Radford et al., ICML 2021",
        licence="MIT (CLIP, open_clip), Apache-2.0 (the V2 head)",
        weights=(TOWER, V2_HEAD),
        libraries=("open_clip_torch", "pillow", "torch", "torchvision"),
        seconds_per=SecondsPer(seconds=2.4, per="frame"),
        params={
            "head": "sac+logos+ava1-l14-linearMSE",
            "resize": "PIL bicubic 224, then the middle 224x224",
            "antialias": True,
            "precision": "fp32",
            "over": "frames",
        },
    )

    _networks: Any = None

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames may not be over 64 times as long as thin (``PermanentError``)."""
        if self._networks is None:
            tower, head = (weights.find(name, lock=self._lock) for name in self.card.weights)
            aesthetic, _ = _measures()
            self._networks = (
                aesthetic.load_tower(tower, self._device),
                aesthetic.load_mlp_head(head, self._device),
            )
        _, clip_pixels = _measures()
        clip_pixels.check_size(sample.height, sample.width)
        return _measurement(self._networks, clip_pixels.antialiased, self._device, divisor=1.0)


def _measures() -> tuple[Any, Any]:
    """The two modules that need torch; ``ConfigError`` where it is not installed."""
    try:
        from pfp.measures import aesthetic, clip_pixels
    except ImportError as error:
        message = f"aesthetic needs {error.name}; pip install 'pfp[metrics,train]'"
        raise ConfigError(message) from error
    return aesthetic, clip_pixels


def _measurement(
    networks: tuple[Any, Any], prepare: Callable[[Any], Any], device: str, *, divisor: float
) -> Measurement:
    import torch

    aesthetic, _ = _measures()

    def score(pixels: list[Any]) -> list[float]:
        ratings = aesthetic.ratings(*networks, torch.stack(pixels).to(device))
        return [rating / divisor for rating in ratings]

    return FrameScores(prepare=prepare, score=score, frames_per_pass=FRAMES_PER_PASS)
