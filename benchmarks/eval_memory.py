"""Whether a long video takes more memory than a short one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

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
        peaks = [
            run(
                Job(
                    metrics=METRICS,
                    videos=(str(video),),
                    weights=str(weights),
                    device=str(setting.device),
                    absent=ABSENT,
                )
            ).peak_bytes
            for video in (short, long)
        ]
    note = (
        f"{', '.join(METRICS)} of {width}x{height} at {FPS:g} fps, narrow networks, no "
        f"RAFT; {setting.name}. {num_frames} frames: {peaks[0] / 1e9:.3f} GB; "
        f"{LONGER * num_frames} frames: "
        f"{peaks[1] / 1e9:.3f} GB."
    )
    return [Figure(name="peak_memory", goal="<= 1.1", values=(peaks[1] / peaks[0],), note=note)]
