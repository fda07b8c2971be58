"""The reports of a run: text, Markdown, JSON, and the structure of the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pfp.eval.measure.score import ScoreSettings, run_score
from pfp.eval.report import (
    ReportFiles,
    load_run,
    render_comparison,
    render_html,
    render_markdown,
    render_text,
    write_report,
)
from pfp.io import tables
from pfp.schema import EvalSample, ScoreRecord
from tests.eval.report.page_reader import Page

MakeRun = Callable[..., Any]
METHODS = ["proposed 4x4x2", "only_lr 4x4x2", "large_patchifier 4x4x2", "no_memory"]


@pytest.fixture(scope="module")
def run_directory(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run of three clips without LPIPS weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PFP_WEIGHTS_DIR", str(tmp_path_factory.mktemp("no-weights")))
        run = make_run(num_clips=3)
        run_score(str(run.directory), ScoreSettings(), engine="local")
    return Path(run.directory)


@pytest.fixture(scope="module")
def page(run_directory: Path) -> Page:
    """The written page, parsed."""
    write_report(run_directory)
    return Page((run_directory / "leaderboard.html").read_text())


def test_the_text_fits_a_terminal(run_directory: Path) -> None:
    """The table for the terminal is ASCII, at most 100 columns wide, best method first."""
    text = render_text(load_run(run_directory)[0])

    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100
    firsts = [line.split("  ")[0] for line in text.splitlines()]
    assert [line for line in firsts if line in METHODS] == METHODS
    assert "proposed 4x4x2 minus shuffled memory, PSNR: +" in text
    assert "proposed 4x4x2 minus only_lr 4x4x2, PSNR: +" in text
    assert "minus large_patchifier" not in text
    assert "LPIPS, 17 samples not measured: weights missing, `pfp weights fetch lpips-alex`" in text
    assert "tiny is trained by this project" in text


def test_equal_runs_give_equal_bytes(run_directory: Path) -> None:
    """All forms of the report are the same bytes when nothing changed."""
    write_report(run_directory)
    names = [f"leaderboard.{suffix}" for suffix in ("html", "md", "txt", "json")]
    before = [(run_directory / name).read_bytes() for name in names]
    write_report(run_directory)

    assert before == [(run_directory / name).read_bytes() for name in names]


def test_only_the_asked_form_is_written(run_directory: Path, tmp_path: Path) -> None:
    """Naming one file writes that file and no other."""
    write_report(run_directory, files=ReportFiles(markdown=tmp_path / "deep" / "a.md"))

    assert [path.name for path in tmp_path.rglob("*.*")] == ["a.md"]


def test_the_markdown_has_every_number_with_its_n(run_directory: Path) -> None:
    """Each cell of the Markdown table has a mean, an interval, n and coverage."""
    text = render_markdown(load_run(run_directory)[0])
    rows = [line for line in text.splitlines() if line.startswith("| proposed")]

    assert len(rows) == 1
    assert "(n 3, 100 %)" in rows[0]
    assert "LPIPS" not in text.split("\n\n")[1], "a column that nobody has a value in"
    assert "\n| *shuffled memory* (control) |" in text
    assert "\n| *VAE reconstruction (upper bound)* |" in text
    assert "- LPIPS, 17 samples not measured: weights missing, `pfp weights fetch" in text


def test_the_json_repeats_the_leaderboard(run_directory: Path) -> None:
    """The JSON file holds what the library returns, with a schema version and no NaN."""
    board = write_report(run_directory)
    text = (run_directory / "leaderboard.json").read_text()

    def refuse(name: str) -> float:
        raise AssertionError(name)

    assert json.loads(text, parse_constant=refuse) == json.loads(json.dumps(board.to_json()))


def test_the_page_is_one_well_formed_file(page: Page) -> None:
    """Every element is closed in order, and nothing is fetched from elsewhere."""
    assert page.open == []
    for _, attributes in page.elements:
        for name in ("src", "href", "poster"):
            value = attributes.get(name) or ""
            assert "//" not in value.split(",")[0]


def test_the_page_says_what_was_measured_and_by_whom(page: Page) -> None:
    """The title counts clips and methods and names the model; tiny is said plainly."""
    words = " ".join(page.words)

    assert "Frame retrieval from compressed memory: 3 clips, 4 methods, model tiny" in words
    assert "trained by this project on generated clips and pans over photographs" in words
    assert "it shows mechanics, not quality" in words


def test_rows_are_sorted_within_their_groups(page: Page) -> None:
    """Methods first and best first, then the control, then the upper bound."""
    methods = [row["data-method"] for row in page.all("tr") if "data-method" in row]
    roles = [body["data-role"] for body in page.all("tbody") if "data-role" in body]

    assert methods == [*METHODS, "shuffled memory", "VAE reconstruction (upper bound)"]
    assert roles == ["ranked", "control", "upper_bound"]


def test_every_image_can_be_heard(page: Page) -> None:
    """Images and drawings have a text for those who cannot see them, header cells a scope."""
    assert all(image["alt"] for image in page.all("img"))
    assert all(drawing["aria-label"] for drawing in page.all("svg"))
    assert all("scope" in head for head in page.all("th"))
    assert all(video["aria-label"] for video in page.all("video"))


def test_each_clip_shows_history_truth_and_methods(page: Page) -> None:
    """A clip has six frames of history, the true frame, and one of each method that made one."""
    alts = [str(image["alt"]) for image in page.all("img")]

    assert sum("history of clip 00cccccccccc" in alt for alt in alts) == 12
    assert sum(alt.startswith("true frame 2 of clip 00") for alt in alts) == 1
    assert sum(alt.startswith("frame of clip 00cccccccccc given back by") for alt in alts) == 6
    assert sum(alt.startswith("frame of clip 02cccccccccc given back by") for alt in alts) == 5


def test_prompts_are_text_and_not_markup(page: Page) -> None:
    """What stands in a storyboard is shown, not interpreted."""
    assert "The waves drift <to> the left." in page.words


def test_videos_are_reached_from_where_the_page_is(run_directory: Path) -> None:
    """Links are relative to the page, wherever it is written."""
    target = run_directory / "elsewhere" / "page.html"
    write_report(run_directory, files=ReportFiles(html=target))
    page = Page(target.read_text())

    addresses = [str(link["href"]) for link in page.all("a")]
    assert len(addresses) == 3
    assert all((target.parent / address).is_file() for address in addresses)
    assert [video["src"] for video in page.all("video")] == addresses


def test_what_was_not_generated_is_listed(page: Page) -> None:
    """A sample that was dropped is on the page with its reason, and its row says n and coverage."""
    words = " ".join(page.words)

    assert "retrieve, shuffled memory: no other clip has the same orientation" in words
    assert "n 2, 67 %" in words


def test_the_page_stays_small(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips are left out, and their number is said, before the page grows past its limit."""
    files = ReportFiles(html=run_directory / "small.html")
    write_report(run_directory, files=files)
    limit = (run_directory / "small.html").stat().st_size - 10_000
    monkeypatch.setattr("pfp.eval.report.write.MAX_PAGE_BYTES", limit)
    write_report(run_directory, files=files)
    text = (run_directory / "small.html").read_text()

    assert len(text.encode()) <= limit
    assert " of 3 clips have no images here" in text


