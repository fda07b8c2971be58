"""The questions' words that a user gives: a prompt file, or a checkout of VBench-2.0.

pfp asks in words of its own. VBench-2.0's stand in its source, which is parsed here and never run:

- ``vbench2/human_clothes.py``: a list of three questions, in the order in which they are asked, and
  the formatted string that tells length, number and times of the frames
- ``vbench2/third_party/Instance_detector/test.py``: the text part of the message about a window.
  The package ``vbench2`` 0.1.1 has no such file: it counts boxes of YOLO-World instead of asking.

A prompt file is YAML or JSON, with ``cloth``, ``instance`` or both::

    cloth:
      context: "{num_frames} frames of {duration_seconds:.2f} s, at {timestamps}. Yes or no."
      questions: {one_person: "...", same_person: "...", same_clothes: "..."}
    instance:
      questions: {broken_instance: "..."}
      options: {A: "yes", B: "no"}
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Formatter
from typing import Any, Final

import yaml

from pfp.errors import ConfigError
from pfp.eval.metrics.judging import Prompts
from pfp.io.digests import sha256_json

MAX_BYTES: Final = 1 << 18  # of one file
QUESTIONS: Final = {
    "cloth": ("one_person", "same_person", "same_clothes"),
    "instance": ("broken_instance",),
}
PLACES: Final = frozenset({"num_frames", "timestamps", "duration_seconds"})
FIELDS: Final = frozenset({"context", "questions", "options", "between_times"})
CLOTH_SOURCE: Final = Path("human_clothes.py")
INSTANCE_SOURCE: Final = Path("third_party/Instance_detector/test.py")
_PACKAGES: Final = ("VBench-2.0/vbench2", "vbench2", ".")
_OPTION: Final = re.compile(r"(?m)^\(?([A-Z])[.)] *(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPrompts:
    """What was found, by family of metrics: ``cloth``, ``instance``."""

    by_family: Mapping[str, Prompts]

    def to_json(self) -> str:
        """For workers, which may not see the file."""
        return json.dumps({name: asdict(found) for name, found in self.by_family.items()})


def from_json(text: str | None) -> Mapping[str, Prompts]:
    """The inverse of ``GivenPrompts.to_json``; None is no prompts."""
    return {name: Prompts(**found) for name, found in json.loads(text or "{}").items()}


def read_judge_prompts(path: str | Path) -> GivenPrompts:
    """The words in a prompt file, in a checkout of VBench-2.0 or in its installed package.

    Raises ConfigError for what cannot be read, is too large, or does not hold them.
    """
    path = Path(path)
    found = _of_checkout(path) if path.is_dir() else _of_file(path)
    return GivenPrompts(by_family=found)


def digest_of_prompts(prompts: Prompts) -> str:
    """The digest of the words, whatever file they stood in."""
    return sha256_json({**asdict(prompts), "prompt_id": None})


def _named(**parts: Any) -> Prompts:
    """Prompts whose id is made of their own words."""
    return Prompts(
        prompt_id=f"given-{digest_of_prompts(Prompts(prompt_id='', **parts))[:16]}", **parts
    )


def _of_file(path: Path) -> dict[str, Prompts]:
    try:
        content = yaml.safe_load(_text_of(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"{path} is no YAML or JSON ({first}); mend it") from error
    if not isinstance(content, dict) or not content or content.keys() - QUESTIONS.keys():
        raise ConfigError(
            f"{path} does not hold {' or '.join(QUESTIONS)} and nothing else; mend it"
        )
    return {family: _checked(path, family, parts) for family, parts in content.items()}


def _checked(path: Path, family: str, parts: object) -> Prompts:
    """One family's words out of a prompt file."""
    if not isinstance(parts, dict) or parts.keys() - FIELDS:
        raise ConfigError(f"{family} in {path} may have {', '.join(sorted(FIELDS))}; mend it")
    questions, options = parts.get("questions"), parts.get("options")
    if not isinstance(questions, dict) or questions.keys() != set(QUESTIONS[family]):
        names = ", ".join(QUESTIONS[family])
        raise ConfigError(f"{family} in {path} needs the questions {names} and no others; mend it")
    if options is not None and not _are_options(options):
        raise ConfigError(f"{family} in {path} has options {options!r}; write A: 'yes', B: 'no'")
    words = {"context": parts.get("context", ""), **questions}
    for name, text in words.items():
        _check_places(path, f"{family}.{name}", text)
    between = parts.get("between_times", ", ")
    if not isinstance(between, str):
        raise ConfigError(f"{family}.between_times in {path} is {between!r}; write text")
    return _named(
        context=words["context"], questions=questions, options=options, between_times=between
    )


