"""Turns a training's state into a checkpoint: what lies on the disk is enough, without the base."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from pfp.errors import WeightsError
from pfp.models.memory.checkpoint import (
    CARD_FILE,
    CONFIG_FILE,
    EMA_FOLDER,
    read_description,
    save_weights,
)
from pfp.train.folders import appearing_whole
from pfp.train.state import alone_is_fine, newest_state

_PARTS: Final = ("model", "averaged")


def export_state(state: Path, folder: Path) -> None:
    """Write a state as a checkpoint in ``folder``, which appears whole or not at all.

    ``state`` is a training's folder, whose newest state is taken, or one of its states. However
    many processes wrote it, one reads it, and needs no more memory than what is trained takes,
    twice with averages. Raises WeightsError for what is no state or cannot be read. Torch's format
    has a pickle in it: open states of your own only.
    """
    path = newest_state(state)
    if path is None:
        raise WeightsError(
            f"{state} holds no state of a training; name a run's checkpoints/.state-* folder"
        )
    read_description(path)
    weights, averages = read_weights(path)
    with appearing_whole(folder) as aside:
        _write(path, aside, weights)
        if averages:
            _write(path, aside / EMA_FOLDER, {**weights, **averages})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a state, and the averages of some or none of them, by their names."""
    try:
        stored = FileSystemReader(path).read_metadata().state_dict_metadata
        tensors = {
            name: torch.empty(each.size, dtype=each.properties.dtype)
            for name, each in stored.items()
            if isinstance(each, TensorStorageMetadata) and name.split(".")[0] in _PARTS
        }
        with alone_is_fine():
            load(tensors, checkpoint_id=path, no_dist=True)
    except (CheckpointException, OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{path} cannot be read ({error}); if its training still runs, a newer state has taken "
            "its place: run the command again"
        ) from error
    weights, averages = (
        {
            name.removeprefix(f"{part}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{part}.")
        }
        for part in _PARTS
    )
    return weights, averages


def _write(state: Path, folder: Path, weights: dict[str, Tensor]) -> None:
    save_weights(folder, torch.float32, weights)
    for name in (CONFIG_FILE, CARD_FILE):
        shutil.copyfile(state / name, folder / name)
