"""The worker of the train stage: trains a variant by itself, or has several processes do it.

Axes: T latent frames, C channels, H rows, W columns.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from safetensors import safe_open

from pfp.errors import WeightsError
from pfp.eval.metrics.psnr import CAP_DB, psnr_of, squared_error
from pfp.generate.retrieve import decode_alone, retrieve_latents
from pfp.generate.sampler import is_guidance_distilled
from pfp.generate.settings import SamplerSettings
from pfp.io.prompts import Prompts
from pfp.latents.read import LatentReader
from pfp.models._devices import gpu_memory
from pfp.models._folders import weights_sha256
from pfp.models.memory.checkpoint import load_base, read_description
from pfp.models.memory.dit import MemoryDiT
from pfp.models.rates import Rate
from pfp.models.vae import load_vae
from pfp.models.vae.latent_vae import LatentVAE
from pfp.runtime import map_rows
from pfp.schema import KEPT, CheckpointRecord, Failed
from pfp.schema.run_directory import RunDirectory
from pfp.train.checkpoint import save_checkpoint
from pfp.train.clip_list import ClipList
from pfp.train.clips import empty_prompt, window_batches
from pfp.train.device_memory import TrainingPlan, check_fits
from pfp.train.folders import step_folder
from pfp.train.loader import WindowBatches, batch_loader
from pfp.train.loop import Trained, train
from pfp.train.monitor import Monitor, SampledFrames
from pfp.train.objective import Batch, Denoising
from pfp.train.sampler import WindowPlan
from pfp.train.sharding import shard
from pfp.train.step_checkpoints import StepCheckpoints
from pfp.train.validation import VALIDATION_SEED, Validation
from pipelines.train.config import TrainConfig, checkpoint_folder

STEPS_FOLDER: Final = "_steps"  # beside the variants' folders; no variant begins with _
NUM_SHOWN: Final = 4  # samples of a batch whose frames are shown


class TrainVariant:
    """Trains one variant after the other; a checkpoint's folder appears whole or not at all."""

    def __init__(self, config: TrainConfig, input_directory: str, output_directory: str) -> None:
        self._config = config
        self._input_directory = input_directory
        self._output = Path(output_directory)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One ``CheckpointRecord`` row per variant."""
        return map_rows(batch, self._train, failed_checkpoint)

    def _train(self, row: Mapping[str, Any]) -> CheckpointRecord:
        job, config = self.job(row), self._config
        state, folder = Path(job.state_folder), Path(job.checkpoint_folder)
        if config.finish_at is not None:
            num_steps = job.step_checkpoints().take(config.finish_at, state, folder)
            return self._record(row, folder, num_steps)  # and the state stays, to go on from
        if not job.is_finished():
            if config.num_processes == 1:
                run_job(job)
            else:
                # Here and not above, because it takes Ray, which one process does without.
                from pipelines.train.distributed import run_on_processes

                run_on_processes(run_job, job, config, state)
        shutil.rmtree(state, ignore_errors=True)
        return self._record(row, folder, job.num_steps)

    def job(self, row: Mapping[str, Any]) -> TrainJob:
        """What the processes of a variant's training are told."""
        # Named after all that the training depends on, so that no other goes on from it.
        state = (
            Path(RunDirectory(self._output).checkpoints_path)
            / f".state-{row['training_sha256'][:16]}"
        )
        return TrainJob(
            config=self._config,
            variant=row["variant"],
            clips=ClipList(
                RunDirectory(self._output).clip_lists_path, row["clip_ids_sha256"], row["num_clips"]
            ),
            held_out_ids=tuple(row["held_out_ids"]),
            run_directory=self._input_directory,
            start_folder=row["start_folder"],
            state_folder=str(state),
            checkpoint_folder=str(checkpoint_folder(str(self._output), row["checkpoint_id"])),
            card=card_of(self._config, row),
        )

    def _record(self, row: Mapping[str, Any], folder: Path, num_steps: int) -> CheckpointRecord:
        config, steps = self._config, self._config.steps
        return CheckpointRecord(
            **{name: row[name] for name in _SHARED_COLUMNS},
            num_steps=num_steps,
            batch_size=config.windows.batch_size * config.num_processes,
            learning_rate=steps.learning_rate,
            seed=steps.seed,
            held_out_share=config.held_out_share,
            num_trained=_num_values(folder),
            uri=folder.relative_to(self._output).as_posix(),
            sha256=weights_sha256(folder),
            verdict=KEPT,
        )


