"""YAML from outside: bounded, and without what makes a few lines mean a lot."""

from __future__ import annotations

import pytest

from pfp.io.yaml_text import parse_yaml


def test_plain_yaml_is_read() -> None:
    """Mappings, lists, numbers, text and null."""
    assert {"a": [1, 2.5, "x", None]} == parse_yaml("a: [1, 2.5, x, null]")


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "aliases are not read"),
        ("a: &a [*a]", "aliases are not read"),
        ("[" * 5000, "nested too deeply"),
        ("x" * (1 << 20), "it has 1048576 characters, more than the 262144"),
        ("a: [", "expected"),
        ("!!python/object/apply:os.system [true]", "could not determine a constructor"),
    ],
    ids=("laughs", "loop", "deep", "long", "broken", "object"),
)
def test_what_is_not_read(text: str, reason: str) -> None:
    """Each with what is wrong with it."""
    with pytest.raises(ValueError, match=reason):
        parse_yaml(text)
