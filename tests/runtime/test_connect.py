"""connect: Ray where it is asked for, and nothing of it elsewhere."""

from __future__ import annotations

import os
import sys

import pytest

from pfp import runtime
from pfp.errors import ConfigError
from pfp.runtime.connect import _stderr_without, environment


def test_an_unknown_engine_is_refused() -> None:
    """The message lists the engines there are."""
    with pytest.raises(ConfigError, match="'spark' is not one of 'ray', 'local'"):
        runtime.connect("spark").__enter__()


def test_a_missing_ray_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to install it and how to do without."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'pfp\[ray\]', or --engine local"):
        runtime.connect("ray").__enter__()


def test_environment_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both those that were set and those that were not."""
    monkeypatch.setenv("PFP_TEST_SET", "before")
    monkeypatch.delenv("PFP_TEST_UNSET", raising=False)
    with environment({"PFP_TEST_SET": "1", "PFP_TEST_UNSET": "2"}):
        assert ("1", "2") == (os.environ["PFP_TEST_SET"], os.environ["PFP_TEST_UNSET"])
    assert "before" == os.environ["PFP_TEST_SET"]
    assert "PFP_TEST_UNSET" not in os.environ


def test_only_the_lines_with_the_word_are_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    """What C++ writes to stderr passes on, but for the lines that no one asked for."""
    with _stderr_without("chatter"):
        os.write(2, b"a\nchatter b\nc\n")
    assert "a\nc\n" == capfd.readouterr().err
