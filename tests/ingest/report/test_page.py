"""The page about a run: its structure, its numbers against the tables, and what files cannot do."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.cli.main import main as pfp
from pfp.errors import NothingUsable
from pfp.ingest.filters import FILTERS
from pfp.ingest.funnel import Funnel, FunnelStep
from pfp.ingest.recipe import load_recipe
from pfp.ingest.report import write_report
from pfp.ingest.report.examples import Video
from pfp.ingest.report.histograms import histograms
from pfp.ingest.report.html_funnel import funnel_section
from pfp.ingest.report.timeline import timeline
from pfp.io.media import path_to_uri, write_video
from pfp.io.tables import read_records, write_table
from pfp.runtime.stage_config import StageConfig
from pfp.schema import KEPT, RunDirectory
from pfp.schema.audio import AudioRecord
from pfp.schema.measured import MeasuredRecord, SecondMeasures
from pipelines.ingest.select import select
from tests.ingest.conftest import MakeClip, outcome

HOSTILE = "<img src=x onerror=alert(1)>&\"'.mp4"


class Page(HTMLParser):
    """Elements in order with their attributes, texts, and the rows of tables by their label."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Rows of a table are collected under its label."""
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._rows = self.tables.setdefault(str(dict(attrs)["aria-label"]), [])
        if tag == "tr":
            self._rows.append([])
        if tag in {"th", "td"}:
            self._rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """The text of a cell belongs to it."""
        self.texts.append(data)
        if self._rows and self._rows[-1]:
            self._rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        """What comes after a table is of none."""
        if tag == "table":
            self._rows = []

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]


def write_run(folder: Path, records: list[MeasuredRecord], recipe: str = "demo") -> RunDirectory:
    """The tables of a run that measured these."""
    run = RunDirectory(folder)
    records = sorted(records, key=lambda one: one.video_uri)
    write_table(run.measured.path, MeasuredRecord.table(records), MeasuredRecord)
    config = StageConfig.of("ingest", {"recipe": recipe})
    with suppress(NothingUsable):
        select(run, load_recipe(recipe), config, told=None, started=0.0)
    return run


def page_of(run: RunDirectory) -> Page:
    """The page about a run, parsed."""
    file = Path(run.uri) / "page.html"
    write_report(run.uri, file)
    return Page(file.read_text(encoding="utf-8"))


def many(make_clip: MakeClip) -> list[MeasuredRecord]:
    """Videos of many lengths and motions, some unknown."""
    return [
        make_clip(
            video_uri=f"file:///nowhere/{n:03}.mp4",
            video_sha256=f"{n:04x}" * 16,
            duration_seconds=float(n % 13),
            promised_seconds=None,
            motion=None if n % 7 == 0 else n / 10,
            width=1280 if n % 3 else 80,
        )
        for n in range(1, 41)
    ]


def test_the_funnel_of_the_page_has_the_rows_of_the_tables(
    tmp_path: Path, make_clip: MakeClip
) -> None:
    """Each reason with its number, and the shares of all files."""
    run = write_run(tmp_path, many(make_clip))
    counted = Counter(outcome(one) for one in read_records(*run.videos))

    rows = {row[0]: row[1:3] for row in page_of(run).tables["Files"]}

    assert len(counted) > 3
    assert {
        ("kept videos" if name == "kept" else name.replace("_", " ")): [
            str(number),
            f"{100 * number / 40:.1f} %",
        ]
        for name, number in counted.items()
    } == {name: row for name, row in rows.items() if name not in {"what", "all"}}
    assert ["40", "100.0 %"] == rows["all"]


def test_histograms_count_the_sides_of_each_threshold_and_the_unknown(
    tmp_path: Path, make_clip: MakeClip
) -> None:
    """A value that equals a threshold is inside, an unknown one is on neither side nor in a bar."""
    records = [*many(make_clip), make_clip(video_uri="file:///nowhere/edge.mp4", motion=0.5)]
    run = write_run(tmp_path, records)
    motions = [one.motion for one in records]
    known = [one for one in motions if one is not None]

    rows = [row[:] for row in page_of(run).tables["On each side of the thresholds"]]
    (motion,) = [one for one in histograms(run, load_recipe("demo")) if "luma code" in one.what]

    assert [
        "luma code values of change per second, of videos",
        "at least 0.5",
        str(sum(one >= 0.5 for one in known)),
        str(sum(one < 0.5 for one in known)),
        str(motions.count(None)),
    ] in rows
    assert [len(known), sum(one >= 0.5 for one in known)] == [
        int((motion.inside + motion.outside).sum()),
        int(motion.inside.sum()),
    ]
    assert (min(known), max(known)) == (motion.low, motion.high)


def test_sound_has_histograms_where_it_was_measured(tmp_path: Path, make_clip: MakeClip) -> None:
    """Three loudnesses, one of them too low, and a video without audio, of which none is asked."""
    recipe = load_recipe("demo")
    loudness = FILTERS["loudness"](min_lufs=-40, max_lufs=-5)  # type: ignore[call-arg]
    recipe = replace(recipe, filters={**recipe.filters, "loudness": loudness})
    run = RunDirectory(tmp_path)
    records = [make_clip(video_uri=f"file:///{number}") for number in range(4)]
    write_table(run.measured.path, MeasuredRecord.table(records), MeasuredRecord)
    sounds = [
        AudioRecord(
            video_uri=record.video_uri,
            video_sha256=record.video_sha256,
            has_audio=lufs is not None,
            loudness_lufs=lufs,
            verdict=KEPT,
        )
        for record, lufs in zip(records, (-50.0, -20.0, -10.0, None), strict=True)
    ]
    write_table(run.audio.path, AudioRecord.table(sounds), AudioRecord)

    (found,) = [one for one in histograms(run, recipe) if "loudness" in one.what]

    assert (3, 0, -50.0, -10.0) == (found.num_known, found.num_unknown, found.low, found.high)
    assert {(-40.0, 1), (-5.0, 0)} == {(one.threshold, one.num_outside) for one in found.limits}


