"""Names and folders of the tiny family, for those who need no network. No torch here."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from pfp.errors import WeightsError

TINY_ARMS: Final = ("proposed", "large_patchifier", "only_lr", "no_memory")
TINY_RATE: Final = "4x4x2"
TINY_TEXT_TOKENS: Final = 32  # prompts are cut or zero-padded to as many


def tiny_folder() -> Path:
    """Where the shipped weights lie: ``vae/``, ``base/`` and ``arms/<arm>/``."""
    return Path(str(resources.files("pfp.models").joinpath("weights", "tiny")))


def arm_folder(arm: str) -> Path:
    """The folder of a shipped arm."""
    folder = tiny_folder() / "arms" / arm
    if arm not in TINY_ARMS or not folder.is_dir():
        message = f"there is no tiny arm {arm!r}; choose one of {', '.join(TINY_ARMS)}"
        raise WeightsError(message)
    return folder
