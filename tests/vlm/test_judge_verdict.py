"""Yes and no out of a judge's text, and the frames that it is shown."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pfp.vlm import Answer, Finish, Frames, FramesQuestion, Verdict, parse_verdict
from pfp.vlm.frames import MAX_PIXELS, limited
from pfp.vlm.judge import read_answer

OPTIONS = {"A": "yes", "B": "no"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"answer": "yes"}', "yes"),
        (' {"answer": "no"}\n', "no"),
        ('{"answer": "Yes, it is"}', "unparseable"),
        ('{"verdict": "yes"}', "unparseable"),
        ('{"answer": "yes", "answer": "no"}', "unparseable"),
        ('{"answer": "yes"', "unparseable"),
        ('{"answer": ["yes"]}', "unparseable"),
        ("yes", "yes"),
        ("Yes.", "yes"),
        ("**No**, the coat is another.", "no"),
        ("\n NO", "no"),
        ("Yesterday he wore blue.", "unparseable"),
        ("Nobody is there.", "unparseable"),
        ("The eyes stay the same.", "unparseable"),
        ("I think yes.", "unparseable"),
        ("", "unparseable"),
        (None, "unparseable"),
        ("A", "unparseable"),
    ],
)
def test_verdict_is_an_enum_value_or_a_first_word(text: str | None, expected: str) -> None:
    """Whatever is neither is a third thing; a yes somewhere in the text is no yes."""
    assert expected == parse_verdict(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", "yes"),
        ("A.", "yes"),
        ("A)", "yes"),
        ("(A)", "yes"),
        ("(B)\n", "no"),
        ("(A) Yes, a cat appears.", "yes"),
        ("B. No", "no"),
        ("A. No", "unparseable"),
        ("A cat appears.", "unparseable"),
        ("C", "unparseable"),
        ("(A", "unparseable"),
        ("A or B", "unparseable"),
        ("No.", "no"),
    ],
)
def test_letter_of_an_option_counts_where_options_are_offered(text: str, expected: str) -> None:
    """Four ways to write a letter, alone or with its own word; an article is no letter."""
    assert expected == parse_verdict(text, OPTIONS)


@pytest.mark.parametrize("finish", [Finish.BLOCKED, Finish.TRUNCATED, Finish.UNSEEN, Finish.ABSENT])
def test_text_of_what_is_no_answer_is_not_read(finish: Finish) -> None:
    """A yes that was cut off or given unseen is none, and the reason is told."""
    answer = Answer(backend="b", model="m", finish=finish, raw_text="yes")

    judgement = read_answer(_question(), answer)

    assert (Verdict.UNPARSEABLE, finish.value) == (judgement.verdict, judgement.why_not)


def test_digest_of_a_question_follows_frames_times_and_words() -> None:
    """The same pixels at the same times with the same words are the same question."""
    first = _question().sha256
    other_frame = np.zeros((4, 6, 3), np.uint8)
    other_frame[0, 0, 0] = 1

    assert first == _question().sha256
    others = [
        _question(frames=Frames([other_frame], [0.5])),
        _question(frames=Frames([np.zeros((6, 4, 3), np.uint8)], [0.5])),
        _question(frames=Frames([np.zeros((4, 6, 3), np.uint8)], [0.6])),
        _question(prompt="Is it not?"),
        _question(prompt_id="test@2/it"),
    ]
    assert len({first, *(question.sha256 for question in others)}) == 6


def test_frames_without_their_times_are_refused() -> None:
    """Each frame has its time, and there is at least one."""
    frame = np.zeros((4, 6, 3), np.uint8)

    for frames, times in [([], []), ([frame], [0.0, 1.0])]:
        with pytest.raises(ValueError, match="give at least one frame and a timestamp for each"):
            Frames(frames, times)


def test_large_frame_is_made_as_large_as_the_limit_allows() -> None:
    """Shape and colour stay, small frames are left alone, and the JPEG shows the same."""
    large = np.full((1080, 1920, 3), (200, 40, 90), np.uint8)

    shown = limited(large)

    assert shown.shape == (581, 1034, 3)  # floor of 1080 and 1920 times sqrt(602112 / 2073600)
    assert shown.shape[0] * shown.shape[1] <= MAX_PIXELS
    assert np.ptp(shown.reshape(-1, 3), axis=0).tolist() == [0, 0, 0]
    assert limited(shown) is shown
    picture = np.asarray(Image.open(io.BytesIO(Frames([shown], [0.0]).jpegs[0])))
    assert picture.shape == shown.shape
    assert np.abs(picture.astype(int) - shown).max() <= 2


def _question(**changes: object) -> FramesQuestion:
    frames = Frames([np.zeros((4, 6, 3), np.uint8)], [0.5])
    asked = {"frames": frames, "prompt_id": "test@1/it", "prompt": "Is it?", **changes}
    return FramesQuestion(**asked)  # type: ignore[arg-type]
