"""What measuring a video costs beside decoding it, and what decoders cost beside each other.

    OMP_NUM_THREADS=1 python -m benchmarks.ingest [--videos ../shared/clips/dev] [--rounds 3]
        [--page docs/benchmarks.md]

CPU seconds of one thread, of whole files and warm page cache; of each work on each clip the least
of the rounds, since other jobs only ever add. ``--page`` writes the part of the page that says what
wrote it. decord comes with ``pfp[metrics]``; ``ffmpeg`` is that of ``PATH``; torchcodec is measured
where it is installed. What is not there has no row.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
from av.video.reformatter import VideoReformatter

from pfp.ingest.measure import measure_video
from pfp.io.media import path_to_uri

SIDE: Final = 64  # of scaled frames
HEADING: Final = "## Ingest"
COLUMNS: Final = ("sequential", "one frame a second", "key frames", "scaled to 64x64")
GOAL: Final = 1.5

Work: TypeAlias = Callable[[Path], object]
Seconds: TypeAlias = dict[str, dict[str, float | None]]  # by work, then by clip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line of JSON for each figure, and write the page if asked to."""
    options = _options(arguments)
    clips = sorted(path for path in options.videos.iterdir() if path.is_file())
    works: dict[str, Work] = {"measure": _measure, **_decoders()}
    seconds = _least_seconds(works, clips, options.rounds)
    for name in works:
        print(json.dumps({"name": name, "ratio": _ratio(seconds, name), "n": options.rounds}))
    if options.page is not None:
        page = options.page.read_text(encoding="utf-8")
        section = _section(seconds, clips, options.rounds)
        options.page.write_text(_with_section(page, section), encoding="utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--videos", type=Path, default=Path("../shared/clips/dev"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path)
    return parser.parse_args(arguments)


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Leaves the commands of the docstring as they are."""


def _least_seconds(works: Mapping[str, Work], clips: Sequence[Path], rounds: int) -> Seconds:
    """The least CPU seconds of each work on each clip; None where it cannot read the clip."""
    least: Seconds = {name: {} for name in works}
    for clip in clips:
        for _ in range(rounds):
            for name, work in works.items():
                taken, before = _cpu_seconds(work, clip), least[name].get(clip.name)
                least[name][clip.name] = taken if before is None else min(before, taken or before)
    return least


def _cpu_seconds(work: Work, clip: Path) -> float | None:
    start = _cpu_clock()
    try:
        work(clip)
    except Exception as error:  # noqa: BLE001 - decoders raise what they like
        print(f"{clip.name} cannot be read: {type(error).__name__}")
        return None
    return _cpu_clock() - start


def _cpu_clock() -> float:
    """CPU seconds of this process and of those that it started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _ratio(seconds: Seconds, name: str) -> float | None:
    """CPU time over that of PyAV's sequential decode of the same clips."""
    read = {clip: taken for clip, taken in seconds[name].items() if taken is not None}
    under = sum(seconds["PyAV: sequential"][clip] or 0.0 for clip in read)
    return round(sum(read.values()) / under, 3) if under else None


def _measure(clip: Path) -> None:
    measure_video(path_to_uri(clip))


def _decoders() -> dict[str, Work]:
    """Every decoder that is here in every way of reading, ``NAME: COLUMN``."""
    found = {"PyAV": dict(zip(COLUMNS, (_av_all, _av_sampled, _av_keys, _av_scaled), strict=True))}
    if shutil.which("ffmpeg"):
        found["ffmpeg"] = _ffmpeg_works()
    for library, ways in (("decord", _decord_works), ("torchcodec", _torchcodec_works)):
        if importlib.util.find_spec(library):
            found[library] = ways()
    return {f"{name}: {way}": work for name, works in found.items() for way, work in works.items()}


def _av_frames(clip: Path, *, keys: bool = False) -> Iterator[av.VideoFrame]:
    with av.open(clip) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if keys:
            stream.codec_context.skip_frame = "NONKEY"
        yield from container.decode(stream)


def _av_all(clip: Path) -> None:
    for _ in _av_frames(clip):
        pass


def _av_keys(clip: Path) -> None:
    for _ in _av_frames(clip, keys=True):
        pass


def _av_scaled(clip: Path) -> None:
    reformatter = VideoReformatter()  # a frame's own would set the scaler up anew each time
    size = {"width": SIDE, "height": SIDE}
    for frame in _av_frames(clip):
        scaled = reformatter.reformat(
            frame, **size, format="rgb24", interpolation="AREA", threads=1
        )
        scaled.to_ndarray()


def _av_sampled(clip: Path) -> None:
    """To the key frame before each second, and on from there."""
    with av.open(clip) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for second in range(int((container.duration or 0) / av.time_base)):
            container.seek(int(second / stream.time_base), stream=stream)
            next((one for one in container.decode(stream) if (one.time or 0) >= second), None)


def _ffmpeg_works() -> dict[str, Work]:
    def work(before: Sequence[str] = (), after: Sequence[str] = ()) -> Work:
        def run(clip: Path) -> None:
            command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", *before, "-i", clip]
            command += ["-map", "0:v:0", "-filter_threads", "1", *after, "-f", "null", "-"]
            subprocess.run(command, check=True)

        return run

    scale = f"scale={SIDE}:{SIDE}:flags=area,format=rgb24"
    return {
        "sequential": work(),
        "key frames": work(before=["-skip_frame", "nokey"]),
        "scaled to 64x64": work(after=["-vf", scale]),
    }


def _decord_works() -> dict[str, Work]:
    import decord

    def opened(clip: Path, **options: Any) -> Any:
        return decord.VideoReader(str(clip), ctx=decord.cpu(0), num_threads=1, **options)

    def every(reader: Any) -> None:
        for _ in range(len(reader)):
            reader.next()

    def sampled(clip: Path) -> None:
        reader = opened(clip)
        for second in range(int(len(reader) / reader.get_avg_fps())):
            reader.seek_accurate(round(second * reader.get_avg_fps()))
            reader.next()

    def keys(clip: Path) -> None:
        reader = opened(clip)
        for index in reader.get_key_indices():
            reader.seek(index)
            reader.next()

    return {
        "sequential": lambda clip: every(opened(clip)),
        "one frame a second": sampled,
        "key frames": keys,
        "scaled to 64x64": lambda clip: every(opened(clip, width=SIDE, height=SIDE)),
    }


def _torchcodec_works() -> dict[str, Work]:
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    def opened(clip: Path, **options: Any) -> Any:
        return VideoDecoder(str(clip), num_ffmpeg_threads=1, **options)

    def every(decoder: Any) -> None:
        for _ in decoder:
            pass

    def sampled(clip: Path) -> None:
        decoder = opened(clip)
        for second in range(int(decoder.metadata.duration_seconds)):
            decoder.get_frame_played_at(second)

    return {
        "sequential": lambda clip: every(opened(clip)),
        "one frame a second": sampled,
        "scaled to 64x64": lambda clip: every(opened(clip, transforms=[Resize((SIDE, SIDE))])),
    }


def _section(seconds: Seconds, clips: Sequence[Path], rounds: int) -> str:
    """The part of the page, as Markdown."""
    minutes = sum(_duration(clip) for clip in clips) / 60
    bare = sum(taken or 0.0 for taken in seconds["PyAV: sequential"].values())
    names = dict.fromkeys(name.partition(":")[0] for name in seconds if ":" in name)
    lines = [
        HEADING,
        "",
        "    OMP_NUM_THREADS=1 python -m benchmarks.ingest --page docs/benchmarks.md",
        "",
        "`tier1_vs_bare_decode`, CPU time of `measure_video` over PyAV's decode of every frame, is",
        f"{_ratio(seconds, 'measure')} (goal: {GOAL}) for {len(clips)} clips,",
        f"{minutes:.1f} minutes in all, which take PyAV {bare / minutes:.2f} s of CPU a minute.",
        f"Least of {rounds} rounds. Clip by clip:",
        "",
        *_by_clip(seconds, clips),
        "",
        "Decoders, one thread each, CPU time over PyAV's sequential decode of the same clips:",
        "",
        f"| decoder | {' | '.join(COLUMNS)} | clips it cannot read |",
        f"|---|{'---|' * (len(COLUMNS) + 1)}",
        *(_row(seconds, name) for name in names),
    ]
    return "\n".join(lines) + "\n"


def _by_clip(seconds: Seconds, clips: Sequence[Path]) -> Iterator[str]:
    yield "| clip | codec, size, fps | a frame, ms | `measure_video` over it |"
    yield "|---|---|---|---|"
    for clip in clips:
        measured, bare = (seconds[name][clip.name] for name in ("measure", "PyAV: sequential"))
        with av.open(clip) as container:
            stream = container.streams.video[0]
            num_frames = stream.frames or round(_duration(clip) * float(stream.average_rate or 1))
            said = f"{stream.codec_context.codec.canonical_name}, {stream.width}x{stream.height}"
            said += f", {float(stream.average_rate or 0):.4g}"
        if measured is not None and bare:
            costs = f"{bare / num_frames * 1e3:.2f} | {measured / bare:.2f}"
            yield f"| {clip.name} | {said} | {costs} |"


def _row(seconds: Seconds, name: str) -> str:
    ratios = [f"{name}: {way}" for way in COLUMNS]
    told = [str(_ratio(seconds, each)) if each in seconds else "" for each in ratios]
    unread = [clip for clip, taken in seconds[ratios[0]].items() if taken is None]
    return f"| {name} | {' | '.join(told)} | {', '.join(unread)} |"


def _duration(clip: Path) -> float:
    with av.open(clip) as container:
        return (container.duration or 0) / av.time_base


def _with_section(page: str, section: str) -> str:
    """The page with this part anew, at its place or at the end."""
    before, _, after = page.partition(f"{HEADING}\n")
    rest = after.partition("\n## ")
    following = f"\n{''.join(rest[1:]).lstrip()}" if rest[1] else ""
    return f"{before.rstrip()}\n\n{section}{following}"


if __name__ == "__main__":
    main()
