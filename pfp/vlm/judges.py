"""The judges there are, and how one is named: ``gemini:MODEL``, ``openai:MODEL@URL``, ..."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from pfp.errors import ConfigError
from pfp.vlm.answer_file import AnswerFile
from pfp.vlm.judge import Judge
from pfp.vlm.judge_votes import VotingJudge
from pfp.vlm.remember import RememberingJudge

# Kind to class, resolved on use: SDKs and torch take seconds to import.
JUDGES: Final[Mapping[str, str]] = {
    "gemini": "pfp.vlm.judge_gemini:GeminiJudge",
    "openai": "pfp.vlm.judge_openai:OpenAIJudge",
    "qwen": "pfp.vlm.judge_qwen:QwenJudge",
    "replay": "pfp.vlm.judge_replay:ReplayJudge",
    "fake": "pfp.vlm.judge_replay:FakeJudge",
}
# What follows the colon of each kind, as named groups that are options of its class.
_REST: Final[Mapping[str, tuple[str, str]]] = {
    "gemini": ("gemini:MODEL", r"(?P<model>.+)"),
    "openai": ("openai:MODEL@URL", r"(?P<model>.+?)@(?P<base_url>https?://.+)"),
    "qwen": ("qwen:DIRECTORY", r"(?P<directory>.+)"),
    "replay": ("replay:FILE", r"(?P<path>.+)"),
    "fake": ("fake:always-yes", r"(?P<answer>.+)"),
}
_LIBRARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "gemini": ("google-genai",),
    "openai": ("httpx",),
    "qwen": ("torch", "transformers"),
}
_EXTRAS: Final[Mapping[str, str]] = {"qwen": "train"}


def load_judge(
    spec: str,
    *,
    cache: str | Path | None = None,
    record: str | Path | None = None,
    device: str | None = None,
    **options: Any,
) -> Judge:
    """The judge that ``spec`` names, built with its own options; no question is asked twice.

    ``gemini:MODEL`` | ``openai:MODEL@URL`` (any server of that protocol; option ``key_variable``
    names the environment variable that holds its key) | ``qwen:DIRECTORY`` (a local Qwen-VL) |
    ``replay:FILE`` | ``fake:always-yes`` | ``fake:always-no``. Options may also follow in the spec:
    ``gemini:MODEL#media_resolution=low,thinking_level=low``.

    Every judge takes ``votes=K``: each question is asked K times, and the majority counts. Models
    are asked at temperature 0, or, if there are votes, at their own; option ``temperature`` names
    another. ``device`` is where a local model runs if no option says so.

    ``cache`` is a JSONL file that answers are looked up in and added to, ``record`` one that gets
    every answer that is used; either can be replayed.

    Raises ConfigError for a spec of another form, an unknown kind or option, and a library that is
    missing.
    """
    judge_class, settings, num_votes = _read_spec(spec, options)
    if device is not None and "device" in inspect.signature(judge_class).parameters:
        settings.setdefault("device", device)
    judge: Judge = RememberingJudge(
        cast("Judge", judge_class(**settings)),
        cache=None if cache is None else AnswerFile(cache),
        record=None if record is None else AnswerFile(record),
    )
    return judge if num_votes == 1 else VotingJudge(judge, num_votes=num_votes)


def sampling_of(spec: str) -> dict[str, Any]:
    """What ``spec`` says of ``votes`` and ``temperature``, where it is not one answer at 0.

    Raises as ``load_judge`` does.
    """
    _, settings, num_votes = _read_spec(spec, {})
    told: dict[str, Any] = {} if num_votes == 1 else {"votes": num_votes}
    temperature = settings.get("temperature", 0.0)
    if temperature != 0:
        told["temperature"] = "the model's own" if temperature is None else temperature
    return told


def runs_here(spec: str) -> bool:
    """Whether the judge is a model on this machine; raises as ``load_judge`` does."""
    judge_class, _, _ = _read_spec(spec, {})
    return "device" in inspect.signature(judge_class).parameters


def libraries_of(spec: str) -> tuple[str, ...]:
    """The libraries through which a judge is asked; none for those that ask nobody."""
    return _LIBRARIES.get(spec.partition(":")[0], ())


def _read_spec(spec: str, options: Mapping[str, Any]) -> tuple[type, dict[str, Any], int]:
    """The judge's class, its settings, and the number of votes."""
    main, written = _split_options(spec)
    kind, _, rest = main.partition(":")
    if kind not in JUDGES:
        forms = ", ".join(form for form, _ in _REST.values())
        raise ConfigError(f"judge {spec!r} is of no known kind; write one of {forms}")
    form, pattern = _REST[kind]
    match = re.fullmatch(pattern, rest)
    if match is None:
        raise ConfigError(f"judge {spec!r} is incomplete; write {form}")
    module_name, _, class_name = JUDGES[kind].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(kind, "caption")
        raise ConfigError(
            f"judge {spec!r} needs {error.name}; pip install 'pfp[{extra}]'"
        ) from error
    judge_class: type = getattr(module, class_name)
    settings = {**match.groupdict(), **written, **options}
    num_votes = settings.pop("votes", 1)
    if not isinstance(num_votes, int) or num_votes < 1:
        raise ConfigError(f"judge {spec!r} has votes={num_votes}; give a whole number from 1 on")
    _check_options(spec, judge_class, settings)
    return judge_class, _with_temperature(spec, judge_class, settings, num_votes), num_votes


def _with_temperature(
    spec: str, judge_class: type, settings: dict[str, Any], num_votes: int
) -> dict[str, Any]:
    """The settings with a temperature at which votes may differ, if none is named."""
    if settings.get("temperature") is not None:
        temperature = float(settings["temperature"])
        if not temperature >= 0:
            raise ConfigError(f"judge {spec!r} has temperature {temperature:g}; give 0 or more")
        return {**settings, "temperature": temperature}
    if num_votes > 1 and "temperature" in inspect.signature(judge_class).parameters:
        return {**settings, "temperature": None}
    return settings


def _split_options(spec: str) -> tuple[str, dict[str, Any]]:
    """``gemini:M#a=1,b=low`` -> ``("gemini:M", {"a": 1, "b": "low"})``."""
    match = re.fullmatch(r"(.*)#(\w+=[^#,=]*(?:,\w+=[^#,=]*)*)", spec)
    if match is None:
        return spec, {}
    pairs = (pair.partition("=") for pair in match[2].split(","))
    return match[1], {name: _number(value) for name, _, value in pairs}


def _number(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _check_options(spec: str, judge_class: type, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option that the judge does not have, or text for a number."""
    known = inspect.signature(judge_class).parameters
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(
                f"judge {spec!r} has no option {name!r}; it has {', '.join([*known, 'votes'])}"
            )
        default = known[name].default
        if isinstance(default, int | float) and not isinstance(value, int | float):
            raise ConfigError(f"option {name} of judge {spec!r} is {value!r}; give a number")