def _num_values(folder: Path) -> int:
    """How many numbers a checkpoint's weight files hold."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            sizes = (file.get_slice(name).get_shape() for name in file.keys())  # noqa: SIM118 - not a dict
            total += sum(_product(size) for size in sizes)
    return total


def _product(size: list[int]) -> int:
    product = 1
    for side in size:
        product *= side
    return product


_SHARED_COLUMNS: Final = (
    *("checkpoint_id", "task", "variant", "rate", "base", "base_sha256", "vae_sha256"),
    *("start_sha256", "clip_ids_sha256", "num_clips"),
)


def failed_checkpoint(row: Mapping[str, Any], verdict: Failed) -> CheckpointRecord:
    """The record of a variant whose training broke."""
    return CheckpointRecord(**{name: row[name] for name in _SHARED_COLUMNS}, verdict=verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """Everything that a process needs to know; ``card`` goes into the checkpoint's config.json.

    ``state_folder`` and ``checkpoint_folder`` must be seen by all processes.
    """

    config: TrainConfig
    variant: str
    clips: ClipList
    held_out_ids: tuple[str, ...]
    run_directory: str
    start_folder: str | None
    state_folder: str
    checkpoint_folder: str
    card: Mapping[str, Any]

    @property
    def num_steps(self) -> int:
        """How many steps the whole training has: none where all clips are held out."""
        return self.config.steps.num_steps if self.clips.num_clips else 0

    def step_checkpoints(self) -> StepCheckpoints:
        """The checkpoints on the way, in a folder beside the variants' own."""
        folder = Path(self.checkpoint_folder)
        return StepCheckpoints(
            folder=folder.parent / STEPS_FOLDER / folder.name,
            training_sha256=self.card["training_sha256"],
            every_steps=self.config.export_every_steps,
            keep=self.config.keep_checkpoints,
        )

    def is_finished(self) -> bool:
        """Whether the checkpoint is that of the whole training, which may lie among the steps.

        So it is when a process was killed before the table said so, or when another step had been
        taken as the checkpoint.
        """
        folder = Path(self.checkpoint_folder)
        if self._is_whole(folder):
            return True
        checkpoints = self.step_checkpoints()
        if not self._is_whole(step_folder(checkpoints.folder, self.num_steps)):
            return False
        checkpoints.take(str(self.num_steps), Path(self.state_folder), folder)
        return True

    def _is_whole(self, folder: Path) -> bool:
        try:
            described = read_description(folder)
        except WeightsError:
            return False
        whole = {"training_sha256": self.card["training_sha256"], "num_steps": self.num_steps}
        return whole.items() <= described.items()


def run_job(job: TrainJob) -> None:
    """Train one variant, in this process and in the others of its group, if it has one."""
    config, folder = job.config, Path(job.checkpoint_folder)
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        log_with=list(config.trackers) or None,
        project_dir=str(folder.with_name("_curves")),
    )
    if accelerator.device.type == "cpu":
        # One thread, however many cores there are: sums in another order are other weights.
        torch.set_num_threads(1)
    if job.clips.num_clips and accelerator.device.type == "cuda":
        # The driver, which has asked this before, may have no GPU or another one.
        check_device_memory(config, clip_shapes(job), accelerator.num_processes)
    model = starting_model(job)
    trained = train_model(job, model, accelerator) if job.clips.num_clips else None
    save_checkpoint(folder, model, accelerator, trained, job.card)
    accelerator.end_training()


def memory_plan(config: TrainConfig, num_processes: int) -> TrainingPlan:
    """What decides how much memory each of so many processes takes."""
    return TrainingPlan(
        model=config.model,
        windows=config.windows,
        steps=config.steps,
        base_dtype=config.base_dtype,
        num_text_tokens=config.num_text_tokens,
        num_processes=num_processes,
        sharded=config.sharded and num_processes > 1,
        vae=str(config.vae).partition(":")[0] if config.sample_every_steps else None,
    )


def check_device_memory(
    config: TrainConfig, hr_shapes: Iterable[tuple[int, ...]], num_processes: int
) -> None:
    """Raise ConfigError for what does not fit on the GPU at hand, else in ``device_memory_gb``."""
    plan = memory_plan(config, num_processes)
    if (found := gpu_memory()) is not None:
        check_fits(plan, hr_shapes, found[0], f"this {found[1]}")
    elif config.device_memory_gb is not None:
        check_fits(plan, hr_shapes, config.device_memory_gb * 1e9, "device_memory_gb")


