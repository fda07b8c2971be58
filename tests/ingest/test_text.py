"""Text in clips: what is read of a video, by networks of their own, and what follows from it.

Axes: T time, H height, W width, C colour.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageFont

from pfp.errors import ConfigError, RetryableError
from pfp.ingest.funnel import funnels
from pfp.ingest.measure import MeasureSettings
from pfp.ingest.recipe import parse_recipe
from pfp.ingest.select import Candidates, judge
from pfp.ingest.text import frames_of, reduced_size, text_of
from pfp.ingest.text_columns import NEEDED, clips_to_read, drop_by_text
from pfp.ingest.tiers import assign_tiers, limit_to_quotas
from pfp.ingest.why import why
from pfp.io.media import write_video
from pfp.io.tables import read_records
from pfp.io.yaml_text import parse_yaml
from pfp.measures.text import TextReader
from pfp.schema import KEPT, Dropped, Failed, Kept, MeasuredRecord, RunDirectory, TextRecord
from pipelines.ingest.config import IngestConfig, debug
from pipelines.ingest.select import main as select
from tests.ingest.conftest import MakeClip
from tests.ingest.test_run import ingest
from tests.ingest.test_windows import GOOD
from tests.media_files import number_in, numbered, video_packets

WORDS = "The Long Winter"
ASKED = """\
name: clean
windows:
  {min_seconds: 2, max_seconds: 2, overlap_seconds: 0, max_per_video: 9, begin_at_cuts: false,
   avoid: {max_black: 1, max_uniform: 1, max_frozen: 1, max_damaged: 0},
   filters: {text: {max_area: 0.05}}}
"""
QUOTAS = "quotas: {orientation: {portrait: 0.5, landscape: 0.5}}"
UNASKED = ASKED.replace("{text: {max_area: 0.05}}", "{}")


def drifting(seconds: float, words: str | None, seed: int) -> npt.NDArray[np.uint8]:
    """Soft blobs that drift, (T, 192, 320, 3), at 12 fps, with words over them."""
    coarse = np.random.default_rng(seed).integers(20, 110, (4, 24, 3), dtype=np.uint8)
    wide = Image.fromarray(coarse).resize((960, 192), Image.Resampling.BICUBIC)
    frames = []
    for index in range(round(seconds * 12)):
        frame = wide.crop((4 * index, 0, 4 * index + 320, 192))
        if words is not None:
            font = ImageFont.load_default(30)
            ImageDraw.Draw(frame).text((30, 80), words, fill=(240, 240, 240), font=font)
        frames.append(np.asarray(frame))
    return np.stack(frames)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upright one without text, one with a title in its second half, one of HDR: no RGB."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "bare.mp4", drifting(2, None, 1).swapaxes(1, 2), 12)
    half = [drifting(2, None, 2), drifting(2, WORDS, 3)]
    write_video(folder / "titled.mp4", np.concatenate(half), 12)
    with av.open(str(folder / "hdr.mkv"), "w", format="matroska") as to:
        for packet in video_packets(to, map(numbered, range(60))):
            packet.stream.codec_context.color_trc = 16
            to.mux(packet)
    return folder


def config_of(recipe: str, folder: Path) -> IngestConfig:
    """The debug preset with this recipe."""
    path = folder / "recipe.yaml"
    path.write_text(recipe)
    return replace(debug(), recipe=str(path))


@pytest.fixture(scope="module")
def read(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The run of those videos by the recipe that asks about text."""
    out = tmp_path_factory.mktemp("run")
    ingest(config_of(ASKED, out), videos, out)
    return RunDirectory(out)


def by_name(run: RunDirectory) -> dict[str, Any]:
    """What was read in each window, by its file's name and the second where it begins."""
    return {
        f"{row.video_uri.rsplit('/', 1)[1]}@{row.start_seconds:.0f}": row
        for row in read_records(*run.text)
    }


