"""Draws by lot the places of a clip: rooms, streets, parks, each with its own things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from experiments.synthetic_clips.cast import CLOTH
from experiments.synthetic_clips.paint import Colour
from experiments.synthetic_clips.script import Place, Prop
from experiments.synthetic_clips.things import THINGS

# Words that posters, signs and labels may say.
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "poster": (
        "JAZZ",
        "CIRCUS",
        "CAFE",
        "SUMMER",
        "MOON",
        "TRAVEL",
        "OPERA",
        "RADIO",
        "ALPS",
        "TEA",
    ),
    "menu": ("TODAY", "MENU", "LUNCH", "SPECIALS"),
    "painting": ("DAWN", "NO. 7", "THE LAKE", "GARDEN", "MEMORY", "RIVER"),
    "bookcase": ("BIRDS", "MAPS", "TALES", "STARS", "POEMS"),
    "fridge": ("LIST", "MILK", "EGGS"),
    "plinth": ("VASE", "CA. 1820", "CLAY"),
    "boxes": ("FRAGILE", "BOOKS", "TOYS"),
    "shopfront": ("BAKERY", "BOOK SHOP", "FLOWERS", "RECORDS", "TOY STORE", "TEA HOUSE"),
    "door": ("7", "12", "31", "48"),
    "mailbox": ("POST", "MAIL"),
    "hut": ("ICE CREAM", "SURF", "LEMONADE"),
    "vending": ("DRINKS", "SNACKS"),
    "arrivals": ("DEPARTURES", "ARRIVALS"),
}
SIGN_WORDS: Final[dict[str, tuple[str, ...]]] = {  # by kind of place
    "cafe": ("GOOD COFFEE", "OPEN LATE", "FRESH CAKE"),
    "library": ("QUIET PLEASE", "READING ROOM", "NEW BOOKS"),
    "gallery": ("GALLERY 3", "MODERN ART", "NO PHOTOS"),
    "street": ("OLD TOWN", "HOTEL", "ONE WAY"),
    "station": ("PLATFORM 2", "EXIT", "TICKETS"),
    "park": ("LAKE 2 KM", "ROSE GARDEN", "NO DOGS", "ZOO"),
    "beach": ("WEST BEACH", "NO FISHING", "PIER"),
}
NAMES: Final[dict[str, str]] = {
    "poster": "a poster that reads {text}",
    "sign": "a sign that reads {text}",
    "menu": "a chalkboard headed {text}",
    "painting": "a framed painting labelled {text}",
    "bookcase": "a bookcase with a book titled {text}",
    "fridge": "a fridge with a note",
    "plinth": "a vase labelled {text}",
    "boxes": "a stack of boxes marked {text}",
    "shopfront": "a shop with a sign that reads {text}",
    "door": "a {colour} door",
    "mailbox": "a {colour} mailbox",
    "hut": "a hut with a sign that reads {text}",
    "vending": "a vending machine",
    "signpost": "a wooden sign that reads {text}",
    "arrivals": "a departure board",
    "window": "a window with {colour} curtains",
    "clock": "a wall clock",
    "shelf": "a shelf with cups and jars",
    "pendant": "a hanging lamp",
    "plant": "a potted plant",
    "lamp": "a floor lamp",
    "sofa": "a {colour} sofa",
    "table": "a table with a {colour} cloth",
    "counter": "a kitchen counter with a teapot",
    "tree": "a tree",
    "bush": "a bush with flowers",
    "bench": "a bench",
    "streetlamp": "a street lamp",
    "bicycle": "a {colour} bicycle",
    "car": "a parked {colour} car",
    "palm": "a palm tree",
    "parasol": "a {colour} parasol",
}
# Height of each thing in scene units; wall things also have a height on the wall.
SIZES: Final[dict[str, float]] = {
    "window": 0.34,
    "poster": 0.26,
    "sign": 0.115,
    "menu": 0.30,
    "clock": 0.13,
    "painting": 0.22,
    "shelf": 0.15,
    "pendant": 0.12,
    "arrivals": 0.17,
    "plant": 0.34,
    "lamp": 0.56,
    "sofa": 0.27,
    "bookcase": 0.60,
    "table": 0.25,
    "fridge": 0.56,
    "counter": 0.28,
    "plinth": 0.42,
    "boxes": 0.26,
    "tree": 0.72,
    "bush": 0.20,
    "bench": 0.22,
    "streetlamp": 0.78,
    "door": 0.58,
    "shopfront": 0.60,
    "bicycle": 0.26,
    "mailbox": 0.30,
    "car": 0.30,
    "palm": 0.70,
    "parasol": 0.44,
    "hut": 0.56,
    "vending": 0.56,
    "signpost": 0.26,
}
WALL_HEIGHTS: Final[dict[str, float]] = {
    "window": 0.34,
    "poster": 0.32,
    "sign": 0.17,
    "menu": 0.33,
    "clock": 0.15,
    "painting": 0.33,
    "shelf": 0.26,
    "pendant": 0.14,
    "arrivals": 0.18,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a kind of place is made of."""

    name: str
    wall: tuple[str, ...]
    walls: tuple[tuple[Colour, Colour], ...]
    floor: str
    floors: tuple[tuple[Colour, Colour], ...]
    outdoors: bool
    on_wall: tuple[str, ...]
    on_floor: tuple[str, ...]
    must: tuple[str, ...]
    light: Colour = (255, 252, 244)


