"""Caption backends by name: ``sidecar``, ``offline``, ``gemini:MODEL``, ``qwen:DIRECTORY``, ..."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pfp.caption.backends.backend import Backend
from pfp.caption.backends.offline import OfflineBackend
from pfp.caption.backends.sidecar import SidecarBackend
from pfp.caption.backends.vlm import VlmBackend
from pfp.errors import ConfigError
from pfp.vlm import PROVIDERS, Sampling, load_client, read_spec
from pfp.vlm.load import ModelSpec
from pfp.vlm.request import SAMPLING_DEFAULTS

FORMS: Final = ("sidecar", "offline", *(kind.form for kind in PROVIDERS.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """What is not in a backend's name: sampling of models, patience, and a file of kept answers.

    ``decode_timeout_seconds`` bounds what decoding one clip may take, for the offline backend and
    for models that are shown frames. ``device`` is where a local model runs.
    """

    sampling: Sampling = field(default_factory=Sampling)
    request_timeout_seconds: float | None = None
    request_attempts: int | None = None
    decode_timeout_seconds: float | None = None
    answers: str | None = None
    device: str | None = None


def load_backend(name: str, settings: BackendSettings | None = None) -> Backend:
    """The backend called ``name``, which is ``sidecar``, ``offline`` or names a model.

    Raises ConfigError for an unknown name or option, for a setting that is in both name and
    ``settings`` and not the same, and for a library that is not installed.
    """
    settings = settings or BackendSettings()
    if name == "sidecar":
        return SidecarBackend()
    if name == "offline":
        return OfflineBackend(timeout_seconds=settings.decode_timeout_seconds)
    if name.partition(":")[0] not in PROVIDERS:
        raise ConfigError(f"caption backend {name!r} is unknown; write one of {', '.join(FORMS)}")
    spec = read_spec(name)
    if spec.num_votes > 1:
        raise ConfigError(f"{name!r} asks for votes, and captions are not voted on; leave votes")
    _check_said_once(spec, settings.sampling)
    _check_device(spec, settings.device)
    client = load_client(
        name,
        sampling=settings.sampling,
        cache=settings.answers,
        device=settings.device,
        decode_timeout_seconds=settings.decode_timeout_seconds,
        **_patience(spec, settings),
    )
    return VlmBackend(client, base_url=spec.options.get("base_url"))


def _patience(spec: ModelSpec, settings: BackendSettings) -> dict[str, Any]:
    given = {
        "timeout_seconds": settings.request_timeout_seconds,
        "max_attempts": settings.request_attempts,
    }
    if not spec.kind.is_remote:
        return {}
    return {name: value for name, value in given.items() if value is not None}


def _check_said_once(spec: ModelSpec, sampling: Sampling) -> None:
    for name, value in spec.sampling.items():
        given = getattr(sampling, name)
        if given not in (SAMPLING_DEFAULTS[name], value):
            raise ConfigError(
                f"{name} is {value} in {spec.text!r} and {given} in sampling; say it in one place"
            )


def _check_device(spec: ModelSpec, device: str | None) -> None:
    """Raise ConfigError for a model on another device than the one that workers are given."""
    told = spec.options.get("device", device)
    if device is not None and str(told) != device:
        raise ConfigError(
            f"device is {told} in {spec.text!r} and {device} in the settings, by which workers are "
            f"given a GPU; say it there only (--set device={told})"
        )
