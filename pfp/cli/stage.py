"""The command line that all stages share: ``python -m pipelines.<stage> ...``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from pfp.cli.command import GOES_ON, exit_status, prints_safely
from pfp.cli.settings import with_settings
from pfp.runtime import ConsoleProgress

_SHARED_OPTIONS = frozenset({"preset", "input", "output", "engine", "set"})


@prints_safely
def stage_main(
    name: str,
    purpose: str,
    presets: Mapping[str, Callable[[], Any]],
    run: Callable[..., object],
    argv: list[str] | None,
    *,
    input_help: str = "run directory that the stage reads (default: --output)",
    input_required: bool = False,
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> int:
    """Run a stage as its command line says; 0, or the status of the error that it printed.

    ``run`` takes the config and the keywords ``input_directory``, ``output_directory``, ``engine``
    and ``progress``, and one for each option of its own that ``add_options`` adds.
    """
    parser = argparse.ArgumentParser(prog=f"python -m pipelines.{name}", description=purpose)
    parser.add_argument("--preset", choices=sorted(presets), default="demo")
    parser.add_argument("--input", required=input_required, help=input_help)
    parser.add_argument("--output", required=True, help="run directory that the stage writes to")
    parser.add_argument("--engine", choices=("ray", "local"), default="ray")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting"
    )
    if add_options is not None:
        add_options(parser)
    arguments = parser.parse_args(argv)
    own = {key: value for key, value in vars(arguments).items() if key not in _SHARED_OPTIONS}

    def run_stage() -> None:
        run(
            with_settings(presets[arguments.preset](), arguments.set),
            input_directory=(arguments.input or arguments.output).rstrip("/"),
            output_directory=arguments.output.rstrip("/"),
            engine=arguments.engine,
            progress=ConsoleProgress(),
            **own,
        )

    return exit_status(name, run_stage, stopped=GOES_ON)
