"""What ``from pfp.models import ...`` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pfp.models
from pfp.models import MemoryDiT, MemoryDiTConfig, MemoryEncoder, make_encoder


def test_public_names_are_those_of_their_modules() -> None:
    """A name is the object itself, from the module that defines it."""
    modules = [
        named.__module__ for named in (MemoryDiT, MemoryDiTConfig, MemoryEncoder, make_encoder)
    ]

    assert [
        f"pfp.models.memory.{name}" for name in ("dit", "config", "variants", "encoder")
    ] == modules


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any other module."""
    with pytest.raises(AttributeError, match=r"'pfp\.models' has no attribute 'Encoder'"):
        _ = pfp.models.Encoder


def test_the_package_itself_loads_no_torch() -> None:
    """Command lines import names of models and folders, and need no network."""
    code = "import pfp.models, pfp.models.tiny_names, sys; sys.exit('torch' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode
