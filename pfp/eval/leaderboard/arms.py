"""What an arm is for: a method, a control, or the ceiling that no method can pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

Role: TypeAlias = Literal["method", "control", "ceiling"]

ROLES: Final[tuple[Role, ...]] = ("method", "control", "ceiling")  # in the order of the table

CEILING: Final = "codec ceiling"
SHUFFLED: Final = "shuffled memory"
FOCUS_PREFIX: Final = "proposed"

# The arms of the paper's Table 1 and the controls around them, by how their names begin.
EXPLANATIONS: Final = {
    "proposed": "memory encoder with a low- and a high-resolution branch",
    "large_patchifier": "memory from an enlarged patch projection, no encoder",
    "only_lr": "low-resolution branch alone",
    "without_lr": "high-resolution branch alone",
    "no_memory": "the model sees no history at all",
    SHUFFLED: "the proposed arm, given another clip's memory",
    CEILING: "the true frames, encoded and decoded by the video VAE",
}


def role_of(arm: str) -> Role:
    """Whether an arm is compared as a method, or stands apart as a control or a ceiling."""
    if arm == CEILING:
        return "ceiling"
    return "control" if arm == SHUFFLED else "method"


def explanation_of(arm: str) -> str:
    """One line on what an arm is; empty for arms that pfp does not know."""
    return next((text for name, text in EXPLANATIONS.items() if arm.startswith(name)), "")


def focus_of(arms: Sequence[str]) -> str | None:
    """The arm that all others are compared with: the first proposed one, else the first method."""
    methods = [arm for arm in arms if role_of(arm) == "method"]
    proposed = [arm for arm in methods if arm.startswith(FOCUS_PREFIX)]
    return next(iter(sorted(proposed) + methods), None)