def clip_shapes(job: TrainJob) -> set[tuple[int, ...]]:
    """The different ``(T, C, H, W)`` of the clips that are trained on."""
    latents, *_ = open_latents(RunDirectory(job.run_directory), job.config.model.rates)
    return {latents.shape(latents.row_of(clip_id)) for clip_id in job.clips.read().to_pylist()}


def starting_model(job: TrainJob) -> MemoryDiT:
    """The model with the weights of ``start_folder``, or fresh ones from the seed."""
    config, settings = job.config, job.config.model_for(job.variant)
    dtype = getattr(torch, config.base_dtype)
    dit = load_base(settings.base, config.base_folder, job.card, dtype=dtype, device="cpu")
    torch.manual_seed(config.steps.seed)
    model = MemoryDiT(dit, settings)
    if job.start_folder is not None:
        model.load(Path(job.start_folder))
    return model


def train_model(job: TrainJob, model: MemoryDiT, accelerator: Accelerator) -> Trained:
    """Train in place on the run's windows, going on from the state that an earlier process left."""
    config, num_ranks = job.config, accelerator.num_processes
    prompts = Prompts(job.run_directory, pooled=config.model.base == "hunyuan")
    batches = window_batches(
        open_latents(RunDirectory(job.run_directory), config.model.rates),
        job.clips.read().to_pylist(),
        config.windows,
        prompts,
        num_text_tokens=config.num_text_tokens,
        seed=config.steps.seed,
        rank=accelerator.process_index,
        world_size=num_ranks,
    )
    empty = None
    if config.objective.text_free_share:
        empty = empty_prompt(prompts, num_text_tokens=config.num_text_tokens)
    denoising = Denoising(model, config.objective, empty)
    if config.sharded:
        shard(denoising, device_type=accelerator.device.type, num_ranks=num_ranks)
    monitor = Monitor(
        accelerator,
        name=Path(job.checkpoint_folder).name,
        title=job.card["title"],
        state_folder=Path(job.state_folder),
        num_steps=config.steps.num_steps,
        samples_per_step=config.windows.batch_size * num_ranks,
        log_every_steps=config.log_every_steps,
        frames=sampled_frames(config, model, batches) if config.sample_every_steps else None,
    )

    def batches_from(first: int) -> Iterable[Batch]:
        steps = range(first, config.steps.num_steps)
        return batch_loader(batches, steps, num_workers=config.num_loader_workers)

    return train(
        denoising,
        batches_from,
        config.steps,
        Path(job.state_folder),
        report=monitor.update,
        accelerator=accelerator,
        sharded=config.sharded,
        card=job.card,
        checkpoints=job.step_checkpoints() if config.export_every_steps else None,
        held_out_loss=held_out_loss(job, denoising, prompts, accelerator, monitor),
    )


def held_out_loss(
    job: TrainJob,
    denoising: Denoising,
    prompts: Prompts,
    accelerator: Accelerator,
    monitor: Monitor,
) -> Validation | None:
    """What measures the loss on held-out clips, if it is to be measured."""
    config, plan = job.config, job.config.validation
    if not config.validate_every_steps:
        return None
    batches = held_out_batches(job, prompts, config.windows)
    with_psnr = config.task == "pretrain" and config.vae is not None and not config.sharded
    psnr = None
    if with_psnr and plan.num_psnr_windows:
        windows = replace(config.windows, continue_share=0.0)
        psnr = retrieval_psnr(config, denoising.model, held_out_batches(job, prompts, windows))
    return Validation(
        denoising,
        batches.__getitem__,
        plan,
        every_steps=config.validate_every_steps,
        accelerator=accelerator,
        autocast=config.steps.autocast,
        report=monitor.show,
        psnr=psnr,
    )


def held_out_batches(job: TrainJob, prompts: Prompts, windows: WindowPlan) -> WindowBatches:
    """Windows of held-out clips, one a batch, the same for trainings of all seeds and ranks."""
    return window_batches(
        open_latents(RunDirectory(job.run_directory), job.config.model.rates),
        job.held_out_ids,
        replace(windows, batch_size=1),
        prompts,
        num_text_tokens=job.config.num_text_tokens,
        seed=VALIDATION_SEED,
    )