def _are_options(options: object) -> bool:
    return isinstance(options, dict) and all(
        isinstance(letter, str) and re.fullmatch("[A-Z]", letter) and meant in {"yes", "no"}
        for letter, meant in options.items()
    )


def _check_places(path: Path, name: str, text: object) -> None:
    """Raise ConfigError unless it is text whose places in braces are known ones."""
    if not isinstance(text, str) or (name.rpartition(".")[2] != "context" and not text.strip()):
        raise ConfigError(f"{name} in {path} is {text!r}; write text")
    try:
        places = {place for _, place, _, _ in Formatter().parse(text) if place is not None}
        unknown = sorted(places - PLACES)
        text.format(num_frames=1, timestamps="0.00s", duration_seconds=1.0)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise ConfigError(f"{name} in {path} has a wrong place in braces ({error})") from error
    if unknown:
        known = ", ".join(sorted(PLACES))
        raise ConfigError(f"{name} in {path} has the place {unknown[0]!r}; known are {known}")


def _of_checkout(folder: Path) -> dict[str, Prompts]:
    package = next((p for name in _PACKAGES if (p := folder / name / CLOTH_SOURCE).is_file()), None)
    if package is None:
        raise ConfigError(
            f"{folder} has no vbench2/{CLOTH_SOURCE}; give the folder of a VBench checkout, of its "
            "VBench-2.0, or of the package vbench2"
        )
    found = {"cloth": _read(package, _cloth_in)}
    instance = package.parent / INSTANCE_SOURCE
    if instance.is_file():
        found["instance"] = _read(instance, _instance_in)
    return found


def _read(path: Path, find: Callable[[ast.Module], Prompts]) -> Prompts:
    try:
        return find(ast.parse(_text_of(path)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = f"{path} is not read as VBench-2.0's ({error}); give its words in a prompt file"
        raise ConfigError(message) from error


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{path} is no file; give a prompt file or a VBench-2.0 checkout")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(f"{path} has over {MAX_BYTES >> 10} KiB, which no prompt file has")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); give a UTF-8 text file") from error


def _cloth_in(tree: ast.Module) -> Prompts:
    """The one list of three questions, and the one formatted string about the frames."""
    lists = {tuple(found) for found in _lists_of_text(tree) if len(found) == 3}
    contexts = set(_contexts(tree))
    if len(lists) != 1 or len(contexts) != 1:
        raise ValueError(
            f"{len(lists)} lists of three questions and {len(contexts)} sentences about the frames"
        )
    questions = dict(zip(QUESTIONS["cloth"], map(_escaped, lists.pop()), strict=True))
    return _named(context=contexts.pop(), questions=questions, between_times=",")


def _lists_of_text(tree: ast.Module) -> Iterator[list[str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.List):
            texts = [each.value for each in node.elts if isinstance(each, ast.Constant)]
            if len(texts) == len(node.elts) and all(
                isinstance(text, str) and text.strip().endswith("?") for text in texts
            ):
                yield [str(text) for text in texts]


def _contexts(tree: ast.Module) -> Iterator[str]:
    """Formatted strings that tell the frames' number, their times and the video's length."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [_part(value) for value in node.values]
            if None not in parts and all(
                any(f"{{{place}" in str(p) for p in parts) for place in PLACES
            ):
                yield "".join(map(str, parts))


def _part(value: ast.expr) -> str | None:
    """A piece of a formatted string with our name in its place; None for another place."""
    if isinstance(value, ast.Constant):
        return _escaped(str(value.value))
    if not isinstance(value, ast.FormattedValue):
        return None
    said = ast.unparse(value.value)
    named = {"len(": "num_frames", "frame_time": "timestamps", "video_time": "duration_seconds"}
    place = next((place for start, place in named.items() if said.startswith(start)), None)
    spec = ""
    if isinstance(value.format_spec, ast.JoinedStr):
        spec = ":" + "".join(
            str(each.value) for each in value.format_spec.values if isinstance(each, ast.Constant)
        )
    return None if place is None else f"{{{place}{spec}}}"


def _instance_in(tree: ast.Module) -> Prompts:
    """The one text part of a message, with the options that it offers."""
    texts = {text for node in ast.walk(tree) if (text := _text_part(node)) is not None}
    if len(texts) != 1:
        raise ValueError(f"{len(texts)} text parts of messages instead of one")
    text = texts.pop()
    options = {letter.upper(): meant.lower() for letter, meant in _OPTION.findall(text)}
    return _named(
        context="", questions={"broken_instance": _escaped(text)}, options=options or None
    )


def _text_part(node: ast.AST) -> str | None:
    """The text of ``{"type": "text", "text": ...}``."""
    if not isinstance(node, ast.Dict):
        return None
    pairs = {
        key.value: value.value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
    }
    text = pairs.get("text")
    return text if pairs.get("type") == "text" and isinstance(text, str) else None


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
