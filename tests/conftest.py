"""What every test gets: no network, no model hub, one torch thread, and shared fixtures."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.checkout import REPO
from tests.parity import Parity, section_of, with_section
from tests.parity import page as parity_page

if TYPE_CHECKING:
    from tests.hostile_files import HostileFile  # which needs PyAV and SciPy

# Libraries read these while they are being imported, so they are set before any test module is.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    MPLBACKEND="Agg",
    RAY_USAGE_STATS_ENABLED="0",
)
os.environ.pop("RAY_ADDRESS", None)  # tests start their own Ray and never join somebody's cluster

LONGEST_FIRST = (
    *("pipelines/test_train_processes.py", "test_scaling.py", "pipelines/test_jobs.py"),
    *("pipelines/test_train_steps.py", "pipelines/test_chain.py", "ingest/test_hostile.py"),
    *("io/media/test_times.py", "ingest/test_shots.py", "runtime/test_ray_preprocessing.py"),
    *("pipelines/test_eval_bases.py", "runtime/test_kill.py", "train/test_step_checkpoints.py"),
    *("pipelines/test_caption.py", "train/test_ranks.py", "models/test_precision.py"),
)
PARITY = pytest.StashKey[list[Parity]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--parity=FILE`` writes what the tests marked ``parity`` measured."""
    parser.addoption("--parity", metavar="FILE", type=Path, help="write docs/parity.md")


def pytest_configure(config: pytest.Config) -> None:
    """Start with nothing measured."""
    config.stash[PARITY] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, or one process works while the other has ended."""
    places = {REPO / "tests" / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page if it was asked for and something was measured."""
    target, found = session.config.getoption("--parity"), session.config.stash[PARITY]
    if target is not None and found:
        page, written = parity_page(found), ""
        if target.is_file():  # another run's part of it, which takes packages that are not here
            written = section_of(target.read_text(encoding="utf-8"))
        page = with_section(page, written) if written else page
        target.write_text(page, encoding="utf-8")


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Callable[..., None]:
    """A check that a difference to a reference is within a tolerance, kept for docs/parity.md."""

    def check(
        metric: str, reference: str, difference: float, *, tolerance: float, unit: str = ""
    ) -> None:
        found = Parity(
            metric=metric,
            reference=reference,
            tolerance=tolerance,
            difference=float(difference),
            unit=unit,
            test=f"{request.path.relative_to(REPO).as_posix()}::{request.function.__name__}",
        )
        request.config.stash[PARITY].append(found)
        assert difference <= tolerance, found.line()

    return check


class NetworkBlocked(RuntimeError):  # noqa: N818 - names what happened
    """A test tried to leave this machine.

    Not an OSError on purpose: code that tolerates a missing network must not swallow it.
    """


@cache
def _addresses_of_this_host() -> frozenset[str]:
    """Every address of every interface; Ray's processes find each other through them."""
    interfaces = psutil.net_if_addrs().values()
    return frozenset(entry.address.split("%")[0] for entries in interfaces for entry in entries)


def _stays_here(host: object) -> bool:
    """Whether a host name or address means this machine."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in {None, "", "localhost", socket.gethostname()}:
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return (
        address.is_loopback or address.is_unspecified or str(address) in _addresses_of_this_host()
    )


def _refuse_strangers(address: Any) -> None:
    """Raise unless ``address`` is a path (AF_UNIX), a family without hosts, or on this machine."""
    if isinstance(address, tuple) and address and not _stays_here(address[0]):
        raise NetworkBlocked(
            f"a test tried to reach {address[0]}:{address[1]}; serve it from 127.0.0.1 instead"
        )


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse connections and name look-ups beyond this machine, for the whole session."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_strangers(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_strangers(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_strangers((host, port))
        return getaddrinfo(host, port, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Give sums one order on every machine, if some test has already paid for importing torch."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def same_scheduling() -> Iterator[None]:
    """Fail what leaves the process at real-time priority: everything after it would starve."""
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    left = os.sched_getscheduler(0)
    os.sched_setscheduler(0, policy, parameter)
    assert left == policy, "the test changed how this process is scheduled; see usual_scheduling"


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    """The real clips beside the checkout (``dev/``, ``hostile/``); skips where they are absent."""
    folder = REPO.parent / "shared" / "clips"
    if not folder.is_dir():
        pytest.skip("the real clips do not lie beside this checkout (../shared/clips)")
    return folder


@pytest.fixture(scope="session")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> HostileFile:
    """The path of a file of ``tests.hostile_files.KINDS``, written when first asked for."""
    from tests.hostile_files import KINDS

    folder = tmp_path_factory.mktemp("hostile_files")

    @cache
    def path_of(name: str) -> Path:
        KINDS[name].make(folder / name)
        return folder / name

    return path_of


@pytest.fixture(scope="session", params=["drawn", "found"])
def either_file(request: pytest.FixtureRequest) -> HostileFile:
    """Likewise, and then of the found files of those kinds where they lie beside the checkout."""
    from tests.hostile_files import COLLECTED

    if request.param == "drawn":
        drawn: HostileFile = request.getfixturevalue("hostile_file")
        return drawn
    folder: Path = request.getfixturevalue("shared_clips")
    names = {kind: name for name, kind in COLLECTED.items()}
    return lambda kind: folder / names[kind]


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A quiet Ray of two CPUs on this machine, started once for all tests that need one."""
    from pfp.runtime import connect

    with ExitStack() as stack:
        with warnings.catch_warnings():
            # A start that took too long and was repeated leaves its processes to the collector.
            warnings.simplefilter("ignore", ResourceWarning)
            stack.enter_context(connect("ray", num_cpus=2))
            gc.collect()
        yield
