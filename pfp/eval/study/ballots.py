"""Ballots: what a rater answered, still blind, one JSON object a line.

A ballot is never changed. Taking a vote back is a further ballot with the next ``revision`` and no
answer, voting again one more; the latest revision counts.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pfp.errors import InputError
from pfp.eval.elo.votes import Winner
from pfp.eval.study.plan import Plan
from pfp.io.files import read_file
from pfp.io.json_text import parse_json
from pfp.limits import MAX_LINE_BYTES, MAX_LINES_BYTES
from pfp.texts import quoted

MAX_RATER_LETTERS: Final = 64
MAX_REVISION: Final = 9_999
SESSION: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One click: ``a`` is the left video, ``b`` the right one, None a vote taken back.

    ``session`` is one browser's stay, ``position`` counts the rater's showings from 0,
    ``seconds`` is from when both videos began to play to the click.
    """

    study: str
    session: str
    rater: str
    position: int
    revision: int
    answer: Winner | None
    seconds: float
    voted_at: str

    @property
    def id(self) -> str:
        """The same for the same click, however often it arrives."""
        return f"{self.session}-{self.position}-{self.revision}"

    def line(self) -> bytes:
        """The ballot as one line."""
        text = json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)
        return text.encode() + b"\n"


FIELDS: Final = tuple(field.name for field in fields(Ballot))


def parse_ballot(found: object, plan: Plan) -> Ballot:
    """The ballot that a JSON value is.

    Raises:
        InputError: it is none of this study; one sentence with the value and the cure.
    """
    if not isinstance(found, dict) or set(found) != set(FIELDS):
        raise InputError(f"{quoted(found)} is no ballot; give an object with {', '.join(FIELDS)}")
    study, session, rater = (_text(found, name) for name in ("study", "session", "rater"))
    if study != plan.study:
        raise InputError(
            f"study is {quoted(study)}, this is {plan.study}; open this study's own page"
        )
    if not SESSION.fullmatch(session):
        raise InputError(f"session is {quoted(session)}; write 16 lower-case hex digits")
    if rater != rater.strip() or not rater.isprintable() or not 1 <= len(rater) <= 64:
        raise InputError(
            f"rater is {rater[:80]!r}; write 1 to {MAX_RATER_LETTERS} printable letters, no spaces "
            "around"
        )
    num_showings = len(plan.slots[plan.slot_of(rater)])
    position = _number(found, "position", num_showings - 1)
    revision = _number(found, "revision", MAX_REVISION)
    answer = found["answer"]
    if answer not in (*plan.answers, None) or (answer is None and revision == 0):
        raise InputError(
            f"answer is {quoted(answer)} in revision {revision}; write {', '.join(plan.answers)}, "
            "or null to take a vote back"
        )
    return Ballot(
        study=study,
        session=session,
        rater=rater,
        position=position,
        revision=revision,
        answer=answer,
        seconds=_seconds(found["seconds"]),
        voted_at=_time(found),
    )


def read_ballots(path: str | Path, plan: Plan, *, is_log: bool = False) -> list[Ballot]:
    """The ballots of a file that a browser saved, or of the server's log.

    The last line of a log counts only if it is whole: one without its end was never acknowledged,
    and the browser still has it.

    Raises:
        InputError: the file cannot be read or a line is no ballot; the message names the line.
    """
    try:
        lines = read_file(path, MAX_LINES_BYTES).split(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a JSONL file") from error
    if is_log:
        lines.pop()
    return [
        ballot_of_line(line, plan, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def ballot_of_line(line: bytes, plan: Plan, where: str) -> Ballot:
    """The ballot on a line; ``where`` begins the message of an ``InputError``."""
    try:
        return parse_ballot(parse_json(line.decode(), max_length=MAX_LINE_BYTES), plan)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}); remove the line") from error


def _text(found: dict[str, Any], name: str) -> str:
    value = found[name]
    if not isinstance(value, str):
        raise InputError(f"{name} is {quoted(value)}; write text")
    return value


def _number(found: dict[str, Any], name: str, largest: int) -> int:
    value = found[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise InputError(f"{name} is {quoted(value)}; write a whole number from 0 to {largest}")
    return value


def _seconds(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        seconds = float(value) if is_number else math.nan  # type: ignore[arg-type]
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds) or seconds < 0:
        raise InputError(f"seconds is {str(value)[:40]}; write a number from 0 on")
    return seconds


def _time(found: dict[str, Any]) -> str:
    value = _text(found, "voted_at")
    try:
        # Between day and hour Python takes any letter, half a surrogate pair among them.
        known = value.isascii() and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        raise InputError(
            f"voted_at is {value[:40]!r}; write a time with its zone, as 2026-01-31T12:00:00Z"
        )
    return value
