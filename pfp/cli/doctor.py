"""``pfp doctor`` and ``pfp-eval doctor``: what is installed here, what works, what is missing."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from pfp import __version__

if TYPE_CHECKING:
    from pfp.io.weights import Status

# What an installed package is for, and the extra that brings it.
PACKAGES = {
    "av": ("decoding", ""),
    "decord": ("decoding, for --decoder decord", "metrics"),
    "torch": ("networks", "train"),
    "torchvision": ("dynamics, flow_warp", "train"),
    "lpips": ("lpips_alex, lpips_vgg, magbench", "metrics"),
    "pyiqa": ("clarity", "metrics"),
    "open_clip_torch": ("aesthetic, semantic", "metrics"),
    "insightface": ("identity.arcface", "metrics"),
    "onnxruntime": ("identity.arcface", "metrics"),
    "transformers": ("a local judge, qwen:DIRECTORY", "train"),
    "google-genai": ("the judge gemini:MODEL", "caption"),
    "openai": ("the judge openai:MODEL@URL", "caption"),
    "ray": ("--engine ray", "ray"),
}
KEYS = {
    "GEMINI_API_KEY": "the judge gemini:MODEL",
    "OPENAI_API_KEY": "the judge openai:MODEL@URL, where the server wants one",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``doctor`` to the parser of ``pfp``."""
    parser = commands.add_parser(
        "doctor", help="what is installed, how this CPU computes, which weights and keys are here"
    )
    parser.set_defaults(run=tell)


def tell(options: argparse.Namespace) -> int:
    """Print all of it; 0, whatever is missing."""
    del options
    from pfp.io import weights

    print(f"pfp {__version__}, Python {platform.python_version()}, {platform.machine()}")
    print("packages")
    for name, (purpose, extra) in PACKAGES.items():
        print(f"  {name:<18}{_version_of(name, extra):<32}{purpose}")
    print("GPU")
    print(f"  {_gpu()}")
    print("bf16 convolutions of this CPU")
    print(f"  {_convolutions()}")
    print("keys (only whether they are set)")
    for name, purpose in KEYS.items():
        print(f"  {name:<18}{'set' if os.environ.get(name) else 'not set':<32}{purpose}")
    print(f"weights in {weights.directory()}")
    for status in weights.ls():
        print(f"  {status.weights.name:<26}{state_in_words(status)}")
    return 0


def _version_of(name: str, extra: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing" + (f", pip install 'pfp[{extra}]'" if extra else "")


def _gpu() -> str:
    from pfp.eval.measure.score import device_of

    if device_of("auto") == "cpu":
        return "none that torch can use; --device auto is the CPU"
    return "torch finds one; --device auto is cuda"


def _convolutions() -> str:
    """What torch computes by itself, which pfp does not let it do."""
    from pfp.models.cpu_check import check

    num_wrong, num_probed = check()
    cure = "pfp computes them in float32 on CPUs"
    if num_wrong is None:
        return f"one of {num_probed} probed shapes ended the process that tried it; {cure}"
    if num_wrong:
        return f"torch's are wrong at {num_wrong} of {num_probed} probed shapes; {cure}"
    return f"torch's are right at all {num_probed} probed shapes; {cure} all the same"


def state_in_words(status: Status) -> str:
    """``ready``, or what is the matter and the command that mends it."""
    name = status.weights.name
    if status.state == "present":
        return "ready"
    if status.state == "not pinned":
        return f"weights not pinned, `pfp weights import {name} {status.path}`"
    verb = "fetch" if status.weights.urls else "import"
    file = "" if status.weights.urls else " FILE"
    accept = " --accept-noncommercial" if status.weights.non_commercial else ""
    return f"weights {status.state}, `pfp weights {verb} {name}{file}{accept}`"
