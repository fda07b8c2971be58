"""The ingest stage from a folder to tables, summary and story, in this process."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pfp.cli.main import main as pfp
from pfp.errors import ConfigError, InputError, NothingUsable
from pfp.ingest.funnel import funnels
from pfp.ingest.recipe import shipped_recipes
from pfp.ingest.why import why
from pfp.io.digests import sha256_file
from pfp.io.media import uri_to_path, write_video
from pfp.io.tables import read_records, verify_table
from pfp.schema import ClipRecord, Dropped, Failed, VideoRecord
from pfp.schema.measured import MeasuredRecord
from pipelines.ingest.config import PRESETS, IngestConfig, debug
from pipelines.ingest.run import main, run
from pipelines.ingest.select import main as select


def moving(seed: int, seconds: float) -> npt.NDArray[np.uint8]:
    """Blocks that drift, (T, 96, 160, 3), at 12 fps."""
    rng = np.random.default_rng(seed)
    wide = np.kron(rng.integers(20, 230, (12, 60, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return np.stack([wide[:, 2 * index : 2 * index + 160] for index in range(round(seconds * 12))])


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good clips, a copy, a recoded copy, a short one, a text and an odd name."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "a.mp4", moving(1, 4.0), 12)
    (folder / "sub").mkdir()
    (folder / "sub" / "copy.mp4").write_bytes((folder / "a.mp4").read_bytes())
    recoded = np.clip(moving(1, 4.0)[:, ::2, ::2].astype(int) + 3, 0, 255).astype(np.uint8)
    write_video(folder / "recoded.mp4", recoded, 12)
    write_video(folder / "short.mp4", moving(2, 2.0), 12)
    (folder / "text.mp4").write_text("no video")
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/-odd \xff\nname"))
    write_video(folder / "odd.mp4", moving(3, 4.0), 12)
    (folder / "odd.mp4").rename(odd)
    (folder / "a.storyboard.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def finished(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of those videos."""
    out = tmp_path_factory.mktemp("run")
    ingest(debug(), videos, out)
    return out


def ingest(config: IngestConfig, videos: Path, out: Path) -> tuple[int, int]:
    """Files kept and files reused."""
    report, _ = run(config, input_directory=str(videos), output_directory=str(out), engine="local")
    return report.kept, report.reused


def verdicts(out: Path) -> dict[str, str]:
    """What became of each file, by its name."""
    return {
        Path(uri_to_path(video.video_uri)).name: (
            video.verdict.reason
            if isinstance(video.verdict, Dropped)
            else type(video.verdict).__name__
        )
        for video in read_records(str(out / "videos"), VideoRecord)
    }


def test_every_file_has_its_verdict(finished: Path) -> None:
    """Kept, duplicates, too short, no video; the sidecar is no row."""
    assert {
        "a.mp4": "Kept",
        "copy.mp4": "exact_duplicate",
        "recoded.mp4": "side_below_min",
        "short.mp4": "duration_below_min",
        "text.mp4": "not_a_video",
        os.fsdecode(b"-odd \xff\nname"): "Kept",
    } == verdicts(finished)


def test_all_tables_are_whole(finished: Path) -> None:
    """Measures, decisions on files and their clips lie apart, each with its manifest."""
    assert [] == verify_table(str(finished / "videos" / "_measured"), MeasuredRecord)
    assert [] == verify_table(str(finished / "videos"), VideoRecord)
    assert [] == verify_table(str(finished / "clips"), ClipRecord)


def test_the_summary_adds_up(finished: Path) -> None:
    """Rows in = kept + dropped + failed, with a count for every reason."""
    stage = json.loads((finished / "summary.json").read_text())["stages"]["ingest"]

    assert (6, 2, 4, 0) == (stage["rows_in"], stage["kept"], stage["dropped"], stage["failed"])
    assert 4 == sum(stage["reasons"].values())


