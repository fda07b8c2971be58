"""Names of the tiny family, for those who only need to know what there is. No torch here."""

from __future__ import annotations

from typing import Final

TINY_ARMS: Final = ("proposed", "large_patchifier", "only_lr", "no_memory")
TINY_RATE: Final = "4x4x2"
TINY_TEXT_TOKENS: Final = 32  # prompts are cut or zero-padded to as many
