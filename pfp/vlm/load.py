"""The providers there are, and how a model is named: ``gemini:MODEL``, ``openai:MODEL@URL``, ..."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from pfp.errors import ConfigError
from pfp.vlm.cache import AnswerFile, CachedClient
from pfp.vlm.client import Client, Provider, RetryingClient
from pfp.vlm.request import SAMPLING_DEFAULTS, Sampling
from pfp.vlm.retry import RETRY_DEFAULTS, RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of provider.

    ``pattern`` is what follows the colon, its named groups options of the class. ``settings`` are
    the fields of ``Sampling`` that it obeys. ``libraries`` are what it is asked through, from the
    ``extra`` of pfp.
    """

    form: str
    pattern: str
    provider: str
    settings: frozenset[str] = frozenset()
    libraries: tuple[str, ...] = ()
    extra: str = "caption"
    is_remote: bool = False


_WRITING: Final = frozenset({"temperature", "max_output_tokens"})
# Classes are resolved on use: SDKs and torch take seconds to import.
PROVIDERS: Final[Mapping[str, Kind]] = {
    "gemini": Kind(
        form="gemini:MODEL",
        pattern=r"(?P<model>.+)",
        provider="pfp.vlm.providers.gemini.provider:GeminiProvider",
        settings=_WRITING | {"media_resolution", "thinking_level"},
        libraries=("google-genai",),
        is_remote=True,
    ),
    "openai": Kind(
        form="openai:MODEL@URL",
        pattern=r"(?P<model>.+?)@(?P<base_url>https?://.+)",
        provider="pfp.vlm.providers.openai.provider:OpenAIProvider",
        settings=_WRITING | {"thinking_level"},
        libraries=("openai",),
        is_remote=True,
    ),
    "qwen": Kind(
        form="qwen:DIRECTORY",
        pattern=r"(?P<directory>.+)",
        provider="pfp.vlm.providers.qwen:QwenProvider",
        settings=_WRITING,
        libraries=("torch", "transformers"),
        extra="train",
    ),
    "replay": Kind(
        form="replay:FILE",
        pattern=r"(?P<path>.+)",
        provider="pfp.vlm.providers.replay:ReplayProvider",
    ),
    "fake": Kind(
        form="fake:always-yes",
        pattern=r"(?P<answer>.+)",
        provider="pfp.vlm.providers.fake:FakeProvider",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model's specification, taken apart: its kind, options of its class, sampling, votes."""

    text: str
    kind: Kind
    options: Mapping[str, Any]
    policy: Mapping[str, Any]
    sampling: Mapping[str, Any]
    num_votes: int

    def sampling_over(self, defaults: Sampling) -> Sampling:
        """``defaults`` with what the specification says.

        With votes and no temperature in it, it is the model's own (None), at which votes may
        differ. Raises ConfigError for a value that no model takes, and for a thinking level where
        the model has none.
        """
        told = dict(self.sampling)
        if self.num_votes > 1 and "temperature" in self.kind.settings:
            told.setdefault("temperature", None)
        sampling = replace(defaults, **told)
        if sampling.thinking_level is not None and "thinking_level" not in self.kind.settings:
            raise ConfigError(
                f"{self.text!r} has no thinking level to be set to {sampling.thinking_level}; "
                "set none"
            )
        return sampling


def load_client(
    spec: str,
    *,
    sampling: Sampling | None = None,
    cache: str | Path | None = None,
    record: str | Path | None = None,
    device: str | None = None,
    decode_timeout_seconds: float | None = None,
    keeps_answers: bool = False,
    **options: Any,
) -> Client:
    """The client for the model that ``spec`` names, built with its provider's options.

    ``gemini:MODEL`` | ``openai:MODEL@URL`` (any server of that protocol; option ``key_variable``
    names the environment variable that holds its key) | ``qwen:DIRECTORY`` (a local Qwen-VL) |
    ``replay:FILE`` | ``fake:always-yes`` | ``fake:always-no``. Options may also follow in the spec:
    ``gemini:MODEL#media_resolution=low,thinking_level=low``, and what the spec says goes before
    ``options``. Those that name a field of ``Sampling`` change ``sampling``, what the client's
    requests are to be asked with.

    ``cache`` is a JSONL file that answers are looked up in and added to, ``record`` one that gets
    every answer that is used; either can be replayed. With ``keeps_answers`` no request is sent
    twice as long as the client lives, also without a file. ``device`` is where a local model runs
    if no option says so. ``decode_timeout_seconds`` bounds the decoding of a video for a model that
    takes frames.

    Raises ConfigError for a spec of another form, an unknown kind or option, and a library that is
    missing.
    """
    read = read_spec(spec, **options)
    provider_class = _provider_class(read)
    settings = dict(read.options)
    if device is not None and "device" in inspect.signature(provider_class).parameters:
        settings.setdefault("device", device)
    client: Client = RetryingClient(
        cast("Provider", provider_class(**settings)),
        sampling=read.sampling_over(sampling or Sampling()),
        policy=RetryPolicy(**read.policy),
        decode_timeout_seconds=decode_timeout_seconds,
    )
    if cache is None and record is None and not keeps_answers:
        return client
    return CachedClient(
        client,
        cache=None if cache is None else AnswerFile(cache),
        record=None if record is None else AnswerFile(record),
    )


def read_spec(spec: str, **options: Any) -> ModelSpec:
    """The parts of a specification, and of options that it does not have itself, checked.

    ``votes=K`` is an option of every model: how often a request is to be asked.
    """
    main, written = _split_options(spec)
    name, _, rest = main.partition(":")
    if name not in PROVIDERS:
        forms = ", ".join(kind.form for kind in PROVIDERS.values())
        raise ConfigError(f"{spec!r} names no known kind of model; write one of {forms}")
    kind = PROVIDERS[name]
    match = re.fullmatch(kind.pattern, rest)
    if match is None:
        raise ConfigError(f"{spec!r} is incomplete; write {kind.form}")
    given = {**options, **match.groupdict(), **written}
    num_votes = given.pop("votes", 1)
    if not isinstance(num_votes, int) or num_votes < 1:
        raise ConfigError(f"{spec!r} has votes={num_votes}; give a whole number from 1 on")
    sampling = {name: given.pop(name) for name in sorted(kind.settings & given.keys())}
    policy = {name: given.pop(name) for name in RETRY_DEFAULTS if kind.is_remote and name in given}
    read = ModelSpec(
        text=spec, kind=kind, options=given, policy=policy, sampling=sampling, num_votes=num_votes
    )
    _check_options(read)
    if isinstance(sampling.get("temperature"), int):
        return replace(read, sampling={**sampling, "temperature": float(sampling["temperature"])})
    return read


def runs_here(spec: str) -> bool:
    """Whether it is a model on this machine; raises as ``load_client`` does."""
    return "device" in inspect.signature(_provider_class(read_spec(spec))).parameters


def libraries_of(spec: str) -> tuple[str, ...]:
    """The libraries through which a model is asked; none for those that ask nobody."""
    kind = PROVIDERS.get(spec.partition(":")[0])
    return () if kind is None else kind.libraries


def _provider_class(spec: ModelSpec) -> type:
    module_name, _, class_name = spec.kind.provider.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{spec.text!r} needs {error.name}; pip install 'pfp[{spec.kind.extra}]'"
        ) from error
    found: type = getattr(module, class_name)
    return found


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


def _check_options(spec: ModelSpec) -> None:
    """Raise ConfigError for an option that the model does not have, or text for a number."""
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(_provider_class(spec)).parameters.items()
    }
    policy = RETRY_DEFAULTS if spec.kind.is_remote else {}
    settings = {name: SAMPLING_DEFAULTS[name] for name in sorted(spec.kind.settings)}
    for name in spec.options:
        if name not in known:
            names = ", ".join([*known, *settings, *policy, "votes"])
            raise ConfigError(f"{spec.text!r} has no option {name!r}; it has {names}")
    given = {**spec.options, **spec.sampling, **spec.policy}
    for name, value in given.items():
        default = {**known, **settings, **policy}[name]
        is_number = isinstance(value, int | float)
        is_unset = name == "temperature" and value is None
        if isinstance(default, int | float) and not is_number and not is_unset:
            raise ConfigError(f"option {name} of {spec.text!r} is {value!r}; give a number")
