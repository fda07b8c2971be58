"""Every compiled regular expression, on long texts that make careless ones take for ever.

A pattern with nested or neighbouring repetition looks at each way to divide a text; here nothing is
timed, but a pattern of that kind does not come to an end before the test's own limit.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from collections.abc import Iterator

import pytest

import pfp

pytestmark = pytest.mark.slow  # imports every module, torch among them

LENGTH = 30_000
# Pieces that patterns of this project look for, and what may stand between them.
PIECES = (
    *("a", "A", "0", "9", "f", "_", ".", "-", "+", "x", ",", "=", "#", "/", ":", "@", "e"),
    *(" ", "\n", "\t", "`", "```", "```json", "(", ")", "px(", "yes", "no", "sorry", "I'm "),
    *("In the video, ", "the video shows ", "part-", "bytes=", "r0", "\u3002", "\u2019", "!?; "),
)


def _modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(pfp.__path__, "pfp."):
        if not module.name.rpartition(".")[2].startswith("__"):
            yield module.name


def _patterns() -> list[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """All patterns at the top of modules that can be imported here, by name."""
    found = {}
    for name in _modules():
        try:
            module = importlib.import_module(name)
        except ImportError:  # of an extra that is not installed
            continue
        for key, value in vars(module).items():
            if isinstance(value, re.Pattern):
                found[f"{name}.{key}"] = value
    return sorted(found.items())


def _texts() -> Iterator[str]:
    rng = random.Random(0)
    for piece in PIECES:
        yield piece * (LENGTH // len(piece))
        yield piece * (LENGTH // len(piece)) + "\x00"
    for _ in range(40):
        few = rng.sample(PIECES, 3)
        text = "".join(rng.choices(few, k=LENGTH // 4))
        yield text
        yield rng.choice(PIECES) + text + "\x00"


@pytest.mark.parametrize(("name", "pattern"), _patterns(), ids=lambda value: str(value)[:60])
def test_a_pattern_comes_to_an_end(name: str, pattern: re.Pattern[str] | re.Pattern[bytes]) -> None:
    """On repetitions of what it looks for, and on mixtures of that."""
    del name
    for text in _texts():
        subject = text.encode() if isinstance(pattern.pattern, bytes) else text
        pattern.match(subject)  # type: ignore[arg-type]
        pattern.fullmatch(subject)  # type: ignore[arg-type]
        pattern.search(subject[: LENGTH // 10])  # type: ignore[arg-type]
