"""The fixed objects of a place: how each kind is drawn and how much room it takes.

Prop units: a floor prop stands on y = 0 and is 1 high; a wall prop is 1 high around (0, 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from experiments.synthetic_clips.paint import Pen
from experiments.synthetic_clips.script import Prop
from experiments.synthetic_clips.things_indoors import (
    draw_bookcase,
    draw_boxes,
    draw_counter,
    draw_fridge,
    draw_lamp,
    draw_plant,
    draw_plinth,
    draw_sofa,
    draw_table,
)
from experiments.synthetic_clips.things_on_walls import (
    draw_arrivals,
    draw_clock,
    draw_menu,
    draw_painting,
    draw_pendant,
    draw_poster,
    draw_shelf,
    draw_sign,
    draw_window,
)
from experiments.synthetic_clips.things_outdoors import (
    draw_bench,
    draw_bicycle,
    draw_bush,
    draw_car,
    draw_door,
    draw_hut,
    draw_mailbox,
    draw_palm,
    draw_parasol,
    draw_shopfront,
    draw_signpost,
    draw_streetlamp,
    draw_tree,
    draw_vending,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """How a kind of prop is drawn and how much room it takes, in prop units."""

    draw: Callable[[Pen, Prop, float], None]  # the last is the width of an outline
    half_width: float
    on_wall: bool
    bottom: float = 0.04


THINGS: Final[dict[str, Thing]] = {
    "window": Thing(draw=draw_window, half_width=0.62, on_wall=True, bottom=0.6),
    "poster": Thing(draw=draw_poster, half_width=0.42, on_wall=True, bottom=0.55),
    "sign": Thing(draw=draw_sign, half_width=1.85, on_wall=True, bottom=0.6),
    "menu": Thing(draw=draw_menu, half_width=0.5, on_wall=True, bottom=0.55),
    "clock": Thing(draw=draw_clock, half_width=0.55, on_wall=True, bottom=0.55),
    "painting": Thing(draw=draw_painting, half_width=0.68, on_wall=True, bottom=0.75),
    "shelf": Thing(draw=draw_shelf, half_width=1.12, on_wall=True, bottom=0.55),
    "pendant": Thing(draw=draw_pendant, half_width=1.6, on_wall=True, bottom=2.0),
    "arrivals": Thing(draw=draw_arrivals, half_width=1.36, on_wall=True, bottom=0.56),
    "plant": Thing(draw=draw_plant, half_width=0.62, on_wall=False),
    "lamp": Thing(draw=draw_lamp, half_width=0.6, on_wall=False),
    "sofa": Thing(draw=draw_sofa, half_width=1.25, on_wall=False),
    "bookcase": Thing(draw=draw_bookcase, half_width=0.46, on_wall=False),
    "table": Thing(draw=draw_table, half_width=0.8, on_wall=False),
    "fridge": Thing(draw=draw_fridge, half_width=0.3, on_wall=False),
    "counter": Thing(draw=draw_counter, half_width=1.28, on_wall=False),
    "plinth": Thing(draw=draw_plinth, half_width=0.3, on_wall=False),
    "boxes": Thing(draw=draw_boxes, half_width=0.66, on_wall=False),
    "tree": Thing(draw=draw_tree, half_width=0.5, on_wall=False),
    "bush": Thing(draw=draw_bush, half_width=1.1, on_wall=False),
    "bench": Thing(draw=draw_bench, half_width=1.2, on_wall=False),
    "streetlamp": Thing(draw=draw_streetlamp, half_width=0.18, on_wall=False),
    "door": Thing(draw=draw_door, half_width=0.3, on_wall=False),
    "shopfront": Thing(draw=draw_shopfront, half_width=0.84, on_wall=False),
    "bicycle": Thing(draw=draw_bicycle, half_width=0.96, on_wall=False),
    "mailbox": Thing(draw=draw_mailbox, half_width=0.26, on_wall=False),
    "car": Thing(draw=draw_car, half_width=1.2, on_wall=False),
    "palm": Thing(draw=draw_palm, half_width=0.5, on_wall=False),
    "parasol": Thing(draw=draw_parasol, half_width=0.7, on_wall=False),
    "hut": Thing(draw=draw_hut, half_width=0.54, on_wall=False),
    "vending": Thing(draw=draw_vending, half_width=0.32, on_wall=False),
    "signpost": Thing(draw=draw_signpost, half_width=0.7, on_wall=False),
}


def prop_box(prop: Prop) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a prop in scene units, without its soft glow."""
    thing = THINGS[prop.kind]
    reach = min(thing.half_width, 0.5) if prop.kind in {"pendant", "lamp"} else thing.half_width
    half = reach * prop.size
    if thing.on_wall:
        return prop.x - half, prop.y - 0.5 * prop.size, prop.x + half, prop.y + 0.5 * prop.size
    return prop.x - half, prop.y - prop.size, prop.x + half, prop.y


def draw_prop(prop: Prop, *, pixels_per_unit: float) -> tuple[Pen, float, float]:
    """The painted prop, and the scene position of its canvas' upper left corner."""
    thing = THINGS[prop.kind]
    top = -3.0 if prop.kind == "pendant" else (-0.95 if thing.on_wall else -1.25)
    scale = pixels_per_unit * prop.size
    pen = Pen(-thing.half_width, top, thing.half_width, thing.bottom, pixels_per_unit=scale)
    thing.draw(pen, prop, 0.0028 / prop.size)
    return pen, prop.x - thing.half_width * prop.size, prop.y + top * prop.size