def test_missing_videos_leave_gaps_and_no_error(make_run: MakeRun) -> None:
    """A report can be written when the videos are gone: the numbers stand, the images do not."""
    run = make_run(num_clips=1)
    run_score(str(run.directory), ScoreSettings(metrics=("psnr",)), engine="local")
    for path in run.directory.rglob("*.mp4"):
        path.unlink()
    write_report(run.directory)
    page = Page((run.directory / "leaderboard.html").read_text())

    assert page.all("img") == []
    assert "no such frame" in page.words


def test_embedded_json_cannot_end_its_script(run_directory: Path) -> None:
    """A method with a hostile name is escaped in the table and in the embedded JSON."""
    evil = "</script><img src=x onerror=alert(1)>"
    _, generations, scores = load_run(run_directory)
    folder = run_directory.parent / "evil"
    renamed = [
        replace(r, method=evil if r.method == "no_memory" else r.method) for r in generations
    ]
    tables.write_table(folder / "generations", EvalSample.table(renamed), EvalSample)
    tables.write_table(folder / "scores", ScoreRecord.table(scores), ScoreRecord)
    html = render_html(load_run(folder)[0])

    assert evil not in html
    page = Page(html)
    assert evil in [row.get("data-method") for row in page.all("tr")]
    embedded = next(i for i, script in enumerate(page.all("script")) if script.get("id"))
    assert embedded == 0


def test_two_methods_side_by_side(run_directory: Path) -> None:
    """The comparison names the winner under every measured metric, and none of three clips."""
    board = load_run(run_directory)[0]
    of_three = [item for item in board.comparisons if item.other == "no_memory"]
    told = [replace(item, p_holm=0.01) for item in of_three]
    few, text = render_comparison(board, of_three), render_comparison(board, told)

    assert few.splitlines()[0].startswith("PSNR    +")
    assert all(
        line.endswith("(too few for an interval), n 3: too few shared clips")
        for line in few.splitlines()
    )
    assert all("proposed 4x4x2 is better" in line for line in text.splitlines())
