"""The offline backend, on a video that was made for it and on real ones."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pfp.caption.backends import StoryboardRequest
from pfp.caption.backends.offline import OfflineBackend
from pfp.errors import PermanentError
from pfp.vlm import Finish, Span


def test_each_shot_is_described_by_what_is_in_it(asked: StoryboardRequest) -> None:
    """Two seconds of still red, then blue with a white bar: one caption each, by number."""
    result = OfflineBackend().ask(asked)

    assert result.finish is Finish.ANSWERED
    assert (result.backend, result.model) == ("offline", "offline-colour-motion@1")
    assert result.parsed is not None
    first, second = result.parsed["shots"]
    assert (first["index"], second["index"]) == (1, 2)
    assert "mostly red" in first["caption"]
    assert "Nothing moves." in first["caption"]
    assert "mostly blue" in second["caption"]
    assert "movement" in second["caption"]
    assert result.parsed["global_caption"].startswith("4.0 seconds in 2 parts.")
    assert (result.tokens_in, result.cost_usd) == (None, None)


def test_same_video_gives_the_same_words_with_and_without_a_guard(
    asked: StoryboardRequest,
) -> None:
    """In this process or in a killable child: one answer."""
    plain = OfflineBackend()
    guarded = OfflineBackend(timeout_seconds=60.0)
    try:
        answers = {backend.ask(asked).raw_text for backend in (plain, guarded, guarded)}
    finally:
        guarded.close()

    assert len(answers) == 1
    assert plain.fingerprint == guarded.fingerprint


def test_shot_shorter_than_a_sample_is_described_all_the_same(
    asked: StoryboardRequest,
) -> None:
    """A shot of a thirtieth of a second takes the frame that was shown before it."""
    edges = (0.0, 1.9, 1.93, 2.2, 4.0)
    shots = tuple(Span(start_seconds=a, end_seconds=b) for a, b in pairwise(edges))

    result = OfflineBackend().ask(replace(asked, shots=shots))

    assert result.parsed is not None
    assert [shot["index"] for shot in result.parsed["shots"]] == [1, 2, 3, 4]
    assert "mostly red" in result.parsed["shots"][1]["caption"]


def test_what_lies_between_shots_is_not_described(asked: StoryboardRequest) -> None:
    """A shot that begins after a gap takes nothing of the gap."""
    shots = (Span(start_seconds=2.5, end_seconds=4.0),)

    result = OfflineBackend().ask(replace(asked, shots=shots))

    assert result.parsed is not None
    assert "red" not in result.parsed["shots"][0]["caption"]


def test_damaged_file_is_a_permanent_error(asked: StoryboardRequest, tmp_path: Path) -> None:
    """The decoder's reason comes through, from the child process too."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x20ftypisom" + bytes(500))
    guarded = OfflineBackend(timeout_seconds=60.0)

    for backend in (OfflineBackend(), guarded):
        with pytest.raises(PermanentError, match=r"broken.mp4"):
            backend.ask(replace(asked, path=str(broken)))
    guarded.close()


@pytest.mark.parametrize(
    ("name", "end_seconds", "expected"),
    [
        (
            "his_girl_friday_bw.mp4",
            6.1,
            "An evenly lit, colourless shot, mostly grey with some black.",
        ),
        ("crystal_lotus_handheld.mp4", 11.9, "mostly brown with some orange"),
        ("football_juggle.mp4", 10.2, "yellow and green"),
    ],
)
def test_real_clips_are_described_as_they_look(
    shared_clips: Path,
    asked: StoryboardRequest,
    name: str,
    end_seconds: float,
    expected: str,
) -> None:
    """A black-and-white film is called that, and so on; checked by eye."""
    span = Span(start_seconds=0.0, end_seconds=end_seconds)
    asked = replace(
        asked,
        path=str(shared_clips / "dev" / name),
        end_seconds=end_seconds,
        shots=(span,),
    )

    result = OfflineBackend().ask(asked)

    assert result.parsed is not None
    assert expected in result.parsed["shots"][0]["caption"]
