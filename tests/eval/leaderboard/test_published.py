"""Published rows: as printed, with what the paper leaves out left out."""

from __future__ import annotations

import statistics

import pytest

from pfp.errors import ConfigError
from pfp.eval.leaderboard.published import PublishedTable, published, published_tables


@pytest.mark.parametrize("table", published_tables(), ids=lambda table: table.name)
def test_every_row_fills_its_columns(table: PublishedTable) -> None:
    """Each row has one cell for each column, and a method only one row."""
    assert all(len(table.columns) == len(row.cells) for row in table.rows)
    names = [row.method for row in table.rows]
    assert len(names) == len(set(names))


def test_elo_means_are_those_that_the_specification_worked_out() -> None:
    """Mean Elo is 1206.5 in Table 2, and about 1215 in Table 3 (an independent sum)."""
    means = {}
    for name in ("pfp-table2", "pfp-table3"):
        cells = [row.cells[-1] for row in published(name).rows]
        means[name] = statistics.mean(readings[0] for readings in cells if readings)

    assert means["pfp-table2"] == 1206.5
    assert means["pfp-table3"] == pytest.approx(1215, abs=1)


def test_cells_that_copies_disagree_on_keep_both() -> None:
    """Wan 14B's Semantic and Elo have the paper's reading first, then the other."""
    row = next(r for r in published("pfp-table3").rows if "14B" in r.method)

    assert row.cells[-2:] == ((27.12, 27.42), (1231.0, 1234.0))


def test_what_is_not_printed_has_no_value() -> None:
    """A slash in the paper is an empty cell, not a zero."""
    assert published("pfp-table2").rows[0].cells[-1] == ()


def test_an_unknown_table_names_the_known() -> None:
    """The error lists what there is."""
    with pytest.raises(ConfigError, match="'table9'; choose one of pfp-table1, pfp-table2"):
        published("table9")