_WARM_WALLS: Final = (
    ((232, 214, 176), (150, 106, 74)),
    ((204, 218, 206), (96, 116, 104)),
    ((224, 190, 178), (136, 84, 76)),
    ((186, 206, 222), (84, 104, 128)),
    ((238, 226, 200), (120, 132, 150)),
)
_PAPERS: Final = (
    ((92, 124, 134), (206, 206, 176)),
    ((164, 74, 82), (234, 196, 174)),
    ((242, 224, 186), (196, 116, 96)),
    ((196, 210, 186), (98, 132, 100)),
    ((74, 82, 124), (196, 180, 206)),
    ((238, 206, 126), (204, 138, 60)),
)
_WOODS: Final = (
    ((176, 126, 78), (0, 0, 0)),
    ((142, 96, 62), (0, 0, 0)),
    ((204, 164, 114), (0, 0, 0)),
)
_CHEQUERS: Final = (
    ((226, 216, 196), (124, 92, 82)),
    ((224, 228, 226), (70, 92, 110)),
    ((220, 210, 190), (90, 112, 92)),
)
_STONES: Final = (
    ((160, 154, 146), (0, 0, 0)),
    ((178, 164, 142), (0, 0, 0)),
    ((140, 144, 152), (0, 0, 0)),
)
_BRICKS: Final = (
    ((176, 88, 66), (120, 60, 50)),
    ((150, 76, 62), (100, 60, 50)),
    ((196, 150, 110), (110, 84, 70)),
    ((128, 96, 92), (90, 70, 70)),
)
_SKIES: Final = (
    ((74, 134, 214), (206, 228, 242)),
    ((104, 150, 208), (244, 226, 200)),
    ((92, 112, 176), (248, 196, 150)),
)
KINDS: Final[dict[str, _Kind]] = {
    "living_room": _Kind(
        name="a living room with patterned wallpaper",
        wall=("wallpaper",),
        walls=_PAPERS,
        floor="planks",
        floors=_WOODS,
        outdoors=False,
        on_wall=("window", "painting", "poster", "clock", "shelf"),
        on_floor=("plant", "lamp", "bookcase", "boxes"),
        must=("sofa", "window"),
        light=(255, 246, 228),
    ),
    "cafe": _Kind(
        name="a cafe with a {wall} wall",
        wall=("brick", "plaster", "panelling"),
        walls=_BRICKS,
        floor="tiles",
        floors=_CHEQUERS,
        outdoors=False,
        on_wall=("poster", "window", "clock", "shelf", "pendant"),
        on_floor=("table", "plant", "counter"),
        must=("sign", "table", "menu"),
        light=(255, 240, 216),
    ),
    "kitchen": _Kind(
        name="a tiled kitchen",
        wall=("tiles",),
        walls=(
            ((232, 236, 230), (76, 146, 156)),
            ((240, 230, 206), (206, 120, 70)),
            ((206, 222, 228), (70, 96, 150)),
        ),
        floor="planks",
        floors=_WOODS,
        outdoors=False,
        on_wall=("window", "shelf", "clock", "pendant", "poster"),
        on_floor=("table", "plant", "boxes"),
        must=("fridge", "counter", "shelf"),
    ),
    "library": _Kind(
        name="a wood-panelled library",
        wall=("panelling",),
        walls=(((150, 104, 68), (90, 60, 44)), ((116, 82, 62), (70, 50, 40))),
        floor="planks",
        floors=_WOODS,
        outdoors=False,
        on_wall=("painting", "clock", "sign", "pendant"),
        on_floor=("bookcase", "lamp", "bookcase", "plant", "table"),
        must=("bookcase", "bookcase", "sign"),
        light=(255, 238, 210),
    ),
    "gallery": _Kind(
        name="a bright gallery",
        wall=("plaster",),
        walls=(((238, 234, 226), (180, 176, 170)), ((206, 214, 220), (150, 156, 164))),
        floor="planks",
        floors=_WOODS,
        outdoors=False,
        on_wall=("painting", "painting", "window", "painting"),
        on_floor=("plinth", "bench", "plant"),
        must=("painting", "plinth", "sign"),
    ),
    "street": _Kind(
        name="a street with a brick wall",
        wall=("brick",),
        walls=_BRICKS,
        floor="pavement",
        floors=_STONES,
        outdoors=True,
        on_wall=("poster", "window", "poster", "sign"),
        on_floor=("bicycle", "mailbox", "tree", "plant", "bench", "boxes"),
        must=("shopfront", "door", "streetlamp"),
        light=(250, 250, 255),
    ),
    "park": _Kind(
        name="a green park below wooded hills",
        wall=("hills",),
        walls=_SKIES,
        floor="grass",
        floors=(((104, 164, 70), (0, 0, 0)), ((128, 168, 76), (0, 0, 0))),
        outdoors=True,
        on_wall=(),
        on_floor=("tree", "bush", "bench", "streetlamp", "tree", "bush", "bicycle"),
        must=("tree", "bench", "signpost"),
        light=(255, 252, 240),
    ),
    "beach": _Kind(
        name="a sandy beach by the sea",
        wall=("sea",),
        walls=_SKIES,
        floor="sand",
        floors=(((232, 208, 158), (0, 0, 0)), ((238, 218, 178), (0, 0, 0))),
        outdoors=True,
        on_wall=(),
        on_floor=("palm", "parasol", "palm", "boxes", "parasol", "signpost"),
        must=("hut", "parasol", "palm"),
        light=(255, 250, 236),
    ),
    "station": _Kind(
        name="a railway station with tiled walls",
        wall=("tiles",),
        walls=(
            ((214, 222, 214), (52, 108, 90)),
            ((226, 220, 200), (156, 70, 56)),
            ((204, 214, 226), (60, 84, 130)),
        ),
        floor="pavement",
        floors=_STONES,
        outdoors=False,
        on_wall=("poster", "clock", "poster", "sign"),
        on_floor=("bench", "vending", "boxes", "plant", "bicycle"),
        must=("arrivals", "bench", "vending"),
        light=(244, 250, 255),
    ),
}


