"""The frames of a report: those of the encoded history, the true one, what each method made.

Clips come in the order of their ids, which are digests, and the shown frame is always the middle
one: nothing is picked by its looks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pfp.errors import PfpError, SchemaError
from pfp.eval.leaderboard.build import SCORED
from pfp.eval.measure.contents import digest_of
from pfp.eval.report.sample_detail import SampleDetail, SampleVideo, frames_at, shrunk
from pfp.io import media, tables
from pfp.io.locate import locate
from pfp.pages.images import MAX_SIDE
from pfp.schema import EvalSample, Kept, ScoreRecord
from pfp.schema.eval_sample import GIVEN
from pfp.schema.run_directory import RunDirectory

Frame: TypeAlias = npt.NDArray[np.uint8]
Part: TypeAlias = Literal["video", "reference", "history"]

NUM_HISTORY_FRAMES = 6
NUM_SEGMENT_FRAMES = 4
CHANGED: Final = "its video has changed since it was measured; measure it again"
BROWSER_CODECS = {"h264", "vp8", "vp9", "av1"}
BROWSER_PIXELS = "yuv420p"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One method's frame. ``note`` is its PSNR in words, or why there is no image."""

    method: str
    frame: Frame | None
    note: str
    detail: SampleDetail | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """One clip: what the history was, what was asked for, what came back."""

    group: str
    file_name: str | None
    prompts: tuple[str, ...]
    history: list[Frame]
    true_frame: Frame | None
    frame_index: int
    num_frames: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One prompt and frames of the span ``[start_seconds, end_seconds)`` generated from it."""

    prompt: str
    frames: list[Frame]
    start_seconds: float | None
    end_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """One generated continuation. ``problem`` says why it has no images."""

    group: str
    file_name: str | None
    method: str
    seed: int
    history: list[Frame]
    segments: tuple[Segment, ...]
    video_uri: str | None
    plays_in_browsers: bool
    problem: str | None


def file_names(run_directory: str | Path, clip_ids: Sequence[str]) -> dict[str, str]:
    """What people call the clips: their videos' file names, as far as the run knows them.

    Of several clips of one video, with where each begins.
    """
    wanted = pc.field("clip_id").isin(list(clip_ids))
    try:
        clips = tables.read_table(
            *RunDirectory(run_directory).clips,
            columns=["clip_id", "video_uri", "start_seconds"],
            filter=wanted,
        )
    except SchemaError:  # scores of somebody's own videos come without clips
        return {}
    num_clips = Counter(clips["video_uri"].to_pylist())
    return {
        row["clip_id"]: row["video_uri"].rpartition("/")[2]
        + (f" at {row['start_seconds']:.4g} s" if num_clips[row["video_uri"]] > 1 else "")
        for row in clips.to_pylist()
    }


def retrievals(
    run_directory: str | Path,
    generations: Sequence[EvalSample],
    scores: Sequence[ScoreRecord],
    *,
    methods: Sequence[str],
    max_clips: int,
    file_names: Mapping[str, str] | None = None,
) -> list[Retrieval]:
    """The first ``max_clips`` clips, the given methods side by side; of several seeds the lowest.

    ``file_names`` is what ``file_names`` returns.
    """
    made = sorted(
        (record for record in generations if record.task in SCORED),
        key=lambda record: (record.group, record.seed, record.sample_id),
    )
    by_sample: dict[str, list[ScoreRecord]] = {}
    for score in scores:
        by_sample.setdefault(score.sample_id, []).append(score)
    chosen: dict[str, dict[str, EvalSample]] = {}
    for record in made:
        chosen.setdefault(record.group, {}).setdefault(record.method, record)
    clips = list(chosen.items())[:max_clips]
    return [
        replace(
            _retrieval(run_directory, clip, by_method, by_sample, methods),
            file_name=(file_names or {}).get(clip),
        )
        for clip, by_method in clips
    ]


def _retrieval(
    run_directory: str | Path,
    group: str,
    by_method: Mapping[str, EvalSample],
    by_sample: Mapping[str, Sequence[ScoreRecord]],
    methods: Sequence[str],
) -> Retrieval:
    records = [by_method[method] for method in methods if method in by_method]

    def places(part: Part) -> list[str | None]:
        return [
            _as_measured(run_directory, record, by_sample.get(record.sample_id, ()), part)
            for record in records
        ]

    true = _first_length(run_directory, places("reference"))
    alone = true or _first_length(run_directory, places("video"))
    uri, num_frames = true or (None, alone[1] if alone is not None else 0)
    index = num_frames // 2
    true_frames = _frames_at(run_directory, uri, [index])
    histories = [_history(run_directory, uri) for uri in places("history")[:1]]
    return Retrieval(
        group=group,
        file_name=None,
        prompts=next((tuple(r.captions) for r in records if r.task == GIVEN), ()),
        history=histories[0] if histories else [],
        true_frame=true_frames[0] if true_frames else None,
        frame_index=index,
        num_frames=num_frames,
        shown=tuple(
            _shown(run_directory, record, index, by_sample.get(record.sample_id, ()))
            for record in records
        ),
    )


def _as_measured(
    run_directory: str | Path, record: EvalSample, scores: Sequence[ScoreRecord], part: Part
) -> str | None:
    """Where a sample's video is, unless it holds something else than what was measured."""
    uri: str | None = getattr(record, f"{part}_uri")
    measured = {getattr(score, f"{part}_sha256") for score in scores} - {None}
    if uri is None or not measured:
        return uri
    found = digest_of(locate(run_directory, uri))
    return uri if found is None or found in measured else None


