"""``pfp weights``: what is in the lock, what is here, and how to get the rest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

MIB = 1 << 20


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``weights`` with its commands to the parser of ``pfp``."""
    parser = subparsers.add_parser("weights", help="list, fetch and check the weights in the lock")
    parser.set_defaults(run=run)
    commands = parser.add_subparsers(dest="weights_command", required=True, metavar="COMMAND")
    commands.add_parser("ls", help="every entry of the lock: size, licence, whether it is here")

    fetch = commands.add_parser("fetch", help="download weights and check their digest")
    fetch.add_argument("name")
    fetch.add_argument("--accept-noncommercial", action="store_true")
    fetch.add_argument(
        "--offline", action="store_true", help="open no connection; say what file is wanted where"
    )

    verify = commands.add_parser("verify", help="read the whole file again and check its digest")
    verify.add_argument("name", nargs="?", help="default: all that are here")

    path = commands.add_parser("path", help="print where the checked file lies")
    path.add_argument("name")

    bring = commands.add_parser("import", help="take over a file that came by another way")
    bring.add_argument("name")
    bring.add_argument("file", type=Path)
    bring.add_argument("--accept-noncommercial", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Run one command; raises ``WeightsError`` with the cure when something is wrong."""
    from pfp.io import weights

    match args.weights_command:
        case "ls":
            ls_weights()
        case "fetch":
            path = weights.fetch(
                args.name,
                accept_noncommercial=args.accept_noncommercial,
                offline=args.offline,
                on_progress=_show_progress if sys.stderr.isatty() else None,
            )
            _say_pin(args.name)
            print(path)
        case "verify":
            _verify(args.name)
        case "path":
            print(weights.find(args.name))
        case "import":
            path = weights.import_file(
                args.name, args.file, accept_noncommercial=args.accept_noncommercial
            )
            _say_pin(args.name)
            print(path)
    return 0


def ls_weights() -> None:
    """Print every entry of the lock: size, state, licence and path."""
    from pfp.io import weights

    for status in weights.ls():
        entry = status.weights
        licence = entry.licence + (" (non-commercial)" if entry.non_commercial else "")
        size = "? MiB" if entry.bytes is None else f"{entry.bytes / MIB:.1f} MiB"
        print(f"{entry.name:<25}{size:>12}  {status.state:<11}{licence:<45}{status.path}")


def _say_pin(name: str) -> None:
    """Where the lock does not know the digest, what was taken on trust."""
    from pfp.io import weights

    if not weights.entry_of(name).is_exact:
        sha256 = weights.pinned(name).sha256
        print(f"{name}: sha256 {sha256}, pinned in {weights.pin_path(name)}", file=sys.stderr)


def _verify(name: str | None) -> None:
    from pfp.io import weights

    present = [status.weights.name for status in weights.ls() if status.state != "missing"]
    names = present if name is None else [name]
    for each in names:
        print(f"{each}: {weights.verify(each)} is as locked")
    if not names:
        print("no weights are here; `pfp weights ls` lists what can be fetched")


def _show_progress(have: int, wanted: int | None) -> None:
    if wanted is None:
        sys.stderr.write(f"\r{have / MIB:.0f} MiB")
    else:
        end = "\n" if have >= wanted else ""
        sys.stderr.write(f"\r{have / MIB:.0f} of {wanted / MIB:.0f} MiB{end}")
    sys.stderr.flush()
