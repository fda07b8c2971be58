"""What Markdown files point at is there: links, headings, paths, modules, commands and options."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from pfp.cli.eval import build_parser as benchmark_parser
from pfp.cli.main import _parser as toolkit_parser
from tests.checkout import REPO, files_of_the_checkout

PACKAGES: Final = ("pfp", "pipelines", "benchmarks", "experiments", "tests")
FOLDERS: Final = (*PACKAGES, "docs", ".ci", ".github")
# Pages of the past keep the names of their day; only their links must lead somewhere.
HISTORY: Final = ("CHANGELOG.md", "docs/decisions/")

LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)|^\[[^\]\n]+\]:\s*(\S+)", re.MULTILINE)
FENCED: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
INDENTED: Final = re.compile(r"^(?: {4}|\t).*$", re.MULTILINE)
SPAN: Final = re.compile(r"`([^`]+)`")
NAMED_PATH: Final = re.compile(
    rf"(?<![\w./{{<-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./<>*{{}},-]*(?:::\w+)?"
)
NAMED_FILE: Final = re.compile(r"[\w-]+\.py|Makefile|[\w-]+\.(?:toml|lock)")
NAMED_MODULE: Final = re.compile(rf"(?<![\w./<-])(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+")
RUN_MODULE: Final = re.compile(rf"python3? -m ((?:{'|'.join(PACKAGES)})(?:\.\w+)*)(?![.<\w])")
COMMAND: Final = re.compile(r"(?:^|[;&|(]|(?<=\n))\s*(?:\$ )?(pfp|pfp-eval|make) +([^\n;&|#)]*)")


class Page(NamedTuple):
    """A Markdown file and the folder that its repository lies in."""

    path: Path
    root: Path

    @property
    def text(self) -> str:
        """What it says."""
        return self.path.read_text(encoding="utf-8")

    @property
    def code(self) -> list[str]:
        """Its blocks and spans of code."""
        fenced = FENCED.findall(self.text)
        rest = FENCED.sub("", self.text)
        blocks = re.findall(r"(?:^(?: {4}|\t).*\n?)+", rest, re.MULTILINE)
        return [*fenced, *blocks, *SPAN.findall(INDENTED.sub("", rest))]


def lost_links(page: Page) -> Iterator[str]:
    """Links to files that are not there, and to headings that no file has."""
    prose = SPAN.sub("", FENCED.sub("", page.text))
    for target in (first or second for first, second in LINK.findall(prose)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        is_there = path.exists() and path.is_relative_to(page.root)
        if not is_there or (heading and heading not in anchors(path.read_text(encoding="utf-8"))):
            yield target


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *#*$", FENCED.sub("", text), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.replace(" ", "-") for word in words}


def lost_paths(page: Page) -> Iterator[str]:
    """Paths of the repository that are not there; ``<name>`` and ``*`` stand for any name."""
    for code in page.code:
        for named in NAMED_PATH.findall(code):
            path, _, test = named.rstrip(".,").partition("::")
            found = list(matches(page.root, path))
            if not found or (test and f"def {test}(" not in found[0].read_text(encoding="utf-8")):
                yield named
        if NAMED_FILE.fullmatch(code) and not any(named_so(page.root, code)):
            yield code


def matches(root: Path, pattern: str) -> Iterator[Path]:
    """The files and folders that a path with placeholders stands for; all of ``{a,b}`` at once."""
    if braces := re.search(r"\{([^{}]*,[^{}]*)\}", pattern):
        each = [pattern.replace(braces[0], choice, 1) for choice in braces[1].split(",")]
        found = [list(matches(root, choice)) for choice in each]
        yield from (path for paths in found for path in paths if all(found))
        return
    pattern = re.sub(r"<[^<>]*>|\{[^{}]*\}", "*", pattern)
    yield from (
        root.glob(pattern.rstrip("/")) if "*" in pattern else filter(Path.exists, [root / pattern])
    )


def named_so(root: Path, name: str) -> Iterator[Path]:
    """Files of that name in the code, or at the top."""
    if (root / name).is_file():
        yield root / name
    for folder in PACKAGES:
        yield from (root / folder).rglob(name)


def lost_modules(page: Page) -> Iterator[str]:
    """Modules, and names in them, that are not there, and packages that cannot be run with -m."""
    for code in page.code:
        for name in NAMED_MODULE.findall(code):
            if not is_defined(page.root, name) and name not in metadata_keys():
                yield name
        for name in RUN_MODULE.findall(code):
            path = page.root / name.replace(".", "/")
            if not (path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()):
                yield f"python -m {name}"


@cache
def metadata_keys() -> set[str]:
    """Keys of a Parquet file's metadata, which look like modules: ``NAME_KEY = b"pfp.record"``."""
    sources = (path.read_text(encoding="utf-8") for path in (REPO / "pfp").rglob("*.py"))
    return {key for source in sources for key in re.findall(r' = b?"(pfp\.\w+)"', source)}


