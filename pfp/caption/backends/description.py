"""Measured numbers in, plain sentences out. No guess at what is shown: every word is a number's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pfp.caption.backends.appearance import (
    COLOURS,
    LUMA_WEIGHTS,
    REGIONS,
    AppearanceStats,
    mean_appearance,
)
from pfp.caption.backends.motion import Motion

LIGHT_WORDS: Final = (
    (32, "very dark"),
    (78, "dark"),
    (150, "evenly lit"),
    (200, "bright"),
    (256, "very bright"),
)  # below this mean luma
# Differences of luma and colour are in 8-bit code values.
LOW_CONTRAST: Final = 16.0  # of luma within a frame
HIGH_CONTRAST: Final = 64.0
COLOURLESS: Final = (9.0, 0.15)  # chroma below this much and this share of the luma
MANY: Final = 0.55  # share of the frame that earns "mostly"
SOME: Final = 0.18  # share that earns a mention
REGION_DISTANCE: Final = 30.0  # between a region's mean colour and that of the rest
TONE_CODE_VALUES: Final = 12.0  # of luma that make a region brighter or darker
# Least speed in frame sizes per second, and its word.
SPEED_WORDS: Final = ((0.30, "fast"), (0.10, "steadily"), (0.03, "slowly"))
ZOOM_WORDS: Final = ((0.25, "fast"), (0.08, "steadily"), (0.03, "slowly"))  # growth per second
CHANGE_WORDS: Final = ((12.0, "strong"), (5.0, "some"), (2.0, "slight"))  # luma per sample
LIGHT_TREND_CODE_VALUES: Final = 24.0


def describe_shot(stats: AppearanceStats, motion: Motion) -> str:
    """Three sentences on a shot: light and colours, layout, movement."""
    return " ".join((_light_and_colour(stats), _layout(stats), _movement(motion)))


def describe_whole(stats: Sequence[AppearanceStats], duration_seconds: float) -> str:
    """Two sentences on a clip whose parts measure ``stats``."""
    parts = "one part" if len(stats) == 1 else f"{len(stats)} parts"
    return f"{duration_seconds:.1f} seconds in {parts}. {_light_and_colour(mean_appearance(stats))}"


def _light_and_colour(stats: AppearanceStats) -> str:
    light = next(word for limit, word in LIGHT_WORDS if stats.luma_mean < limit)
    words = [light]
    if stats.luma_std < LOW_CONTRAST:
        words.append("low-contrast")
    elif stats.luma_std > HIGH_CONTRAST:
        words.append("high-contrast")
    chroma, share = COLOURLESS
    if stats.chroma_mean < chroma and stats.chroma_mean < share * stats.luma_mean:
        words.append("colourless")
    shares = stats.colour_shares.mean(axis=(0, 1))
    order = np.argsort(-shares, kind="stable")
    first, second, third = (COLOURS[index] for index in order[:3])
    if shares[order[0]] >= MANY:
        colour = f"mostly {first}"
        extra = f" with some {second}" if shares[order[1]] >= SOME else ""
    else:
        colour, extra = f"{first} and {second}", ""
        if shares[order[2]] >= SOME:
            colour = f"{first}, {second} and {third}"
    article = "An" if words[0][0] in "aeiou" else "A"
    return f"{article} {', '.join(words)} shot, {colour}{extra}."


def _layout(stats: AppearanceStats) -> str:
    """The region whose mean colour differs most from that of the rest of the frame."""
    regions = [(_distinctness(stats, name), name) for name in REGIONS]
    distance, name = max(regions, key=lambda region: region[0])
    if distance < REGION_DISTANCE:
        return "Light and colour are spread evenly over the picture."
    inside = REGIONS[name]
    difference = stats.cell_colours[inside].mean(axis=0) - stats.cell_colours[~inside].mean(axis=0)
    light = float(difference @ LUMA_WEIGHTS)
    colour = COLOURS[int(stats.colour_shares[inside].mean(axis=0).argmax())]
    tone = ""
    if abs(light) >= TONE_CODE_VALUES and colour not in {"black", "white"}:
        tone = "brighter " if light > 0 else "darker "
    size = "large" if inside.sum() > 1 else "small"
    return f"A {size} {tone}{colour} area lies {name}."


def _distinctness(stats: AppearanceStats, name: str) -> float:
    """8-bit code values per colour channel between a region and the rest."""
    inside = REGIONS[name]
    difference = stats.cell_colours[inside].mean(axis=0) - stats.cell_colours[~inside].mean(axis=0)
    return float(np.sqrt(np.mean(difference**2)))


def _movement(motion: Motion) -> str:
    sentences = []
    speed = _pace(max(abs(motion.right), abs(motion.down)), SPEED_WORDS)
    zoom = _pace(abs(motion.zoom), ZOOM_WORDS)
    if speed is not None:
        sentences.append(f"The whole picture moves {speed} {_direction(motion)}")
    if zoom is not None:
        sentences.append(f"the view {'closes in' if motion.zoom > 0 else 'draws back'} {zoom}")
    strength = _pace(motion.residual_code_values, CHANGE_WORDS)
    if strength is not None:
        where = f"mostly {motion.busiest}" if motion.busiest else "all over the picture"
        sentences.append(f"there is {strength} movement {where}")
    if not sentences:
        sentences.append("nothing moves")
    if abs(motion.light_trend) >= LIGHT_TREND_CODE_VALUES:
        sentences.append(f"it gets {'brighter' if motion.light_trend > 0 else 'darker'}")
    text = ", and ".join(sentences)
    return f"{text[0].upper()}{text[1:]}."


def _pace(speed: float, table: tuple[tuple[float, str], ...]) -> str | None:
    return next((word for limit, word in table if speed >= limit), None)


def _direction(motion: Motion) -> str:
    across = abs(motion.right) >= 0.5 * abs(motion.down)
    along = abs(motion.down) >= 0.5 * abs(motion.right)
    words = []
    if along:
        words.append("down" if motion.down > 0 else "up")
    if across:
        words.append("to the right" if motion.right > 0 else "to the left")
    return " and ".join(words)
