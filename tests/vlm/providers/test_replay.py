"""Recorded answers in place of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pfp.errors import ConfigError, InputError
from pfp.vlm import Answer, Finish, Request, load_client
from pfp.vlm.cache import AnswerFile, CachedClient, Recorded
from tests.vlm.scripted import ScriptedClient


def _recorded(request_sha256: str, fingerprint: str, model_id: str = "scripted:one") -> Recorded:
    return Recorded(
        request_sha256=request_sha256,
        prompt_id="test@1/it",
        fingerprint=fingerprint,
        model_id=model_id,
        answer=Answer(backend="b", model="m", raw_text="yes"),
    )


def test_recording_is_replayed(tmp_path: Path, request_frames: Request) -> None:
    """What a run used, new or from its cache, is what its recording gives back."""
    cache, record = tmp_path / "cache.jsonl", tmp_path / "record.jsonl"
    one, other, unused = (replace(request_frames, prompt=prompt) for prompt in ("1", "2", "3"))
    client = ScriptedClient(["yes", "Hard to say.", "no"])
    for request in (one, unused):
        CachedClient(client, cache=AnswerFile(cache)).ask(request)
    recording = CachedClient(client, cache=AnswerFile(cache), record=AnswerFile(record))
    expected = [recording.ask(request).raw_text for request in (one, other)]

    replay = load_client(f"replay:{record}")
    said = [replay.ask(request) for request in (one, other)]

    assert ["yes", "no"] == expected == [each.raw_text for each in said]
    assert all(each.cached for each in said)
    assert "replay:scripted:one" == replay.model_id
    assert 2 == len(record.read_text("utf-8").splitlines())


def test_request_that_was_not_recorded_is_absent(
    tmp_path: Path, request_frames: Request, request_video: Request
) -> None:
    """Nothing is guessed, and the reason names the file and the request."""
    path = tmp_path / "a.jsonl"
    AnswerFile(path).add(_recorded("0" * 64, "j" * 64))
    client = load_client(f"replay:{path}")

    said = [client.ask(request) for request in (request_frames, request_video)]

    assert [Finish.ABSENT] * 2 == [each.finish for each in said]
    assert "a.jsonl has no answer to test@1/it about these frames" == said[0].problem
    assert "a.jsonl has no answer to test@1 about this video" == said[1].problem


def test_what_an_answer_took_is_replayed_with_it(tmp_path: Path, request_frames: Request) -> None:
    """Requests, cost and notes are those of the recording, not of looking it up."""
    path = tmp_path / "a.jsonl"
    told = Answer(
        backend="b", model="m", raw_text="yes", attempts=3, cost_usd=0.5, notes=("a note",)
    )
    CachedClient(ScriptedClient([told]), record=AnswerFile(path)).ask(request_frames)

    assert load_client(f"replay:{path}").ask(request_frames) == replace(told, cached=True)


@pytest.mark.parametrize("num_models", [0, 2])
def test_file_must_be_of_one_model(tmp_path: Path, num_models: int) -> None:
    """With two, one could not say whose answer it is; without any there is nothing to say."""
    path = tmp_path / "a.jsonl"
    path.touch()
    for k in range(num_models):
        AnswerFile(path).add(_recorded("0" * 64, str(k) * 64, f"scripted:{k}"))

    with pytest.raises(ConfigError, match=f"a.jsonl holds answers of {num_models} models"):
        load_client(f"replay:{path}").check_ready()


def test_fingerprint_is_the_files_content(tmp_path: Path, request_frames: Request) -> None:
    """Another file of answers is another model; a missing one is said to be missing."""
    sampling = request_frames.sampling
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for k, path in enumerate(paths):
        AnswerFile(path).add(_recorded(str(k) * 64, "j" * 64))

    a, b = (load_client(f"replay:{path}").fingerprint(sampling) for path in paths)

    assert a != b
    with pytest.raises(InputError, match=r"gone.jsonl cannot be read"):
        load_client(f"replay:{tmp_path / 'gone.jsonl'}").fingerprint(sampling)