def verdicts(run: RunDirectory) -> dict[str, str]:
    """What became of each clip, by the same names."""
    return {
        f"{clip.video_uri.rsplit('/', 1)[1]}@{clip.start_seconds:.0f}": (
            clip.verdict.reason if isinstance(clip.verdict, Dropped) else "kept"
        )
        for clip in read_records(*run.clips)
    }


def test_each_window_is_read_and_a_bad_one_costs_its_own_row(read: RunDirectory) -> None:
    """Text of the other half of a video is none of a window's."""
    rows = by_name(read)

    assert {"bare.mp4@0", "hdr.mkv@0", "titled.mp4@0", "titled.mp4@2"} == set(rows)
    assert (0.0, []) == (rows["titled.mp4@0"].text_area, rows["titled.mp4@0"].text_lines)
    assert [WORDS] == rows["titled.mp4@2"].text_lines
    assert isinstance(rows["bare.mp4@0"].verdict, Kept)
    assert isinstance(rows["hdr.mkv@0"].verdict, Failed)
    assert rows["hdr.mkv@0"].text_area is None


def test_a_clip_that_text_drops_is_a_row_with_its_area(read: RunDirectory) -> None:
    """What is unknown cannot pass."""
    assert {
        "bare.mp4@0": "kept",
        "hdr.mkv@0": "text_area_above_max_unknown",
        "titled.mp4@0": "kept",
        "titled.mp4@2": "text_area_above_max",
    } == verdicts(read)
    clips = {
        clip.clip_id: (clip.text_area, clip.num_text_lines) for clip in read_records(*read.clips)
    }
    rows = by_name(read)
    assert clips[rows["bare.mp4@0"].clip_id] == (0.0, 0)
    assert clips[rows["hdr.mkv@0"].clip_id] == (None, None)
    assert clips[rows["titled.mp4@2"].clip_id] == (rows["titled.mp4@2"].text_area, 1)


def test_why_and_the_funnel_tell_of_text(read: RunDirectory) -> None:
    """What was read, by which threshold it was dropped, where the settings lie."""
    story = why("titled.mp4", read.uri)

    assert f"text_lines: {WORDS}" in story
    assert "text_area_above_max: fraction of a frame that text takes 0.1" in story
    assert "clips/_text/_config.json" in story
    _, clips = funnels(read.uri)
    assert {"text_area_above_max", "text_area_above_max_unknown"} == {
        step.reason for step in clips.steps
    }


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens one fails."""

    def fail(**_: object) -> None:
        raise AssertionError("a network was opened")

    monkeypatch.setattr("pipelines.ingest.worker.TextReader", fail)


@pytest.mark.usefixtures("no_network")
def test_text_is_read_once_and_by_the_bytes(
    videos: Path, read: RunDirectory, tmp_path: Path
) -> None:
    """Neither a touched file nor another threshold is read again; what is stored decides."""
    (videos / "titled.mp4").touch()

    ingest(config_of(ASKED.replace("0.05", "0.5"), tmp_path), videos, Path(read.uri))
    assert "kept" == verdicts(read)["titled.mp4@2"]

    assert 0 == select(["--recipe", config_of(ASKED, tmp_path).recipe, "--output", read.uri])
    assert "text_area_above_max" == verdicts(read)["titled.mp4@2"]


def test_quotas_come_after_text(read: RunDirectory, tmp_path: Path) -> None:
    """There is one good clip of each shape, and two wide ones that text drops."""
    before = verdicts(read)

    halves = config_of(ASKED + QUOTAS, tmp_path).recipe
    assert 0 == select(["--recipe", halves, "--output", read.uri])

    assert before == verdicts(read)


@pytest.mark.usefixtures("no_network")
def test_text_that_nobody_asks_about_is_not_read(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe that asks about it later is refused with the cure, and changes nothing."""
    run = RunDirectory(tmp_path / "run")
    ingest(config_of(UNASKED, tmp_path), videos, Path(run.uri))
    assert not Path(run.text.path).exists()
    before = Path(run.videos.path, "_config.json").read_bytes()

    assert 2 == select(["--recipe", config_of(ASKED, tmp_path).recipe, "--output", run.uri])

    assert (
        "ingest select: filter text of windows asks about text, which was not read in any clip; "
        "run python -m pipelines.ingest with this recipe\n"
    ) == capsys.readouterr().err
    assert before == Path(run.videos.path, "_config.json").read_bytes()