def test_a_second_run_measures_nothing_and_changes_no_byte(videos: Path, tmp_path: Path) -> None:
    """Everything is taken from the first run."""
    ingest(debug(), videos, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}

    _, reused = ingest(debug(), videos, tmp_path)

    assert 6 == reused
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}


def test_a_new_recipe_decides_again_without_decoding(videos: Path, tmp_path: Path) -> None:
    """Thresholds change, the measured table stays; the recoded copy is now wide enough."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "name: mine\nfilters:\n  duration: {min_seconds: 1, max_seconds: 9}\n"
        "near_duplicates: {max_mean_bits: 16, max_mean_change_bits: 18, min_contained: 0.8}\n"
    )
    out = tmp_path / "run"
    ingest(debug(), videos, out)

    kept, reused = ingest(IngestConfig(recipe=str(recipe)), videos, out)

    assert (3, 6) == (kept, reused)
    assert "near_duplicate" == verdicts(out)["recoded.mp4"]
    assert "Kept" == verdicts(out)["short.mp4"]


def test_select_decides_again_alone(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files may be gone by then; config, recipe and tables are those of a whole run."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: mine\nfilters:\n  duration: {min_seconds: 1, max_seconds: 9}\n")
    at_once, again = tmp_path / "at_once", tmp_path / "again"
    ingest(replace(debug(), recipe=str(recipe)), videos, at_once)
    ingest(debug(), videos, again)

    assert 0 == select(["--recipe", str(recipe), "--output", str(again)])

    assert "6 rows: 4 kept" in capsys.readouterr().err
    for folder in ("videos", "clips"):
        assert file_bytes(at_once / folder) == file_bytes(again / folder)


def file_bytes(folder: Path) -> dict[str, bytes]:
    """The files of a table, its manifest, recipe and config, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_select_without_a_run_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was measured there."""
    assert 2 == select(["--recipe", "demo", "--output", str(tmp_path / "none")])
    assert 1 == capsys.readouterr().err.count("\n")


def test_a_changed_file_is_measured_again(tmp_path: Path) -> None:
    """And only that one; a file that is gone leaves the tables."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "a.mp4", moving(1, 4.0), 12)
    write_video(folder / "b.mp4", moving(2, 4.0), 12)
    write_video(folder / "c.mp4", moving(3, 4.0), 12)
    ingest(debug(), folder, tmp_path / "run")
    write_video(folder / "b.mp4", moving(4, 5.0), 12)
    (folder / "c.mp4").unlink()

    _, reused = ingest(debug(), folder, tmp_path / "run")

    assert 1 == reused
    assert {"a.mp4", "b.mp4"} == set(verdicts(tmp_path / "run"))


@pytest.mark.parametrize("keeps_time", [False, True])
def test_other_bytes_of_the_same_size_are_another_clip(tmp_path: Path, keeps_time: bool) -> None:  # noqa: FBT001
    """Also under the old time, as archives unpack them; the earlier clip leaves the table."""
    folder = tmp_path / "videos"
    folder.mkdir()
    path = folder / "a.mp4"
    write_video(path, moving(1, 4.0), 12)
    ingest(debug(), folder, tmp_path / "run")
    (before,) = read_records(tmp_path / "run/clips", ClipRecord)
    times = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    if keeps_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    _, reused = ingest(debug(), folder, tmp_path / "run")

    (after,) = read_records(tmp_path / "run/clips", ClipRecord)
    assert 0 == reused
    assert sha256_file(path) == after.video_sha256
    assert after.clip_id != before.clip_id


def test_a_file_that_was_only_touched_is_not_measured_again(tmp_path: Path) -> None:
    """Its bytes are read, and its row knows it by the time of now."""
    folder = tmp_path / "videos"
    folder.mkdir()
    path = folder / "a.mp4"
    write_video(path, moving(1, 4.0), 12)
    ingest(debug(), folder, tmp_path / "run")
    (before,) = read_records(tmp_path / "run/clips", ClipRecord)
    path.chmod(0o600)

    _, reused = ingest(debug(), folder, tmp_path / "run")

    (after,) = read_records(tmp_path / "run/clips", ClipRecord)
    assert 1 == reused
    assert replace(before, changed_ns=path.stat().st_ctime_ns) == after


