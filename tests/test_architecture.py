"""Rules for every file: who imports whom, what importing may do, what files may hold."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.checkout import REPO, files_of_the_checkout

PYPROJECT = REPO / "pyproject.toml"
CODE_FOLDERS = ("pfp", "pipelines", "experiments", "tests", "benchmarks")

LEVELS = (
    ("cli",),
    ("ingest", "caption", "latents", "train", "generate", "eval"),
    ("runtime", "measures", "models", "vlm", "pages"),
    ("io",),
    ("schema",),
    ("redaction",),
    ("texts",),
    ("errors", "limits"),
)
PIPELINES = ("ingest", "caption", "latents", "train", "eval")
# The half of eval that must work on a laptop without torch.
TORCH_FREE = tuple(
    f"pfp.eval.{name}"
    for name in ("elo", "leaderboard", "report", "scores.evidence", "stats", "study")
)
ALL_MODULES = (
    *(f"pfp.{name}.part" for level in LEVELS for name in level),
    *TORCH_FREE,
    *(f"pipelines.{name}.run" for name in PIPELINES),
    "experiments.demo",
    "experiments.table1.run",
    "experiments.tiny.run",
    "experiments.synthetic_clips.write",
)


def _python_files() -> list[Path]:
    return sorted(path for name in CODE_FOLDERS for path in (REPO / name).rglob("*.py"))


def _module_name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules_of(package: str) -> list[str]:
    files = [path for path in (REPO / package).rglob("*.py") if path.stem != "__main__"]
    return sorted(_module_name(path) for path in files)


def _whole(name: str) -> str:
    """All modules of a package, or a module, as ``import`` takes them."""
    return ", ".join(_modules_of(name.replace(".", "/"))) or name


def _python(code: str, *, cwd: Path = REPO, env: dict[str, str] | None = None) -> str:
    """Run ``code`` in a fresh interpreter that sees the checkout; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- who imports whom ------------------------------------------------------------------------------


def _lint_imports(root: Path) -> tuple[int, str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-logo",
            "--no-cache",
        ],
        cwd=root,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _broken_contracts(report: str) -> list[str]:
    ids = {c["name"]: c["id"] for c in _contracts()}
    lines = (line.strip() for line in report.splitlines())
    return [ids[line.removesuffix(" BROKEN")] for line in lines if line.endswith(" BROKEN")]


def _contracts() -> list[dict[str, Any]]:
    options = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]
    contracts: list[dict[str, Any]] = options["contracts"]
    return contracts


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A tree of empty modules, one in every package of the design, under our contracts."""
    for module in ALL_MODULES:
        path = tmp_path / (module.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        (path.parent / "__init__.py").touch()
        (tmp_path / path.relative_to(tmp_path).parts[0] / "__init__.py").touch()
    # The contract protects ray from the moment that somebody imports it.
    (tmp_path / "pfp/runtime/part.py").write_text("import ray\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_bytes(PYPROJECT.read_bytes())
    return tmp_path


def test_import_rules_hold() -> None:
    """The code keeps the import rules of the design, as pyproject.toml states them."""
    status, report = _lint_imports(REPO)

    assert status == 0, report


def test_import_rules_cover_what_must_stay_free_of_torch() -> None:
    """The torch contract names every module of eval's light half."""
    contract = next(contract for contract in _contracts() if contract["id"] == "torch-free")

    assert set(TORCH_FREE) <= set(contract["source_modules"])


def test_import_rules_allow_the_design(skeleton: Path) -> None:
    """Downward imports, the demo's chain, and ray in its two places break no contract."""
    allowed = {
        "pfp/cli/part.py": "import pfp.eval.part, pfp.io.part, pfp.errors.part",
        "pfp/eval/part.py": "import torch, pfp.measures.part, pfp.vlm.part",
        "experiments/demo.py": "\n".join(f"import pipelines.{name}.run" for name in PIPELINES),
        "pipelines/train/run.py": "import ray, torch, pfp.train.part",
    }
    for name, line in allowed.items():
        (skeleton / name).write_text(line + "\n", encoding="utf-8")
    status, report = _lint_imports(skeleton)

    assert status == 0, report


