"""What the tiny family learns from: camera moves over ordinary photographs, and generated clips.

Axes: T frames, H rows, W columns, C colours. Everything is uint8 RGB and a pure function of a seed.
The photographs are a few that come with installed libraries, so they are varied hard: crops,
mirrors, colours, cuts, dissolves and pieces of other photographs that move across.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from experiments.synthetic_clips import pan_frames, plan_clip, render_frames
from pfp.errors import InputError
from pfp.generate.conditions import encode_prompts
from pfp.latents.preprocess import downscale
from pfp.models.rates import GEOMETRIES, Rate
from pfp.models.text.tiny import TinyTextEncoder
from pfp.models.tiny_names import TINY_TEXT_TOKENS

# Photographs that ship inside well-known wheels, with free licences (public domain, CC0, CC BY).
PHOTOGRAPHS: Final[dict[str, tuple[str, ...]]] = {
    "skimage": (
        *("data/astronaut.png", "data/brick.png", "data/camera.png", "data/chelsea.png"),
        *("data/clock_motion.png", "data/coffee.png", "data/coins.png", "data/grass.png"),
        *("data/gravel.png", "data/ihc.png", "data/motorcycle_left.png"),
        *("data/motorcycle_right.png", "data/page.png", "data/retina.jpg", "data/rocket.jpg"),
    ),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}

SIZES: Final = {"landscape": (96, 160), "portrait": (160, 96)}  # height, width
FPS: Final = 12.0
TWO_SHOTS_PROBABILITY: Final = 0.35
DISSOLVE_SHARE: Final = 0.35
MAX_SPRITES: Final = 3


def lr_frames(frames_THWC: NDArray[np.uint8], rate: Rate) -> NDArray[np.uint8]:
    """The small, slow copy that the LR branch of a rate sees (section 3.1), uint8 RGB THWC."""
    num_frames, height, width, _ = frames_THWC.shape
    lr = rate.lr_video(num_frames, (height, width), FPS, GEOMETRIES["tiny"])
    slow_THWC = frames_THWC[:: rate.time][: lr.num_frames]
    return np.stack([downscale(frame, rate.height) for frame in slow_THWC])


def padded_prompt(prompt: str) -> NDArray[np.float32]:
    """A prompt as the family reads it, cut or padded with zeros: ``(L, D)``."""
    told = encode_prompts([TinyTextEncoder()], [prompt], TINY_TEXT_TOKENS)[prompt]
    return told.text_BLD[0].numpy().astype(np.float32)


def photograph_paths() -> list[Path]:
    """Where the named photographs lie on this machine, in a fixed order.

    Raises InputError when fewer than half are there: the training extras are then not installed.
    """
    paths = []
    for package, names in PHOTOGRAPHS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parent
            paths += [root / name for name in names if (root / name).is_file()]
    wanted = sum(len(names) for names in PHOTOGRAPHS.values())
    if len(paths) < wanted // 2:
        message = (
            f"found {len(paths)} of {wanted} photographs; "
            "install pfp[dev] or name a folder of images with --images"
        )
        raise InputError(message)
    return paths


def load_photographs(paths: Sequence[Path], *, max_side: int = 1024) -> list[NDArray[np.uint8]]:
    """Photographs as uint8 RGB HWC, at most ``max_side`` pixels wide or high."""
    photographs = []
    for path in paths:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
        rgb.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        photographs.append(np.asarray(rgb))
    return photographs


def photo_window(
    photographs: Sequence[NDArray[np.uint8]],
    rng: np.random.Generator,
    *,
    num_frames: int,
    height: int,
    width: int,
) -> NDArray[np.uint8]:
    """A short video made of photographs: one or two shots, moving pieces, varied colours.

    Returns uint8 THWC of shape ``(num_frames, height, width, 3)``.
    """
    frames_THWC = _shot(photographs, rng, num_frames, height, width)
    if rng.random() < TWO_SHOTS_PROBABILITY and num_frames > 8:
        after_THWC = _shot(photographs, rng, num_frames, height, width)
        at = int(rng.integers(3, num_frames - 3))
        length = int(rng.integers(3, 9)) if rng.random() < DISSOLVE_SHARE else 1
        ramp_T = np.clip((np.arange(num_frames) - at + 1) / length, 0, 1)[:, None, None, None]
        blended = frames_THWC * (1 - ramp_T) + after_THWC * ramp_T
        frames_THWC = np.rint(blended).astype(np.uint8)
    return frames_THWC


def generated_windows(
    seed: int, index: int, *, num_frames: int, fps: float, height: int, width: int
) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """All windows of generated clip ``index`` in order, each with the caption of its middle.

    Yields uint8 THWC of shape ``(num_frames, height, width, 3)``; even clips are landscape.
    """
    script = plan_clip(seed, index)
    frames_HWC = render_frames(script, height=height, width=width, fps=fps)
    for number in count():
        window = list(islice(frames_HWC, num_frames))
        if len(window) < num_frames:
            return
        middle = (number + 0.5) * num_frames / fps
        shot = [shot for shot in script.shots if shot.start_seconds <= middle][-1]
        yield np.stack(window), shot.caption


def _shot(
    photographs: Sequence[NDArray[np.uint8]],
    rng: np.random.Generator,
    num_frames: int,
    height: int,
    width: int,
) -> NDArray[np.uint8]:
    image_HWC = _vary(photographs[int(rng.integers(len(photographs)))], rng)
    frames_THWC = pan_frames(image_HWC, rng, num_frames=num_frames, height=height, width=width)
    for _ in range(int(rng.integers(0, MAX_SPRITES + 1))):
        piece = _vary(photographs[int(rng.integers(len(photographs)))], rng)
        _move_piece_across(frames_THWC, piece, rng)
    return frames_THWC


def _vary(image_HWC: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror, turn, swap colours, change gamma and contrast."""
    if rng.random() < 0.5:
        image_HWC = image_HWC[:, ::-1]
    if rng.random() < 0.25:
        image_HWC = image_HWC.transpose(1, 0, 2)
    if rng.random() < 0.25:
        image_HWC = image_HWC[..., rng.permutation(3)]
    gain_C = rng.uniform(0.75, 1.25, 3) if rng.random() < 0.7 else np.ones(3)
    gamma = float(np.exp(rng.normal(0, 0.3)))
    gamma_L = (np.arange(256) / 255.0) ** gamma
    table_LC = np.clip(gamma_L[:, None] * gain_C * 255, 0, 255).astype(np.uint8)
    varied = np.stack([table_LC[image_HWC[..., c], c] for c in range(3)], axis=-1)
    return np.ascontiguousarray(varied)


