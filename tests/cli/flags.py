"""Every flag of every command line as text; run it to write ``flags.txt`` anew.

Who changes a flag on purpose says so in the changelog and runs ``python -m tests.cli.flags`` from
the root of the repository. Of ``python -m pipelines.<stage>`` the settings of ``--set`` count, too,
with their values in the preset that is taken without ``--preset``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn
from unittest import mock

from pfp.cli import eval as pfp_eval
from pfp.cli import main as pfp_main
from pfp.runtime.stage_config import StageConfig

FILE: Final = Path(__file__).with_suffix(".txt")
STAGES: Final = ("ingest", "caption", "latents", "train", "eval")


class _Asked(BaseException):
    """Ends a command where it would read its arguments."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def flags() -> str:
    """All commands, one after the other, an argument a line."""
    commands = [*_commands(_parser_of(pfp_main.main)), *_commands(_parser_of(pfp_eval.main))]
    for stage in STAGES:
        parser = _parser_of(import_module(f"pipelines.{stage}.run").main)
        preset = import_module(f"pipelines.{stage}.config").PRESETS[parser.get_default("preset")]
        config = StageConfig.of(stage, preset()).config
        (command,) = _commands(parser)
        commands.append("\n".join([command, *_settings(config)]))
    return "\n\n".join(commands) + "\n"


def _parser_of(main: Callable[..., object]) -> argparse.ArgumentParser:
    def ask(parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        raise _Asked(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", ask):
        try:
            main([])
        except _Asked as asked:
            return asked.parser
    raise AssertionError(f"{main} did not read its arguments")


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The parser and those of its subcommands."""
    nested: dict[str, argparse.ArgumentParser] = {}
    lines = [parser.prog]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            nested |= action.choices
        elif action.default is not argparse.SUPPRESS:  # --help, --version
            lines.append(f"  {_argument(action)}")
    yield "\n".join(lines)
    for name in sorted(nested):
        yield from _commands(nested[name])


def _argument(action: argparse.Action) -> str:
    words = [", ".join(action.option_strings) or str(action.metavar or action.dest)]
    if action.nargs not in (None, 0):
        words.append(f"nargs={action.nargs}")
    if action.choices is not None:
        words.append(f"choices={','.join(map(str, action.choices))}")
    if action.type is not None:
        words.append(f"type={getattr(action.type, '__name__', action.type)}")
    if isinstance(action, argparse._AppendAction):
        words.append("repeated")
    if action.option_strings:
        words.append("required" if action.required else f"default={action.default!r}")
    elif not action.required:
        words.append(f"default={action.default!r}")
    return " ".join(words)


def _settings(config: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{path}{name}.")
        else:
            yield f"  --set {path}{name}={value!r}"


if __name__ == "__main__":
    FILE.write_text(flags(), encoding="utf-8")
