"""What the small Table 1 learns from and is measured on: windows, their latents, held-out crops.

Axes: N windows, T frames or latent frames, C channels, H rows, W columns, L tokens, D features.

Training windows are camera moves over photographs and generated clips, as the tiny base had. Held
out are windows of other seeds (the same distribution) and, where a folder of videos is given,
windows of those (another distribution). Held-out windows are cut to the crops of the training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.tiny.batches import CELL, LatentBank
from experiments.tiny.data import (
    FPS,
    SIZES,
    generated_windows,
    load_photographs,
    lr_frames,
    padded_prompt,
    photo_window,
    photograph_paths,
)
from pfp.errors import InputError, PfpError
from pfp.io.media import probe, read_frames
from pfp.models.rates import GEOMETRIES, Rate
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE

TRAIN_SEED: Final = 2000  # of generated clips; the demo's have 0, the shipped base's 1000
HELD_OUT_SEED: Final = 3000
PIXELS_OF_CELL: Final = CELL * GEOMETRIES["tiny"].spatial_stride


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """How much of everything; the defaults are those of docs/table1.md."""

    num_latents: int = 13  # of the history: 4k + 1, so that every rate's last token ends with it
    num_photo_windows: int = 240  # per orientation
    num_generated_clips: int = 12  # per orientation, each of some five windows
    num_held_out: int = 32  # windows, half photographs and half generated, half of either shape
    windows_per_video: int = 2
    crop_cells: int = 2

    @property
    def num_frames(self) -> int:
        """Video frames of a window."""
        return 1 + (self.num_latents - 1) * GEOMETRIES["tiny"].temporal_stride


class Window(NamedTuple):
    """Frames uint8 RGB THWC, what they show, and the clip that they count for."""

    clip_id: str
    caption: str
    frames_THWC: NDArray[np.uint8]


def training_windows(plan: DataPlan, orientation: str) -> Iterator[Window]:
    """Photographs first, then generated clips, of one orientation."""
    yield from photo_windows(plan, orientation, seed=0, num_windows=plan.num_photo_windows)
    yield from clip_windows(plan, orientation, seed=TRAIN_SEED, num_clips=plan.num_generated_clips)


def photo_windows(
    plan: DataPlan, orientation: str, *, seed: int, num_windows: int
) -> Iterator[Window]:
    """Camera moves over photographs, without captions; a pure function of the seed."""
    photographs = load_photographs(photograph_paths(), max_side=1280)
    height, width = SIZES[orientation]
    side = list(SIZES).index(orientation)
    for index in range(num_windows):
        rng = np.random.default_rng([seed, side, index])
        frames = photo_window(
            photographs, rng, num_frames=plan.num_frames, height=height, width=width
        )
        yield Window(f"photo {orientation} {index}", "", frames)


def clip_windows(
    plan: DataPlan, orientation: str, *, seed: int, num_clips: int, at_most: int | None = None
) -> Iterator[Window]:
    """All windows of generated clips, or the first few of each, with their captions."""
    height, width = SIZES[orientation]
    side = list(SIZES).index(orientation)
    for clip in range(num_clips):
        windows = generated_windows(
            seed,
            2 * clip + side,
            num_frames=plan.num_frames,
            fps=FPS,
            height=height,
            width=width,
        )
        for number, (frames, caption) in enumerate(windows):
            if number == at_most:
                break
            yield Window(f"generated {orientation} {clip}", caption, frames)


def held_out_windows(plan: DataPlan) -> Iterator[Window]:
    """Windows of other seeds than the training's: the same photographs, other moves over them."""
    num = plan.num_held_out // 4
    for orientation in SIZES:
        yield from photo_windows(plan, orientation, seed=HELD_OUT_SEED, num_windows=num)
        yield from clip_windows(plan, orientation, seed=HELD_OUT_SEED, num_clips=num, at_most=1)


