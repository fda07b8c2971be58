"""Writes what was trained as a checkpoint's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from pfp.models.memory.checkpoint import EMA_FOLDER, own_weights
from pfp.models.memory.dit import MemoryDiT
from pfp.train.folders import appearing_whole
from pfp.train.loop import Trained


def save_checkpoint(
    folder: Path,
    model: MemoryDiT,
    accelerator: Accelerator,
    trained: Trained | None,
    card: Mapping[str, Any],
) -> None:
    """Write the weights, and the averages beside them; the folder appears whole or not at all.

    To be called on every process, because weights may lie in parts on all of them. ``trained`` None
    is for a model as it starts; ``card`` goes into its config.json.
    """
    weights = own_weights(model)
    averaged = trained.whole_averages() if trained else {}
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    with appearing_whole(folder) as aside:
        model.save_pretrained(aside, card=card, weights=weights)
        if averaged:
            model.save_pretrained(aside / EMA_FOLDER, card=card, weights={**weights, **averaged})
