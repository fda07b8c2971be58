"""How surely shot boundaries are found, by kind, beside PySceneDetect.

    python -m benchmarks.shots --takes VIDEO ... [--seed 0] [--scenedetect PYTHON]

Pieces of takes (videos of one uninterrupted shot each) are joined by 240 transitions of known kinds
and times, and measured as ingest does; then the takes alone, in which every boundary is a false
one. ``--scenedetect`` is the interpreter of an environment that has the package ``scenedetect``.
One JSON line a figure.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.near_duplicate_files import write_frames
from pfp.ingest.measure import measure_video
from pfp.io.media import probe, read_frames

Frames: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

FPS: Final = 25
HEIGHT, WIDTH = 180, 320
NUM_VIDEOS: Final = 12
KINDS: Final = ("cut",) * 8 + ("dissolve",) * 5 + ("fade",) * 4 + ("wipe",) * 3  # of a video
PIECE_SECONDS: Final = (1.2, 3.0)  # between transitions
LENGTHS_SECONDS: Final = {"dissolve": (0.3, 1.5), "fade": (0.5, 2.0), "wipe": (0.4, 1.2)}
TOLERANCE_SECONDS: Final = 0.2
GOALS: Final = {"cut": ">= 0.97", "dissolve": ">= 0.90", "fade": ">= 0.90", "wipe": ""}
# What detectors call them; a fade is a dissolve from or to one colour.
SAME_KIND: Final = {"cut": "cut", "dissolve": "dissolve", "fade": "dissolve", "wipe": "wipe"}

PYSCENEDETECT: Final = """
import json, sys
from scenedetect import AdaptiveDetector, ContentDetector, SceneManager, open_video
kind = {"content": ContentDetector, "adaptive": AdaptiveDetector}[sys.argv[1]]
for path in sys.argv[2:]:
    manager = SceneManager()
    manager.add_detector(kind())
    manager.detect_scenes(open_video(path))
    print(json.dumps([start.get_seconds() for start, _ in manager.get_scene_list()[1:]]))
"""


@dataclass(frozen=True, slots=True)
class Transition:
    """From one take to the next, ``[start_seconds, end_seconds]``; a cut is a moment."""

    kind: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """A boundary that a detector names; ``kind`` as in ``DetectedShot``."""

    kind: str
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--takes", type=Path, nargs="+", required=True, help="single-shot videos")
    parser.add_argument("--seed", type=int, default=0, help="of the transitions")
    parser.add_argument("--scenedetect", help="Python of an environment with scenedetect")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        for figure in figures(options.takes, options.seed, Path(folder), options.scenedetect):
            print(json.dumps(figure), flush=True)
    return 0


def figures(
    takes: Sequence[Path], seed: int, folder: Path, scenedetect: str | None
) -> Iterator[dict[str, Any]]:
    """Of each detector the F1 of each kind, and the false boundaries in takes."""
    frames = [frames_of(path) for path in takes]
    paths, truth = [], []
    for number in range(NUM_VIDEOS):
        joined, transitions = joined_takes(frames, np.random.default_rng((seed, number)))
        paths.append(write_frames(folder / f"{number}.mp4", joined, FPS))
        truth.append(transitions)
    minutes = sum(probe(path).duration_seconds or 0.0 for path in takes) / 60
    for name, detect in detectors(scenedetect).items():
        counts = Counter[str]()
        for transitions, found in zip(truth, detect(paths), strict=True):
            counts += matched(transitions, found)
        for kind, goal in GOALS.items():
            yield _figure(f"{name}.{kind}_f1", f1(counts, kind), goal, _told(counts, kind))
        false = sum(len(found) for found in detect(takes))
        yield _figure(f"{name}.false_in_takes", false, "", f"{minutes:.1f} minutes, one shot each")


def detectors(scenedetect: str | None) -> Mapping[str, Callable[[Sequence[Path]], list[Any]]]:
    """What finds boundaries in videos: the project's own detector, and peers that are there."""
    found: dict[str, Callable[[Sequence[Path]], list[Any]]] = {"pfp": measured}
    if scenedetect is not None:
        for kind in ("content", "adaptive"):
            found[f"scenedetect_{kind}"] = _peer(scenedetect, kind)
    return found


def measured(paths: Sequence[Path]) -> list[list[Found]]:
    """As ingest measures files."""
    shots = [measure_video(str(path))["shots"] for path in paths]
    return [[Found(shot["kind"], shot["start_seconds"]) for shot in each[1:]] for each in shots]