def draw_places(
    rng: np.random.Generator, num_places: int, *, width: float, home_kind: str
) -> tuple[Place, ...]:
    """That many places of different kinds, the first of the kind asked for."""
    others = rng.permutation([kind for kind in KINDS if kind != home_kind])
    kinds = [home_kind, *others[: num_places - 1]]
    return tuple(_place(rng, f"place{k + 1}", str(kind), width) for k, kind in enumerate(kinds))


def _place(rng: np.random.Generator, place_id: str, kind_name: str, width: float) -> Place:
    kind = KINDS[kind_name]
    wall = str(rng.choice(kind.wall))
    palette = _WARM_WALLS if kind_name == "cafe" and wall == "plaster" else kind.walls
    walls = palette[int(rng.integers(len(palette)))]
    floors = kind.floors[int(rng.integers(len(kind.floors)))]
    horizon = float(rng.uniform(0.735, 0.775))
    wall_name = {"panelling": "wood-panelled", "plaster": "plastered"}.get(wall, wall)
    return Place(
        place_id=place_id,
        kind=kind_name,
        name=kind.name.format(wall=wall_name),
        width=width,
        horizon=horizon,
        wall=wall,
        wall_colours=walls,
        floor=kind.floor,
        floor_colours=floors,
        light=kind.light,
        outdoors=kind.outdoors,
        props=_furnish(rng, kind_name, width, horizon),
        seed=int(rng.integers(1, 2**31)),
    )


