"""The eval stage over a run directory: ``checkpoints/`` in, ``leaderboard.html`` out."""

from __future__ import annotations

from pathlib import Path

from pfp.cli.stage import stage_main
from pfp.errors import ConfigError
from pfp.runtime import Progress, StageReport, combined, connect, summary
from pfp.runtime.run import Engine
from pipelines.eval.config import PRESETS, EvalConfig
from pipelines.eval.stages import generate, report, score


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
    out = output_directory
    reports = []
    with connect(engine):
        if "generate" in config.steps:
            reports.append(generate(config, out, engine=engine, progress=progress))
        if "score" in config.steps:
            reports.append(score(config, out, engine=engine, progress=progress))
    if reports:
        summary.merge_stage(out, combined("eval", reports))
    if "report" in config.steps:
        report(config, out)
    return reports
