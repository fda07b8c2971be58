"""The eval stage over a run directory: ``checkpoints/`` in, ``leaderboard.html`` out."""

from __future__ import annotations

from pathlib import Path

from pfp.cli.stage import stage_main
from pfp.errors import ConfigError
from pfp.eval.measure.score import run_score
from pfp.eval.report import ReportFiles, write_report
from pfp.runtime import Progress, StageReport, combined, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema.run_directory import RunDirectory
from pipelines.eval.config import PRESETS, EvalConfig
from pipelines.eval.stages import generate_stage, generation_inputs, remove_strays


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    purpose = "Generate samples with the trained methods, score them and write the leaderboard."
    return stage_main("eval", purpose, PRESETS, run, argv)


def run(
    config: EvalConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine = "ray",
    progress: Progress | None = None,
) -> list[StageReport]:
    """Generate, score and report, as far as ``config.steps`` says.

    Raises ConfigError when the two directories differ (samples are kept beside the checkpoints
    that made them), NothingUsable when no sample could be generated.
    """
    if Path(input_directory) != Path(output_directory):
        raise ConfigError(
            f"--input {input_directory} is not --output {output_directory}; "
            "eval works within one run directory, leave --input out"
        )
    out, tables = output_directory, RunDirectory(output_directory)
    reports = []
    with connect(engine):
        if "generate" in config.steps:
            # One row a sample: the frames asked of each method for each held-out clip, the same
            # for all, the controls beside them, and some continuations of storyboards.
            asked = generation_inputs(config.generate, out)
            stage = generate_stage(config.generate, out)
            made = run_stage(
                stage, asked, tables.generations.path, engine=engine, progress=progress
            )
            remove_strays(Path(out))  # videos of other settings, which no row names any more
            reports.append(made)
        if "score" in config.steps:
            # Every retrieved sample against the true frames, decoded once for all metrics.
            reports.append(run_score(out, config.score, engine=engine, progress=progress))
    if reports:
        summary.merge_stage(out, combined("eval", reports))
    if "report" in config.steps:
        # Means over clips, their intervals and comparisons, and clips to look at.
        write_report(
            out,
            files=ReportFiles.in_run(out),
            bootstrap=config.bootstrap,
            num_clips_shown=config.num_clips_shown,
        )
    return reports
