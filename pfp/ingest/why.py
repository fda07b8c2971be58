"""The whole story of a video and its clips: what every table of a run says about them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pfp.errors import ConfigError, SchemaError
from pfp.ingest.audio_columns import NEEDED, AudioColumns
from pfp.ingest.recipe import Recipe, load_recipe
from pfp.ingest.select import MEANS
from pfp.io.clip_names import find_videos, path_of
from pfp.io.files import read_file
from pfp.io.json_text import parse_json
from pfp.io.manifest import MANIFEST_NAME
from pfp.io.run_tables import has_table, tables_of
from pfp.io.tables import read_table
from pfp.limits import MAX_LINES_BYTES
from pfp.runtime.stage_config import CONFIG_NAME, read_config
from pfp.schema.audio import AudioRecord
from pfp.schema.clip import ClipRecord
from pfp.schema.measured import MeasuredRecord
from pfp.schema.run_directory import RunDirectory
from pfp.schema.verdict import Dropped, Failed, Kept, Verdict
from pfp.schema.video import VideoRecord

_OF_WINDOW: Final = (*MEANS, "decode_error_count", "text_area")
_LONG: Final = 200  # characters of a value that are shown


def why(name: str, run_directory: str) -> str:
    """The story of a video and its clips as text: what was measured, decided, and made of them.

    ``name`` is a clip id, its first digits, or part of the video's path; by an id one clip is told
    of. Reads every table of the run directory that has a row for them. Raises ``InputError`` when
    there is no such run, nothing of that name, or more than ten videos.
    """
    run = RunDirectory(run_directory)
    found = find_videos(name, run.uri)
    return "\n\n".join(_story(video, clips, run) for video, clips in found)


def _story(video: VideoRecord, clips: list[ClipRecord], run: RunDirectory) -> str:
    lines = [_printable(path_of(video.video_uri))]
    measured, audio = _measured(video, run), _audio(video, run)
    if measured is not None:
        row = measured.to_row()
        lines += ["", "measured", *_columns(row, without=("video_uri", "track"))]
        lines += [line for record in audio for line in _sound(record)]
        lines += ["", f"filters (recipe {video.recipe})", *_filters(measured, audio, run)]
    lines += ["", f"verdict: {describe(video.verdict)}"]
    if video.duplicate_of is not None:
        lines.append(f"  duplicate of {_printable(path_of(video.duplicate_of))}")
    told = [run.measured.path, *([run.audio.path] if audio else []), run.videos.path]
    for clip in clips:
        lines += ["", *_clip(clip)]
        for table, row in _other_rows(clip.clip_id, run):
            lines += ["", table, *_columns(row, without=("clip_id",))]
            told.append(run.table(table).path)
    settings = [line for path in dict.fromkeys(told) for line in _settings(path)]
    return "\n".join([*lines, *(["", "settings", *settings] if settings else [])])


def _clip(clip: ClipRecord) -> Iterator[str]:
    """A window: where it lies, what was measured in it, and what became of it."""
    yield f"clip {clip.clip_id}  {clip.start_seconds:.2f} to {clip.end_seconds:.2f} s"
    row = clip.to_row()
    measured = {name: row[name] for name in (*_OF_WINDOW, "shots", "tier")}
    yield from _columns(measured, without=())
    yield f"  verdict: {describe(clip.verdict)}"


def _settings(table: str) -> Iterator[str]:
    """Where the whole configuration stands by which a table was made."""
    try:
        config = read_config(table)
    except SchemaError as error:
        yield f"  unknown: {error}"
        return
    if config is not None:
        yield f"  {config.stage} (pfp {config.pfp_version}): {table}/{CONFIG_NAME}"


def describe(verdict: Verdict) -> str:
    """A verdict in one line."""
    match verdict:
        case Dropped():
            return f"dropped, {verdict.reason}: {_printable(verdict.detail)}"
        case Failed():
            times = "once" if verdict.attempts == 1 else f"{verdict.attempts} times"
            what = f"failed, {verdict.error}: {_printable(verdict.message)} (tried {times}"
            return f"{what}, {'a later run tries again' if verdict.retryable else 'for good'})"
        case _:
            return "kept"


def _measured(video: VideoRecord, run: RunDirectory) -> MeasuredRecord | None:
    if not has_table(run.measured):
        return None
    same = pc.field("video_uri") == video.video_uri
    rows = read_table(*run.measured, filter=same).to_pylist()
    return MeasuredRecord.from_row(rows[0]) if rows else None


def _audio(video: VideoRecord, run: RunDirectory) -> list[AudioRecord]:
    """What was measured of the video's sound; nothing, if that was of other bytes or not at all."""
    if not has_table(run.audio):
        return []
    is_same = pc.field("video_uri") == video.video_uri
    rows = read_table(*run.audio, filter=is_same).to_pylist()
    records = [AudioRecord.from_row(row) for row in rows]
    return [record for record in records if record.video_sha256 == video.video_sha256]


def _sound(audio: AudioRecord) -> Iterator[str]:
    yield from ("", "audio")
    yield from _columns(audio.to_row(), without=("video_uri", "video_sha256", "verdict"))
    if not isinstance(audio.verdict, Kept):
        yield f"  {describe(audio.verdict)}"


def _filters(
    measured: MeasuredRecord, audio: list[AudioRecord], run: RunDirectory
) -> Iterator[str]:
    if measured.num_frames is None:
        yield "  not asked: the file was not measured"
        return
    try:
        recipe: Recipe = load_recipe(run.recipe_path)
    except ConfigError as error:
        yield f"  unknown: {error}"
        return
    sound = AudioRecord.table(audio).select(NEEDED)
    video = AudioColumns(sound, ()).beside(MeasuredRecord.table([measured]))
    for name, one in recipe.filters.items():
        for bound in one.bounds(video):
            if bound.is_asked(0):
                mark = "pass" if bound.holds()[0] else "FAIL"
                yield f"  {mark} {name:<14} {bound.text(0)}"


def _other_rows(clip_id: str, run: RunDirectory) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(table, row)`` for every other table of the run with rows of the clip, stage by stage.

    Scores name only their sample, and ``generations``, which comes first, whose sample that is.
    """
    samples: list[str] = []
    for name, table in tables_of(run).items():
        if table in {run.clips, run.videos, run.measured, run.audio} or not has_table(table):
            continue
        folder = Path(table.path)
        for file in _data_files(folder / MANIFEST_NAME):
            for row in _rows_of_clip(folder / file, clip_id, samples):
                if "clip_id" in row and "sample_id" in row:
                    samples.append(row["sample_id"])
                yield name, row


def _rows_of_clip(file: Path, clip_id: str, samples: list[str]) -> list[dict[str, Any]]:
    """A data file's rows of the clip, or of these samples where it names no clip."""
    schema = pq.read_schema(file)
    if "clip_id" in schema.names:
        same = pc.field("clip_id") == clip_id
    elif "sample_id" in schema.names:
        same = pc.field("sample_id").isin(pa.array(samples, schema.field("sample_id").type))
    else:
        return []
    # Latents are large: bytes are not read, only told.
    columns = [field.name for field in schema if not _is_bytes(field.type)]
    table = pq.read_table(file, columns=columns, filters=same, partitioning=None)
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def _data_files(manifest: Path) -> list[str]:
    listed = parse_json(read_file(manifest, MAX_LINES_BYTES).decode(), max_length=MAX_LINES_BYTES)
    return [entry["name"] for entry in listed["files"]]


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _columns(row: dict[str, Any], *, without: tuple[str, ...]) -> Iterator[str]:
    for name, value in row.items():
        if value is None or value == [] or name in {*without, "result_key"}:
            continue
        yield f"  {name}: {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        known = {key: one for key, one in value.items() if one is not None}
        return ", ".join(f"{key} {_value(one)}" for key, one in known.items())
    if isinstance(value, list):
        items = "; ".join(_value(one) for one in value)
        return items if len(items) <= 4 * _LONG else f"{items[: 4 * _LONG]} ... ({len(value)})"
    text = _printable(str(value))
    return text if len(text) <= _LONG else f"{text[:_LONG]} ... ({len(text)} characters)"


def _printable(text: str) -> str:
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in shown)
