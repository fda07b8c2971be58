"""A training of ``test_ranks`` by one of several processes; writes what it ended with.

Arguments: ``copied`` or ``sharded``, the folder of the state, the file for the weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from safetensors.torch import save_file

from pfp.models.memory.checkpoint import own_weights
from pfp.train.loop import TrainSettings, batches_by_step, train
from pfp.train.objective import Denoising
from pfp.train.settings import Objective
from pfp.train.sharding import shard
from tests.train.small_training import batch_at, tiny_model

SETTINGS = TrainSettings(
    num_steps=4, warmup_steps=2, save_every_steps=2, autocast=False, ema_decay=0.9
)


def main(way: str, folder: str, out: str) -> None:
    """Train to the end, going on from the state if there is one."""
    accelerator = Accelerator(cpu=True)
    model = tiny_model()
    denoising = Denoising(model, Objective())
    if way == "sharded":
        shard(denoising, device_type="cpu", num_ranks=accelerator.num_processes)
    reports = []
    trained = train(
        denoising,
        batches_by_step(batch_at, 0),
        SETTINGS,
        Path(folder),
        report=lambda done: reports.append([done.loss, done.grad_norm]),
        accelerator=accelerator,
        sharded=way == "sharded",
    )
    weights = {**own_weights(model)}
    weights |= {f"average {name}": x for name, x in trained.whole_averages().items()}
    if accelerator.is_main_process:
        save_file({name: x.detach().contiguous() for name, x in weights.items()}, out)
        told = {"first_step": trained.first_step, "reports": reports}
        Path(out).with_suffix(".json").write_text(json.dumps(told))
    accelerator.end_training()


if __name__ == "__main__":
    main(*sys.argv[1:])