def test_nothing_usable_still_leaves_tables_and_report(tmp_path: Path) -> None:
    """The caller is told in one sentence, with the most common reasons."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.mp4").write_bytes(b"" if index else b"text")

    with pytest.raises(NothingUsable, match=r"most often: empty_file 2, not_a_video 1"):
        ingest(debug(), folder, tmp_path / "run")

    assert 3 == len(read_records(str(tmp_path / "run" / "videos"), VideoRecord))
    assert [] == read_records(str(tmp_path / "run" / "clips"), ClipRecord)
    assert (
        0 == json.loads((tmp_path / "run" / "summary.json").read_text())["stages"]["ingest"]["kept"]
    )


def test_a_manifest_names_the_files(videos: Path, tmp_path: Path) -> None:
    """A row each; what is missing has failed with the cure, and other columns decide no result."""
    manifest = tmp_path / "videos.csv"
    rows = [f"{videos}/a.mp4", f"{videos}/gone.mp4", f"{videos}/text.mp4"]
    manifest.write_text("path,licence,views\n" + "".join(f"{row},CC0,7\n" for row in rows))

    ingest(debug(), manifest, tmp_path / "run")

    found = {"a.mp4": "Kept", "gone.mp4": "Failed", "text.mp4": "not_a_video"}
    assert found == verdicts(tmp_path / "run")
    (failed,) = read_records(str(tmp_path / "run" / "videos"), VideoRecord, verdict="failed")
    assert isinstance(failed.verdict, Failed)
    assert "there is no file" in failed.verdict.message
    assert "check the path" in failed.verdict.message
    assert ("CC0", '{"views": "7"}') == (failed.licence, failed.extra)
    manifest.write_text("path,caption\n" + "".join(f"{row},a dog\n" for row in rows))
    assert (1, 3) == ingest(debug(), manifest, tmp_path / "run")
    assert 0 == select(["--recipe", "demo", "--output", str(tmp_path / "run")])
    told = read_records(str(tmp_path / "run" / "videos"), VideoRecord)
    assert [("a dog", None)] * 3 == [(video.caption, video.licence) for video in told]


def test_a_quota_by_source_is_kept_and_a_source_that_no_file_has_refused(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a run before it measures, and by a selection, which has sources from the run's table."""
    manifest, recipe, out = tmp_path / "videos.csv", tmp_path / "mine.yaml", tmp_path / "run"
    named = [("a", "one"), ("short", "one"), ("recoded", "two")]
    rows = [f"{videos}/{name}.mp4,{source}\n" for name, source in named]
    manifest.write_text("path,source\n" + "".join(rows))
    config = replace(debug(), recipe=str(recipe))
    recipe.write_text("name: mine\nquotas: {source: {one: 0.5, three: 0.5}}\n")
    with pytest.raises(ConfigError, match=r"no file has 'three' .*there: 'one', 'two'"):
        ingest(config, manifest, out)
    assert not out.exists()
    recipe.write_text("name: mine\nquotas: {source: {one: 0.5, two: 0.5}}\n")

    _, clips = run(config, input_directory=str(manifest), output_directory=str(out), engine="local")

    assert (2, {"quota_source": 1}) == (clips.kept, clips.reasons)
    before = file_bytes(out / "clips")
    assert 0 == select(["--recipe", str(recipe), "--output", str(out)])
    assert before == file_bytes(out / "clips")
    recipe.write_text("name: mine\nquotas: {source: {three: 0.5}}\n")
    assert 2 == select(["--recipe", str(recipe), "--output", str(out)])
    assert "no file has 'three'" in capsys.readouterr().err


