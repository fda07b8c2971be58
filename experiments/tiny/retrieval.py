"""What the tiny family gives back of real clips, as docs/tiny-family.md prints it.

    python -m experiments.tiny.retrieval --clips FOLDER [--weights FOLDER] [--page PAGE]

Axes: T latent frames, F video frames, C channels, H rows, W columns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.page import write_part
from experiments.tiny.data import FPS, SIZES, lr_frames, padded_prompt
from pfp.cli.command import exit_status, prints_safely
from pfp.errors import InputError, PfpError
from pfp.eval.metrics.psnr import CAP_DB, mse_per_frame, psnr_of
from pfp.generate.families import trained_shift
from pfp.generate.retrieve import decode_alone, retrieve_latents
from pfp.generate.settings import SIGMAS, SamplerSettings
from pfp.io.media import probe, read_frames
from pfp.models.memory.checkpoint import read_description
from pfp.models.memory.dit import MemoryDiT
from pfp.models.rates import GEOMETRIES
from pfp.models.tiny_names import TINY_VARIANTS, tiny_folder
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE
from pfp.schema.windows import latent_frames

NUM_LATENTS: Final = 11
NUM_FRAMES: Final = 1 + (NUM_LATENTS - 1) * GEOMETRIES["tiny"].temporal_stride
NUM_ASKED: Final = 2  # latent frames of a history
UPPER_BOUND: Final = "VAE reconstruction (upper bound; each frame through the VAE alone)"
SHUFFLED: Final = "proposed with another clip's memory"
COMMAND: Final = "python -m experiments.tiny.retrieval"


@dataclass(frozen=True, slots=True)
class History:
    """A real clip: frames uint8 RGB, and the latent frames that it is asked for, in order."""

    name: str
    frames_FHWC: NDArray[np.uint8]
    omega: tuple[int, ...]

    @property
    def true_frames(self) -> NDArray[np.uint8]:
        """The frames of the latent frames asked for."""
        return np.concatenate([self.frames_FHWC[latent_frames(index)] for index in self.omega])


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Measure every shipped method and print the table, or write it into a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder of real videos")
    parser.add_argument("--weights", type=Path, help="folder of a family (default: the shipped)")
    parser.add_argument(
        "--sigmas", choices=SIGMAS, default="scheduler", help="of the sampler (default: its own)"
    )
    parser.add_argument("--page", type=Path, help="page whose table is written anew")
    given = parser.parse_args(argv)

    def measure() -> None:
        psnr_db, num_clips = retrieval_psnr_db(
            given.weights or tiny_folder(), given.clips, sigmas=given.sigmas
        )
        text = table(psnr_db, num_clips)
        print(text, end="")
        if given.page is not None:
            write_part(given.page, COMMAND, text)

    return exit_status("tiny retrieval", measure)


def retrieval_psnr_db(
    weights: Path, clips: Path, *, sigmas: str = "scheduler"
) -> tuple[dict[str, float], int]:
    """PSNR in dB, mean over clips, of each method and bound; and the number of clips."""
    histories = list(real_histories(clips))
    vae = load_vae(f"tiny:{weights / 'vae'}", dtype="bfloat16")
    hr = {history.name: vae.encode(history.frames_FHWC) for history in histories}
    found = {UPPER_BOUND: mean_psnr_db(histories, [bound(vae, hr, each) for each in histories])}
    for method in TINY_VARIANTS:
        if method == "no_memory":
            continue
        folder = weights / "variants" / method
        model = MemoryDiT.from_pretrained(folder, base=weights / "base")
        shift = trained_shift(read_description(folder))
        settings = SamplerSettings(num_steps=8, shift=shift, sigmas=sigmas)
        model.dit.fuse_lora()  # the same weights in fewer products; this model only samples
        retrieve = partial(retrieved, model, vae, hr, histories, settings=settings)
        found[model.config.title] = mean_psnr_db(histories, retrieve(histories))
        if method == "proposed":
            others = [other_of_shape(history, histories) for history in histories]
            found[SHUFFLED] = mean_psnr_db(histories, retrieve(others))
    return found, len(histories)


def real_histories(folder: Path) -> Iterator[History]:
    """The first 3.4 s of every video that is long enough, at the family's size."""
    found = 0
    for path in sorted(folder.iterdir()):
        try:
            video = probe(path)
            height, width = SIZES["portrait" if video.height > video.width else "landscape"]
            frames_FHWC = read_frames(
                path, fps=FPS, height=height, width=width, num_frames=NUM_FRAMES
            )
        except PfpError:
            continue  # not a video, or none that can be read
        if len(frames_FHWC) < NUM_FRAMES:
            continue
        chosen = np.random.default_rng([0, found]).permutation(NUM_LATENTS)[:NUM_ASKED]
        yield History(path.name, frames_FHWC[:NUM_FRAMES], tuple(sorted(chosen.tolist())))
        found += 1
    if not found:
        raise InputError(
            f"{folder} holds no video of at least {NUM_FRAMES / FPS:.1f} s that can be read; "
            "name another folder with --clips"
        )


def check_clips(folder: Path) -> None:
    """Refuse, before hours of training, clips that could not be measured after it."""
    histories = list(real_histories(folder))
    for history in histories:
        other_of_shape(history, histories)


def other_of_shape(history: History, histories: Sequence[History]) -> History:
    """The next clip of the same shape: whose memory a shuffled history gets."""
    at = next(n for n, each in enumerate(histories) if each is history)
    for other in [*histories[at + 1 :], *histories[:at]]:
        if other.frames_FHWC.shape == history.frames_FHWC.shape:
            return other
    raise InputError(
        f"{history.name} is the only clip of its shape, so that no other clip's memory fits; "
        "use more clips"
    )


def bound(vae: LatentVAE, hr: dict[str, NDArray[np.float32]], clip: History) -> NDArray[np.uint8]:
    """The true latents, each decoded alone."""
    return decode_alone(vae, hr[clip.name][list(clip.omega)], clip.omega)


def retrieved(
    model: MemoryDiT,
    vae: LatentVAE,
    hr: dict[str, NDArray[np.float32]],
    histories: Sequence[History],
    memories: Sequence[History],
    *,
    settings: SamplerSettings,
) -> list[NDArray[np.uint8]]:
    """What a method samples of each history, given the memory of the clip beside it."""
    text = torch.from_numpy(padded_prompt(""))[None]
    frames = []
    for number, (history, memory) in enumerate(zip(histories, memories, strict=True)):
        latents_TCHW = retrieve_latents(
            model,
            hr_TCHW=hr[memory.name].astype(np.float16),
            lrs_TCHW=[
                vae.encode(lr_frames(memory.frames_FHWC, rate)).astype(np.float16)
                for rate in model.config.rates
            ],
            omega=history.omega,
            text=text,
            settings=settings,
            seed=number,
        )
        frames.append(decode_alone(vae, latents_TCHW, history.omega))
    return frames


def mean_psnr_db(histories: Sequence[History], found: Sequence[NDArray[np.uint8]]) -> float:
    """Mean over clips of the mean over frames."""
    by_clip = [
        np.minimum(psnr_of(mse_per_frame(frames, history.true_frames)), CAP_DB).mean()
        for history, frames in zip(histories, found, strict=True)
    ]
    return float(np.mean(by_clip))


def table(psnr_db: dict[str, float], num_clips: int) -> str:
    """The measured values as Markdown."""
    rows = [f"| {name} | {value:.2f} |\n" for name, value in psnr_db.items()]
    return f"| method | PSNR dB, {num_clips} clips |\n|---|---|\n{''.join(rows)}"


if __name__ == "__main__":
    sys.exit(main())
