"""Addresses of a run's videos, also after the run was moved."""

from __future__ import annotations

from pathlib import Path

from pfp.io.locate import link_from, locate


def test_relative_videos_count_from_the_run() -> None:
    """A run directory can be moved: relative addresses follow it, others stay."""
    assert locate("runs/a", "g/x.mp4") == "runs/a/g/x.mp4"
    assert locate("s3://bucket/run/", "g/x.mp4") == "s3://bucket/run/g/x.mp4"
    assert locate("runs/a", "/tmp/x.mp4") == "/tmp/x.mp4"
    assert locate("runs/a", "s3://other/x.mp4") == "s3://other/x.mp4"


def test_links_are_relative_and_quoted(tmp_path: Path) -> None:
    """A page reaches a video beside it by a relative address, one elsewhere by its own."""
    page = tmp_path / "run" / "leaderboard.html"

    assert link_from(page, tmp_path / "run", "g/a b#1.mp4") == "g/a%20b%231.mp4"
    assert link_from(tmp_path / "x.html", tmp_path / "run", "g/a.mp4") == "run/g/a.mp4"
    assert link_from(page, tmp_path / "run", "s3://b/a.mp4") == "s3://b/a.mp4"
    assert link_from(page, tmp_path, f"file://{tmp_path}/run/a%20b.mp4") == "a%20b.mp4"
