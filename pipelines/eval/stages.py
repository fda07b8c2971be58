"""What generates samples: the stage with its worker, and what else lies beside its table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

from pfp.io.digests import sha256_json
from pfp.io.tables import read_table
from pfp.models.vae import vae_digest
from pfp.runtime import Resources, Stage
from pfp.schema import EvalSample
from pfp.schema.run_directory import RunDirectory
from pipelines.eval.config import GenerateConfig

VERSION: Final = 2  # raise it when equal settings come to mean other frames
# Where weights lie, how many work and how many other samples there are changes nothing in a sample.
_IRRELEVANT: Final = frozenset(
    {"num_continued", "base_folder", "vae", "offload", "num_workers", "num_gpus"}
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
