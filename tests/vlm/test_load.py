"""Models by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.errors import ConfigError
from pfp.vlm import PROVIDERS, Sampling, load_client, read_spec
from pfp.vlm.load import libraries_of, runs_here


def test_every_kind_resolves(tmp_path: Path) -> None:
    """Each client can be built from its form, and is called by it."""
    rests = {
        "gemini": "gemini-2.5-pro",
        "openai": "Qwen/Qwen2.5-VL-7B-Instruct@http://127.0.0.1:9/v1",
        "qwen": "a/folder",
        "replay": str(tmp_path / "a.jsonl"),
        "fake": "always-no",
    }

    clients = {kind: load_client(f"{kind}:{rest}") for kind, rest in rests.items()}

    assert list(PROVIDERS) == list(clients) == [client.kind for client in clients.values()]
    assert "gemini:gemini-2.5-pro" == clients["gemini"].model_id
    assert "openai:Qwen/Qwen2.5-VL-7B-Instruct" == clients["openai"].model_id
    assert [False, False, True, False, False] == [runs_here(f"{k}:{v}") for k, v in rests.items()]
    assert ("openai",) == libraries_of("openai:m@http://127.0.0.1:9/v1")
    assert () == libraries_of("fake:always-yes")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gemni:x", r"'gemni:x' names no known kind of model; write one of gemini:MODEL, openai"),
        ("gemini", r"'gemini' is incomplete; write gemini:MODEL"),
        ("openai:gpt", r"'openai:gpt' is incomplete; write openai:MODEL@URL"),
        ("openai:m@ftp://x", "is incomplete"),
        ("fake:always-no#a=1", "has no option 'a'; it has answer"),
        ("openai:m@http://x#media_resolution=low", "has no option 'media_resolution'"),
        ("gemini:m#max_output_tokens=many", "is 'many'; give a number"),
        ("gemini:m#retry_seconds=long", "option retry_seconds of .* is 'long'; give a number"),
        ("gemini:m#votes=0", "votes=0; give a whole number from 1 on"),
        ("gemini:m#votes=2.5", "votes=2.5; give a whole number"),
        ("gemini:m#votes=many", "votes=many; give a whole number"),
        ("gemini:m#temperature=-1", "temperature is -1; give 0 or more"),
        ("gemini:m#temperature=hot", "is 'hot'; give a number"),
        ("fake:maybe", "no fake model is called 'maybe'; use one of always-yes, always-no"),
    ],
)
def test_spec_of_no_form_is_refused(spec: str, message: str) -> None:
    """The message holds the value and shows the form."""
    with pytest.raises(ConfigError, match=message):
        load_client(spec)


def test_options_may_stand_in_the_spec() -> None:
    """A command line has one word for a model; what is written there is what it gets."""
    written = load_client("gemini:m#media_resolution=low,max_output_tokens=99")
    given = load_client("gemini:m", sampling=Sampling(media_resolution="low", max_output_tokens=99))

    assert given.sampling == written.sampling
    assert load_client("gemini:m").sampling == Sampling()


def test_spec_goes_before_what_is_given_beside_it() -> None:
    """Defaults of a caller are for what the user did not say."""
    client = load_client("gemini:m#temperature=0.7", sampling=Sampling(temperature=0.0))

    assert client.sampling.temperature == 0.7
    cold = load_client("gemini:m#temperature=0")
    assert cold.fingerprint(cold.sampling) == cold.fingerprint(Sampling(temperature=0.0))
    assert read_spec("gemini:m#max_attempts=2", max_attempts=9).policy == {"max_attempts": 2}
    assert load_client("gemini:m", temperature=0.3).sampling.temperature == 0.3
    both = load_client("gemini:m#temperature=0.7", temperature=0.3)
    assert both.sampling.temperature == 0.7


def test_key_variable_may_stand_in_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key itself never does."""
    monkeypatch.delenv("MY_KEY", raising=False)

    with pytest.raises(ConfigError, match="MY_KEY is not set"):
        load_client("openai:m@https://127.0.0.1/v1#key_variable=MY_KEY").check_ready()
