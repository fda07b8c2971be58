"""Draws by lot the people of a clip, each unlike the others."""

from __future__ import annotations

from typing import Final

import numpy as np

from experiments.synthetic_clips.paint import Colour, Pattern
from experiments.synthetic_clips.script import Character

SKINS: Final[tuple[Colour, ...]] = (
    (255, 221, 194),
    (241, 196, 158),
    (222, 170, 128),
    (190, 132, 92),
    (143, 94, 64),
    (101, 66, 48),
)
HAIR_COLOURS: Final[dict[str, Colour]] = {
    "black": (40, 32, 36),
    "brown": (112, 70, 42),
    "red": (190, 76, 36),
    "blond": (226, 184, 100),
    "grey": (160, 160, 166),
    "auburn": (134, 52, 38),
    "purple": (112, 66, 150),
    "blue": (60, 104, 168),
}
HAIR_WEIGHTS: Final = (0.24, 0.24, 0.14, 0.16, 0.08, 0.08, 0.03, 0.03)
EYES: Final[tuple[Colour, ...]] = (
    (74, 128, 176),
    (96, 62, 40),
    (84, 136, 84),
    (122, 94, 60),
    (60, 70, 90),
)
CLOTH: Final[dict[str, Colour]] = {
    "red": (204, 56, 54),
    "blue": (56, 98, 178),
    "green": (58, 138, 86),
    "yellow": (238, 192, 72),
    "orange": (232, 126, 52),
    "purple": (126, 74, 152),
    "pink": (232, 130, 160),
    "teal": (38, 136, 140),
    "navy": (42, 56, 98),
    "brown": (126, 88, 60),
    "grey": (128, 132, 140),
    "white": (242, 238, 228),
    "black": (54, 50, 58),
}
TROUSERS: Final = ("navy", "grey", "brown", "black", "teal", "blue", "purple", "green")
PATTERNS: Final = (
    ("stripes", "striped", 0.068),
    ("pinstripes", "pinstriped", 0.034),
    ("dots", "polka-dot", 0.055),
    ("checks", "checked", 0.055),
    ("plaid", "plaid", 0.105),
    ("plain", "plain", 0.05),
)
STYLES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "woman": (
        ("long", "long straight"),
        ("wavy", "long wavy"),
        ("curly", "curly"),
        ("bun", "tied-up"),
        ("ponytail", "ponytailed"),
        ("bob", "bobbed"),
        ("short", "short"),
    ),
    "girl": (
        ("braids", "braided"),
        ("ponytail", "ponytailed"),
        ("curly", "curly"),
        ("bob", "bobbed"),
        ("long", "long straight"),
    ),
    "man": (
        ("short", "short"),
        ("buzz", "very short"),
        ("curly", "curly"),
        ("spiky", "spiky"),
        ("bald", "no"),
        ("bob", "chin-length"),
    ),
    "boy": (("short", "short"), ("spiky", "spiky"), ("curly", "curly"), ("buzz", "very short")),
}
HEIGHTS: Final = {
    "woman": (0.63, 0.68),
    "man": (0.66, 0.72),
    "girl": (0.46, 0.53),
    "boy": (0.46, 0.54),
}


def draw_cast(
    rng: np.random.Generator, num_people: int, *, stature: float
) -> tuple[Character, ...]:
    """People who differ in noun or hair, and in the colour of what they wear."""
    cast: list[Character] = []
    tops = rng.permutation([name for name in CLOTH if name not in {"white", "black", "grey"}])
    hair_names = rng.choice(list(HAIR_COLOURS), 20, p=HAIR_WEIGHTS)
    nouns = ["woman", "man", *rng.choice(["woman", "man", "girl", "boy"], 6).tolist()]
    if rng.random() < 0.5:
        nouns[0], nouns[1] = nouns[1], nouns[0]
    taken: set[tuple[str, str]] = set()
    for k in range(num_people):
        noun = nouns[k]
        styles = STYLES[noun]
        style = styles[int(rng.integers(len(styles)))]
        while (noun, style[0]) in taken:
            style = styles[int(rng.integers(len(styles)))]
        taken.add((noun, style[0]))
        cast.append(
            _character(
                rng,
                character_id=f"p{k + 1}",
                noun=noun,
                style=style,
                hair_name=str(hair_names[k]),
                top_colour=str(tops[k]),
                stature=stature,
            )
        )
    return tuple(cast)


def _character(
    rng: np.random.Generator,
    *,
    character_id: str,
    noun: str,
    style: tuple[str, str],
    hair_name: str,
    top_colour: str,
    stature: float,
) -> Character:
    adult = noun in {"woman", "man"}
    kind, kind_name, period = PATTERNS[int(rng.integers(len(PATTERNS)))]
    second = str(rng.choice(["white", "white", "black", "yellow", "navy"]))
    if second == top_colour:
        second = "white"
    top_name = f"{top_colour}" if kind == "plain" else f"{top_colour} and {second} {kind_name}"
    top_kinds = (
        ("shirt", "t-shirt", "coat")
        if noun in {"man", "boy"}
        else ("dress", "shirt", "t-shirt", "coat")
    )
    bottoms = (
        ("trousers", "skirt") if noun in {"woman", "girl"} else ("trousers", "trousers", "shorts")
    )
    bottom_colour = str(rng.choice([name for name in TROUSERS if name != top_colour]))
    bearded = noun == "man" and rng.random() < 0.55
    hatted = style[0] not in {"curly", "bun", "spiky"} and rng.random() < 0.28
    low, high = HEIGHTS[noun]
    skin = SKINS[int(rng.integers(len(SKINS)))]
    return Character(
        character_id=character_id,
        noun=noun,
        height=float(rng.uniform(low, high)) * stature,
        build=float(rng.uniform(0.9, 1.15)),
        skin=skin,
        hair_style=style[0],
        hair_name="no hair" if style[0] == "bald" else f"{style[1]} {hair_name} hair",
        hair=HAIR_COLOURS[hair_name],
        eyes=EYES[int(rng.integers(len(EYES)))],
        brow=float(rng.uniform(0.7, 1.4)),
        smile=float(rng.uniform(0.2, 1.0)),
        jaw=float(rng.uniform(0.4, 1.0) if noun == "man" else rng.uniform(0.1, 0.7)),
        beard=str(rng.choice(["beard", "moustache"])) if bearded else "none",
        glasses=str(rng.choice(["round", "square"])) if rng.random() < 0.3 else "none",
        hat=str(rng.choice(["beanie", "cap", "hat"] if adult else ["beanie", "cap"]))
        if hatted
        else "none",
        hat_colour=CLOTH[str(rng.choice(["red", "navy", "green", "brown", "yellow", "teal"]))],
        top=Pattern(kind=kind, first=CLOTH[top_colour], second=CLOTH[second], period=period),
        top_kind=str(rng.choice(top_kinds)),
        top_name=top_name,
        bottom_kind=str(rng.choice(bottoms)),
        bottom_name=bottom_colour,
        bottom=CLOTH[bottom_colour],
        shoes=CLOTH[str(rng.choice(["black", "brown", "navy", "red"]))],
        freckles=bool(rng.random() < 0.25) and sum(skin) > 500,
        earrings=noun in {"woman", "girl"} and bool(rng.random() < 0.5),
    )