@pytest.mark.parametrize(
    ("contract", "importer", "imported"),
    [
        ("layers", "pfp.io.part", "pfp.eval.part"),
        ("layers", "pfp.ingest.part", "pfp.caption.part"),
        ("layers", "pfp.models.part", "pfp.measures.part"),
        ("toolkit-below-pipelines", "pfp.train.part", "pipelines.train.run"),
        ("stages-apart", "pipelines.caption.run", "pipelines.ingest.run"),
        ("toolkit-below-pipelines", "pipelines.eval.run", "experiments.demo"),
        ("toolkit-below-pipelines", "pfp.cli.part", "experiments.synthetic_clips.write"),
        ("experiments-apart", "experiments.synthetic_clips.write", "experiments.tiny.run"),
        ("experiments-apart", "experiments.table1.run", "experiments.demo"),
        ("ray-in-runtime", "pfp.ingest.part", "ray.data"),
        ("torch-free", "pfp.schema.part", "torch"),
        ("torch-free", "pfp.eval.report", "torch.nn"),
        ("torch-free-cli", "pfp.cli.part", "torch"),
    ],
)
def test_import_rules_catch(skeleton: Path, contract: str, importer: str, imported: str) -> None:
    """One forbidden import in an empty tree breaks exactly the contract that forbids it."""
    path = skeleton / (importer.replace(".", "/") + ".py")
    path.write_text(f"import {imported}\n", encoding="utf-8")
    _, report = _lint_imports(skeleton)

    assert _broken_contracts(report) == [contract], report


def test_import_rules_know_every_package(skeleton: Path) -> None:
    """A package without a place among the layers is refused."""
    (skeleton / "pfp/utils").mkdir()
    (skeleton / "pfp/utils/__init__.py").touch()
    _, report = _lint_imports(skeleton)

    assert _broken_contracts(report) == ["layers"], report


@pytest.mark.parametrize(
    ("stage", "more"),
    [
        ("ingest", ("preflight.py", "select.py")),
        ("caption", ()),
        ("latents", ()),
        ("train", ("distributed.py",)),
        ("eval", ()),
    ],
)
def test_a_stage_has_the_files_of_every_stage(stage: str, more: tuple[str, ...]) -> None:
    """Who knows one stage, knows where to look in the others."""
    files = {path.name for path in (REPO / "pipelines" / stage).iterdir() if path.is_file()}
    standard = {"README.md", "__init__.py", "__main__.py", "config.py", "run.py", "stages.py"}

    assert {*standard, "worker.py", *more} == files


# -- what importing may do -------------------------------------------------------------------------


CONNECT = """
from pfp import runtime
with runtime.connect("local"):
    pass
"""
BACKENDS = """
from pfp.caption.backends import load_backend
load_backend("offline"), load_backend("sidecar")
"""


class Light(NamedTuple):
    """Something that must not bring some libraries along."""

    name: str
    code: str
    banned: tuple[str, ...]