def _first_length(run_directory: str | Path, uris: Iterable[str | None]) -> tuple[str, int] | None:
    """The first of several videos that can be read, and its number of frames."""
    for uri in dict.fromkeys(uris):
        num_frames = _length(run_directory, uri)
        if uri is not None and num_frames:
            return uri, num_frames
    return None


def _length(run_directory: str | Path, uri: str | None) -> int:
    """How many frames a video holds; 0 where there is none to show."""
    if uri is None:
        return 0
    try:
        return media.extent_of(locate(run_directory, uri)).num_frames
    except PfpError:
        return 0


def _frames_at(run_directory: str | Path, uri: str | None, indices: Sequence[int]) -> list[Frame]:
    """Some frames of a video of any length, as far as they are there."""
    if uri is None:
        return []
    found = frames_at(locate(run_directory, uri), indices)
    return [shrunk(found[index], MAX_SIDE) for index in indices if index in found]


def _video(run_directory: str | Path, uri: str | None) -> Frame | None:
    """All frames of a short video, or None where there is none to show."""
    if uri is None:
        return None
    try:
        return media.read_video(locate(run_directory, uri))
    except PfpError:
        return None


def _shown(
    run_directory: str | Path, record: EvalSample, index: int, scores: Sequence[ScoreRecord]
) -> Shown:
    if not isinstance(record.verdict, Kept):
        return Shown(method=record.method, frame=None, note="not generated")
    if _as_measured(run_directory, record, scores, "video") is None:
        return Shown(method=record.method, frame=None, note=CHANGED)
    video = SampleVideo(run_directory, record, scores, more_frames=[index])
    frame, detail = video.frame(index), video.detail()
    if frame is None:
        return Shown(method=record.method, frame=None, note="no such frame", detail=detail)
    psnr = next((score for score in scores if score.metric.startswith("psnr@")), None)
    return Shown(
        method=record.method,
        frame=shrunk(frame, MAX_SIDE),
        note=_psnr_note(psnr, index),
        detail=detail,
    )


def _psnr_note(score: ScoreRecord | None, index: int) -> str:
    """That frame's own PSNR, from the evidence of the score."""
    if score is None or score.evidence is None:
        return "not measured"
    per_frame: list[float | None] = json.loads(score.evidence).get("per_frame", [])
    if index >= len(per_frame):  # measured in clips
        return "not measured"
    value = per_frame[index]
    return "identical" if value is None else f"{value:.2f} dB"


def _history(run_directory: str | Path, uri: str | None) -> list[Frame]:
    steps = even_steps(_length(run_directory, uri), NUM_HISTORY_FRAMES)
    return _frames_at(run_directory, uri, steps)


def spaced(frames_THWC: Frame, num_frames: int) -> list[Frame]:
    """Up to ``num_frames`` frames in even steps, the first and the last among them."""
    return [frames_THWC[index] for index in even_steps(len(frames_THWC), num_frames)]


def even_steps(length: int, count: int) -> list[int]:
    """Up to ``count`` numbers of ``[0, length)`` in even steps, with the first and the last."""
    steps = np.linspace(0, length - 1, min(count, length)).round()
    return [int(step) for step in steps]


def continuations(
    run_directory: str | Path,
    generations: Sequence[EvalSample],
    *,
    max_clips: int,
    file_names: Mapping[str, str] | None = None,
) -> list[Continuation]:
    """The continuations of the first ``max_clips`` clips, by clip, method and seed."""
    records = sorted(
        (record for record in generations if record.task not in SCORED),
        key=lambda record: (record.group, record.method, record.seed, record.sample_id),
    )
    clips = list(dict.fromkeys(record.group for record in records))[:max_clips]
    return [
        replace(
            _continuation(run_directory, record),
            file_name=(file_names or {}).get(record.group),
        )
        for record in records
        if record.group in clips
    ]


def _continuation(run_directory: str | Path, record: EvalSample) -> Continuation:
    video_THWC = _video(run_directory, record.video_uri)
    problem = None
    if not isinstance(record.verdict, Kept):
        problem = "not generated"
    elif video_THWC is None:
        problem = "its video cannot be read"
    return Continuation(
        group=record.group,
        file_name=None,
        method=record.method,
        seed=record.seed,
        history=_history(run_directory, record.history_uri),
        segments=() if video_THWC is None else segments(_new_frames(video_THWC, record), record),
        video_uri=record.video_uri,
        plays_in_browsers=video_THWC is not None and _plays(run_directory, record.video_uri),
        problem=problem,
    )


def _new_frames(video_THWC: Frame, record: EvalSample) -> Frame:
    """What was generated: the video's last ``num_frames``, since the history may lead it."""
    return video_THWC[-record.num_frames :] if record.num_frames else video_THWC


def segments(frames_THWC: Frame, record: EvalSample) -> tuple[Segment, ...]:
    """The generated frames cut into as many equal spans as there are prompts; times from 0."""
    prompts, fps = record.captions or [""], record.fps
    edges = np.linspace(0, len(frames_THWC), len(prompts) + 1).round().astype(int)
    spans = zip(prompts, edges[:-1], edges[1:], strict=True)
    return tuple(
        Segment(
            prompt=prompt,
            frames=spaced(frames_THWC[start:end], NUM_SEGMENT_FRAMES),
            start_seconds=start / fps if fps else None,
            end_seconds=end / fps if fps else None,
        )
        for prompt, start, end in spans
    )


def _plays(run_directory: str | Path, uri: str | None) -> bool:
    """Whether every current browser plays the file."""
    if uri is None:
        return False
    try:
        probe = media.probe(locate(run_directory, uri))
    except PfpError:
        return False
    return probe.codec in BROWSER_CODECS and probe.pixel_format == BROWSER_PIXELS
