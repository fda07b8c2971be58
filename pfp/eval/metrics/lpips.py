"""LPIPS with the AlexNet trunk, v0.1, through the authors' package; profile ``recon-v1``."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, PermanentError, WeightsError
from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricCard, MetricValue, Sample
from pfp.io import weights
from pfp.io.weights import Lock

WEIGHTS = "lpips-alex"
MIN_SIDE = 31  # at 30 AlexNet's second pooling has nothing left to pool
FRAMES_PER_PASS = 8
# Where torchvision's AlexNet keeps its five convolutions, and where lpips 0.1.4 looks for them.
TRUNK = {0: "slice1.0", 3: "slice2.3", 6: "slice3.6", 8: "slice4.8", 10: "slice5.10"}


@final
class LpipsAlex(Metric):
    """Learned perceptual distance. Needs the trunk's weights; ``lpips`` ships the linear heads."""

    card: ClassVar = MetricCard(
        name="lpips_alex",
        version=1,
        title="LPIPS",
        unit="",
        direction="lower",
        low=0.0,
        high=None,
        decimals=3,
        summary="Mean over frames of LPIPS v0.1 (AlexNet) at full resolution, RGB in [-1, 1].",
        citation="Zhang et al., The unreasonable effectiveness of deep features, CVPR 2018",
        licence="BSD-2-Clause (lpips), BSD-3-Clause (AlexNet of torchvision)",
        weights=(WEIGHTS,),
        needs=("reference",),
        params={"net": "alex", "lpips_version": "0.1", "spatial": False, "resize": None},
    )

    _network: Any = None

    def begin(self, sample: Sample) -> Measurement:
        """Frames need 31 pixels on each side (``PermanentError``)."""
        if min(sample.height, sample.width) < MIN_SIDE:
            raise PermanentError(
                f"LPIPS needs frames of at least {MIN_SIDE}x{MIN_SIDE} pixels, not "
                f"{sample.width}x{sample.height}"
            )
        if self._network is None:
            self._network = load_network(self._lock).to(self._device)
        return _Distances(self._network, self._device)


class _Distances(Measurement):
    """The mean over frames, >= 0."""

    def __init__(self, network: Any, device: str) -> None:
        self._network, self._device = network, device
        self._waiting: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = []
        self._lpips_T: list[float] = []

    def see(self, frame: Frame) -> None:
        """Compares frames by the pass."""
        self._waiting.append(frame.pair())
        if len(self._waiting) == FRAMES_PER_PASS:
            self._compare()

    def finish(self) -> MetricValue:
        """The mean of what was seen."""
        if self._waiting:
            self._compare()
        return MetricValue(
            value=float(np.mean(self._lpips_T)),
            num_frames=len(self._lpips_T),
            evidence={"per_frame": self._lpips_T},
        )

    def _compare(self) -> None:
        frames, references = (np.stack(side) for side in zip(*self._waiting, strict=True))
        self._lpips_T += _distances(self._network, frames, references, self._device)
        self._waiting.clear()


def load_network(lock: Lock | None = None) -> Any:
    """The LPIPS module with the locked trunk, in evaluation mode, on the CPU.

    Raises:
        WeightsError: the trunk is missing, damaged, or not AlexNet's.
        ConfigError: the ``metrics`` extra is not installed.
    """
    path = weights.find(WEIGHTS, lock=lock)
    try:
        import lpips
        import torch
    except ImportError as error:
        raise ConfigError(f"LPIPS needs {error.name}; pip install 'pfp[metrics,train]'") from error
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # Built with a random trunk, for otherwise lpips would download one behind our back; it
        # does so through an argument that torchvision has deprecated.
        warnings.simplefilter("ignore", UserWarning)
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    try:
        trunk = {
            f"{slot}.{part}": loaded[f"features.{layer}.{part}"]
            for layer, slot in TRUNK.items()
            for part in ("weight", "bias")
        }
        network.net.load_state_dict(trunk, strict=True)
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{path} is not torchvision's AlexNet: {error}") from error
    return network.eval()


def _distances(
    network: Any,
    frames_THWC: npt.NDArray[np.uint8],
    reference_THWC: npt.NDArray[np.uint8],
    device: str,
) -> list[float]:
    import torch

    def to_tensor(video_THWC: npt.NDArray[np.uint8]) -> torch.Tensor:
        video_TCHW = np.ascontiguousarray(video_THWC.transpose(0, 3, 1, 2))
        return torch.from_numpy(video_TCHW).to(device).float() / 127.5 - 1.0

    with torch.inference_mode():
        distances_T111 = network(to_tensor(frames_THWC), to_tensor(reference_THWC))
    return [float(value) for value in distances_T111.flatten()]
