"""CSV and LaTeX of a run: the numbers of the leaderboard, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pfp.eval.leaderboard.leaderboard import Leaderboard
from pfp.eval.leaderboard.published import published
from pfp.eval.measure.score import ScoreSettings, run_score
from pfp.eval.report import (
    ReportFiles,
    load_run,
    render_csv,
    render_latex,
    render_markdown,
    render_text,
    write_report,
)


@pytest.fixture(scope="module")
def run_directory(make_run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run of two clips without LPIPS weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PFP_WEIGHTS_DIR", str(tmp_path_factory.mktemp("no-weights")))
        run = make_run(num_clips=2)
        run_score(str(run.directory), ScoreSettings(), engine="local")
    return Path(run.directory)


@pytest.fixture
def board(run_directory: Path) -> Leaderboard:
    """Its leaderboard."""
    return load_run(run_directory)[0]


def test_csv_has_every_number_unrounded(board: Leaderboard) -> None:
    """A row for each method and metric, whose mean reads back as the very same number."""
    rows = list(csv.DictReader(io.StringIO(render_csv(board))))

    assert len(board.methods) * len(board.metrics) == len(rows)
    for row in rows:
        method = next(method for method in board.methods if method.name == row["method"])
        mean = method.cells[row["metric"]].summary.mean
        assert (None if row["mean"] == "" else float(row["mean"])) == mean


def test_csv_says_why_there_is_no_number(board: Leaderboard) -> None:
    """A metric without weights has an empty mean and its reason, never a number."""
    rows = [r for r in csv.DictReader(io.StringIO(render_csv(board))) if "lpips" in r["metric"]]

    assert rows
    assert {""} == {row["mean"] for row in rows}
    assert all("pfp weights fetch lpips-alex" in row["unscored"] for row in rows)


def test_latex_has_the_best_of_each_column_in_bold(board: Leaderboard) -> None:
    """One bold value for each measured metric, which is the best method's."""
    text = render_latex(board)
    measured = [card for card in board.metrics if board.is_measured(card.metric_id)]

    assert len(measured) == text.count(r"\textbf{")
    for card in measured:
        assert rf"\textbf{{{board.best(card):.{card.decimals}f}}}" in text


def test_latex_escapes_what_it_would_take_for_commands(board: Leaderboard) -> None:
    """Names of methods come out as they are, whatever LaTeX does with their characters."""
    odd = replace(board.methods[0], name=r"50% of $x_1 & {y}~^\z#")
    text = render_latex(replace(board, methods=(odd,)))

    expected = r"50\% of \$x\_1 \& \{y\}\textasciitilde{}\textasciicircum{}\textbackslash{}z\#"
    assert expected in text


def test_both_forms_are_written_with_the_others(run_directory: Path) -> None:
    """``leaderboard.csv`` and ``.tex`` lie beside the page, with the same bytes every time."""
    write_report(run_directory)
    first = [(run_directory / f"leaderboard.{form}").read_bytes() for form in ("csv", "tex")]
    write_report(run_directory)

    assert all(first)
    assert first == [
        (run_directory / f"leaderboard.{form}").read_bytes() for form in ("csv", "tex")
    ]


def test_shares_are_shown_of_a_hundred_and_stored_as_they_are(board: Leaderboard) -> None:
    """A metric with a scale is multiplied in tables, and not in the file of numbers."""
    card = next(card for card in board.metrics if card.name == "ssim")
    shares = replace(card, scale=100, decimals=1)
    scaled = replace(board, metrics=(shares,))
    mean = board.methods[0].cells[card.metric_id].summary.mean
    assert mean is not None

    assert f"{100 * mean:.1f}" in render_latex(scaled)
    assert "SSIM x100" in render_latex(scaled)
    assert repr(mean) in render_csv(scaled)


def test_published_rows_stand_apart_with_their_source(run_directory: Path, tmp_path: Path) -> None:
    """Asked for, a paper's table is on the page and in the Markdown, cells unread as a dash."""
    files = ReportFiles(html=tmp_path / "a.html", markdown=tmp_path / "a.md")
    write_report(run_directory, files=files, published=[published("pfp-table2")])
    page, text = (tmp_path / "a.html").read_text(), (tmp_path / "a.md").read_text()

    row = "| WanI2V + QwenEdit (1p) | 94.1 | 68.45 | 85.21 | \N{EN DASH} |"
    assert row in text
    assert "arXiv 2512.23851, Table 2" in text
    assert "WanI2V + QwenEdit (1p)" in page
    assert "for orientation, not for ranks" in page


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        *(
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
        ),
        *(("\tx", "'\tx"), ("ours = best", "ours = best")),
    ],
)
def test_csv_holds_no_formula(board: Leaderboard, name: str, cell: str) -> None:
    """A model's name that a spreadsheet would run is text; numbers keep their sign."""
    mean = -1.5
    odd = replace(board.methods[0], name=name)
    psnr = next(iter(odd.cells))
    summary = replace(odd.cells[psnr].summary, mean=mean)
    odd = replace(odd, cells={**odd.cells, psnr: replace(odd.cells[psnr], summary=summary)})

    rows = list(csv.DictReader(io.StringIO(render_csv(replace(board, methods=(odd,))))))

    assert {cell} == {row["method"] for row in rows}
    assert "-1.5" in {row["mean"] for row in rows}


def test_markdown_holds_no_html_link_image_or_code(board: Leaderboard) -> None:
    """A model's name stays a name on whatever site the table is shown."""
    name = "<img src=x onerror=alert(1)>|![a](http://x)`*b*\\\x1b[2J\nc"
    odd = replace(board.methods[0], name=name)

    text = render_markdown(replace(board, methods=(odd,), focus=name))

    shown = r"&lt;img src=x onerror=alert(1)&gt;\|!\[a\](http://x)\`\*b\*\\\x1b\[2J c"
    assert shown in text
    assert "<img" not in text
    assert "\x1b" not in text


def test_a_user_s_model_called_tiny_is_not_ours(board: Leaderboard) -> None:
    """Only what a checkpoint of the embedded default made is said to be trained by this project."""
    theirs = tuple(replace(method, checkpoints=(), model_ids=("tiny",)) for method in board.methods)

    texts = [render_text(board), render_text(replace(board, methods=theirs))]

    assert [True, False] == ["trained by this project" in text for text in texts]
