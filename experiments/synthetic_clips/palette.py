"""Colours that many things share, and the lot that each thing draws its details by."""

from __future__ import annotations

from typing import Final

import numpy as np

from experiments.synthetic_clips.paint import Colour
from experiments.synthetic_clips.script import Prop

INK: Final[Colour] = (44, 34, 40)
PAPER: Final[Colour] = (246, 240, 226)
WOOD: Final[Colour] = (140, 92, 56)
LEAF: Final[Colour] = (72, 138, 66)
GLASS: Final[Colour] = (176, 214, 232)
BINDINGS: Final[tuple[Colour, ...]] = (
    (206, 170, 92),
    (64, 92, 120),
    (150, 60, 58),
    (92, 120, 84),
)


def prop_rng(prop: Prop) -> np.random.Generator:
    """The same details each time the thing is drawn."""
    return np.random.default_rng((prop.seed, 17))