@pytest.mark.parametrize("clip", ["a.mp4", "-odd", "short"])
def test_why_tells_the_whole_story(finished: Path, clip: str) -> None:
    """Measured values, every filter with its threshold, and the verdict."""
    story = why(clip, str(finished))

    assert "luma_mean: " in story
    assert "seconds of video" in story
    assert "at least 3.75 wanted" in story
    assert "verdict: " in story
    assert story.isprintable() or set(story) - {"\n"} == {c for c in story if c.isprintable()}


def test_why_marks_the_filter_that_failed(finished: Path) -> None:
    """With the value that was measured."""
    story = why("short.mp4", str(finished))

    assert "FAIL duration       seconds of video 2, at least 3.75 wanted" in story
    assert "dropped, duration_below_min" in story


def test_why_takes_an_id(finished: Path) -> None:
    """The clip's video is told of, and the clip."""
    (clip,) = [
        clip
        for clip in read_records(str(finished / "clips"), ClipRecord, verdict="kept")
        if clip.video_uri.endswith("/a.mp4")
    ]

    story = why(clip.clip_id[:8], str(finished))

    assert story.startswith(uri_to_path(clip.video_uri))
    assert f"clip {clip.clip_id}  0.00 to 4.00 s" in story


def test_why_names_the_video_that_stays_in_the_place_of_a_copy(finished: Path) -> None:
    """By its path; a copy has no clip."""
    story = why("copy.mp4", str(finished))

    assert "verdict: dropped, exact_duplicate" in story
    assert "/a.mp4\n" in story.partition("duplicate of")[2] + "\n"
    assert "\nclip " not in story


def test_the_funnel_counts_every_file_and_clip_once(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no video first, then filters in the recipe's order, then copies."""
    assert 0 == pfp(["funnel", str(finished)])

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [
        ["files", "6"],
        ["-", "not_a_video", "1"],
        ["-", "side_below_min", "1"],
        ["-", "duration_below_min", "1"],
        ["-", "exact_duplicate", "1"],
        ["files", "kept", "2"],
        ["clips", "2"],
        ["clips", "kept", "2"],
    ] == [line[:-2] for line in lines]


def test_the_funnel_of_no_run_is_one_sentence(tmp_path: Path) -> None:
    """It names the folder and the stage to run."""
    with pytest.raises(InputError, match="holds no tables of videos and clips"):
        funnels(str(tmp_path))


def test_why_of_what_is_no_video(finished: Path) -> None:
    """Filters were not asked, and it says so."""
    assert "not asked: the file was not measured" in why("text.mp4", str(finished))


@pytest.mark.parametrize(
    ("clip", "message"), [("nothing-like-it", "no video matches"), ("", "no video matches")]
)
def test_why_of_an_unknown_clip_is_one_sentence(finished: Path, clip: str, message: str) -> None:
    """With what to give instead."""
    with pytest.raises(InputError, match=message):
        why(clip, str(finished))


def test_why_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    """It names the folder and the stage to run."""
    with pytest.raises(InputError, match="holds no videos table"):
        why("a", str(tmp_path))


def test_the_command_line_answers_bad_input_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, no traceback, nothing written."""
    arguments = ["--input", str(tmp_path / "none"), "--output", str(tmp_path / "run")]

    status = main([*arguments, "--engine", "local"])

    assert 2 == status
    assert 1 == capsys.readouterr().err.count("\n")
    assert not (tmp_path / "run").exists()


def test_tables_never_lie_among_the_videos(tmp_path: Path) -> None:
    """A folder of that name in the run directory is somebody's own."""
    for name in ("videos", "clips"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").write_bytes(b"somebody's")

        with pytest.raises(InputError, match=f"{name} is where the table .* name another --output"):
            ingest(debug(), tmp_path / name, tmp_path)


def test_presets_are_complete() -> None:
    """Each builds, and names a recipe that ships."""
    assert {"demo", "debug", "small", "full"} == set(PRESETS)
    assert {preset().recipe for preset in PRESETS.values()} <= set(shipped_recipes())
