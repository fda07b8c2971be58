"""Where Ray comes from: the cluster that this process belongs to, or one of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pfp.errors import ConfigError, InputError

LOOPBACK: Final = "127.0.0.1"
START_ATTEMPTS: Final = 3
SECONDS_TO_ANSWER: Final = 10.0
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's C++ side prints to the terminal what it calls errors and then mends by itself.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@contextlib.contextmanager
def connect(engine: str, *, num_cpus: int | None = None) -> Iterator[None]:
    """Ray for the time of the block; for ``engine="local"`` nothing at all.

    Joins the Ray that this process has already, else the cluster of ``RAY_ADDRESS`` (which
    ``ray job submit`` sets), else starts one on this machine that ends with the block. That one
    listens on the loopback interface only and has no dashboard; ``num_cpus`` None: all cores.
    """
    if engine not in ("ray", "local"):
        message = f"engine {engine!r} is not one of 'ray', 'local'"
        raise ConfigError(message)
    if engine == "local":
        yield
        return
    ray = _import_ray()
    if ray.is_initialized():
        yield
        return
    unset = {name: value for name, value in _QUIET.items() if name not in os.environ}
    with environment(unset):
        address = os.environ.get("RAY_ADDRESS")
        with _stderr_without("RAY_BACKEND_LOG_LEVEL"), _own_sigterm():
            _join(ray, address) if address else _start(ray, num_cpus)
        try:
            yield
        finally:
            ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        message = "the engine 'ray' is not installed; run pip install 'pfp[ray]', or --engine local"
        raise ConfigError(message) from error
    return ray


def _join(ray: Any, address: str) -> None:
    try:
        _knock(address)
        with _loopback_only() if _is_private(ray, address) else contextlib.nullcontext():
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError) as error:
        message = (
            f"no Ray answers at RAY_ADDRESS {address} ({error}); start it or unset the variable"
        )
        raise InputError(message) from error


def _knock(address: str) -> None:
    """Raises OSError unless something listens at ``host:port``; Ray would try for minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_ANSWER):
            pass


def _is_private(ray: Any, address: str) -> bool:
    """Whether a Ray on this machine listens on the loopback interface only, as ours do."""
    if not address.startswith(f"{LOOPBACK}:"):
        return False
    try:
        _knock(address.replace(LOOPBACK, ray.util.get_node_ip_address()))
    except OSError:
        return True
    return False


def _start(ray: Any, num_cpus: int | None) -> None:
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            with _loopback_only():
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    include_dashboard=False,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    _node_ip_address=LOOPBACK,
                )
        except Exception as error:
            # A bare Exception, after 30 seconds that no setting makes longer.
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if attempt == START_ATTEMPTS:
                message = (
                    f"Ray did not start in {attempt} times 30 seconds; wait until this machine is "
                    "less busy, or give --engine local"
                )
                raise InputError(message) from error
        else:
            return


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Puts this program's handler of SIGTERM back, which Ray replaces by a silent exit."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(handler) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Lets Ray take 127.0.0.1 for an answer while it starts.

    It replaces a loopback address by one that other machines reach, and then listens on all
    interfaces, unless its switch for "clusters of several machines" is off.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _stderr_without(word: str) -> Iterator[None]:
    """Holds back what is written to stderr, by C++ too, and passes it on without some lines."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            held.seek(0)
            for line in held:
                if word.encode() not in line:
                    os.write(real, line)
            os.close(real)


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the time of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
