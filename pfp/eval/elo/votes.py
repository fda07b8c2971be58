"""Votes of a user study: which of two videos somebody preferred, one JSON object a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pfp.errors import InputError
from pfp.io.files import read_lines
from pfp.io.json_text import parse_json
from pfp.limits import MAX_LINE_BYTES, MAX_LINES_BYTES
from pfp.texts import quoted

Winner = Literal["a", "b", "tie", "bothbad"]
Side = Literal["a", "b"]
WINNERS: Final = get_args(Winner)
SIDES: Final = get_args(Side)
EXAMPLE: Final = (
    '{"model_a": "x", "model_b": "y", "winner": "a", "rater": "r1", "prompt": "p1", "left": "b"}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One comparison. ``left`` is which of the two was shown on the left; None is unknown."""

    model_a: str
    model_b: str
    winner: Winner
    rater: str | None = None
    prompt: str | None = None
    left: Side | None = None


FIELDS: Final = tuple(field.name for field in fields(Vote))


def read_votes(path: str | Path) -> list[Vote]:
    """The votes of a JSON Lines file; empty lines are skipped.

    Raises:
        InputError: the file cannot be read, holds no vote, or a line is none; the message names
            the line and the cure. Either all votes name a rater, or none does; the same for the
            prompt, because votes of unknown origin cannot be drawn again with their like.
    """
    votes: list[Vote] = []
    try:
        lines = read_lines(path, max_bytes=MAX_LINES_BYTES, max_line_bytes=MAX_LINE_BYTES)
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            vote = _vote(_object(line, where), where)
            _check_alike(vote, votes, where)
            votes.append(vote)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; give a JSONL file") from error
    if not votes:
        raise InputError(f"{path} holds no vote; write one object a line, such as {EXAMPLE}")
    return votes


def _object(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        found = parse_json(line.decode("utf-8"), max_length=MAX_LINE_BYTES)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}); write {EXAMPLE}") from error
    if not isinstance(found, dict):
        raise InputError(f"{where}: {quoted(str(found))} is no object; write {EXAMPLE}")
    return found


def _vote(found: Mapping[str, Any], where: str) -> Vote:
    unknown = sorted(found.keys() - set(FIELDS))
    if unknown:
        raise InputError(
            f"{where}: no field is called {quoted(unknown[0])}; use {', '.join(FIELDS)}"
        )
    for name in ("model_a", "model_b", "winner"):
        if name not in found:
            raise InputError(f"{where}: no {name}; write {EXAMPLE}")
    for name, value in found.items():
        is_unknown = value is None and name in {"rater", "prompt", "left"}
        if not is_unknown and not (isinstance(value, str) and value):
            raise InputError(f"{where}: {name} is {quoted(value)}; write a text that is not empty")
    if found["winner"] not in WINNERS:
        raise InputError(
            f"{where}: winner is {quoted(found['winner'])}; write {', '.join(WINNERS)}"
        )
    if found.get("left") not in {*SIDES, None}:
        raise InputError(
            f"{where}: left is {quoted(found['left'])}; write a or b, whichever was on the left"
        )
    if found["model_a"] == found["model_b"]:
        raise InputError(
            f"{where}: {quoted(found['model_a'])} was compared with itself; remove it or mend a "
            "name"
        )
    return Vote(**found)


def _check_alike(vote: Vote, earlier: list[Vote], where: str) -> None:
    for name in ("rater", "prompt"):
        known = getattr(vote, name) is not None
        if earlier and known != (getattr(earlier[0], name) is not None):
            has, had = ("a", "none") if known else ("no", "one")
            raise InputError(
                f"{where}: has {has} {name} where the votes above have {had}; name it in all "
                "votes or in none"
            )