HEAVY = ("torch", "ray", "transformers", "diffusers")
COMMAND = "from pfp.cli.{} import main; assert not main({!r}.split())"
# In the order in which libraries may come: what one entry may load, no later one forbids.
LIGHT = (
    Light("pfp", "import pfp", (*HEAVY, "av", "numpy", "pyarrow", "scipy")),
    Light("pfp --help", COMMAND.format("main", "--help"), (*HEAVY, "numpy", "pyarrow", "av")),
    Light("pfp tokens", COMMAND.format("main", "tokens"), (*HEAVY, "numpy", "pyarrow", "av")),
    *(
        Light(
            f"pfp-eval {words}", COMMAND.format("eval", words), (*HEAVY, "pyarrow", "av", "scipy")
        )
        for words in ("--help", "run --help", "ls metrics", "ls suites", "show psnr")
    ),
    Light(
        "metric cards",
        "from pfp.eval.metrics import METRICS, resolve; [resolve(name) for name in METRICS]",
        (*HEAVY, "pyarrow", "av", "scipy"),
    ),
    Light("means", "import pfp.eval.stats.aggregate", (*HEAVY, "pyarrow", "scipy")),
    Light("drift", "import pfp.eval.stats.drift", (*HEAVY, "scipy")),
    Light("a local run", CONNECT, (*HEAVY, "av", "rich", "psutil")),
    Light("pfp.schema", f"import {_whole('pfp.schema')}", (*HEAVY, "av", "scipy")),
    Light("reports", "import pfp.eval.report", (*HEAVY, "scipy")),
    Light("caption backends", BACKENDS, (*HEAVY, "google", "openai", "httpx")),
    *(Light(name, f"import {_whole(name)}", HEAVY) for name in TORCH_FREE),
    Light("study", "import pfp.cli.study, pfp.eval.manifest", HEAVY),
    Light("latents", "import pfp.latents.frames, pfp.latents.read, pfp.models.vae", HEAVY),
    Light("hashed text", "import pfp.models.text.tiny", HEAVY),
    Light("pfp latents", COMMAND.format("main", "latents show --help"), HEAVY),
    *(
        Light(f"pipelines.{name}", f"import pipelines.{name}.run", HEAVY)
        for name in ("latents", "train")
    ),
)

IMPORT_ALL = """
import contextlib, io, json, sys

def loaded():
    return {name.partition(".")[0] for name in sys.modules}

found = []
for code, banned in CHECKS:
    before = loaded()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        exec(code, {})
    found.append([sorted(before & set(banned)), sorted((loaded() - before) & set(banned))])
print(json.dumps(found))
"""


def _brought(checks: list[tuple[str, tuple[str, ...]]]) -> list[list[list[str]]]:
    """For each check, in one process: what it forbids that was there before, and what it loaded."""
    found: list[list[list[str]]] = json.loads(_python(f"CHECKS = {checks!r}\n{IMPORT_ALL}"))
    return found


@pytest.fixture(scope="module")
def brought() -> dict[str, list[list[str]]]:
    """What each entry of ``LIGHT`` found and loaded."""
    found = _brought([(each.code, each.banned) for each in LIGHT])
    return {each.name: both for each, both in zip(LIGHT, found, strict=True)}


@pytest.mark.parametrize("name", [each.name for each in LIGHT])
def test_light_things_load_nothing_heavy(brought: dict[str, list[list[str]]], name: str) -> None:
    """Neither do they, nor did an earlier entry what this one forbids."""
    assert [[], []] == brought[name]


def test_heavy_imports_are_seen() -> None:
    """What is loaded is held against whoever loaded it, and spoils the order for a later one."""
    found = _brought([("import json", ("av",)), ("import av", ("av",)), ("import av", ("av",))])

    assert [[[], []], [[], ["av"]], [["av"], []]] == found


# Runs before any of our modules. Audit hooks see every file, folder and socket, in C code too.
# What torch or diffusers do with temporary files is theirs; reaching for the network is nobody's.
SPY = """
import importlib, json, os, sys

found, armed = [], False
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STANDARD = sys.stdlib_module_names | {"__main__"}

def ours():
    frame = sys._getframe(2)
    while frame and frame.f_globals.get("__name__", "?").partition(".")[0] in STANDARD:
        frame = frame.f_back
    return bool(frame) and frame.f_globals.get("__name__", "?").partition(".")[0] == "pfp"

def watch(event, args):
    if not armed:
        return
    if event in {"socket.connect", "socket.getaddrinfo"}:
        found.append(f"{event} {args[:2]!r}")
    elif event in {"os.mkdir", "os.rename", "socket.bind", "subprocess.Popen"} and ours():
        found.append(f"{event} {args[:2]!r}")
    elif event == "open" and isinstance(args[2], int) and args[2] & WRITES and ours():
        found.append(f"write {args[0]!r}")

read_variable = os._Environ.__getitem__

def spy_variable(self, key):
    if armed and ours():
        found.append(f"reads {key} from the environment")
    return read_variable(self, key)

os._Environ.__getitem__ = spy_variable
sys.addaudithook(watch)
for name in MODULES:
    found_before, armed = len(found), True
    try:
        importlib.import_module(name)
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}")
    armed = False
    found[found_before:] = [f"{name}: {what}" for what in found[found_before:]]
print(json.dumps(found))
"""