def test_without_the_library_nothing_is_begun(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after hours of measuring."""
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    out = tmp_path / "run"

    with pytest.raises(ConfigError, match=r"text needs rapidocr; pip install 'pfp\[ingest-netw"):
        ingest(config_of(ASKED, tmp_path), videos, out)

    assert not out.exists()


HALVES = parse_recipe(parse_yaml(ASKED + QUOTAS), "halves")


def of_kinds(make_clip: MakeClip, kinds: str) -> Candidates:
    """A video with one window for each letter: p portrait, l landscape."""
    names = {"p": "portrait", "l": "landscape"}
    measured = [
        make_clip(
            video_uri=f"file:///{place:03}",
            video_sha256=f"{place:04x}" * 16,
            orientation=names[kind],
            duration_seconds=2.0,
            track=[GOOD] * 2,
        )
        for place, kind in enumerate(kinds)
    ]
    return judge([MeasuredRecord.table(measured)], HALVES)


def read_in(candidates: Candidates, areas: list[float]) -> pa.Table:
    """The text of the first of the windows, as a run would have stored it."""
    rows = clips_to_read(candidates).select(
        ["clip_id", "video_uri", "video_sha256", "start_seconds", "end_seconds"]
    )
    records = [
        TextRecord(**row, text_area=area, verdict=KEPT)
        for row, area in zip(rows.to_pylist(), areas, strict=False)
    ]
    return TextRecord.table(records).select(NEEDED)


def test_quotas_count_what_text_leaves(make_clip: MakeClip) -> None:
    """Of three upright clips one has text, so that two wide ones are taken, and not three."""
    candidates = of_kinds(make_clip, "ppplll")

    clips = drop_by_text(candidates, HALVES, read_in(candidates, [0.5, 0, 0, 0, 0, 0]))
    clips = limit_to_quotas(assign_tiers(clips, HALVES.tiers), HALVES.quotas)

    reasons = [verdict["reason"] or "kept" for verdict in clips.windows["verdict"].to_pylist()]
    assert ["text_area_above_max", "kept", "kept"] == reasons[:3]
    assert ["kept", "kept", "quota_orientation"] == sorted(reasons[3:])


def test_a_clip_that_was_not_read_is_not_taken_for_one_without_text(make_clip: MakeClip) -> None:
    """It is counted."""
    candidates = of_kinds(make_clip, "ppp")

    with pytest.raises(ConfigError, match="was not read in 2 of 3 clips; run"):
        drop_by_text(candidates, HALVES, read_in(candidates, [0.0]))


def test_frames_are_from_the_middles_of_thirds(tmp_path: Path) -> None:
    """Of the window, not of the video."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as to:
        to.mux(video_packets(to, map(numbered, range(96))))

    frames = frames_of(str(path), 1.0, 4.0, 48, 64)

    assert [36, 60, 84] == [number_in(frame_HWC) for frame_HWC in frames]


def test_frames_are_never_enlarged() -> None:
    """The longer side is at most 960 pixels."""
    assert (540, 960) == reduced_size(1080, 1920)
    assert (960, 540) == reduced_size(1920, 1080)
    assert (192, 320) == reduced_size(192, 320)


def test_a_file_of_another_size_is_not_read(videos: Path) -> None:
    """It is another file than was measured; the next run measures it."""
    clip = {"video_uri": str(videos / "bare.mp4"), "size_bytes": 7}
    limits = MeasureSettings()

    with pytest.raises(RetryableError, match="was written to since it was measured"):
        text_of(clip, limits.guard(), limits, cast("TextReader", None))
