"""The simulations run, at sizes that mean nothing, and their page says what they found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from benchmarks.statistics import FIGURES, main
from benchmarks.statistics_data import (
    KINDS,
    DataSets,
    rejected_by_percentiles,
    rejected_by_student,
)
from benchmarks.statistics_elo import STUDIES, elo_misses


def test_every_figure_is_a_line_and_stands_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON lines with a goal, and a page with every table."""
    page = tmp_path / "statistics.md"
    main(["--only", "power", "family", "disagreements", "--data-sets", "2", "--page", str(page)])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    text = page.read_text(encoding="utf-8")

    assert {"power", "length", "family", "disagreements"} == {line["figure"] for line in found}
    assert {"<= 6", "0", ""} == {line["goal"] for line in found}
    assert "| 8 methods, lognormal scores | says nothing |" in text
    assert "| Student's t |" in text
    assert {"false_positives", "disagreements", "family", "power", "elo"} == set(FIGURES)


@pytest.mark.parametrize("kind", KINDS)
def test_the_true_mean_of_made_up_values_is_0(kind: str) -> None:
    """Whatever the kind, one value a cluster or several."""
    rng = np.random.default_rng(0)
    for is_clustered in (False, True):
        data = DataSets.draw(kind, 4000, 50, rng, is_clustered=is_clustered)
        means = data.sum_RN.sum(axis=1) / data.count_RN.sum(axis=1)
        assert abs(means.mean()) < 4 * means.std() / np.sqrt(4000)
        assert (1, 5 if is_clustered else 1) == (data.count_RN.min(), data.count_RN.max())


def test_student_s_test_is_scipy_s() -> None:
    """The test that ours is compared with."""
    rng = np.random.default_rng(1)
    data = DataSets.draw("normal", 300, 6, rng, is_clustered=False)
    expected = scipy.stats.ttest_1samp(data.sum_RN, 0.0, axis=1).pvalue < 0.05

    assert np.array_equal(expected, rejected_by_student(data))


def test_the_percentile_bootstrap_is_as_sure_as_it_was() -> None:
    """Of six normal values it rejects about 14 times in 100 what is true."""
    rng = np.random.default_rng(2)
    data = DataSets.draw("normal", 3000, 6, rng, is_clustered=False)

    assert rejected_by_percentiles(data, rng).mean() == pytest.approx(0.14, abs=0.02)


def test_the_true_ratings_of_a_study_without_tastes_are_those_put_in() -> None:
    """Endless votes give back the ratings that chances were made of."""
    assert {"a": 1150.0, "b": 1200.0, "c": 1250.0} == pytest.approx(STUDIES[1].truth())
    assert STUDIES[2].truth()["c"] < 1250.0
    assert [3] == [len(row) for row in elo_misses(STUDIES[1], 1)]
