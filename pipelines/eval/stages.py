"""Which samples are generated of a run's held-out clips, and the stage that generates them.

Every held-out clip gives one sample a method (retrieve some of its latent frames from its own
compressed history), one sample with another clip's memory, one that only went through the VAE, and
some clips a continuation from their storyboard: one row each, with all it depends on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pfp.errors import ConfigError, NothingUsable
from pfp.eval.leaderboard.methods import SHUFFLED_MEMORY, VAE_RECONSTRUCTION
from pfp.generate.families import family_of
from pfp.generate.plan import find_lost_shot
from pfp.io.digests import sha256_json
from pfp.io.prompts import Prompts, prompt_sha256
from pfp.io.run_tables import has_table
from pfp.io.tables import read_records, read_table
from pfp.io.unchanged import FILE_COLUMNS
from pfp.models.vae import vae_digest
from pfp.runtime import Resources, Stage
from pfp.schema import CheckpointRecord, EvalSample
from pfp.schema.clip_id import video_of
from pfp.schema.eval_sample import CONTINUE, RETRIEVE
from pfp.schema.run_directory import RunDirectory
from pfp.train.clip_list import ClipList
from pfp.train.split import lowest_digests, split_clips
from pipelines.eval.config import REFERENCE_VARIANT, GenerateConfig

VERSION: Final = 2  # raise it when equal settings come to mean other frames
# Where weights lie, how many work and how many other samples there are changes nothing in a sample.
_IRRELEVANT: Final = frozenset(
    {"num_clips", "num_continued", "base_folder", "vae", "offload", "num_workers", "num_gpus"}
)
_LATENT_COLUMNS: Final = (
    *("clip_id", "hr_shape", "start_seconds", "fps", "temporal_stride", "result_key"),
)


def generate_stage(config: GenerateConfig, run_directory: str) -> Stage:
    """The stage; a sample depends on its clips, its checkpoint (columns) and the sampler."""
    # Here and not above, because it takes torch, and ``--help`` needs only the settings.
    from pipelines.eval.worker import GenerateSamples, failed_generation

    settings = {k: v for k, v in asdict(config).items() if k not in _IRRELEVANT}
    return Stage(
        name="generate",
        record=EvalSample,
        worker=GenerateSamples,
        worker_args={"config": config, "run_directory": run_directory},
        input_key="sample_id",
        content_columns=(
            *("task", "method", "clip_id", "memory_clip_id", "checkpoint_sha256"),
            *("omega", "prompts", "seed", "video_sha256", "latent_key", "memory_latent_key"),
            "condition_keys",
        ),
        fingerprint=sha256_json({"version": VERSION, "vae": vae_digest(config.vae), **settings}),
        resources=Resources(batch_size=8, num_workers=config.num_workers, num_gpus=config.num_gpus),
        on_error=failed_generation,
        config=config,
    )


def remove_strays(run_directory: Path) -> None:
    """Remove generated videos that no row names any more: those of other settings."""
    columns = ["video_uri", "reference_uri", "history_uri"]
    run = RunDirectory(run_directory)
    table = read_table(*run.generations, columns=columns)
    named = {uri for name in columns for uri in table[name].to_pylist()}
    for path in Path(run.videos_path).rglob("*.mp4"):
        if path.relative_to(run_directory).as_posix() not in named:
            path.unlink()


def generation_inputs(config: GenerateConfig, run_directory: str) -> pa.Table:
    """One row a sample: everything that it depends on."""
    run = RunDirectory(run_directory)
    checkpoints = read_records(*run.pretrained, verdict="kept")
    if not checkpoints:
        message = f"{run.checkpoints_path} holds no checkpoint; run pipelines/train first"
        raise NothingUsable(message)
    continuing = _finetuned(run_directory)
    _check_base(config, {each.base for each in (*checkpoints, *continuing)})
    clips = _held_out(config, run_directory, [*checkpoints, *continuing])
    others = _another_clip(clips)
    prompts = Prompts(run_directory)
    rows: list[dict[str, Any]] = []
    for number, clip in enumerate(clips.values()):
        omega = frame_set(clip["clip_id"], config)
        row = {
            **{
                name: clip[name]
                for name in ("clip_id", "video_uri", *FILE_COLUMNS, "start_seconds")
            },
            **{name: clip[name] for name in ("end_seconds", "width", "height", "latent_key")},
            "memory_clip_id": clip["clip_id"],
            "memory_latent_key": clip["latent_key"],
            "task": RETRIEVE,
            "omega": omega,
            "prompts": [prompts.at(clip["clip_id"], clip["seconds_of"](omega[0]))],
            "seed": config.seed,
            "base": checkpoints[0].base,
            "lost_shot": None,
        }
        for checkpoint in checkpoints:
            rows.append({**row, **_of_checkpoint(checkpoint)})
            if checkpoint.variant == REFERENCE_VARIANT:
                other = others[clip["clip_id"]]
                shuffled = {"method": SHUFFLED_MEMORY, "memory_clip_id": other}
                shuffled["memory_latent_key"] = clips[other]["latent_key"] if other else None
                rows.append({**row, **_of_checkpoint(checkpoint), **shuffled})
        if number < config.num_continued:
            story = {"task": CONTINUE, "omega": [], **_ahead(prompts, clip, config)}
            pretrained = [each for each in checkpoints if each.variant == REFERENCE_VARIANT]
            rows.extend(
                {**row, **_of_checkpoint(each), **story} for each in continuing or pretrained
            )
        without = {
            "method": VAE_RECONSTRUCTION,
            "rate": None,
            "checkpoint_sha256": None,
            "checkpoint_uri": None,
        }
        rows.append({**row, **without})
    if config.base_folder is not None:  # a large base is loaded once a method, not once a clip
        rows.sort(key=lambda row: str(row["method"]))
    conditions = _condition_keys(run_directory)
    for row in rows:
        row["sample_id"] = f"{row['clip_id']}/{row['task']}/{row['method']}"
        row["condition_keys"] = [conditions.get(prompt_sha256(text)) for text in row["prompts"]]
    return pa.Table.from_pylist(rows)


def _check_base(config: GenerateConfig, bases: set[str]) -> None:
    """Raise ConfigError for checkpoints of a base whose own weights nobody has named."""
    missing = sorted(bases - {"tiny"})
    if missing and config.base_folder is None:
        vae = family_of(missing[0]).vae
        raise ConfigError(
            f"the weights of {missing[0]} are not part of its checkpoints; give --set "
            f"generate.base_folder=FOLDER (a pipeline's transformer) and --set "
            f"generate.vae={vae}:FOLDER"
        )


def _ahead(prompts: Prompts, clip: Mapping[str, Any], config: GenerateConfig) -> dict[str, Any]:
    """The prompts of a continuation's sections, or which shot of the storyboard none is made from.

    A row without prompts says so instead of being generated.
    """
    clip_id, rate = clip["clip_id"], clip["latents_per_second"]
    start = config.history_frames
    stop = start + config.num_sections * config.section_latents
    firsts = range(start, stop, config.section_latents)
    ahead = [prompts.at(clip_id, clip["seconds_of"](first)) for first in firsts]
    origin = clip["seconds_of"](0)
    shots = [
        {
            "start_seconds": shot["start_seconds"] - origin,
            "end_seconds": shot["end_seconds"] - origin,
        }
        for shot in prompts.shots(clip_id)
        if shot["end_seconds"] - origin > start / rate
    ]
    number = find_lost_shot(shots, firsts, num_frames=stop, fps=rate, is_cut=True)
    if number is None:
        return {"prompts": ahead, "lost_shot": None}
    lost = (
        f"the storyboard's shot from {shots[number]['start_seconds'] + origin:g} to "
        f"{shots[number]['end_seconds'] + origin:g} s has no section of {config.section_latents} "
        f"latent frames ({config.section_latents / rate:.3g} s) of its own, so its prompt would "
        "not be used; make it longer, or give smaller section_latents"
    )
    return {"prompts": [], "lost_shot": lost}


def _condition_keys(run_directory: str) -> dict[str, str]:
    """The keys of embedded prompts, by the prompts' digests: another text encoder, other samples.

    A prompt that is embedded later has a key then, so that what failed for want of it is made.
    """
    columns = ["prompt_sha256", "result_key"]
    kept = pc.field("verdict", "kind") == "kept"
    table = read_table(*RunDirectory(run_directory).conditions, columns=columns, filter=kept)
    return dict(zip(*(table[name].to_pylist() for name in columns), strict=True))


def _finetuned(run_directory: str) -> list[CheckpointRecord]:
    """The checkpoints that were trained to continue, where the run has some."""
    table = RunDirectory(run_directory).finetuned
    return read_records(*table, verdict="kept") if has_table(table) else []


def frame_set(clip_id: str, config: GenerateConfig) -> list[int]:
    """Omega of a clip: random latent frames but the first, which is a single video frame.

    A function of the clip and the seed, so that all methods are asked for the same frames.
    """
    digest = hashlib.sha256(json.dumps([clip_id, config.seed]).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    chosen = rng.choice(np.arange(1, config.history_frames), config.num_targets, replace=False)
    return sorted(int(index) for index in chosen)


def _of_checkpoint(checkpoint: CheckpointRecord) -> dict[str, Any]:
    return {
        "method": checkpoint.checkpoint_id,
        "base": checkpoint.base,
        "rate": None if checkpoint.variant == "no_memory" else checkpoint.rate,
        "checkpoint_sha256": checkpoint.sha256,
        "checkpoint_uri": checkpoint.uri,
    }


def _held_out(
    config: GenerateConfig, run_directory: str, checkpoints: Sequence[CheckpointRecord]
) -> dict[str, dict[str, Any]]:
    """Clips that every training held out and that are long enough, with what the worker needs."""
    columns = [
        "clip_id",
        "video_uri",
        *FILE_COLUMNS,
        "start_seconds",
        "end_seconds",
        "width",
        "height",
    ]
    run = RunDirectory(run_directory)
    clips = read_table(*run.clips, columns=[*columns, "verdict"]).to_pylist()
    latents = {
        row["clip_id"]: row
        for row in read_table(
            *run.latents,
            columns=[*_LATENT_COLUMNS, "verdict"],
        ).to_pylist()
        if row["verdict"]["kind"] == "kept" and row["hr_shape"][0] >= config.history_frames
    }
    chosen = held_out_by_all(run, checkpoints, latents, config.num_clips)
    held_out = {
        clip["clip_id"]: {
            **{name: clip[name] for name in columns},
            "latent_key": latents[clip["clip_id"]]["result_key"],
            "size": tuple(latents[clip["clip_id"]]["hr_shape"][1:]),
            "seconds_of": partial(_latent_seconds, latents[clip["clip_id"]]),
            "latents_per_second": _latents_per_second(latents[clip["clip_id"]]),
        }
        for clip in sorted(clips, key=lambda clip: str(clip["clip_id"]))
        if clip["verdict"]["kind"] == "kept" and clip["clip_id"] in chosen
    }
    if not held_out:
        message = (
            f"no clip of {run_directory} is both held out from training and "
            f"{config.history_frames} latent frames long; give more videos"
        )
        raise NothingUsable(message)
    return held_out


def held_out_by_all(
    run: RunDirectory,
    checkpoints: Sequence[CheckpointRecord],
    clip_ids: Collection[str],
    num_clips: int | None = None,
) -> set[str]:
    """Of the clips those that no training saw, nor would have seen had they been there.

    Where a training held out nothing, clips that came later are all that there are. Of them those
    ``num_clips`` with the lowest digests are taken (None: all).
    """
    share = min(each.held_out_share or 0.0 for each in checkpoints)
    held_out = split_clips(clip_ids, held_out_share=share)[1] if share else clip_ids
    rest = pa.array(held_out, pa.string())
    for trained in {(each.clip_ids_sha256, each.num_clips) for each in checkpoints}:
        seen = ClipList(run.clip_lists_path, *trained).read()
        rest = rest.filter(pc.invert(pc.is_in(rest, seen)))
    return set(lowest_digests(rest.to_pylist(), len(rest) if num_clips is None else num_clips))


def _latent_seconds(latents: dict[str, Any], index: int) -> float:
    return float(latents["start_seconds"] + index * latents["temporal_stride"] / latents["fps"])


def _latents_per_second(latents: dict[str, Any]) -> float:
    return float(latents["fps"] / latents["temporal_stride"])


def _another_clip(clips: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    """For each clip the next one of its size of another video; None where there is none."""
    by_size: dict[tuple[int, ...], list[str]] = {}
    for clip_id, clip in clips.items():
        by_size.setdefault(clip["size"], []).append(clip_id)
    others: dict[str, str | None] = {}
    for group in by_size.values():
        for place, clip_id in enumerate(group):
            circle = [*group[place + 1 :], *group[:place]]
            of_others = (other for other in circle if video_of(other) != video_of(clip_id))
            others[clip_id] = next(of_others, None)
    return others
