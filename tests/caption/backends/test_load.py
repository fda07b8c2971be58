"""Caption backends by name."""

from __future__ import annotations

from typing import Any

import pytest

from pfp.caption.backends import BackendSettings, load_backend
from pfp.errors import ConfigError
from pfp.io.digests import sha256_json
from pfp.vlm import PROVIDERS, Sampling

SETTINGS = BackendSettings()
NAMES = {
    "gemini": "gemini:gemini-2.5-flash",
    "openai": "openai:m@http://127.0.0.1:9/v1",
    "qwen": "qwen:somewhere",
    "replay": "replay:answers.jsonl",
    "fake": "fake:always-yes",
}


def test_every_provider_is_a_backend() -> None:
    """Each goes by its kind in the rows that it writes; files and measurements by their names."""
    names = ["sidecar", "offline", *NAMES.values()]

    backends = [load_backend(name, SETTINGS) for name in names]

    assert [backend.name for backend in backends] == ["sidecar", "offline", *PROVIDERS]
    assert [backend.generative for backend in backends] == [False, False, *[True] * 5]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gemni", r"'gemni' is unknown; write one of sidecar, offline, gemini:MODEL, openai"),
        ("gemini", r"'gemini' is incomplete; write gemini:MODEL"),
        ("offline:x", r"'offline:x' is unknown"),
        ("gemini:m#votes=3", "captions are not voted on; leave votes"),
        ("qwen:d#thinking_level=low", "has no option 'thinking_level'"),
        (
            "qwen:d#device=cuda",
            r"device is cuda in 'qwen:d#device=cuda' and cpu in the settings, .*--set device=cuda",
        ),
        ("gemini:m#temperature=0.1", "temperature is 0.1 in .* and 0.9 in sampling; say it in one"),
    ],
)
def test_name_that_cannot_be_used_is_one_sentence(name: str, message: str) -> None:
    """With what may be written instead."""
    settings = BackendSettings(sampling=Sampling(temperature=0.9), device="cpu")

    with pytest.raises(ConfigError, match=message):
        load_backend(name, settings)


def test_thinking_level_of_a_model_without_one_is_refused() -> None:
    """A setting that would do nothing is not taken."""
    settings = BackendSettings(sampling=Sampling(thinking_level="low"))

    with pytest.raises(ConfigError, match="has no thinking level to be set to low; set none"):
        load_backend("qwen:somewhere", settings)


def test_device_may_be_said_in_both_places() -> None:
    """If it is the same, or if the settings leave it open."""
    names = [load_backend("qwen:d#device=cuda", BackendSettings(device=d)) for d in ("cuda", None)]

    assert [backend.name for backend in names] == ["qwen", "qwen"]


def test_sampling_is_what_name_and_settings_say() -> None:
    """Each may say a part of it."""
    settings = BackendSettings(sampling=Sampling(fps=2.0, media_resolution="low"))

    backend = load_backend("gemini:m#thinking_level=low", settings)

    expected = Sampling(fps=2.0, media_resolution="low", thinking_level="low")
    assert backend.sampling == expected


def test_fingerprint_of_gemini_is_that_of_its_model_and_server() -> None:
    """Storyboards of earlier versions stay as they are; patience changes none."""

    def of(name: str, **changes: Any) -> str:
        return load_backend(name, BackendSettings(**changes)).fingerprint

    first = of("gemini:m")
    parts = {"backend": "gemini", "model": "m", "base_url": None}
    assert first == sha256_json(parts)
    assert first == of("gemini:m", request_attempts=1, request_timeout_seconds=1.0)
    assert len({first, of("gemini:other"), of("gemini:m#base_url=http://127.0.0.1:9")}) == 3


def test_fingerprint_of_a_model_with_frames_follows_its_settings() -> None:
    """Where it is served does not count."""
    names = ["openai:m@http://a/v1", "openai:m@http://b/v1", "openai:m@http://a/v1#temperature=0"]

    first, moved, cold = (load_backend(name, SETTINGS).fingerprint for name in names)

    assert first == moved
    assert first != cold
