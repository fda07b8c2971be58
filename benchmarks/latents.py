"""The latents stage and its table. Prints one JSON line per figure.

    python -m benchmarks.latents [--only FIGURE ...] [--quick] [--clips-from DIR]

Everything runs in this process on one thread (``--engine local``), with the shipped tiny VAE;
decoding happens in its own process, as always. About six minutes on two cores; ``--quick`` takes
one. Without ``--clips-from`` clips are drawn: of their latents the sizes say little.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray

from benchmarks import latent_memory, latent_reads, latent_sizes
from benchmarks.figures import print_figure
from pfp.io.digests import sha256_file
from pfp.io.media import read_frames, write_video
from pfp.io.tables import write_table
from pfp.latents.preprocess import downscale
from pfp.models.vae import load_vae
from pfp.schema import KEPT, ClipRecord, StoryboardRecord
from pfp.schema.run_directory import RunDirectory
from pfp.schema.windows import lr_source_frames, num_latents_of
from pipelines.latents.config import demo
from pipelines.latents.run import run

READS = {
    "window_read_vs_pread",
    "epoch_read_vs_pread",
    "window_read_vs_blob",
    "window_read_vs_safetensors",
}
FIGURES = {"stage_vs_bare_vae", "bytes_per_clip", "memory_growth", *READS}
VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm"}
NUM_FRAMES = 61  # 5.1 s at 12 fps
SOURCE_FPS, SOURCE_HEIGHT, SOURCE_WIDTH = 24.0, 360, 640


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Benchmarks of the latents stage.")
    parser.add_argument("--only", nargs="+", choices=sorted(FIGURES), default=sorted(FIGURES))
    parser.add_argument("--quick", action="store_true", help="fewer and smaller clips")
    parser.add_argument("--clips-from", type=Path, metavar="DIR", help="videos for bytes_per_clip")
    parser.add_argument("--clips", type=int, default=8, help="of stage_vs_bare_vae")
    parser.add_argument("--repeats", type=int, default=3, help="of stage_vs_bare_vae")
    parser.add_argument("--vae", choices=("tiny", "wan21"), default="tiny", help="likewise")
    arguments = parser.parse_args()
    only, quick = set(arguments.only), arguments.quick
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "memory_growth" in only:
            latent_memory.reading(folder, 8.0 if quick else 30.0)
            latent_memory.encoding(folder, 200 if quick else 2000)
        latent_reads.measure(folder, only & READS, quick=quick)
        if only & {"stage_vs_bare_vae", "bytes_per_clip"}:
            clips = make_run(folder, 3 if quick else arguments.clips)
            if "bytes_per_clip" in only:
                drawn = [Path(clip.video_uri) for clip in clips]
                latent_sizes.measure(folder, videos_in(arguments.clips_from) or drawn)
            if "stage_vs_bare_vae" in only:
                stage_vs_bare_vae(folder, clips, 1 if quick else arguments.repeats, arguments.vae)


def videos_in(folder: Path | None) -> list[Path]:
    """The videos right inside a folder, by name."""
    found = [] if folder is None else sorted(folder.iterdir())
    return [path for path in found if path.suffix in VIDEO_SUFFIXES]


def make_run(out: Path, num_clips: int) -> list[ClipRecord]:
    """A run directory with clips of moving noise, captioned."""
    clips = []
    for index in range(num_clips):
        path = out / f"{index}.mp4"
        coarse = np.random.default_rng(index).integers(0, 256, (1, 18, 32, 3))
        still = coarse.repeat(20, axis=1).repeat(20, axis=2).astype(np.uint8)
        shifts = range(2 * NUM_FRAMES)
        frames = np.concatenate([np.roll(still, 3 * shift, axis=2) for shift in shifts])
        write_video(path, frames, SOURCE_FPS)
        clips.append(
            ClipRecord(
                clip_id=f"{index:04d}",
                video_uri=str(path),
                video_sha256=sha256_file(path),
                size_bytes=path.stat().st_size,
                start_seconds=0.0,
                end_seconds=NUM_FRAMES / 12,
                width=SOURCE_WIDTH,
                height=SOURCE_HEIGHT,
                verdict=KEPT,
            )
        )
    shot = {"start_seconds": 0.0, "end_seconds": 5.0, "caption": "noise moves"}
    boards = [
        StoryboardRecord(clip_id=clip.clip_id, shots=[shot], backend="sidecar", verdict=KEPT)
        for clip in clips
    ]
    write_table(RunDirectory(out).clips.path, ClipRecord.table(clips), ClipRecord)
    write_table(
        RunDirectory(out).storyboards.path, StoryboardRecord.table(boards), StoryboardRecord
    )
    return clips


def stage_vs_bare_vae(out: Path, clips: list[ClipRecord], repeats: int, vae: str) -> None:
    """The whole stage over bare VAE forwards on frames that lie decoded in memory, in CPU time.

    With the tiny VAE decoding weighs as much as encoding. ``wan21`` is Wan 2.1's own network, true
    in width and depth, with random weights: what the stage adds is the same, and the rest is not.
    """
    config = replace(demo(), batch_size=len(clips))
    if vae == "wan21":
        config = replace(config, vae=f"wan21:{random_wan(out / 'wan21')}")
    height, width = config.preprocess.size_for(SOURCE_WIDTH, SOURCE_HEIGHT)
    decoded = [
        read_frames(clip.video_uri, fps=12.0, height=height, width=width, num_frames=NUM_FRAMES)
        for clip in clips
    ]
    inputs = [tensor for frames in decoded for tensor in hr_and_lr(frames)]
    network = network_of(config.vae)

    def stage(repeat: int) -> None:
        # A fresh output directory: nothing may be reused.
        run(
            config,
            input_directory=str(out),
            output_directory=str(out / f"out-{repeat}"),
            engine="local",
        )

    def forwards(_: int) -> None:
        with torch.inference_mode():
            for tensor in inputs:
                network.encode(tensor)

    def decodes(_: int) -> None:
        for clip in clips:
            read_frames(clip.video_uri, fps=12.0, height=height, width=width, num_frames=NUM_FRAMES)

    forwards(0)
    rounds = [
        [cpu_seconds(work, repeat) for work in (stage, forwards, decodes)]
        for repeat in range(repeats)
    ]
    per_clip, bare, decode = (
        statistics.median(column) / len(clips) for column in zip(*rounds, strict=True)
    )
    print_figure(
        "stage_vs_bare_vae" if vae == "tiny" else f"stage_vs_bare_vae_{vae}",
        [whole / bare for whole, bare, _ in rounds],
        unit="ratio",
        goal="<= 1.1",
        note=(
            f"{len(clips)} clips of {NUM_FRAMES} frames, {width}x{height}; CPU seconds per "
            f"clip: stage {per_clip:.3f}, VAE forwards {bare:.3f}, bare decode of "
            f"{SOURCE_WIDTH}x{SOURCE_HEIGHT} H.264 {decode:.3f}"
        ),
    )


def hr_and_lr(frames_THWC: NDArray[np.uint8]) -> list[torch.Tensor]:
    """What the stage feeds to the VAE for one clip, as the network's inputs."""
    small = [downscale(frames_THWC[i], 4) for i in lr_source_frames(num_latents_of(NUM_FRAMES))]
    return [
        torch.from_numpy(video.transpose(3, 0, 1, 2)[None].copy()).float() / 127.5 - 1
        for video in (frames_THWC, np.stack(small))
    ]


def network_of(spec: str) -> Any:
    """The network of a VAE, without what pfp puts around it: it has ``encode``."""
    if spec == "tiny":
        from pfp.models.vae.tiny_codec import TinyCodec

        codec = load_vae("tiny").codec
        assert isinstance(codec, TinyCodec)
        return codec.network
    folder = spec.partition(":")[2]
    return cast("Any", AutoencoderKLWan).from_pretrained(folder, local_files_only=True)


def random_wan(folder: Path) -> Path:
    """A folder as Wan 2.1's ``vae`` is, of its true width and depth, with random weights."""
    torch.manual_seed(0)
    cast("Any", AutoencoderKLWan)().save_pretrained(folder)
    return folder


def cpu_seconds(work: Callable[[int], None], repeat: int) -> float:
    """CPU time of one call, decoder children included: a busy machine does not stretch it."""
    before = used_seconds()
    work(repeat)
    gc.collect()  # a worker's end ends its child, whose time counts only then
    return used_seconds() - before


def used_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
