"""The table of backends."""

from __future__ import annotations

import pytest

from pfp.caption.backends import BACKENDS, load_backend
from pfp.errors import ConfigError
from pfp.vlm import Sampling


def test_every_entry_of_the_table_resolves() -> None:
    """Each backend can be built and goes by the name it is listed under."""
    options = {"gemini": {"model": "gemini-2.5-flash"}}

    names = [load_backend(name, **options.get(name, {})).name for name in BACKENDS]

    assert names == list(BACKENDS)


def test_unknown_backend_is_an_error_that_lists_the_known_ones() -> None:
    """A typo is answered with what there is."""
    with pytest.raises(ConfigError, match=r"'gemni' is unknown; use one of sidecar, offline, gem"):
        load_backend("gemni")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0.0}, r"fps 0.0 is not in \(0, 24\]"),
        ({"fps": 30.0}, r"fps 30.0 is not in \(0, 24\]"),
        ({"media_resolution": "ultra"}, "media resolution 'ultra' is unknown; use one of low"),
        ({"thinking_level": "deep"}, "thinking level 'deep' is unknown; use one of minimal"),
    ],
)
def test_sampling_that_no_server_takes_is_refused(options: dict[str, object], message: str) -> None:
    """A wrong setting is found before anything is paid for."""
    with pytest.raises(ConfigError, match=message):
        Sampling(**options)  # type: ignore[arg-type]