def _move_piece_across(
    frames_THWC: NDArray[np.uint8], image_HWC: NDArray[np.uint8], rng: np.random.Generator
) -> None:
    """Paste a soft-edged piece of a photograph that moves along a smooth path, in place."""
    num_frames, height, width, _ = frames_THWC.shape
    side = min(height, width)
    piece_h, piece_w = (int(rng.uniform(0.2, 0.6) * side) for _ in range(2))
    piece = pan_frames(image_HWC, rng, num_frames=1, height=piece_h, width=piece_w)[0]
    rows, columns = np.mgrid[-1 : 1 : piece_h * 1j, -1 : 1 : piece_w * 1j]
    power = rng.choice([2.0, 4.0, 12.0])
    distance = (np.abs(rows) ** power + np.abs(columns) ** power) ** (1 / power)
    alpha_HW1 = np.clip((1 - distance) * rng.uniform(8, 30), 0, 1)[..., None]
    t = np.arange(num_frames) / 12.0  # seconds, at the demo's 12 fps
    start = rng.uniform(-0.2, 1.0, 2)
    velocity = rng.normal(0, 0.35, 2) * (rng.random() < 0.8)
    sway = rng.uniform(0, 0.15, 2) * np.sin(
        t[:, None] * rng.uniform(0.5, 6, 2) + rng.uniform(0, 6, 2)
    )
    path_T2 = (start + velocity * t[:, None] + sway) * [height, width]
    for frame, (top_f, left_f) in zip(frames_THWC, path_T2, strict=True):
        top, left = int(top_f), int(left_f)
        r0, r1 = max(top, 0), min(top + piece_h, height)
        c0, c1 = max(left, 0), min(left + piece_w, width)
        if r0 >= r1 or c0 >= c1:
            continue
        inside = np.s_[r0 - top : r1 - top, c0 - left : c1 - left]
        under = frame[r0:r1, c0:c1]
        frame[r0:r1, c0:c1] = (
            under + (piece[inside] - under.astype(np.float32)) * alpha_HW1[inside]
        ).astype(np.uint8)