def _furnish(
    rng: np.random.Generator, kind_name: str, width: float, horizon: float
) -> tuple[Prop, ...]:
    """Fill the floor from left to right, then the free stretches of wall."""
    kind = KINDS[kind_name]
    words = {key: rng.permutation(options).tolist() for key, options in WORDS.items()}
    for key in ("sign", "signpost"):
        words[key] = rng.permutation(SIGN_WORDS.get(kind_name, ("WELCOME",))).tolist()
    musts = [name for name in kind.must if not THINGS[name].on_wall]
    extras = rng.permutation(kind.on_floor).tolist()
    standing = _line_up(rng, musts, extras, width)
    floor = [
        _prop(rng, n, x, horizon + float(rng.uniform(0.012, 0.03)), words) for n, x in standing
    ]
    names = [name for name in kind.must if THINGS[name].on_wall]
    names += rng.permutation(kind.on_wall).tolist() if kind.on_wall else []
    return (*_hang(rng, names, width, floor, words), *floor)


def _line_up(
    rng: np.random.Generator, musts: Sequence[str], extras: Sequence[str], width: float
) -> list[tuple[str, float]]:
    """Names with x positions so that nothing overlaps; what must be there finds room first."""
    gap = 0.06
    chosen: list[str] = []
    room = width - 0.05
    for name in (*musts, *extras):
        need = 2 * THINGS[name].half_width * SIZES[name] + gap
        if need <= room:
            chosen.append(name)
            room -= need + float(rng.uniform(0.0, 0.10))
    order = [str(name) for name in rng.permutation(chosen)]
    slack = max(0.0, room) / (len(order) + 1)
    placed, x = [], 0.03
    for name in order:
        half = THINGS[name].half_width * SIZES[name]
        x += slack * float(rng.uniform(0.6, 1.2)) + gap / 2
        placed.append((name, min(x + half, width - half)))
        x += 2 * half + gap / 2
    return placed


def _hang(
    rng: np.random.Generator,
    names: Sequence[str],
    width: float,
    floor: Sequence[Prop],
    words: dict[str, list[str]],
) -> list[Prop]:
    """Hang things where no tall piece of furniture hides them."""
    taken = [
        (
            p.x - THINGS[p.kind].half_width * p.size * 0.9,
            p.x + THINGS[p.kind].half_width * p.size * 0.9,
        )
        for p in floor
        if p.size > 0.36
    ]
    hung: list[Prop] = []
    for name in names:
        half = THINGS[name].half_width * SIZES[name] * (0.4 if name == "pendant" else 1.0)
        for _ in range(12):
            x = float(rng.uniform(half + 0.02, width - half - 0.02))
            if all(x + half + 0.03 < left or x - half - 0.03 > right for left, right in taken):
                y = WALL_HEIGHTS[name] + float(rng.uniform(-0.02, 0.03))
                hung.append(_prop(rng, name, x, y, words))
                taken.append((x - half, x + half))
                break
    return hung


def _prop(
    rng: np.random.Generator, kind: str, x: float, y: float, words: dict[str, list[str]]
) -> Prop:
    text = words[kind].pop() if words.get(kind) else None
    colours = rng.choice(
        [name for name in CLOTH if name not in {"white", "black", "grey"}], 2, replace=False
    )
    name = NAMES[kind].format(text=text, colour=colours[0])
    if "{text}" in NAMES[kind] and text is None:
        name = NAMES[kind].format(text="", colour=colours[0]).rsplit(" ", 2)[0]
    return Prop(
        kind=kind,
        name=_with_article(name),
        x=x,
        y=y,
        size=SIZES[kind] * float(rng.uniform(0.95, 1.08)),
        first=CLOTH[str(colours[0])],
        second=CLOTH[str(colours[1])],
        seed=int(rng.integers(1, 2**31)),
        text=text,
    )


def _with_article(name: str) -> str:
    """The name with the right article: "an orange door"."""
    return f"an {name[2:]}" if name.startswith("a ") and name[2] in "aeio" else name
