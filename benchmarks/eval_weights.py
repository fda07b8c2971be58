"""Random weights of the four metrics of quality, in a weights folder with a lock of its own.

MUSIQ, RAFT and the aesthetic head are of true size, for their loaders take no other. CLIP and
ViCLIP are, too, if asked; else they have one narrow layer. None of it is anybody's weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from unittest import mock

from pfp.eval.metrics import resolve
from pfp.io.digests import sha256_file
from pfp.io.weights_lock import LOCK_VERSION, Weights

LOCK: Final = "weights.lock"
FILE: Final = "random"
EMBEDDING_SIZE: Final = 768  # the aesthetic head takes no other
NARROW_CLIP: Final = "narrow-vision-quickgelu"
NARROW_CLIP_CONFIG: Final[dict[str, Any]] = {
    "embed_dim": EMBEDDING_SIZE,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "patch_size": 14, "width": 64, "layers": 1},
    "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1},
}


def write_weights(folder: Path, metrics: Sequence[str], *, true_size: bool) -> None:
    """Fill a folder that can then be ``PFP_WEIGHTS_DIR``; ``weights.lock`` in it names the files.

    metrics: of these four, those that are to be measured. true_size: CLIP ViT-L/14 and ViCLIP-L/14
    as they are, 3 GB in all.
    """
    import torch

    torch.manual_seed(0)
    names = [name for metric in metrics for name in resolve(metric).card.weights]
    for name in names:
        (folder / name).mkdir(parents=True)
        path = folder / name / FILE
        match name:
            case "musiq-spaq":
                _write_musiq(path)
            case "clip-vit-l-14":
                _write_clip(path, folder, true_size=true_size)
            case "aesthetic-v1":
                torch.save(torch.nn.Linear(EMBEDDING_SIZE, 1).state_dict(), path)
            case "raft-large-c-t-v1":
                _write_raft(path)
            case "viclip-internvid-10m-flt":
                _write_viclip(path, true_size=true_size)
            case _:
                raise ValueError(f"no random weights are written for {name}; add them here")
    lock = {"version": LOCK_VERSION, "weights": [_entry(name, folder) for name in names]}
    (folder / LOCK).write_text(json.dumps(lock), encoding="utf-8")


@contextmanager
def clip_of(folder: Path) -> Iterator[None]:
    """Let the aesthetic metrics build the CLIP whose weights lie in the folder."""
    config = folder / f"{NARROW_CLIP}.json"
    if not config.is_file():
        yield
        return
    import open_clip

    from pfp.measures import aesthetic

    open_clip.add_model_config(config)
    with mock.patch.object(aesthetic, "CLIP_MODEL", NARROW_CLIP):
        yield


def _write_musiq(path: Path) -> None:
    import pyiqa
    import torch

    metric = pyiqa.create_metric("musiq-spaq", pretrained=False, device="cpu")
    torch.save(metric.net.state_dict(), path)


def _write_clip(path: Path, folder: Path, *, true_size: bool) -> None:
    import open_clip
    from safetensors.torch import save_file

    from pfp.measures.aesthetic import CLIP_MODEL

    if true_size:
        config = open_clip.get_model_config(CLIP_MODEL)
    else:
        config = NARROW_CLIP_CONFIG
        text = json.dumps(config)
        (folder / f"{NARROW_CLIP}.json").write_text(text, encoding="utf-8")
    save_file(open_clip.CLIP(**config).state_dict(), path)


def _write_raft(path: Path) -> None:
    import torch
    from torchvision.models.optical_flow import raft_large

    torch.save(raft_large(weights=None, progress=False).state_dict(), path)


def _write_viclip(path: Path, *, true_size: bool) -> None:
    import torch

    from pfp.eval.networks.viclip import Viclip, ViclipConfig

    narrow = ViclipConfig(
        vision_width=64, num_vision_layers=1, text_width=64, num_text_layers=1, embedding_size=32
    )
    network = Viclip(ViclipConfig() if true_size else narrow)
    torch.save({"model": network.state_dict()}, path)


def _entry(name: str, folder: Path) -> dict[str, Any]:
    path = folder / name / FILE
    entry = Weights(
        name=name,
        urls=(),
        file=FILE,
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        licence="none",
        non_commercial=False,
        cite="random numbers",
    )
    return asdict(entry)
