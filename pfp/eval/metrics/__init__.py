"""The metrics, one file each. A new one costs its module, its test and one line of ``METRICS``."""

from __future__ import annotations

import difflib
import importlib
from typing import Final

from pfp.errors import ConfigError
from pfp.eval.metrics.base import Frame as Frame
from pfp.eval.metrics.base import Measurement as Measurement
from pfp.eval.metrics.base import Metric as Metric
from pfp.eval.metrics.base import MetricCard as MetricCard
from pfp.eval.metrics.base import MetricValue as MetricValue
from pfp.eval.metrics.base import OpenedSample as OpenedSample

METRICS: Final = {  # resolved on use; a test resolves all
    "psnr": "pfp.eval.metrics.psnr:Psnr",
    "psnr_global": "pfp.eval.metrics.psnr:PsnrGlobal",
    "high_band_psnr": "pfp.eval.metrics.high_band:HighBandPsnr",
    "ssim": "pfp.eval.metrics.ssim:Ssim",
    "ssim_skimage7": "pfp.eval.metrics.ssim_variants:SsimSkimage7",
    "ssim_zeropad": "pfp.eval.metrics.ssim_variants:SsimZeropad",
    "ssim_y": "pfp.eval.metrics.ssim_variants:SsimY",
    "lpips_alex": "pfp.eval.metrics.lpips:LpipsAlex",
    "lpips_vgg": "pfp.eval.metrics.lpips:LpipsVgg",
    "magbench.matched.psnr": "pfp.eval.metrics.magbench:MatchedPsnr",
    "magbench.matched.ssim": "pfp.eval.metrics.magbench:MatchedSsim",
    "magbench.matched.lpips": "pfp.eval.metrics.magbench:MatchedLpips",
    "magbench.matched.psnr.compat": "pfp.eval.metrics.magbench:MatchedPsnrCompat",
    "magbench.matched.ssim.compat": "pfp.eval.metrics.magbench:MatchedSsimCompat",
    "magbench.matched.lpips.compat": "pfp.eval.metrics.magbench:MatchedLpipsCompat",
    "magbench.history.psnr": "pfp.eval.metrics.magbench:HistoryPsnr",
    "magbench.history.ssim": "pfp.eval.metrics.magbench:HistorySsim",
    "magbench.history.lpips": "pfp.eval.metrics.magbench:HistoryLpips",
    "magbench.aligned.psnr": "pfp.eval.metrics.magbench:AlignedPsnr",
    "magbench.aligned.ssim": "pfp.eval.metrics.magbench:AlignedSsim",
    "magbench.aligned.lpips": "pfp.eval.metrics.magbench:AlignedLpips",
    "identity.arcface": "pfp.eval.metrics.identity:Identity",
    "identity.arcface.reference": "pfp.eval.metrics.identity:ReferenceIdentity",
    "identity.vbench2": "pfp.eval.metrics.identity_vbench2:IdentityVbench2",
    "identity.vbench2.fixed": "pfp.eval.metrics.identity_vbench2:IdentityVbench2Fixed",
    "clarity": "pfp.eval.metrics.clarity:Clarity",
    "aesthetic": "pfp.eval.metrics.aesthetic:Aesthetic",
    "aesthetic.v2": "pfp.eval.metrics.aesthetic:AestheticV2",
    "dynamics": "pfp.eval.metrics.dynamics:Dynamics",
    "dynamics.fixed": "pfp.eval.metrics.dynamics:DynamicsFixed",
    "dynamics.within_shots": "pfp.eval.metrics.dynamics:DynamicsWithinShots",
    "dynamics.magnitude": "pfp.eval.metrics.dynamics:DynamicsMagnitude",
    "flow_warp": "pfp.eval.metrics.flow_warp:FlowWarp",
    "semantic": "pfp.eval.metrics.semantic:Semantic",
    "semantic.storyboard": "pfp.eval.metrics.semantic:SemanticStoryboard",
    "cloth.vbench2": "pfp.eval.metrics.cloth:ClothVBench2",
    "cloth.vbench2.compat": "pfp.eval.metrics.cloth:ClothVBench2Compat",
    "cloth.storyboard": "pfp.eval.metrics.cloth_storyboard:ClothStoryboard",
    "instance.vbench2": "pfp.eval.metrics.instance:InstanceVBench2",
    "instance.vbench2.compat": "pfp.eval.metrics.instance:InstanceVBench2Compat",
    "instance.fraction": "pfp.eval.metrics.instance:InstanceFraction",
}


def resolve(name: str) -> type[Metric]:
    """The class behind a metric's name; unknown names are a ``ConfigError`` with the known."""
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(METRICS)}"
        raise ConfigError(f"no metric is called {name!r}; {hint}")
    module, _, attribute = METRICS[name].partition(":")
    found: type[Metric] = getattr(importlib.import_module(module), attribute)
    return found
