"""Names and folders of the tiny family, for those who need no network. No torch here."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from pfp.errors import WeightsError

TINY_VARIANTS: Final = ("proposed", "large_patchifier", "only_lr", "no_memory")
TINY_RATE: Final = "4x4x2"
TINY_TEXT_TOKENS: Final = 32  # prompts are cut or zero-padded to as many


def tiny_folder() -> Path:
    """Where the shipped weights lie: ``vae/``, ``base/`` and ``variants/<variant>/``."""
    return Path(str(resources.files("pfp.models").joinpath("weights", "tiny")))


def variant_folder(variant: str) -> Path:
    """The folder of a shipped variant."""
    folder = tiny_folder() / "variants" / variant
    if variant not in TINY_VARIANTS or not folder.is_dir():
        message = f"there is no tiny variant {variant!r}; choose one of {', '.join(TINY_VARIANTS)}"
        raise WeightsError(message)
    return folder
