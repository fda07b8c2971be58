"""``python -m pipelines.ingest`` and ``python -m pipelines.ingest select``."""

import sys


def main() -> int:
    """Measure and select, or select again from what was measured."""
    if sys.argv[1:2] == ["select"]:
        from pipelines.ingest import select

        return select.main(sys.argv[2:])
    from pipelines.ingest import run

    return run.main()


if __name__ == "__main__":
    sys.exit(main())
