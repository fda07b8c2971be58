"""Digests: equal values have equal ones, whatever the order; unequal values do not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfp.errors import ConfigError, InputError
from pfp.io.digests import sha256_file, sha256_files, sha256_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Three chunks and a bit hash to what hashlib says of the whole."""
    content = bytes(range(256)) * (3 * 4096) + b"tail"
    path = tmp_path / "file"
    path.write_bytes(content)
    assert hashlib.sha256(content).hexdigest() == sha256_file(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    """The message names the path."""
    with pytest.raises(InputError, match="gone cannot be read"):
        sha256_file(tmp_path / "gone")


def test_the_canonical_form_is_sorted_compact_utf8() -> None:
    """The digest can be computed again by anyone who knows the rule."""
    text = '{"a":[1,2.5,null,true],"\u00e4":"\u00fc"}'
    expected = hashlib.sha256(text.encode("utf-8")).hexdigest()
    assert expected == sha256_json({"\u00e4": "\u00fc", "a": [1, 2.5, None, True]})


def test_bytes_count_by_their_own_digest() -> None:
    """Bytes have no JSON form, so their digest stands for them."""
    inner = hashlib.sha256(b"xyz").hexdigest()
    assert sha256_json([{"sha256": inner}]) == sha256_json([b"xyz"])


def test_a_value_without_json_form_is_refused() -> None:
    """An object's address must not become part of a key."""
    with pytest.raises(ConfigError, match="object"):
        sha256_json({"x": object()})


@given(JSON)
def test_a_digest_repeats_itself(value: object) -> None:
    """NaN, nested values and odd text included."""
    assert sha256_json(value) == sha256_json(value)


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_count(values: dict[str, int]) -> None:
    """Two dicts of the same items are the same value."""
    assert sha256_json(values) == sha256_json(dict(reversed(values.items())))


def test_several_files_count_by_content_and_order(tmp_path: Path) -> None:
    """Names do not; where one file ends and the next begins does."""
    for name, content in {"a": b"ab", "b": b"c", "c": b"a", "d": b"bc", "e": b"ab"}.items():
        (tmp_path / name).write_bytes(content)

    def of(names: str) -> str:
        return sha256_files([tmp_path / name for name in names])

    digests = [hashlib.sha256(content).hexdigest() for content in (b"ab", b"c")]
    assert sha256_json({"files": digests}) == of("ab")
    assert of("ab") == of("eb")
    assert 4 == len({of("ab"), of("ba"), of("cd"), of("a")})


def test_a_folder_is_an_input_error(tmp_path: Path) -> None:
    """In a sentence with the reason and the cure."""
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\); check the path"):
        sha256_file(tmp_path)


def test_bytes_of_any_kind_are_the_same_bytes() -> None:
    """Whoever hands over a view of an array means its content."""
    digests = {sha256_json(kind(b"abc")) for kind in (bytes, bytearray, memoryview)}

    assert {sha256_json({"sha256": hashlib.sha256(b"abc").hexdigest()})} == digests


def test_text_counts_as_utf8_without_escapes() -> None:
    """As the rule says: keys sorted, no spaces, UTF-8."""
    content = '{"a":[1,2.5,null,true],"\u00e9":"\u732b"}'.encode()

    assert hashlib.sha256(content).hexdigest() == sha256_json(
        {"\u00e9": "\u732b", "a": [1, 2.5, None, True]}
    )