def video_windows(plan: DataPlan, folder: Path) -> Iterator[Window]:
    """Windows of every video of a folder, spread over its length; others are left out.

    Raises InputError when no file of the folder gives a window.
    """
    seconds = plan.num_frames / FPS
    found = 0
    for path in sorted(folder.iterdir()):
        try:
            video = probe(path)
            height, width = SIZES["portrait" if video.height > video.width else "landscape"]
            room = (video.duration_seconds or 0.0) - seconds - 1 / FPS
            if room < 0:
                continue
            starts = np.linspace(0.0, room, plan.windows_per_video + 2)[1:-1]
            windows = [
                read_frames(
                    path,
                    fps=FPS,
                    height=height,
                    width=width,
                    start_seconds=float(start),
                    num_frames=plan.num_frames,
                )
                for start in starts
            ]
        except PfpError:
            continue  # not a video, or none that can be read
        found += 1
        for frames in windows:
            yield Window(path.stem, "", frames)
    if not found:
        raise InputError(
            f"{folder} holds no video of at least {seconds:.1f} s that can be read; "
            "name another folder with --videos or leave it out"
        )


def encoded(
    vae: LatentVAE, windows: Iterable[Window], rates: Sequence[Rate]
) -> dict[str, NDArray[np.float16]]:
    """``hr``, ``text`` and ``lr_RATE`` of windows of one shape, fp16, each stacked along N."""
    rows: dict[str, list[NDArray[np.float16]]] = {}
    for window in windows:
        row = {"hr": vae.encode(window.frames_THWC), "text": padded_prompt(window.caption)}
        row |= {f"lr_{rate}": vae.encode(lr_frames(window.frames_THWC, rate)) for rate in rates}
        for name, array in row.items():
            rows.setdefault(name, []).append(array.astype(np.float16))
    return {name: np.stack(arrays) for name, arrays in rows.items()}


def make_bank(path: Path, plan: DataPlan, orientation: str, rates: Sequence[Rate]) -> None:
    """Draw and encode the training windows of one orientation into one .npz file."""
    parts = encoded(tiny_vae(), training_windows(plan, orientation), rates)
    save_npz(path, parts)


def load_banks(folder: Path, rate: Rate) -> list[LatentBank]:
    """Both orientations' windows with the LR latents of a rate."""
    banks = []
    for orientation in SIZES:
        with np.load(folder / f"{orientation}.npz") as parts:
            banks.append(
                LatentBank(
                    hr_NTCHW=parts["hr"], lr_NTCHW=parts[f"lr_{rate}"], text_NLD=parts["text"]
                )
            )
    return banks


def make_crops(
    path: Path, windows: Iterable[Window], plan: DataPlan, rates: Sequence[Rate]
) -> None:
    """Encode held-out windows whole, as the training's were, and cut one crop out of each.

    The crop's place is a pure function of the window's number.
    """
    vae = tiny_vae()
    crops: dict[str, list[NDArray[np.float16]]] = {}
    frames, names = [], []
    for number, window in enumerate(windows):
        shape = window.frames_THWC.shape[1:3]
        rng = np.random.default_rng([HELD_OUT_SEED, number])
        corner = [int(rng.integers(s // PIXELS_OF_CELL - plan.crop_cells + 1)) for s in shape]
        for name, array in encoded(vae, [window], rates).items():
            part = array[0] if name == "text" else _cut(array[0], shape, corner, plan.crop_cells)
            crops.setdefault(name, []).append(part)
        frames.append(
            _cut(window.frames_THWC.transpose(0, 3, 1, 2), shape, corner, plan.crop_cells)
        )
        names.append(window.clip_id)
    arrays = {name: np.stack(parts) for name, parts in crops.items()}
    pixels = np.stack(frames).transpose(0, 1, 3, 4, 2)
    save_npz(path, {**arrays, "frames": pixels, "clip_id": np.array(names)})


def _cut(
    video_TCHW: NDArray[Any], shape: tuple[int, ...], corner: Sequence[int], num_cells: int
) -> NDArray[Any]:
    """The crop of ``num_cells`` cells at ``corner``, whatever the video's scale."""
    rows, columns = (
        slice(at * PIXELS_OF_CELL * size // whole, None)
        for at, size, whole in zip(corner, video_TCHW.shape[2:], shape, strict=True)
    )
    side = num_cells * PIXELS_OF_CELL * video_TCHW.shape[2] // shape[0]
    return video_TCHW[:, :, rows, columns][:, :, :side, :side]


def tiny_vae() -> LatentVAE:
    """The shipped VAE, with bf16 products as everything that is trained on its latents."""
    return load_vae("tiny", dtype="bfloat16")


def save_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write aside and rename, so that a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    with aside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    aside.replace(path)
