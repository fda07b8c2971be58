"""The train stage over a run directory: ``latents/``, ``conditions/`` in, ``checkpoints/`` out."""

from __future__ import annotations

import pyarrow as pa

from pfp.errors import NothingUsable
from pfp.io.digests import sha256_json
from pfp.io.tables import read_table
from pfp.runtime import Progress, StageReport, connect, run_stage, summary
from pfp.runtime.run import Engine
from pfp.schema import ConditionRecord, LatentRecord, StoryboardRecord
from pfp.train.split import split_clips
from pipelines.train.config import PRESETS, TrainConfig
from pipelines.train.stages import train_inputs, train_stage

CHECKPOINT_TABLE = "checkpoints/_index"  # beside the arms' folders, which are not Parquet


def main(argv: list[str] | None = None) -> int:
    """Run the stage as the command line says; the exit status is 0, or 2 for bad input."""
    from pfp.cli.stage import stage_main

    return stage_main("train", "Train the arms on the latents of a run.", PRESETS, run, argv)


def run(
    config: TrainConfig,
    *,
    input_directory: str,
    output_directory: str,
    engine: Engine = "ray",
    progress: Progress | None = None,
) -> list[StageReport]:
    """Train every arm on the clips that are not held out.

    Raises NothingUsable when no clip has latents for a window of history.
    """
    clip_ids, result_keys = usable_clips(input_directory, config)
    train_clips, _ = split_clips(clip_ids, clips_per_train_clip=config.clips_per_train_clip)
    data_sha256 = sha256_json([result_keys[clip] for clip in train_clips])
    inputs = train_inputs(config, train_clips, data_sha256)
    with connect(engine):
        report = run_stage(
            train_stage(config, input_directory, output_directory),
            inputs,
            f"{output_directory}/{CHECKPOINT_TABLE}",
            engine=engine,
            progress=progress,
        )
    summary.merge_stage(output_directory, report)
    if not report.kept:
        raise NothingUsable(
            f"no arm could be trained ({dict(report.reasons)}); see pfp why or the log"
        )
    return [report]


def usable_clips(directory: str, config: TrainConfig) -> tuple[list[str], dict[str, list[str]]]:
    """Kept clips that are long enough, and for each the keys of all results it is made of."""
    latents = read_table(
        f"{directory}/latents",
        LatentRecord,
        columns=["clip_id", "hr_shape", "result_key", "verdict"],
    ).to_pylist()
    stories = _keys(f"{directory}/storyboards", StoryboardRecord, "clip_id")
    conditions = sorted(_keys(f"{directory}/conditions", ConditionRecord, "prompt_sha256").values())
    found = {
        row["clip_id"]: [row["result_key"], stories[row["clip_id"]], sha256_json(conditions)]
        for row in latents
        if row["verdict"]["kind"] == "kept" and row["hr_shape"][0] >= config.history_frames
    }
    if not found:
        message = (
            f"{directory}/latents holds no clip of {config.history_frames} latent frames; "
            "give longer videos"
        )
        raise NothingUsable(message)
    return sorted(found), found


def _keys(directory: str, record: type, key: str) -> dict[str, str]:
    table: pa.Table = read_table(directory, record, columns=[key, "result_key"])
    return dict(zip(table[key].to_pylist(), table["result_key"].to_pylist(), strict=True))
