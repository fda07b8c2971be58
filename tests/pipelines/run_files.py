"""What a run directory holds, for tests that compare two of them."""

from __future__ import annotations

from pathlib import Path

TABLES = (
    *("videos/_measured", "videos", "clips", "storyboards", "latents", "conditions"),
    *("checkpoints/_index", "generations", "scores"),
)


def table_bytes(run: Path) -> dict[str, bytes]:
    """Every data file of every table, by its place in the run directory."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for table in TABLES
        for path in sorted((run / table).glob("*.parquet"))
    }
