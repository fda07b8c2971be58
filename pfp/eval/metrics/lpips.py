"""LPIPS v0.1 through the authors' package: the AlexNet trunk of ``recon-v1``, and VGG-16's."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, final

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, Unmeasurable, WeightsError
from pfp.eval.metrics.base import (
    Frame,
    Measurement,
    Metric,
    MetricCard,
    MetricValue,
    OpenedSample,
    SecondsPer,
)
from pfp.io import weights
from pfp.io.weights import Lock

WEIGHTS: Final = {"alex": "lpips-alex", "vgg": "lpips-vgg"}
NAMES: Final = {"alex": "AlexNet", "vgg": "VGG-16"}
# One pixel less a side and the last of the trunk's poolings has nothing left to pool.
MIN_SIDES: Final = {"alex": 31, "vgg": 16}
FRAMES_PER_PASS = 8
# Where torchvision keeps a trunk's convolutions, and where lpips 0.1.4 looks for them.
TRUNKS: Final = {
    "alex": {0: "slice1.0", 3: "slice2.3", 6: "slice3.6", 8: "slice4.8", 10: "slice5.10"},
    "vgg": {
        layer: f"slice{level}.{layer}"
        for level, layers in enumerate(
            ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)), start=1
        )
        for layer in layers
    },
}


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
        weights=(WEIGHTS["alex"],),
        libraries=("lpips", "torch", "torchvision"),
        seconds_per=SecondsPer(seconds=0.2, per="frame", size=(512, 288)),
        required_inputs=("reference",),
        params={"net": "alex", "lpips_version": "0.1", "spatial": False, "resize": None},
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames need 31 pixels on each side (``Unmeasurable``)."""
        need_side(sample, "alex")
        return _Distances(network_of("alex", self._device, self._lock), self._device)


@final
class LpipsVgg(Metric):
    """LPIPS with VGG-16 instead: larger numbers, not to be put beside AlexNet's."""

    card: ClassVar = MetricCard(
        name="lpips_vgg",
        version=1,
        title="LPIPS (VGG)",
        unit="",
        direction="lower",
        low=0.0,
        high=None,
        decimals=3,
        summary="Mean over frames of LPIPS v0.1 (VGG-16) at full resolution, RGB in [-1, 1].",
        citation="Zhang et al., The unreasonable effectiveness of deep features, CVPR 2018",
        licence="BSD-2-Clause (lpips), BSD-3-Clause (VGG-16 of torchvision)",
        weights=(WEIGHTS["vgg"],),
        libraries=("lpips", "torch", "torchvision"),
        seconds_per=SecondsPer(seconds=5.0, per="frame", size=(512, 288)),
        required_inputs=("reference",),
        params={"net": "vgg", "lpips_version": "0.1", "spatial": False, "resize": None},
    )

    def begin(self, sample: OpenedSample) -> Measurement:
        """Frames need 16 pixels on each side (``Unmeasurable``)."""
        need_side(sample, "vgg")
        return _Distances(network_of("vgg", self._device, self._lock), self._device)


def need_side(sample: OpenedSample, net: str) -> None:
    """Raise ``Unmeasurable`` if the trunk cannot see frames so small."""
    side = MIN_SIDES[net]
    if min(sample.height, sample.width) < side:
        raise Unmeasurable(
            "too_small",
            f"LPIPS with {NAMES[net]} needs frames of at least {side}x{side} pixels, not "
            f"{sample.width}x{sample.height}",
        )


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


def network_of(net: str, device: str, lock: Lock | None = None) -> Any:
    """The LPIPS module for a trunk, ``alex`` or ``vgg``; every metric of a worker shares it.

    Raises:
        WeightsError: the trunk is missing, damaged, or another network's.
        ConfigError: the ``metrics`` extra is not installed.
    """
    name = WEIGHTS[net]
    return _loaded(net, device, weights.find(name, lock=lock), weights.sha256_of(name, lock=lock))


@lru_cache(maxsize=2)
def _loaded(net: str, device: str, path: Path, sha256: str) -> Any:
    """The module with the trunk of a file of that digest, in evaluation mode."""
    del sha256  # tells the files apart that lay at one path
    try:
        import lpips
        import torch

        from pfp.measures.tensor_files import brief, read_tensors
    except ImportError as error:
        raise ConfigError(f"LPIPS needs {error.name}; pip install 'pfp[metrics,train]'") from error
    loaded = read_tensors(path)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # Built with a random trunk, for otherwise lpips would download one behind our back; it
        # does so through an argument that torchvision has deprecated.
        warnings.simplefilter("ignore", UserWarning)
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    try:
        trunk = {
            f"{slot}.{part}": loaded[f"features.{layer}.{part}"]
            for layer, slot in TRUNKS[net].items()
            for part in ("weight", "bias")
        }
        network.net.load_state_dict(trunk, strict=True)
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{path} is not torchvision's {NAMES[net]}: {brief(error)}") from error
    return network.eval().to(device)


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