def is_defined(root: Path, dotted: str) -> bool:
    """Whether a module of that name exists, or one that defines or imports what follows it."""
    path = root
    parts = dotted.split(".")
    for number, part in enumerate(parts):
        if (path / part).is_dir():
            path /= part
            continue
        if (path / f"{part}.py").is_file():
            module, rest = path / f"{part}.py", parts[number + 1 :]
        else:
            module, rest = path / "__init__.py", parts[number:]
        return not rest or (module.is_file() and rest[0] in names_of(module))
    return True


def names_of(module: Path) -> set[str]:
    """What a module defines, assigns or imports at its top."""
    names: set[str] = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names |= {each.asname or each.name for each in node.names}
            case ast.Assign():
                names |= {each.id for each in node.targets if isinstance(each, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case _:
                pass
    return names


def lost_commands(page: Page) -> Iterator[str]:
    """Targets of make, commands of ``pfp`` and ``pfp-eval``, and options, that are not there."""
    for code in page.code:
        for program, rest in COMMAND.findall(code.replace("\\\n", " ")):
            words = rest.split()
            if not words or not re.match(r"[a-z]", words[0]):
                continue
            if program == "make":
                if words[0] not in targets(page.root):
                    yield f"make {words[0]}"
                continue
            parser = toolkit_parser() if program == "pfp" else benchmark_parser()
            yield from (f"{program} {lost}" for lost in lost_words(parser, words))


def targets(root: Path) -> set[str]:
    """What there is to make."""
    text = (root / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9]+):.*## ", text, re.MULTILINE))


def lost_words(parser: argparse.ArgumentParser, words: list[str]) -> Iterator[str]:
    """Commands and options of a command line that its parser does not know."""
    options = set(parser._option_string_actions)
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for number, word in enumerate(words):
        if word.startswith("--") and word.strip("[]`.,").partition("=")[0] not in options:
            yield word
        if below and not word.startswith("-"):
            names = [name for name in re.split(r"[|/,{}]", word) if name]
            for name in names:
                if name not in below[0].choices:
                    yield word
            if len(names) == 1 and word in below[0].choices and parser.prog.count(" ") < 2:
                yield from lost_words(below[0].choices[word], words[number + 1 :])
            return


MARKDOWN: Final = [path for path in files_of_the_checkout() if path.suffix == ".md"]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.relative_to(REPO).as_posix())
def test_pages_point_at_what_is_there(path: Path) -> None:
    """Every link leads to a file and heading; every path, module, command and option exists."""
    page = Page(path, REPO)
    lost = [f"link to {target}" for target in lost_links(page)]
    if not path.relative_to(REPO).as_posix().startswith(HISTORY):
        lost += [*lost_paths(page), *lost_modules(page), *lost_commands(page)]

    assert lost == []


