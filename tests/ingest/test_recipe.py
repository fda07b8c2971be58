"""Recipes: what a YAML file may say, and what the message is when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.errors import ConfigError
from pfp.ingest.recipe import load_recipe, parse_recipe, shipped_recipes

AVOID = "avoid: {max_black: 1, max_uniform: 1, max_frozen: 1, max_damaged: 0}"
LENGTHS = "min_seconds: 1, max_seconds: 2, overlap_seconds: 0, max_per_video: 3"


def test_the_shipped_recipes_load_by_name() -> None:
    """And carry the name of their file."""
    assert ["demo", "full", "small"] == shipped_recipes()
    assert shipped_recipes() == [load_recipe(name).name for name in shipped_recipes()]


def test_filters_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """It decides which reason is told."""
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nfilters:\n  hdr: {}\n  black: {max_fraction: 0.2}\n")

    recipe = load_recipe(str(path))

    assert ["hdr", "black"] == list(recipe.filters)
    assert recipe.near_duplicates is None


def test_the_digest_follows_thresholds_not_spelling() -> None:
    """0.5 and 0.50 are one recipe, 0.5 and 0.6 are two."""
    recipes = [
        parse_recipe({"name": "x", "filters": {"black": {"max_fraction": value}}}, "x")
        for value in (0.5, 0.50, 0.6)
    ]

    assert recipes[0].sha256 == recipes[1].sha256 != recipes[2].sha256


def test_a_recipe_survives_the_way_through_its_json() -> None:
    """What is left beside a table is the recipe that decided it."""
    recipe = load_recipe("demo")

    assert recipe == parse_recipe(recipe.to_json(), "again")


NEAR = """name: x
near_duplicates: {{max_mean_bits: {}, max_mean_change_bits: 18, min_contained: 0.8}}"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "is not YAML"),
        ("- a\n- b", "write key: value lines"),
        ("filters: {}", "has no name"),
        (
            "name: x\nfilter: {}",
            "there is no 'filter'; use name, filters, windows, near_duplicates",
        ),
        (
            "name: x\nfilters: {sharpness: {min: 1}}",
            "there is no 'sharpness'; use aspect, audio_track",
        ),
        ("name: x\nfilters: {black: {max: 1}}", "there is no 'max'; use max_fraction"),
        ("name: x\nfilters: {text: {max_area: 1}}", "there is no 'text'; use aspect, audio_track"),
        ("name: x\nfilters: {hdr: {max: 1}}", "there is no 'max'; use no keys"),
        ("name: x\nfilters: {black: {}}", "lacks max_fraction; give a number"),
        (
            "name: x\nfilters: {black: {max_fraction: half}}",
            "max_fraction is 'half'; give a number",
        ),
        ("name: x\nfilters: {black: {max_fraction: true}}", "max_fraction is True; give a number"),
        ("name: x\nfilters: {black: {max_fraction: .nan}}", "max_fraction is nan; give a number"),
        ("name: x\nfilters: {black: 0.5}", "filter black of recipe .* is 0.5; write key"),
        (
            NEAR.format(30),
            "max_mean_bits is 30.0; give a number from 0 to 22",
        ),
        ("name: x\nwindows: {}", "avoid of windows of recipe .* lacks max_black.*; give a number"),
        (
            f"name: x\nwindows: {{{AVOID}}}",
            "windows of recipe .* lacks min_seconds.*; give a number",
        ),
        (
            f"name: x\nwindows: {{{AVOID}, {LENGTHS}, begin_at_cuts: 1}}",
            "begin_at_cuts is 1; give true or false",
        ),
        (
            f"name: x\nwindows: {{{AVOID}, {LENGTHS}, begin_at_cuts: true, length: 3}}",
            "there is no 'length'; use min_seconds",
        ),
        (
            f"name: x\nwindows: {{{AVOID}, {LENGTHS}, filters: {{bars: {{max_fraction: 1}}}}}}",
            "there is no 'bars'; use black, uniform, frozen, motion",
        ),
        (
            f"name: x\nwindows: {{{AVOID}, {LENGTHS}, begin_at_cuts: true}}".replace(
                "min_seconds: 1", "min_seconds: 9"
            ),
            "at least 9.0 s and at most 2.0 s do not exist",
        ),
    ],
)
def test_a_mistake_is_quoted_with_its_cure(tmp_path: Path, text: str, message: str) -> None:
    """Unknown keys are errors: a threshold that is misspelt must not be silently off."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        load_recipe(str(path))


def test_an_unknown_recipe_names_the_known_ones() -> None:
    """And that a file would do as well."""
    with pytest.raises(ConfigError, match="use one of demo, full, small, or the path"):
        load_recipe("tiny")
