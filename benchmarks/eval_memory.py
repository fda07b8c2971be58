"""Whether a long video takes more memory than a short one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.eval_videos import repeat_video, write_square
from benchmarks.eval_weights import write_weights
from benchmarks.eval_worker import Job, Spent, measure, measure_apart
from benchmarks.train_figure import Figure, Setting

# All frames by the pass, eight a second by the pair, and eight of the whole video.
METRICS: Final = ("aesthetic", "dynamics", "semantic")
ABSENT: Final = ("dynamics",)  # RAFT takes 14 s even for a pair of 832x480
FPS: Final = 6.0
LONGER: Final = 10


def peak_memory(setting: Setting) -> list[Figure]:
    """The most resident memory of a pass over ten minutes of 1080p over that over one minute.

    Each in a process of its own, networks and interpreter counted; the long video is the short one
    ten times over. RAFT is loaded and left out. Tiny runs stay in one process, so that both have
    the same peak.
    """
    height, width, num_frames = (128, 128, 4) if setting.tiny else (1080, 1920, int(60 * FPS))
    run: Callable[[Job], Spent] = measure if setting.tiny else measure_apart
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short, long, weights = folder / "short.mp4", folder / "long.mp4", folder / "weights"
        write_square(short, num_frames, FPS, height, width)
        repeat_video(short, long, LONGER)
        write_weights(weights, METRICS, true_size=False)
        both = [
            run(
                Job(
                    metrics=METRICS,
                    videos=(str(video),),
                    weights=str(weights),
                    device=str(setting.device),
                    absent=ABSENT,
                )
            )
            for video in (short, long)
        ]
    peaks = [spent.peak_bytes for spent in both]
    note = (
        f"{', '.join(METRICS)} of {width}x{height} at {FPS:g} fps, narrow networks, no "
        f"RAFT; {setting.name}. {num_frames} frames: {peaks[0] / 1e9:.3f} GB; "
        f"{LONGER * num_frames} frames: "
        f"{peaks[1] / 1e9:.3f} GB."
    )
    growth, of_growth = _growth(both[1].resident_bytes)
    return [
        Figure(name="peak_memory", goal="<= 1.1", values=(peaks[1] / peaks[0],), note=note),
        Figure(name="peak_memory.growth", goal="<= 1.1", values=(growth,), note=of_growth),
    ]


def _growth(resident_bytes: Sequence[int]) -> tuple[float, str]:
    """The last tenth over the second; a peak is one moment, and as likely one of loading."""
    tenths = np.array_split(np.array(resident_bytes, np.float64), 10)
    early, late = (float(np.median(tenths[number])) for number in (1, -1))
    note = (
        f"Resident memory in the same long pass, medians over frames: {early / 1e9:.3f} GB in its "
        f"second tenth, {late / 1e9:.3f} GB in its last."
    )
    return late / early, note
