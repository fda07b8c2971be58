"""What a study folder says: the plan that raters' browsers read, and the key that un-blinds it.

``STUDY/public/`` may be seen by everyone: the page, ``study.json`` and the videos under names that
tell nothing. ``STUDY/key.json`` says which model made which; it is never served.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pfp.errors import InputError
from pfp.eval.elo.votes import WINNERS, Winner
from pfp.eval.study.design import Showing
from pfp.io.digests import sha256_json
from pfp.io.files import read_file
from pfp.io.json_text import parse_json
from pfp.limits import MAX_LINES_BYTES
from pfp.schema import Shot

SCHEMA_VERSION: Final = 1
PUBLIC: Final = "public"
VIDEOS: Final = "videos"
PLAN_NAME: Final = "study.json"
PAGE_NAME: Final = "index.html"
KEY_NAME: Final = "key.json"
BALLOTS_NAME: Final = "ballots.jsonl"
CODE: Final = re.compile(r"r0*([1-9][0-9]{0,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the videos were asked to show; None and no shots where the manifest does not say."""

    text: str | None
    shots: tuple[Shot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a rater's browser needs.

    ``slots`` has one order of showings per planned rater; sides are numbers of ``videos``.
    ``study`` is what ballots call it, 16 hex digits of its digest.
    """

    question: str
    answers: tuple[Winner, ...]
    prompts: tuple[Prompt, ...]
    videos: tuple[str, ...]
    slots: tuple[tuple[Showing, ...], ...]
    study: str = field(init=False)

    def __post_init__(self) -> None:
        """Name the study by its content."""
        object.__setattr__(self, "study", sha256_json(_content(self))[:16])

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON, as the page reads it."""
        return {"schema_version": SCHEMA_VERSION, "study": self.study, **_content(self)}

    @property
    def codes(self) -> tuple[str, ...]:
        """The ids to hand out, one per slot: ``r01``, ``r02``, ..."""
        width = max(2, len(str(len(self.slots))))
        return tuple(f"r{number:0{width}}" for number in range(1, len(self.slots) + 1))

    def slot_of(self, rater: str) -> int:
        """Which order a rater gets: a code its own, any other id one by its digest (FNV-1a)."""
        code = CODE.fullmatch(rater)
        if code is not None and int(code[1]) <= len(self.slots):
            return int(code[1]) - 1
        state = 0x811C9DC5
        for byte in rater.encode():
            state = (state ^ byte) * 0x01000193 % (1 << 32)
        return state % len(self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a served video comes from."""

    model: str
    sample_id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Which model made which video, the group of each prompt, and who was left out and why."""

    study: str
    seed: int
    groups: tuple[str, ...]
    excluded: Mapping[str, str]
    videos: Mapping[str, Source]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def _content(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON, without its name."""
    return {
        "question": plan.question,
        "answers": list(plan.answers),
        "prompts": [asdict(prompt) for prompt in plan.prompts],
        "videos": list(plan.videos),
        "slots": [[asdict(showing) for showing in slot] for slot in plan.slots],
    }


def read_study(folder: str | Path) -> tuple[Plan, Key]:
    """The plan and the key of a study folder.

    Raises:
        InputError: it is no study folder, its files are damaged, or they do not belong together.
    """
    plan, key = read_plan(folder), _read_key(Path(folder) / KEY_NAME)
    if key.study != plan.study or set(key.videos) != set(plan.videos):
        raise InputError(
            f"{folder}: {KEY_NAME} is that of study {key.study}, {PLAN_NAME} is {plan.study}; put "
            "back the files that `pfp-eval study build` wrote"
        )
    return plan, key


def read_plan(folder: str | Path) -> Plan:
    """The plan of a study folder; raises ``InputError`` as ``read_study`` does."""
    path = Path(folder) / PUBLIC / PLAN_NAME
    found = _object(path)
    try:
        plan = Plan(
            question=found["question"],
            answers=tuple(found["answers"]),
            prompts=tuple(
                Prompt(text=prompt["text"], shots=tuple(Shot(**shot) for shot in prompt["shots"]))
                for prompt in found["prompts"]
            ),
            videos=tuple(found["videos"]),
            slots=tuple(tuple(Showing(**one) for one in slot) for slot in found["slots"]),
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is no plan ({error!r}); build the study again") from error
    if plan.study != found.get("study") or not set(plan.answers) <= set(WINNERS):
        raise InputError(
            f"{path} was changed since it was built; put back what `pfp-eval study build` wrote"
        )
    return plan


def _read_key(path: Path) -> Key:
    found = _object(path)
    try:
        return Key(
            study=found["study"],
            seed=found["seed"],
            groups=tuple(found["groups"]),
            excluded=dict(found["excluded"]),
            videos={name: Source(**source) for name, source in found["videos"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no key of a study ({error!r}); build it again") from error


def _object(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(read_file(path, MAX_LINES_BYTES).decode(), max_length=MAX_LINES_BYTES)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a folder that `pfp-eval study build` "
            "wrote"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); build the study again") from error
    if not isinstance(found, dict) or found.get("schema_version") != SCHEMA_VERSION:
        version = found.get("schema_version") if isinstance(found, dict) else None
        raise InputError(
            f"{path} has schema_version {version!r}, not {SCHEMA_VERSION}; build the study again"
        )
    return found
