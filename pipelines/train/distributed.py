"""A training by several processes, which Ray Train starts, watches and replaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from pfp.errors import PfpError
from pipelines.train.job import Job, run_job


def run_on_processes(job: Job) -> None:
    """Run ``job`` in ``num_processes`` processes; needs a running Ray.

    Processes that die are replaced up to ``max_restarts`` times and all go on from the job's own
    state, which any number of them can read: with ``min_processes`` fewer may be left.
    """
    config = job.config
    fewest = config.min_processes or config.num_processes
    num_workers: Any = (
        config.num_processes
        if fewest == config.num_processes
        else (fewest, config.num_processes)  # elastic
    )
    trainer = TorchTrainer(
        _process,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=num_workers,
            use_gpu=config.num_gpus_per_process > 0,
            resources_per_worker=_resources(job),
        ),
        run_config=RunConfig(
            name=Path(job.state_folder).name.removeprefix("."),
            storage_path=str(Path(job.state_folder).parent.absolute() / ".ray"),
            failure_config=FailureConfig(max_failures=config.max_restarts),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise _own_error(error) or error from error


def _process(given: dict[str, Any]) -> None:
    run_job(given["job"])


def _resources(job: Job) -> dict[str, float]:
    gpus = job.config.num_gpus_per_process
    return {"CPU": job.config.num_cpus_per_process, **({"GPU": gpus} if gpus else {})}


def _own_error(error: TrainingFailedError) -> PfpError | None:
    """What a process said in our own words, where it did."""
    failures = getattr(error, "worker_failures", {})
    return next((each for each in failures.values() if isinstance(each, PfpError)), None)
