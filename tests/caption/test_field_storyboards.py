"""Storyboard files as people reported them: what each becomes, as RIGHT.tsv says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from pfp.caption.validate import Rules, check_storyboard

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


def outcome(path: Path) -> str:
    """The rule that rejects a storyboard of a clip of 5 s, or what became of it."""
    found = check_storyboard(
        path.read_text(encoding="utf-8"),
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
    assert right == outcome(folder / f"{name}.storyboard.json")