def test_pages_are_found() -> None:
    """The walk over the checkout meets the pages that everybody reads."""
    names = {path.relative_to(REPO).as_posix() for path in MARKDOWN}

    assert {"README.md", "CONTRIBUTING.md", "docs/README.md", "pipelines/eval/README.md"} <= names


def test_every_word_of_the_glossary_lives_in_code() -> None:
    """Each row has a word, one line, and names of the code that exist; words stand in order."""
    page = Page(REPO / "docs/glossary.md", REPO)
    rows = [line.strip("|").split(" | ") for line in page.text.splitlines() if line[:2] == "| "][1:]
    words = [word.strip().lower() for word, _, _ in rows]

    assert sorted(words) == words
    assert [] == [word for word, _, where in rows if not NAMED_MODULE.search(where)]
    assert [] == list(lost_modules(page))


def test_pages_that_code_names_are_there() -> None:
    """Comments, docstrings and messages name no page of docs/ that went away."""
    kinds = {".py", ".yaml", ".toml"}
    sources = [path for path in files_of_the_checkout() if path.suffix in kinds]
    sources.remove(Path(__file__))
    lost = [
        f"{path.relative_to(REPO)}: {name}"
        for path in sources
        for name in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))
        if not (REPO / name).is_file()
    ]

    assert lost == []


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("[decided](docs/decisions/001-layers.md) and [not](docs/gone.md)", ["docs/gone.md"]),
        ("[up](../outside.md)", ["../outside.md"]),
        ("[a heading](docs/page.md#what-is-it) [none](docs/page.md#x)", ["docs/page.md#x"]),
        ("[elsewhere](https://example.org/gone.md)", []),
        ("[its target]\n\n[its target]: docs/gone.md", ["docs/gone.md"]),
        ("`pfp/io/<name>.py`, `pfp/{io,eval}/`, `tests/`", ["pfp/{io,eval}/"]),
        ("`tests/test_x.py::test_it`, `tests/test_x.py::test_no`", ["tests/test_x.py::test_no"]),
        ("`tables.py` and `chairs.py`", ["chairs.py"]),
        ("see pfp/gone.py, which is prose", []),
        ("```\npython pfp/gone.py\n```", ["pfp/gone.py"]),
        ("    cat pfp/gone.py\n", ["pfp/gone.py"]),
        ("`pfp.io.tables`, `pfp.io.tables.read` and `pfp.io.tables.gone`", ["pfp.io.tables.gone"]),
        ("`from pfp.io import tables` and `pfp.io.weights`", ["pfp.io.weights"]),
        ("    python -m pipelines.eval --preset x\n    python -m pipelines.train", []),
        ("`python -m pfp.io --help`", ["python -m pfp.io"]),
        ("`make demo VIDEOS=x`, `make tea`", ["make tea"]),
        ("    pfp why CLIP --run runs/x && pfp-eval report runs/*\n", []),
        ("`pfp whence CLIP`", ["pfp whence"]),
        ("    pfp-eval run x --out y --aligned time", ["pfp-eval --aligned"]),
        ("`pfp weights fetch lpips-alex`, `pfp weights steal x`", ["pfp steal"]),
    ],
)  # fmt: skip
def test_lost_things_are_named(tmp_path: Path, line: str, lost: list[str]) -> None:
    """Each kind of pointer is told when it leads nowhere, and only then."""
    for name, text in {
        "Makefile": "demo: x ## Run it\n",
        "docs/decisions/001-layers.md": "# Layers",
        "docs/page.md": "# A page\n\n## What is it?\n",
        "pfp/io/__init__.py": "",
        "pfp/io/tables.py": "def read(): ...",
        "pipelines/eval/__main__.py": "",
        "pipelines/train.py": "",
        "tests/test_x.py": "def test_it(): ...",
        "README.md": line + "\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    page = Page(tmp_path / "README.md", tmp_path)

    found = [*lost_links(page), *lost_paths(page), *lost_modules(page), *lost_commands(page)]

    assert lost == found
