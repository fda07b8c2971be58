"""``pfp verify``: what is whole, what is not, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.cli.main import main
from pfp.io import tables
from pfp.schema import KEPT, ConditionRecord, LatentRecord, StoryboardRecord


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two tables."""
    stories = [StoryboardRecord(clip_id="a", backend="sidecar", verdict=KEPT)]
    tables.write_table(tmp_path / "storyboards", StoryboardRecord.table(stories), StoryboardRecord)
    conditions = [
        ConditionRecord(
            prompt_sha256=name,
            prompt=name,
            encoder_id="tiny",
            encoder_sha256="0",
            embedding=bytes(8),
            embedding_shape=[2, 2],
            verdict=KEPT,
        )
        for name in "ab"
    ]
    tables.write_table(
        tmp_path / "conditions", ConditionRecord.table(conditions), ConditionRecord, rows_per_file=1
    )
    return tmp_path


def test_a_whole_run_is_as_it_was_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a table, in the order of the chain, and status 0."""
    assert 0 == main(["verify", str(run)])
    assert ["storyboards: as it was written", "conditions: as it was written"] == (
        capsys.readouterr().out.splitlines()
    )


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_a_damaged_file_is_named_with_the_cure(
    run: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    """A bit in the tensor's bytes is found as well as a file that ends early or is not there."""
    first, second = sorted((run / "conditions").glob("part-*"))
    content = bytearray(first.read_bytes())
    if damage == "flipped":
        content[content.index(bytes(8))] ^= 1
        first.write_bytes(content)
    elif damage == "truncated":
        first.write_bytes(content[:-20])
    else:
        first.unlink()

    assert 1 == main(["verify", str(run)])

    output = capsys.readouterr().out
    assert "storyboards: as it was written" in output
    assert "conditions: 1 problems" in output
    assert first.name in output
    assert second.name not in output
    assert "delete it and run the stage again" in output


def test_one_table_can_be_asked_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what is not there, or no table at all, is said."""
    assert 0 == main(["verify", str(run), "--table", "conditions"])
    assert "storyboards" not in capsys.readouterr().out
    assert 2 == main(["verify", str(run), "--table", "nope"])
    assert "there is no table 'nope'; give one of clips/_measured, clips" in capsys.readouterr().err
    assert 2 == main(["verify", str(run / "conditions")])
    assert "give a run directory" in capsys.readouterr().err


def test_further_lr_copies_are_tables_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run may have any number of them, one for each further rate."""
    empty = LatentRecord.SCHEMA.empty_table()
    tables.write_table(run / "latents_lr_2x2x8", empty, LatentRecord)

    assert 0 == main(["verify", str(run), "--table", "latents_lr_2x2x8"])

    assert "latents_lr_2x2x8: as it was written\n" == capsys.readouterr().out
