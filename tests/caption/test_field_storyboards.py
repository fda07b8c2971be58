"""Storyboard files as people reported them: what each becomes, as RIGHT.tsv says.

Drawn ones of all kinds, always; the reported ones where they lie beside the checkout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from pfp.caption.validate import Rules, check_storyboard
from tests.hostile_files import COLLECTED, STORYBOARDS, storyboard

# Rejected by a rule of that name; or kept, with what was done to it or noticed in it.
RIGHT: Final = {
    "chinese_loop": "caption_loop",
    "comma_loop": "caption_loop",
    "cut_mid_sentence": "caption_cut_off",
    "dots": "caption_empty",
    "json_in_caption": "repaired",
    "mojibake": "repaired",
    "not_available": "caption_empty",
    "refusal_late": "caption_refusal",
    "think_tags": "repaired",
    "timestamps_in_caption": "caption_times",
    "word_loop": "caption_loop",
}


@pytest.fixture(scope="module")
def folder(shared_clips: Path) -> Path:
    """The storyboards; skips where they are absent."""
    folder = shared_clips / "field" / "storyboards"
    if not folder.is_dir():
        pytest.skip("the field storyboards do not lie beside this checkout")
    return folder


def outcome(text: str) -> str:
    """The rule that rejects a storyboard of a clip of 5 s, or what became of it."""
    found = check_storyboard(
        text,
        spans=[],
        start_seconds=0.0,
        end_seconds=5.0,
        rules=Rules(),
    )
    if found.violations:
        return found.violations[0].rule
    return "noticed" if found.notices else "repaired" if found.repair_ops else "kept"


def test_every_storyboard_has_an_expectation(folder: Path) -> None:
    """A new one fails here; ``twice`` is about two videos, as ``test_sidecar.py`` is."""
    names = {path.name.removesuffix(".storyboard.json") for path in folder.glob("*.json")}

    assert {*RIGHT, "twice"} == names


@pytest.mark.parametrize(("name", "right"), RIGHT.items())
def test_a_field_storyboard_is_rejected_or_mended(folder: Path, name: str, right: str) -> None:
    """None is kept as it is."""
    assert right == outcome((folder / f"{name}.storyboard.json").read_text(encoding="utf-8"))


def test_every_kind_of_storyboard_is_drawn() -> None:
    """All 11, so that no checkout goes without, and with the same outcome."""
    kinds = {name: COLLECTED[f"field/storyboards/{name}.storyboard.json"] for name in RIGHT}

    assert RIGHT == {name: STORYBOARDS[kind][1] for name, kind in kinds.items()}
    assert 11 == len(set(kinds.values()))


@pytest.mark.parametrize("name", STORYBOARDS)
def test_a_drawn_storyboard_is_rejected_or_mended(name: str) -> None:
    """By the rule that names what is wrong."""
    caption, right = STORYBOARDS[name]

    assert right == outcome(storyboard(caption))


def test_a_plain_storyboard_is_kept() -> None:
    """What surrounds the captions of the others is no reason."""
    assert "kept" == outcome(storyboard("A red disc moves over a soft wall."))
