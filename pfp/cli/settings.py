"""Texts of a command line: ``key=value`` to the fields of a frozen config, and lists of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pfp.errors import ConfigError
from pfp.io.yaml_text import parse_yaml

C = TypeVar("C")

_WHOLE = (tuple, Literal)  # annotations whose arguments are not a union's


def names_of(text: str | None) -> tuple[str, ...]:
    """The names in ``psnr, ssim``, however they are spaced; none where nothing was given."""
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))


def with_settings(config: C, assignments: Sequence[str]) -> C:
    """The config with ``key=value`` applied; ``sampling.fps=2`` reaches into a part of it.

    Values are read as YAML, so ``null`` is None and ``[a, b]`` a list. Raises ConfigError for an
    unknown key or a value of another type.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment!r} has no value; write key=value")
        config = _with(config, key.strip().split("."), text, key.strip())
    return config


def _with(config: C, path: list[str], text: str, key: str) -> C:
    names = [item.name for item in fields(config)]  # type: ignore[arg-type]
    name, *rest = path
    if name not in names:
        raise ConfigError(f"--set {key}: there is no {name!r}; use one of {', '.join(names)}")
    current = getattr(config, name)
    if rest or is_dataclass(current):
        if not (rest and is_dataclass(current)):
            raise ConfigError(f"--set {key}: name one setting, for example sampling.fps=2")
        return replace(config, **{name: _with(current, rest, text, key)})  # type: ignore[type-var]
    return replace(config, **{name: _value(type(config), name, text, key)})  # type: ignore[type-var]


def _value(owner: type, name: str, text: str, key: str) -> Any:
    """The value of a setting, of the type that its annotation names."""
    hint = get_type_hints(owner)[name]
    # Literal stands for text: which texts there are is checked by the class itself.
    kinds = {
        str if get_origin(kind) is Literal else get_origin(kind) or kind
        for kind in ((hint,) if get_origin(hint) in _WHOLE else get_args(hint) or (hint,))
    }
    try:
        value = parse_yaml(text)
    except ValueError:
        value = text
    if type(value) in kinds:
        return value
    if type(value) is list and tuple in kinds:
        return tuple(value)
    if type(value) is int and float in kinds:
        return float(value)
    if str in kinds:
        return text
    shown = sorted("null" if kind is type(None) else kind.__name__ for kind in kinds)
    raise ConfigError(f"--set {key}={text}: give a value of type {' or '.join(shown)}")