def _peer(python: str, kind: str) -> Callable[[Sequence[Path]], list[list[Found]]]:
    def detect(paths: Sequence[Path]) -> list[list[Found]]:
        command = [python, "-c", PYSCENEDETECT, kind, *map(str, paths)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [[Found("cut", at) for at in json.loads(line)] for line in output.splitlines()]

    return detect


# --------------------------------------------------------------------------------- transitions


def frames_of(path: Path) -> Frames:
    """A take at the size and rate of all, the middle of what is wider or higher."""
    told = probe(path)
    factor = max(HEIGHT / told.height, WIDTH / told.width)
    height, width = (int(np.ceil(side * factor)) for side in (told.height, told.width))
    frames_THWC = read_frames(path, fps=FPS, height=height, width=width)
    row, column = (height - HEIGHT) // 2, (width - WIDTH) // 2
    return frames_THWC[:, row : row + HEIGHT, column : column + WIDTH]


def joined_takes(
    takes: Sequence[Frames], rng: np.random.Generator
) -> tuple[Frames, list[Transition]]:
    """Pieces of takes, no two of one take in a row, and the transitions between them."""
    order = rng.permutation(len(takes))
    parts: list[Frames] = []
    transitions: list[Transition] = []
    before = piece(takes[order[0]], rng)
    for number, kind in enumerate(rng.permutation(np.array(KINDS)).tolist(), 1):
        after = piece(takes[order[number % len(order)]], rng)
        mixed, num = mixture(kind, before, after, rng)
        start = (sum(map(len, parts)) + len(before) - num) / FPS
        parts += [before[: len(before) - num], mixed]
        transitions.append(Transition(kind, start, start + len(mixed) / FPS))
        before = after[num:]
    return np.concatenate([*parts, before]), transitions


def piece(take_THWC: Frames, rng: np.random.Generator) -> Frames:
    """A stretch with room for a transition on both sides."""
    room = max(high for _, high in LENGTHS_SECONDS.values())
    wanted = round((rng.uniform(*PIECE_SECONDS) + room) * FPS)
    num = min(wanted, len(take_THWC))
    start = int(rng.integers(len(take_THWC) - num + 1))
    return take_THWC[start : start + num]


def mixture(
    kind: str, before: Frames, after: Frames, rng: np.random.Generator
) -> tuple[Frames, int]:
    """The frames of a transition, and how many it takes off each side."""
    if kind == "cut":
        return before[:0], 0
    num = round(rng.uniform(*LENGTHS_SECONDS[kind]) * FPS)
    share_T = ((np.arange(num) + 1) / (num + 1)).astype(np.float32)
    first, second = (part.astype(np.float32) for part in (before[-num:], after[:num]))
    if kind == "fade":
        mixed = _through(first, second, share_T, 255.0 if rng.random() < 0.25 else 0.0)
    else:
        share = share_T[:, None, None, None]
        if kind == "wipe":
            share = (np.linspace(0, 1, WIDTH, dtype=np.float32)[:, None] < share).astype(np.float32)
        mixed = first + share * (second - first)
    return np.rint(mixed).astype(np.uint8), num


def _through(first: Floats, second: Floats, share_T: Floats, level: float) -> Floats:
    """To one colour and out of it."""
    down, up = ((1 - 2 * share_T).clip(0), (2 * share_T - 1).clip(0))
    parts = zip((first, second), (down, up), strict=True)
    mixed = sum((frames - level) * share[:, None, None, None] for frames, share in parts)
    return np.asarray(level + mixed, np.float32)


# -------------------------------------------------------------------------------------- scores


def matched(transitions: Sequence[Transition], found: Sequence[Found]) -> Counter[str]:
    """How many of each kind are found, missed and made up, as ``KIND/hit``, ``miss``, ``false``.

    A transition is found by one boundary that lies in it, give or take the tolerance.
    """
    counts = Counter[str]()
    left = list(found)
    for each in transitions:
        low, high = each.start_seconds - TOLERANCE_SECONDS, each.end_seconds + TOLERANCE_SECONDS
        hit = next((one for one in left if low <= one.seconds <= high), None)
        counts[f"{each.kind}/{'miss' if hit is None else 'hit'}"] += 1
        if hit is not None:
            left.remove(hit)
    counts.update(f"{one.kind}/false" for one in left)
    return counts


def f1(counts: Mapping[str, int], kind: str) -> float:
    """The harmonic mean of precision and recall; false ones count for the kind that is named."""
    hits, misses = (counts.get(f"{kind}/{what}", 0) for what in ("hit", "miss"))
    return 2 * hits / (2 * hits + misses + counts.get(f"{SAME_KIND[kind]}/false", 0))


def _told(counts: Mapping[str, int], kind: str) -> str:
    hits, misses = (counts.get(f"{kind}/{what}", 0) for what in ("hit", "miss"))
    return f"{hits} of {hits + misses}, {counts.get(f'{SAME_KIND[kind]}/false', 0)} false"


def _figure(name: str, value: float, goal: str, note: str) -> dict[str, Any]:
    figure = {"name": name, "value": round(value, 3), "unit": "", "goal": goal, "n": 1}
    return {**figure, "spread": None, "note": note}


if __name__ == "__main__":
    sys.exit(main())
