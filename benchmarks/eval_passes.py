"""One process that decodes a video once for four metrics, against one process for each."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.eval_videos import FPS, write_waves
from benchmarks.eval_weights import write_weights
from benchmarks.eval_worker import Job, Spent, measure, measure_apart
from benchmarks.train_figure import Figure, Setting, in_turn

METRICS: Final = ("clarity", "aesthetic", "dynamics", "semantic")
GOAL: Final = ">= 3 where decoding and loading count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """The videos that both sides measure."""

    num_videos: int
    num_frames: int
    height: int
    width: int


# On a CPU a frame costs MUSIQ and RAFT hundreds of times what it costs the decoder.
CPU_CLIPS: Final = Clips(num_videos=2, num_frames=4, height=128, width=160)
GPU_CLIPS: Final = Clips(num_videos=4, num_frames=81, height=480, width=832)
TINY_CLIPS: Final = Clips(num_videos=1, num_frames=2, height=128, width=128)
# 5 s of 720p, where decoding counts: too much for networks on a CPU.
LONG_CLIPS: Final = Clips(num_videos=1, num_frames=120, height=720, width=1280)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one side's processes took together, in wall seconds but for the last."""

    starting: float  # interpreter, imports, weights, and the process's end
    decoding: float
    networks: float
    cpu_seconds: float

    @property
    def total(self) -> float:
        """From the first process's start to the last one's end."""
        return self.starting + self.decoding + self.networks

    @property
    def without_networks(self) -> float:
        """What a pass can share."""
        return self.starting + self.decoding


def one_pass_speedup(setting: Setting) -> list[Figure]:
    """Seconds of a process per metric, one after the other, over those of one for all four.

    Everybody starts, loads its weights and decodes the same videos. The second figure is the same
    without the seconds inside networks, which no pass can share. The third is of a longer, larger
    video with networks that are loaded and then answer at once, as if they were infinitely fast:
    that is the most that one pass can save. Tiny runs start no processes.
    """
    clips = TINY_CLIPS if setting.tiny else GPU_CLIPS if setting.on_gpu else CPU_CLIPS
    long_clips = TINY_CLIPS if setting.tiny else LONG_CLIPS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights"
        write_weights(weights, METRICS, true_size=setting.on_gpu)
        sides = _sides(setting, _videos(folder, clips), str(weights))
        long_videos = _videos(folder, long_clips)
        absent = _sides(setting, long_videos, str(weights), absent=METRICS)
    one, apart = sides["one"], sides["apart"]
    note = _note(clips, one, apart, setting)
    return [
        Figure(
            name="one_pass_speedup",
            goal=GOAL,
            values=_ratios(apart, one, lambda side: side.total),
            note=note,
        ),
        Figure(
            name="one_pass_speedup.without_networks",
            goal=">= 3",
            values=_ratios(apart, one, lambda side: side.without_networks),
            note="The same runs less the seconds inside networks: starting, loading and decoding.",
        ),
        Figure(
            name="one_pass_speedup.networks_absent",
            goal=">= 3",
            values=_ratios(absent["apart"], absent["one"], lambda side: side.total),
            note=_note(long_clips, absent["one"], absent["apart"], setting, is_absent=True),
        ),
    ]


def _videos(folder: Path, clips: Clips) -> tuple[str, ...]:
    paths = [folder / f"{number}.mp4" for number in range(clips.num_videos)]
    for number, path in enumerate(paths):
        write_waves(path, clips.num_frames, clips.height, clips.width, seed=number)
    return tuple(map(str, paths))


def _sides(
    setting: Setting, videos: tuple[str, ...], weights: str, *, absent: tuple[str, ...] = ()
) -> dict[str, list[Side]]:
    """Both sides of every round that counts."""
    found: dict[str, list[Side]] = {"one": [], "apart": []}
    run: Callable[[Job], Spent] = measure if setting.tiny else measure_apart

    def work(name: str, groups: Sequence[tuple[str, ...]]) -> float:
        start = time.perf_counter()
        device = str(setting.device)
        spent = [
            run(
                Job(
                    metrics=group,
                    videos=videos,
                    weights=weights,
                    device=device,
                    absent=tuple(metric for metric in group if metric in absent),
                )
            )
            for group in groups
        ]
        side = _side(time.perf_counter() - start, spent)
        found[name].append(side)
        return side.total

    one_by_one = [(metric,) for metric in METRICS]
    in_turn(
        {"one": lambda: work("one", [METRICS]), "apart": lambda: work("apart", one_by_one)},
        setting,
    )
    return {name: sides[1:] for name, sides in found.items()}  # the first round does not count


def _side(seconds: float, spent: Sequence[Spent]) -> Side:
    decoding = sum(each.decoding for each in spent)
    networks = sum(each.networks for each in spent)
    return Side(
        starting=seconds - decoding - networks,
        decoding=decoding,
        networks=networks,
        cpu_seconds=sum(each.cpu_seconds for each in spent),
    )


def _ratios(
    over: Sequence[Side], under: Sequence[Side], seconds: Callable[[Side], float]
) -> tuple[float, ...]:
    return tuple(seconds(a) / seconds(b) for a, b in zip(over, under, strict=True))


def _note(
    clips: Clips,
    one: Sequence[Side],
    apart: Sequence[Side],
    setting: Setting,
    *,
    is_absent: bool = False,
) -> str:
    sizes = "of true size" if setting.on_gpu else "CLIP and ViCLIP of one narrow layer, else true"
    sizes += ", loaded and left out" * is_absent
    last = "preparing frames" if is_absent else "networks"
    cpu = statistics.median(_ratios(apart, one, lambda side: side.cpu_seconds))
    return (
        f"{', '.join(METRICS)} of {clips.num_videos} videos of {clips.num_frames} frames, "
        f"{clips.width}x{clips.height} at {FPS:g} fps; random weights, {sizes}; {setting.name}. "
        f"One pass: {_shares(one, last)}. A process per metric: {_shares(apart, last)}. "
        f"The ratio of CPU seconds is {cpu:.2f}."
    )


def _shares(sides: Sequence[Side], last: str) -> str:
    total = statistics.median(side.total for side in sides)

    def part(name: str, seconds: Callable[[Side], float]) -> str:
        share = statistics.median(seconds(side) / side.total for side in sides)
        took = statistics.median(seconds(side) for side in sides)
        return f"{name} {share:.1%} ({took:.2f} s)"

    parts = (
        part("imports and loading", lambda side: side.starting),
        part("decoding", lambda side: side.decoding),
        part(last, lambda side: side.networks),
    )
    return f"{total:.1f} s, of which {', '.join(parts)}"
