"""Where Ray comes from: the cluster that this process belongs to, or one of its own."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any, Final

from pfp.errors import ConfigError, InputError

LOOPBACK: Final = "127.0.0.1"
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray 2.60 warns about its own future default on every start.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
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
    with _environment(_QUIET):
        _start(ray, num_cpus)
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


def _start(ray: Any, num_cpus: int | None) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS")
    if address:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError) as error:
            message = f"no Ray answers at RAY_ADDRESS {address} ({error}); start it or unset the variable"
            raise InputError(message) from error
        return
    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        _node_ip_address=LOOPBACK,
        **quiet,
    )


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets environment variables that are not set, for the time of the block."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