def test_names_and_details_cannot_become_markup(tmp_path: Path, make_clip: MakeClip) -> None:
    """A file's name is text, and the page loads and runs nothing."""
    uri = path_to_uri(tmp_path / HOSTILE)
    run = write_run(tmp_path / "run", [make_clip(video_uri=uri, motion=0.0)])

    page = page_of(run)

    assert any("<img src=x onerror=alert(1)>" in text for text in page.texts)
    assert not page.of("script")
    assert not page.of("link")
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert all(str(one["src"]).startswith("data:image/") for one in page.of("img"))


def test_a_file_that_is_gone_has_a_box_that_says_so_and_others_their_frame(
    tmp_path: Path, make_clip: MakeClip
) -> None:
    """Upright frames stay upright."""
    frames = np.random.default_rng(0).integers(0, 255, (24, 64, 32, 3), np.uint8)
    write_video(tmp_path / "there.mp4", frames, fps=24)
    records = [
        make_clip(
            video_uri=path_to_uri(tmp_path / name),
            video_sha256=digit * 64,
            width=180,
            height=320,
            frame_signatures=None,
        )
        for name, digit in (("gone.mp4", "a"), ("there.mp4", "b"))
    ]

    page = page_of(write_run(tmp_path / "run", records))

    (image,) = page.of("img")
    assert image["alt"] == "there.mp4, at 0.00 s"
    assert int(image["width"] or 0) < int(image["height"] or 0)
    assert page.texts.count("the file is gone") == 1


@pytest.mark.parametrize(
    "changes",
    [{}, {"motion": 0.0}, {"transfer": "pq", "motion": None, "track": [], "shots": []}],
    ids=["one that is kept", "one that is dropped", "HDR"],
)
def test_a_page_of_one_row_can_be_read_without_seeing_it(
    tmp_path: Path, make_clip: MakeClip, changes: dict[str, Any]
) -> None:
    """Drawings have labels, images texts, and no level of headings is left out."""
    page = page_of(write_run(tmp_path, [make_clip(**changes)]))

    levels = [int(name[1]) for name, _ in page.elements if name in {"h1", "h2", "h3"}]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(one.get("aria-label") for one in page.of("svg") if one.get("role") == "img")
    assert all(one.get("alt") for one in page.of("img"))
    assert ("No clip is kept." in page.texts) == bool(changes)
    assert not changes.get("transfer") or "not looked at: HDR" in page.texts


def test_a_thousand_reasons_are_all_in_the_table_and_few_are_drawn() -> None:
    """The rest are drawn as one, with all their rows."""
    steps = tuple(FunnelStep(f"reason_{n}", n, 0.0) for n in range(1, 1001))
    files = Funnel("files", 500500, 0.0, steps, 0, 0.0, {})

    page = Page(funnel_section(files, Funnel("clips", 0, 0.0, (), 0, 0.0, {})))

    listed = page.tables["Files"] + page.tables["Files: further reasons"]
    numbers = {row[0]: row[1] for row in listed}
    assert all(numbers[f"reason {n}"] == f"{n:,}" for n in range(1, 1001))
    rest = sum(range(1, 1001)) - sum(range(986, 1001))
    assert f"985 other reasons: {rest:,} ({100 * rest / 500500:.1f} %)" in page.texts
    assert len(page.of("rect")) < 30


def test_a_timeline_draws_what_the_track_says(make_clip: MakeClip) -> None:
    """Runs of black seconds as one mark, and each window with its outcome."""
    second: Any = dict.fromkeys(SecondMeasures.__annotations__, 0.0) | {"num_damaged": 0}
    track = [second | {"black": float(n in {2, 3, 7}), "motion": float(n)} for n in range(10)]
    measured = make_clip(duration_seconds=10.0, track=track)
    verdict = dict.fromkeys(("reason", "error")) | {"kind": "kept"}
    window = {"start_seconds": 4.0, "end_seconds": 7.0, "tier": "high", "verdict": verdict}

    drawn = timeline(Video(measured=measured, windows=(window,), num_windows=1))

    assert drawn is not None
    page = Page(drawn)
    bad = [one for one in page.of("rect") if one.get("class") == "bad"]
    assert [("200.0", "198.5"), ("700.0", "98.5")] == [(one["x"], one["width"]) for one in bad]
    assert {"3 seconds", "Frozen, damaged", "4.00 to 7.00 s: kept, tier high"} <= set(page.texts)
    assert ["1", "4.00 s", "7.00 s", "kept, tier high"] in page.tables["Windows of a.mp4"]


def test_the_command_writes_the_page_and_says_where(
    tmp_path: Path, make_clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the funnel that it prints."""
    run = write_run(tmp_path / "run", [make_clip()])

    assert 0 == pfp(["funnel", run.uri, "--html", str(tmp_path / "page.html")])

    assert capsys.readouterr().out.endswith(f"wrote {tmp_path / 'page.html'}\n")
    rows = Page((tmp_path / "page.html").read_text(encoding="utf-8")).tables["Throughput"]
    assert [["ingest", "1"], ["clips", "1"]] == [row[:2] for row in rows[1:]]
