"""The steps of the eval stage: each brings one thing in the run directory up to date."""

from __future__ import annotations

from pfp.eval.report import ReportFiles, write_report
from pfp.eval.score import run_score
from pfp.runtime import Progress, StageReport
from pfp.runtime.run import Engine
from pipelines.eval.config import EvalConfig
from pipelines.eval.generate import run_generate


def generate(
    config: EvalConfig, run_directory: str, *, engine: Engine, progress: Progress | None
) -> StageReport:
    """Checkpoints and held-out clips to ``generations/``."""
    return run_generate(config.generate, run_directory, engine=engine, progress=progress)


def score(
    config: EvalConfig, run_directory: str, *, engine: Engine, progress: Progress | None
) -> StageReport:
    """``generations/`` to ``scores/``."""
    return run_score(run_directory, config.score, engine=engine, progress=progress)


def report(config: EvalConfig, run_directory: str) -> None:
    """``scores/`` to ``leaderboard.{html,md,txt,json}``."""
    write_report(
        run_directory,
        files=ReportFiles.in_run(run_directory),
        bootstrap=config.bootstrap,
        num_clips_shown=config.num_clips_shown,
    )
