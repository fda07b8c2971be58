"""JSON from outside, read strictly and within bounds: of bytes, of depth, and of time.

Time grows with the text's length and with nothing else, and no value that is returned can overflow
the stack of whoever walks through it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from pfp.limits import MAX_JSON_DEPTH, MAX_JSON_LENGTH
from pfp.texts import quoted


class RepeatedKey(ValueError):  # noqa: N818 - what it is
    """An object has a key twice, so that nobody knows which value was meant."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {quoted(key)} is there twice")
        self.key = key


def parse_json(text: str, *, max_length: int = MAX_JSON_LENGTH) -> Any:
    """The value in ``text``, strictly: no NaN, no infinity, no key twice.

    Half surrogate pairs stay: bytes of file names that are not UTF-8 travel as such.

    Raises ValueError with what is wrong with the text, ``RepeatedKey`` among them.
    """
    if len(text) > max_length:
        message = f"it has {len(text)} characters, more than the {max_length} that are read"
        raise ValueError(message)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise _too_deep() from error
    # Brackets in strings count, too: only what may be deep has to be walked through.
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH:
        _check_depth(value)
    return value


def has_half_pairs(value: Any) -> bool:
    """Whether a string or a key in a parsed value holds half a surrogate pair.

    JSON can write one as an escape, but such text has no UTF-8.
    """
    level = [value]
    while level:
        texts = [item for item in level if isinstance(item, str)]
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            return True
        level = [child for item in level for child in _children(item)]
    return False


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        level = [
            child for item in level for child in _children(item) if isinstance(child, dict | list)
        ]
        depth += 1
        if depth == MAX_JSON_DEPTH and level:
            raise _too_deep()


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    return item if isinstance(item, list) else []


def _too_deep() -> ValueError:
    return ValueError(f"it is nested too deeply, more than {MAX_JSON_DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKey(key)
            seen.add(key)
    return result
