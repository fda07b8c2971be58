"""Clarity: MUSIQ trained on SPAQ, as VBench's imaging quality in its mode ``longer``."""

from __future__ import annotations

from typing import Any, ClassVar, final

from pfp.errors import ConfigError
from pfp.eval.metrics.base import Measurement, Metric, MetricCard, OpenedSample, SecondsPer
from pfp.eval.metrics.frame_scores import FrameScores
from pfp.io import weights

WEIGHTS = "musiq-spaq"
# One frame of 512x512 pixels takes 0.1 GB of activations; on a CPU, more at once are no faster.
FRAMES_PER_PASS = 8


@final
class Clarity(Metric):
    """Mean opinion score of technical quality, of every frame. VBench's aggregate is this / 100."""

    card: ClassVar = MetricCard(
        name="clarity",
        version=1,
        title="Clarity",
        unit="MOS",
        direction="higher",
        low=0.0,
        high=100.0,
        decimals=2,
        summary="Mean over all frames of MUSIQ-SPAQ, the longer side at most 512 pixels.",
        citation="Ke et al., MUSIQ: Multi-scale image quality transformer, ICCV 2021",
        licence="PolyForm-Noncommercial-1.0.0 and NTU S-Lab 1.0 (pyiqa): no commercial use",
        weights=(WEIGHTS,),
        libraries=("pyiqa", "torch", "torchvision"),
        seconds_per=SecondsPer(seconds=0.7, per="frame"),
        cost_note="its longer side is made 512 pixels at most",
        params={
            "network": "musiq-spaq",
            "mode": "longer",
            "longer_side": 512,
            "interpolation": "bilinear",
            "antialias": False,
            "over": "frames",
        },
    )

    _network: Any = None

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames may not be over 400 times as long as thin (``PermanentError``)."""
        path = weights.find(WEIGHTS, lock=self._lock) if self._network is None else None
        try:
            import torch

            from pfp.measures import clarity
        except ImportError as error:
            extras = "'pfp[metrics,train]'"
            raise ConfigError(f"clarity needs {error.name}; pip install {extras}") from error
        clarity.size_of(sample.height, sample.width)
        if path is not None:
            self._network = clarity.load_musiq(path, self._device)

        def score(frames: list[torch.Tensor]) -> list[float]:
            frames_NCHW = torch.stack(frames).to(self._device)
            return clarity.mean_opinions(self._network, frames_NCHW)

        return FrameScores(prepare=clarity.longer_512, score=score, frames_per_pass=FRAMES_PER_PASS)
