"""What a row of a table is for: a ranked method, a control, or the upper bound of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

Role: TypeAlias = Literal["ranked", "control", "upper_bound"]

ROLES: Final[tuple[Role, ...]] = ("ranked", "control", "upper_bound")  # in the order of the table

VAE_RECONSTRUCTION: Final = "VAE reconstruction (upper bound)"  # as records and tables name it
SHUFFLED_MEMORY: Final = "shuffled memory"
FOCUS_PREFIX: Final = "proposed"

# The methods of the paper's Table 1 and the controls around them, by how their names begin.
EXPLANATIONS: Final = {
    "proposed": "memory encoder with a low- and a high-resolution branch",
    "large_patchifier": "memory from an enlarged patch projection, no encoder",
    "only_lr": "low-resolution branch alone",
    "without_lr": "high-resolution branch alone",
    "no_memory": "the model sees no history at all",
    SHUFFLED_MEMORY: "the proposed method, given another clip's memory",
    VAE_RECONSTRUCTION: "the true frames, encoded and decoded by the video VAE",
}


def role_of(method: str) -> Role:
    """Whether a method is ranked, or stands apart as a control or an upper bound."""
    if method == VAE_RECONSTRUCTION:
        return "upper_bound"
    return "control" if method == SHUFFLED_MEMORY else "ranked"


def explanation_of(method: str) -> str:
    """One line on what a method is; empty for methods that pfp does not know."""
    return next((text for name, text in EXPLANATIONS.items() if method.startswith(name)), "")


def focus_of(methods: Sequence[str]) -> str | None:
    """The method that others are compared with: the first proposed one, else the first ranked."""
    ranked = [method for method in methods if role_of(method) == "ranked"]
    proposed = [method for method in ranked if method.startswith(FOCUS_PREFIX)]
    return next(iter(sorted(proposed) + ranked), None)
