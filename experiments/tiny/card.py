"""The card beside the tiny family's weights: what they are, and what they reach where measured."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.synthetic_clips import plan_clip, render_frames
from experiments.tiny.data import FPS, SIZES
from experiments.tiny.retrieval import NUM_ASKED, NUM_FRAMES, NUM_LATENTS, retrieval_psnr_db
from pfp.errors import PfpError
from pfp.eval.metrics.psnr import CAP_DB, mse_per_frame, psnr_of
from pfp.generate.retrieve import decode_alone
from pfp.io.media import probe, read_frames
from pfp.models._folders import weights_sha256
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE

COMMAND = "python -m experiments.tiny --work WORK --clips CLIPS"
HELD_OUT_SEED = 7  # generated clips that nothing was trained on


def write_card(out: Path, recipe: dict[str, Any], clips: Path | None) -> None:
    """Measure the codec and write ``card.json``; real clips only when a folder was given."""
    vae = load_vae(f"tiny:{out / 'vae'}")
    measured = {"generated": codec_psnr_db(vae, _generated())}
    if clips is not None:
        measured["real"] = codec_psnr_db(vae, _real(clips))
    retrieval = retrieval_psnr_db(out, clips) if clips is not None else None
    card = {
        "name": "pfp tiny family",
        "what": (
            "a 4x4x4 video VAE, a small Wan DiT and four variants; shows mechanics, not quality"
        ),
        "data": (
            "generated clips (experiments/synthetic_clips) and camera moves over photographs that "
            "ship with scikit-image, matplotlib and scikit-learn; no video"
        ),
        "command": COMMAND,
        "recipe": recipe,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()} CPU, torch {torch.__version__}",
        "codec_psnr_db": measured,
        "sha256": {name: weights_sha256(out / name) for name in ("vae", "base")},
        "retrieval_psnr_db": retrieval and retrieval_row(*retrieval),
    }
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def retrieval_row(psnr_db: dict[str, float], num_clips: int) -> dict[str, Any]:
    """What was retrieved of real clips, for the card."""
    what = (
        f"{num_clips} real clips, {NUM_ASKED} random latent frames of {NUM_LATENTS}, 8 Euler steps"
    )
    return {"what": what, **{name: round(value, 2) for name, value in psnr_db.items()}}


def codec_psnr_db(
    vae: LatentVAE, videos: Iterator[tuple[str, NDArray[np.uint8]]]
) -> dict[str, Any]:
    """PSNR after encoding and decoding, whole and frame by frame, mean over videos."""
    whole, alone = {}, {}
    for name, frames_FHWC in videos:
        latents = vae.encode(frames_FHWC)
        whole[name] = _psnr_db(vae.decode(latents), frames_FHWC)
        alone[name] = _psnr_db(decode_alone(vae, latents, range(len(latents))), frames_FHWC)
    return {
        "n": len(whole),
        "whole": round(float(np.mean(list(whole.values()))), 2),
        "alone": round(float(np.mean(list(alone.values()))), 2),
        "by_video": {name: round(value, 2) for name, value in whole.items()},
    }


def _psnr_db(decoded: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    return float(np.minimum(psnr_of(mse_per_frame(decoded, true)), CAP_DB).mean())


def _generated() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for index in range(8):
        height, width = SIZES["landscape" if index % 2 == 0 else "portrait"]
        frames = render_frames(
            plan_clip(HELD_OUT_SEED, index), height=height, width=width, fps=FPS, end_seconds=10.0
        )
        frames_FHWC = np.stack(list(frames))
        yield f"generated {index}", frames_FHWC[: (len(frames_FHWC) - 1) // 4 * 4 + 1]


def _real(folder: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for path in sorted(folder.iterdir()):
        try:
            found = probe(path)
            height, width = SIZES["portrait" if found.height > found.width else "landscape"]
            frames_FHWC = read_frames(path, fps=FPS, height=height, width=width, end_seconds=20.0)
        except PfpError:
            continue  # not a video, or none that can be read
        if len(frames_FHWC) >= NUM_FRAMES:
            yield path.name, frames_FHWC[: (len(frames_FHWC) - 1) // 4 * 4 + 1]