def _side_effects(modules: list[str], home: Path, *, path: Path = REPO) -> list[str]:
    """What importing ``modules`` does besides defining things; ``home`` is where it runs."""
    code = f"import sys; sys.path.insert(0, {str(path)!r}); MODULES = {modules!r}\n{SPY}"
    env = {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
    found: list[str] = json.loads(_python(code, cwd=home, env=env).splitlines()[-1])
    return found


@pytest.mark.slow
def test_importing_does_nothing_else(tmp_path: Path) -> None:
    """Importing all of pfp writes no file, makes no folder, opens no socket, reads no variable."""
    found = _side_effects(_modules_of("pfp"), tmp_path)

    assert found == []
    assert sorted(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "import os; os.mkdir('cache')",
        "open('log.txt', 'w').close()",
        "import pathlib; pathlib.Path('notes').touch()",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import os; os.environ.get('PFP_CACHE')",
        "import os; os.getenv('PFP_CACHE')",
        "import no_such_library",
    ],
)
def test_side_effects_are_seen(tmp_path: Path, line: str) -> None:
    """A module that does something while it is imported is named once."""
    home, package = tmp_path / "home", tmp_path / "lib/pfp"
    home.mkdir()
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "busy.py").write_text(line + "\n", encoding="utf-8")
    found = _side_effects(["pfp.busy"], home, path=tmp_path / "lib")

    assert [what.partition(":")[0] for what in found] == ["pfp.busy"]


# -- what files may hold ---------------------------------------------------------------------------


def test_modules_say_what_they_are() -> None:
    """Every Python file opens with a docstring (an empty ``__init__`` has nothing to say)."""
    sources = {path: path.read_text(encoding="utf-8") for path in _python_files()}
    silent = [
        str(path.relative_to(REPO))
        for path, source in sources.items()
        if source.strip() and not ast.get_docstring(ast.parse(source))
    ]

    assert silent == []


def test_folders_of_tests_mirror_the_code() -> None:
    """Every folder of code has one of tests at its path, and no folder of tests is of nothing."""
    tested = {path.parent.relative_to(REPO / "tests") for path in _tests()} - {Path()}
    with_code = {path.parent for path in _python_files() if not path.stem.startswith("__")}
    code = {path.relative_to(REPO) for path in with_code} - {Path("tests"), Path("pfp")}
    library = {path.relative_to("pfp") for path in code if path.parts[0] == "pfp"}
    others = {path for path in code if path.parts[0] not in {"pfp", "tests"}}
    tops = {Path(path.parts[0]) for path in others}

    assert tested <= library | others | tops
    assert library | tops <= tested


def _tests() -> list[Path]:
    return [path for path in _python_files() if path.name.startswith("test_")]


def test_code_is_ascii() -> None:
    """Python files hold ASCII only; anything else is written as an escape."""
    strange = [str(p.relative_to(REPO)) for p in _python_files() if not p.read_bytes().isascii()]

    assert strange == []


# Homes of people and of build machines; put together here so that this file passes its own test.
MACHINE_PATH = re.compile(
    rb"(?<![\w.$}-])/(?:home|Users)/[A-Za-z]\w*/|(?<![\w.$}-])/(?:root|work)/\w"
)


def test_files_name_no_machine() -> None:
    """No file, binary ones included, holds a path of the machine it was made on."""
    here = os.fsencode(REPO)
    named = [
        f"{path.relative_to(REPO)}: {found.decode(errors='replace')}"
        for path in files_of_the_checkout()
        for found in [here] * (here in path.read_bytes()) + MACHINE_PATH.findall(path.read_bytes())
    ]

    assert named == []


def test_decisions_are_indexed() -> None:
    """Every decision page is named once in the index, in the order of its number."""
    folder = REPO / "docs/decisions"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    index = (folder / "README.md").read_text(encoding="utf-8")

    assert pages == re.findall(r"^- \[\d+\]\((.+?)\)", index, flags=re.MULTILINE)