def retrieval_psnr(
    config: TrainConfig, model: MemoryDiT, batches: WindowBatches
) -> Callable[[], float]:
    """Measures retrieved frames against the decoded true latents: the mean over frames in dB."""
    vae = load_vae(str(config.vae), device=str(model.patch_embedding.weight.device))

    def measure() -> float:
        pairs = [
            frames_of_sample(config, model, vae, batches[number], 0)
            for number in range(config.validation.num_psnr_windows)
        ]
        errors = [
            squared_error(*frames)
            for true_FHWC, sampled_FHWC in pairs
            for frames in zip(true_FHWC, sampled_FHWC, strict=True)
        ]
        return float(np.minimum(psnr_of(np.array(errors)), CAP_DB).mean())

    return measure


def open_latents(run: RunDirectory, rates: Sequence[Rate]) -> list[LatentReader]:
    """The latents, and the tables of further LR copies, in the order of the encoders' rates.

    Raises SchemaError for latents of another rate.
    """
    paths = [run.latents.path, *(run.lr_latents(rate).path for rate in rates[1:])]
    return [
        LatentReader(path, lr_factor=rate.height, lr_frame_stride=rate.time)
        for path, rate in zip(paths, rates, strict=True)
    ]


def sampled_frames(config: TrainConfig, model: MemoryDiT, batches: WindowBatches) -> SampledFrames:
    """The target frames of some samples, true ones above sampled ones."""

    def draw() -> NDArray[np.uint8]:
        model.eval()
        try:
            return frames_of_batch(config, model, batches[0])
        finally:
            model.train()

    name = "retrieved" if config.task == "pretrain" else "next"
    return SampledFrames(name=name, draw=draw, every_steps=config.sample_every_steps)


def frames_of_batch(config: TrainConfig, model: MemoryDiT, batch: Batch) -> NDArray[np.uint8]:
    """A column for each of the first samples, true frames above sampled ones, ``(H, W, 3)``."""
    vae = load_vae(str(config.vae), device=str(model.patch_embedding.weight.device))
    columns = []
    for clip in range(min(NUM_SHOWN, len(batch.hr_BCTHW))):
        both = frames_of_sample(config, model, vae, batch, clip)
        columns.append(np.concatenate([np.concatenate(frames, axis=1) for frames in both]))
    return np.concatenate(columns, axis=1)


def frames_of_sample(
    config: TrainConfig, model: MemoryDiT, vae: LatentVAE, batch: Batch, clip: int
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """One clip's target frames, decoded from true and from sampled latents, ``(H, W, 3)`` each."""
    index = batch.frame_index_BT[clip].tolist()
    lrs_BCTHW = (batch.lr_BCTHW, *batch.more_lr_BCTHW)
    told = config.objective.guidance if is_guidance_distilled(model) else None
    settings = SamplerSettings(
        num_steps=8,
        shift=config.objective.shift,
        guidance_scale=1.0 if told is None else told,
        autocast=config.steps.autocast,
    )
    sampled_TCHW = retrieve_latents(
        model,
        hr_TCHW=batch.hr_BCTHW[clip].transpose(0, 1).numpy(),
        lrs_TCHW=[lr[clip].transpose(0, 1).numpy() for lr in lrs_BCTHW],
        omega=index,
        text=batch.text_of(clip),
        settings=settings,
        seed=config.steps.seed,
    )
    true_TCHW = batch.target_BCTHW[clip].transpose(0, 1).float().numpy()
    true, sampled = (
        [
            decode_alone(vae, latent[None], [at])[-1]
            for latent, at in zip(latents_TCHW, index, strict=True)
        ]
        for latents_TCHW in (true_TCHW, sampled_TCHW)
    )
    return true, sampled


def card_of(config: TrainConfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoint says of where it comes from."""
    return {
        "title": row["checkpoint_id"],
        "task": config.task,
        "base_sha256": row["base_sha256"],
        "vae_sha256": row["vae_sha256"],
        "start_sha256": row["start_sha256"],
        "data_sha256": row["data_sha256"],
        "clip_ids_sha256": row["clip_ids_sha256"],
        "num_clips": row["num_clips"],
        "training_sha256": row["training_sha256"],
        "num_steps": config.steps.num_steps if row["num_clips"] else 0,
        "seed": config.steps.seed,
        "held_out_share": config.held_out_share,
        "num_text_tokens": config.num_text_tokens,
        "objective": asdict(config.objective),
    }
