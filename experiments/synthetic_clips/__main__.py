"""``python -m experiments.synthetic_clips DIR``: draws clips for people who have none."""

from __future__ import annotations

import argparse
import sys

from experiments.synthetic_clips.write import make_clips
from pfp.cli.command import exit_status, prints_safely
from pfp.runtime import ConsoleProgress


@prints_safely
def main(argv: list[str] | None = None) -> int:
    """Draw clips into a folder; 0, or 2 for bad input, with one sentence on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.synthetic_clips",
        description="Draw H.264 clips with people, places and printed text, beside each its "
        "storyboard and its ground truth.",
    )
    parser.add_argument("directory", metavar="DIR", help="where to write them")
    parser.add_argument("--n", type=int, default=16, help="how many (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    arguments = parser.parse_args(argv)

    def draw() -> None:
        with ConsoleProgress().counting("drawing", "clips") as count:
            paths = make_clips(
                arguments.directory, num_clips=arguments.n, seed=arguments.seed, progress=count
            )
        print(f"{len(paths)} clips in {arguments.directory}")

    return exit_status("synthetic_clips", draw)


if __name__ == "__main__":
    sys.exit(main())
