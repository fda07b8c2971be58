"""Flags cannot change unnoticed: names, defaults and choices of every command line are pinned."""

from __future__ import annotations

from tests.cli.flags import FILE, flags


def test_flags_are_those_that_people_have_in_their_scripts() -> None:
    """As ``flags.txt`` has them, settings of ``--set`` among them."""
    assert FILE.read_text(encoding="utf-8") == flags(), (
        "if this is meant, say so in CHANGELOG.md and run `python -m tests.cli.flags`"
    )
