"""``pfp-eval run | plan | score | rescore | validate``: from videos to scores."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from pfp.cli.eval_read import warn_of_missing_shards
from pfp.cli.settings import names_of
from pfp.errors import ConfigError, InputError

if TYPE_CHECKING:
    from pfp.eval.plan import MetricPlan, Plan
    from pfp.eval.run import RunSettings

PROTOCOLS = ("whole", "vbench", "vbench-long")
DECODERS = ("pyav", "decord")
ALIGNS = ("error", "truncate", "resize", "time")
CUTS = ("none", "storyboard", "detected")
MAX_CHANGES = 10  # that are printed
SUITES = ("table1", "table2", "table3", "magbench", "all")


def add_parsers(commands: Any) -> None:
    """Add the commands to those of ``pfp-eval``."""
    run = commands.add_parser(
        "run", help="score the videos of a manifest; resumes where it stopped"
    )
    _add_choice(run)
    run.add_argument("--engine", choices=("local", "ray"), default="local")
    run.set_defaults(run=_run)

    plan = commands.add_parser(
        "plan", help="what a run would do: rows, weights, licences, keys, time, money"
    )
    _add_choice(plan)
    plan.set_defaults(run=_plan)

    score = commands.add_parser(
        "score",
        help="aggregate stored scores again; measures first what python -m pipelines.eval made",
    )
    score.add_argument("run_directory", metavar="RUN")
    score.add_argument(
        "--metrics",
        metavar="A,B",
        help="names from `pfp-eval ls metrics`; of a pipelines run only",
    )
    score.add_argument("--engine", choices=("ray", "local"), default="local")
    score.set_defaults(run=_score)

    rescore = commands.add_parser(
        "rescore",
        help="compute scores again from stored answers and numbers, by the parsers and thresholds "
        "of this pfp; needs no models and no videos",
    )
    rescore.add_argument("run_directory", metavar="RUN")
    rescore.add_argument(
        "--metrics", metavar="A,B", help="names from `pfp-eval ls metrics`; default: all"
    )
    rescore.set_defaults(run=_rescore)

    validate = commands.add_parser("validate", help="check a manifest, line by line")
    validate.add_argument("manifest", metavar="MANIFEST")
    validate.set_defaults(run=_validate)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("manifest", metavar="MANIFEST", help="JSON lines, or a folder of videos")
    add("--suite", choices=SUITES, help="default: all, unless --metrics names some")
    add("--metrics", metavar="A,B", help="names from `pfp-eval ls metrics`")
    add(
        "--protocol",
        choices=PROTOCOLS,
        help="for --metrics, and for VBench's metrics of a suite; default: the suite's own",
    )
    add("--decoder", choices=DECODERS, default="pyav", help="default: pyav")
    add(
        "--align",
        choices=ALIGNS,
        default="error",
        help="a reference of another length or size is an error, cut to the shorter of the two, "
        "resized to the video's size, or compared by time, which other frame rates need; default: "
        "error",
    )
    add(
        "--cuts",
        choices=CUTS,
        default="none",
        help="measure each shot by itself, of the storyboard or between detected cuts; for the "
        "metrics that --protocol is for; default: none",
    )
    add("--out", metavar="RUN", help="run directory; default: runs/<name of the manifest>")
    add("--limit", type=int, metavar="N", help="only the first N samples")
    add("--shard", metavar="i/n", help="only the i-th of n parts, i from 1; reports join them")
    add("--device", default="auto", help="auto, cpu or cuda; default: auto")
    add(
        "--judge", metavar="SPEC", help="who answers questions: gemini:MODEL, openai:MODEL@URL, ..."
    )
    add(
        "--judge-prompts",
        metavar="PATH",
        help="a prompt file or a VBench-2.0 checkout, in whose words cloth.vbench2 and instance "
        "ask; default: pfp's own words",
    )


def _settings(options: argparse.Namespace) -> RunSettings:
    from pfp.eval.run import RunSettings, default_out

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", options.device):
        raise ConfigError(f"--device {options.device!r} is none of auto, cpu, cuda, cuda:N")
    return RunSettings(
        manifest=options.manifest,
        out=options.out or default_out(options.manifest),
        suite=options.suite,
        metrics=names_of(options.metrics),
        protocol=options.protocol,
        decoder=options.decoder,
        align=options.align,
        cuts=options.cuts,
        limit=options.limit,
        shard=_shard(options.shard),
        device=options.device,
        judge=options.judge,
        judge_prompts=options.judge_prompts,
    )


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ConfigError(f"--shard {text!r} is not i/n; write one like 1/4")
    return int(match.group(1)), int(match.group(2))


def _run(options: argparse.Namespace) -> int:
    from pfp import runtime
    from pfp.eval.measure.score import device_of
    from pfp.eval.run import EmptyShard, leave_empty, prepare, run

    settings = _settings(options)
    if options.engine == "ray":  # its workers see no GPU that was not asked for
        settings = replace(settings, device=device_of(settings.device))
    try:
        prepared = prepare(settings)
    except EmptyShard as error:  # no fault of an array of jobs
        leave_empty(settings, error.origin)
        print(f"nothing to do: {error}")
        return 0
    _warn_of_older_scores(settings.directory)
    with runtime.connect(options.engine):
        run(prepared, engine=options.engine, progress=runtime.ConsoleProgress())
    if settings.shard is None:
        _print_table(settings.out)
    else:
        _print_unscored(settings.directory)
        print(f"shard {options.shard} is in {settings.directory}")
    print(f"`pfp-eval report {settings.out}` writes the page")
    return 0


def _warn_of_older_scores(run_directory: str) -> None:
    """Scores of another version of the table cannot be kept; say so before they are gone."""
    from pfp.errors import SchemaError
    from pfp.io.filesystems import Folder
    from pfp.io.manifest import read_manifest
    from pfp.io.run_tables import has_table
    from pfp.schema.run_directory import RunDirectory

    scores = RunDirectory(run_directory).scores
    if not has_table(scores):
        return
    try:
        read_manifest(Folder.at(scores.path), scores.record)
    except SchemaError as error:
        reason = str(error).partition(";")[0]
        print(
            f"pfp-eval: {reason}; what this run asks for is measured again, the rest is left out",
            file=sys.stderr,
        )


def _print_unscored(directory: str) -> None:
    """Why there is no value, with how many rows; a shard alone makes no table that would say so."""
    from pfp.eval.measure.reasons import explained
    from pfp.eval.scores.runs import read_run

    reasons = Counter(score.unscored_reason for score in read_run(directory).scores)
    for reason, count in sorted((r, n) for r, n in reasons.items() if r is not None):
        print(f"unscored: {count} x {explained(reason)}")


def _score(options: argparse.Namespace) -> int:
    from pfp import runtime
    from pfp.eval.measure.score import ScoreSettings, run_score
    from pfp.eval.metrics import METRICS
    from pfp.eval.scores.runs import read_generations
    from pfp.schema.eval_sample import GIVEN

    made = read_generations(options.run_directory)
    if any(record.task == GIVEN for record in made):
        if options.metrics:
            raise InputError(
                f"{options.run_directory} came from a manifest; `pfp-eval run` measures, score "
                "only aggregates"
            )
        warn_of_missing_shards([options.run_directory])
        _print_table(options.run_directory)
        return 0
    default = [name for name in METRICS if name in ScoreSettings().metrics]
    names = names_of(options.metrics) or default
    settings = ScoreSettings(metrics=tuple(names))
    with runtime.connect(options.engine):
        progress = runtime.ConsoleProgress()
        report = run_score(
            options.run_directory, settings, engine=options.engine, progress=progress
        )
    runtime.summary.merge_stage(options.run_directory, report)
    return 0


def _rescore(options: argparse.Namespace) -> int:
    from pfp.eval.scores.rescore import rescore_run

    names = names_of(options.metrics)
    report = rescore_run(options.run_directory, metrics=names)
    print(
        f"{report.num_read} scores computed again from their evidence: "
        f"{report.num_verdicts_changed} of {report.num_verdicts} verdicts and "
        f"{len(report.changes)} scores are others now"
    )
    for change in report.changes[:MAX_CHANGES]:
        print(f"  {change.score_id}: {change.before} -> {change.after}")
    if len(report.changes) > MAX_CHANGES:
        print(f"  and {len(report.changes) - MAX_CHANGES} more")
    if report.num_not_asked:
        print(f"{report.num_not_asked} need questions that nobody asked; `pfp-eval run` asks those")
    if report.num_rekeyed:
        print(f"{report.num_rekeyed} are of a newer version now; the next `pfp-eval run` checks it")
    for metric_id in sorted(report.other):
        print(f"{metric_id} was measured otherwise than this pfp does; left as it is")
    _print_table(options.run_directory)
    return 0


def _print_table(run_directory: str) -> None:
    from pfp.eval.report import load_run, render_text

    print(render_text(load_run(run_directory)[0]), end="")


def _validate(options: argparse.Namespace) -> int:
    from pfp.eval.manifest import check_manifest, shown_path
    from pfp.eval.metrics.base import InputName, has_input

    manifest, problems = check_manifest(options.manifest)
    for problem in problems:
        print(f"{shown_path(options.manifest)}: {problem}")
    samples = manifest.samples
    models = sorted({sample.method for sample in samples})
    groups = {sample.group for sample in samples}
    print(
        f"samples that are right: {len(samples)}, lines that are wrong: {len(problems)}; models: "
        f"{', '.join(models) or 'none'}; groups: {len(groups)}"
    )
    for name in get_args(InputName):
        print(f"  with {name:<16}{sum(has_input(sample, name) for sample in samples)}")
    return 2 if problems else 0


def _plan(options: argparse.Namespace) -> int:
    from pfp.eval.plan import plan_run
    from pfp.eval.run import prepare

    settings = _settings(options)
    plan = plan_run(prepare(settings))
    print(f"{settings.manifest} to {settings.directory}")
    print(
        f"{plan.num_videos} videos to decode, {plan.num_frames} frames, "
        f"{plan.seconds_of_video:.0f} s of video"
    )
    for metric in plan.metrics:
        _print_metric(metric)
    for line in plan.unreadable:
        print(f"cannot be opened: {line}")
    if plan.num_opened < plan.num_videos:
        print(f"frames, times and costs are estimated from {plan.num_opened} of the videos")
    _print_totals(plan)
    return 0


def _print_metric(metric: MetricPlan) -> None:
    known = "" if metric.seconds is None else f", about {_duration(metric.seconds)} on one CPU core"
    print(
        f"{metric.metric_id:<30}{metric.protocol:<11} {metric.num_done} done, "
        f"{metric.num_todo} to do{known if metric.num_todo else ''}"
    )
    for name in metric.weights:
        print(f"{'':30}weights {name}")
    for cure, count in metric.unscored.items():
        print(f"{'':30}{count} unscored: {cure}")
    if metric.cost:
        print(f"{'':30}takes {metric.cost}")
    if metric.num_todo and metric.usd != 0:
        price = "unknown price" if metric.usd is None else f"at least {metric.usd:.2f} USD"
        print(f"{'':30}{price}")


def _print_totals(plan: Plan) -> None:
    seconds = [metric.seconds for metric in plan.metrics if metric.seconds is not None]
    usd = [metric.usd for metric in plan.metrics if metric.usd is not None]
    print(
        f"in all at least {_duration(sum(seconds))} on one CPU core where a metric's cost is known,"
        f" and {sum(usd):.2f} USD"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
