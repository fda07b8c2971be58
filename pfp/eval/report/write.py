"""A run directory to its leaderboard files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pfp.eval.leaderboard.build import build_leaderboard
from pfp.eval.leaderboard.leaderboard import Leaderboard
from pfp.eval.leaderboard.published import PublishedTable
from pfp.eval.report.csv import render_csv
from pfp.eval.report.html import render_html
from pfp.eval.report.html_drift import drift_curves
from pfp.eval.report.latex import render_latex
from pfp.eval.report.markdown import render_markdown
from pfp.eval.report.plain_text import render_text
from pfp.eval.report.samples import Continuation, continuations, file_names, retrievals
from pfp.eval.scores.runs import read_runs
from pfp.eval.stats.aggregate import Bootstrap
from pfp.io.locate import link_from
from pfp.pages.write import write_whole
from pfp.schema import EvalSample, ScoreRecord

MAX_PAGE_BYTES = 4 << 20
NUM_CLIPS_SHOWN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """Where the reports go; None: not written."""

    html: str | Path | None = None
    markdown: str | Path | None = None
    text: str | Path | None = None
    json: str | Path | None = None
    csv: str | Path | None = None
    latex: str | Path | None = None

    @classmethod
    def in_run(cls, run_directory: str | Path) -> ReportFiles:
        """The usual places: ``leaderboard.{html,md,txt,json,csv,tex}`` in the run directory."""
        stem = f"{str(run_directory).rstrip('/')}/leaderboard"
        forms = {"html": "html", "markdown": "md", "text": "txt"}
        forms |= {"json": "json", "csv": "csv", "latex": "tex"}
        return cls(**{form: f"{stem}.{suffix}" for form, suffix in forms.items()})


def load_run(
    *run_directories: str | Path, bootstrap: Bootstrap | None = None
) -> tuple[Leaderboard, list[EvalSample], list[ScoreRecord]]:
    """The leaderboard of one or more runs, and the records that it was built from."""
    stored = read_runs(run_directories)
    board = build_leaderboard(stored.generations, stored.scores, bootstrap=bootstrap)
    return board, stored.generations, stored.scores


def write_report(
    run_directory: str | Path,
    *more_runs: str | Path,
    files: ReportFiles | None = None,
    bootstrap: Bootstrap | None = None,
    num_clips_shown: int = NUM_CLIPS_SHOWN,
    published: Sequence[PublishedTable] = (),
) -> Leaderboard:
    """Write the reports of a run, or of several side by side, and return what they show.

    Each file is written in one step.
    """
    files = files or ReportFiles.in_run(run_directory)
    board, generations, scores = load_run(run_directory, *more_runs, bootstrap=bootstrap)
    if files.json:
        write_whole(files.json, json.dumps(board.to_json(), indent=1, sort_keys=True) + "\n")
    if files.markdown:
        write_whole(files.markdown, render_markdown(board, published))
    if files.text:
        write_whole(files.text, render_text(board))
    if files.csv:
        write_whole(files.csv, render_csv(board))
    if files.latex:
        write_whole(files.latex, render_latex(board))
    if files.html:
        methods = [method.name for method in board.methods]
        names = file_names(run_directory, board.groups)
        num_clips = min(num_clips_shown, len(board.groups))
        clips = retrievals(
            run_directory,
            generations,
            scores,
            methods=methods,
            max_clips=num_clips,
            file_names=names,
        )
        sequels = continuations(run_directory, generations, max_clips=num_clips, file_names=names)
        curves = drift_curves(board, generations, scores)

        def page(num_clips: int) -> str:
            return render_html(
                board,
                retrievals=clips[:num_clips],
                continuations=_of_first_clips(sequels, num_clips),
                curves=curves,
                published=published,
                link=partial(link_from, files.html or "", run_directory),
            )

        write_whole(files.html, _within_limit(page, num_clips))
    return board


def _of_first_clips(sequels: Sequence[Continuation], num_clips: int) -> list[Continuation]:
    clips = list(dict.fromkeys(item.group for item in sequels))[:num_clips]
    return [item for item in sequels if item.group in clips]


def _within_limit(page: Callable[[int], str], num_clips: int) -> str:
    """The page with as many clips as fit into ``MAX_PAGE_BYTES``."""
    while True:
        text = page(num_clips)
        size_bytes = len(text.encode())
        if size_bytes <= MAX_PAGE_BYTES or num_clips == 0:
            return text
        num_clips = min(num_clips - 1, int(num_clips * 0.9 * MAX_PAGE_BYTES / size_bytes))
