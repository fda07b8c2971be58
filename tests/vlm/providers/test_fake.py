"""Answers that nobody thought about."""

from __future__ import annotations

from pathlib import Path

from pfp.vlm import Request, load_client


def test_fakes_say_what_they_are_named_for(tmp_path: Path, request_frames: Request) -> None:
    """Their answers cost nothing, and can be recorded and replayed like any other."""
    for spec, expected in (("fake:always-yes", "yes"), ("fake:always-no", "no")):
        path = tmp_path / f"{expected}.jsonl"
        client = load_client(spec, record=path)

        said = client.ask(request_frames)

        assert (spec, 0.0, {"answer": expected}) == (client.model_id, said.cost_usd, said.parsed)
        assert load_client(f"replay:{path}").ask(request_frames).parsed == said.parsed


def test_fake_storyboard_says_that_it_is_fake(request_video: Request) -> None:
    """An instance of any schema, so that a whole run can be rehearsed."""
    said = load_client("fake:always-yes").ask(request_video)

    assert said.parsed == {
        "shots": [
            {"index": 1, "caption": "This is fake text number 1."},
            {"index": 2, "caption": "This is fake text number 2."},
        ]
    }
