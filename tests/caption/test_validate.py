"""The ladder: what is repaired, what is rejected, and what every kept storyboard promises."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfp.caption import Rules, Storyboard, check_storyboard
from pfp.caption.validate import Checked
from pfp.vlm import Span

SPANS = (Span(start_seconds=0.0, end_seconds=4.0), Span(start_seconds=4.0, end_seconds=10.0))
WORDS = ("A brown dog runs over the lawn.", "A girl in red throws a ball.", "Rain falls on a roof.")


def _shot(start: float, end: float, caption: str = WORDS[0]) -> dict[str, Any]:
    return {"start_seconds": start, "end_seconds": end, "caption": caption}


def _timed(*shots: dict[str, Any], **more: Any) -> str:
    board = {"schema_version": 1, "global_caption": "A garden.", "shots": list(shots), **more}
    return json.dumps(board)


def _numbered(*captions: Any, **more: Any) -> str:
    shots = [{"index": k, "caption": caption} for k, caption in enumerate(captions, 1)]
    return json.dumps({"shots": shots, "global_caption": "A garden.", **more})


def _check(text: str, **rules: Any) -> Checked:
    return check_storyboard(
        text, spans=SPANS, start_seconds=0.0, end_seconds=10.0, rules=Rules(**rules)
    )


def _times(checked: Checked) -> list[tuple[float, float]]:
    assert checked.storyboard is not None, checked.violations
    return [(shot.start_seconds, shot.end_seconds) for shot in checked.storyboard.shots]


def _broken(checked: Checked) -> list[str]:
    assert checked.storyboard is None
    return [violation.rule for violation in checked.violations]


class TestForms:
    """Captions by number and captions by time."""

    def test_numbers_get_the_times_that_were_asked_about(self) -> None:
        """A model fills in words; the times are the detector's."""
        checked = _check(_numbered(WORDS[0], WORDS[1]))

        assert _times(checked) == [(0.0, 4.0), (4.0, 10.0)]
        assert checked.storyboard is not None
        assert checked.storyboard.global_caption == "A garden."
        assert checked.repair_ops == ()

    def test_numbers_may_come_in_any_order(self) -> None:
        """Each caption belongs to its number."""
        shots = [{"index": 2, "caption": WORDS[1]}, {"index": 1, "caption": WORDS[0]}]
        checked = _check(json.dumps({"shots": shots, "global_caption": "A garden."}))

        assert checked.storyboard is not None
        assert [shot.caption for shot in checked.storyboard.shots] == [WORDS[0], WORDS[1]]

    @pytest.mark.parametrize(
        ("indices", "rules"),
        [
            ([1], ["missing_shot"]),
            ([1, 1], ["repeated_shot", "missing_shot"]),
            ([1, 2, 3], ["unknown_shot"]),
            ([0, 1], ["unknown_shot", "missing_shot"]),
        ],
    )
    def test_numbers_must_match_the_request(self, indices: list[int], rules: list[str]) -> None:
        """Every number once, and no others."""
        shots = [{"index": k, "caption": WORDS[0]} for k in indices]

        checked = _check(json.dumps({"shots": shots, "global_caption": "A garden."}))

        assert _broken(checked) == rules

    @pytest.mark.parametrize(
        ("text", "rule", "detail"),
        [
            ("I see a dog.", "not_json", "the answer is not one JSON object: Expecting value"),
            ('{"shots": [', "not_json", "not one JSON object"),
            ("[]", "not_json", "it is a list, not an object"),
            ("{}", "wrong_format", "the answer has no global_caption, shots"),
            (_numbered(), "wrong_format", "shots is not a list of one or more shots"),
            (_numbered(1, 2), "wrong_format", "shots[0].caption is 1; write text"),
            (_numbered("a", "b", extra=1), "wrong_format", "unknown keys 'extra'"),
            (_numbered("a", "b", global_caption=None), "wrong_format", "global_caption is None"),
            (_timed(_shot(0, 1), schema_version=7), "wrong_format", "schema_version is 7"),
            (
                '{"shots": [{"index": "1", "caption": "a"}], "global_caption": ""}',
                "wrong_format",
                "shots[0].index is '1'; write the number of the shot",
            ),
        ],
    )
    def test_unreadable_text_is_told_by_its_first_fault(
        self, text: str, rule: str, detail: str
    ) -> None:
        """JSON first, then the format, each with what is wrong."""
        (violation,) = _check(text).violations

        assert violation.rule == rule
        assert detail in violation.detail

    def test_code_fence_is_taken_off(self) -> None:
        """The commonest wrapping around JSON is undone, and said."""
        checked = _check(f"```json\n{_numbered(WORDS[0], WORDS[1])}\n```\n")

        assert len(_times(checked)) == 2
        assert checked.repair_ops == ("took the JSON out of its code fence",)

    @pytest.mark.parametrize(
        ("around", "op"),
        [
            ("```\n{}\n```", "took the JSON out of its code fence"),
            ("``` json\n{}```", "took the JSON out of its code fence"),
            ("Sure! Here is the JSON:\n{}", "took the JSON out of the words around it"),
            ("<think>Two shots {{1, 2}}.</think>\n{}", "took the JSON out of the words around it"),
            ("{}<|im_end|>", "took the JSON out of the words around it"),
            ("Here:\n```json\n{}\n```\nDone.", "took the JSON out of the words around it"),
        ],
    )
    def test_what_stands_around_the_json_is_taken_off(self, around: str, op: str) -> None:
        """Fences, prefaces and reasoning, and that is said."""
        checked = _check(around.format(_numbered(WORDS[0], WORDS[1])))

        assert len(_times(checked)) == 2
        assert checked.repair_ops == (op,)

    @pytest.mark.parametrize(
        "text",
        [
            "I'm sorry, but I can't help with that.",
            "I am unable to view the video you sent.",
            "\u5bf9\u4e0d\u8d77\uff0c\u6211\u65e0\u6cd5\u89c2\u770b\u8be5\u89c6\u9891\u3002",
        ],
    )
    def test_answer_that_is_a_refusal_is_told_as_one(self, text: str) -> None:
        """It is no fault of the JSON."""
        assert _broken(_check(text)) == ["caption_refusal"]


class TestTimes:
    """Times of storyboard files."""

    def test_good_times_are_left_alone(self) -> None:
        """Nothing is repaired that is not broken."""
        checked = _check(_timed(_shot(0, 4), _shot(4, 10, WORDS[1])))

        assert _times(checked) == [(0.0, 4.0), (4.0, 10.0)]
        assert checked.repair_ops == ()

    @pytest.mark.parametrize("excess", [0.001, 0.3, 0.5])
    def test_a_little_outside_the_clip_is_cut_off(self, excess: float) -> None:
        """Up to half a second, at both ends, with what was cut on record."""
        checked = _check(_timed(_shot(-excess, 4), _shot(4, 10 + excess, WORDS[1])))

        assert _times(checked) == [(0.0, 4.0), (4.0, 10.0)]
        assert checked.repair_ops == (
            f"shot 1: cut {excess:.3f} s outside the clip",
            f"shot 2: cut {excess:.3f} s outside the clip",
        )

    @pytest.mark.parametrize(
        ("start", "end", "excess"), [(-0.51, 4.0, 0.51), (4.0, 13.5, 3.5), (12.0, 15.0, 5.0)]
    )
    def test_far_outside_the_clip_is_rejected(
        self, start: float, end: float, excess: float
    ) -> None:
        """With the excess as the score and the bound as the threshold."""
        (violation,) = _check(_timed(_shot(start, end))).violations

        assert violation.rule == "shot_out_of_bounds"
        assert violation.score == pytest.approx(excess)
        assert violation.threshold == 0.5

    def test_shot_just_behind_the_clip_is_rejected(self) -> None:
        """Cutting would leave nothing of it."""
        assert _broken(_check(_timed(_shot(0, 10), _shot(10.0, 10.4)))) == ["shot_out_of_bounds"]

    @pytest.mark.parametrize(("start", "end"), [(4.0, 4.0), (6.0, 2.0)])
    def test_shot_must_have_time_in_it(self, start: float, end: float) -> None:
        """The start comes before the end."""
        assert _broken(_check(_timed(_shot(start, end)))) == ["shot_empty"]

    def test_shots_are_put_in_order(self) -> None:
        """Nothing is lost by sorting, so it is done, and said."""
        checked = _check(_timed(_shot(4, 10, WORDS[1]), _shot(0, 4)))

        assert _times(checked) == [(0.0, 4.0), (4.0, 10.0)]
        assert checked.repair_ops == ("put the shots in order of time",)

    def test_small_overlap_is_cut(self) -> None:
        """The earlier shot ends where the later one begins."""
        checked = _check(_timed(_shot(0, 4.25), _shot(4, 10, WORDS[1])))

        assert _times(checked) == [(0.0, 4.0), (4.0, 10.0)]
        assert checked.repair_ops == ("shot 2: cut 0.250 s off the one in front of it",)

    @pytest.mark.parametrize(
        "text",
        [
            _timed(_shot(0, 4.26), _shot(4, 10)),
            _timed(_shot(0, 10), _shot(3, 5)),
            _timed(_shot(0, 0.2), _shot(0, 10)),
        ],
    )
    def test_large_overlap_is_rejected(self, text: str) -> None:
        """So is one shot inside another, and two that begin at once."""
        assert _broken(_check(text)) == ["shots_overlap"]

    def test_coverage_has_a_least_value(self) -> None:
        """A storyboard of a part of the clip is none of the clip."""
        assert _times(_check(_timed(_shot(1, 9)))) == [(1.0, 9.0)]

        (violation,) = _check(_timed(_shot(1, 8.9))).violations
        assert violation.rule == "coverage_below_min"
        assert violation.score == pytest.approx(0.79)
        assert violation.threshold == 0.8


class TestWords:
    """What captions may say."""

    @pytest.mark.parametrize(
        ("caption", "rule"),
        [
            ("", "caption_empty"),
            (" \n ", "caption_empty"),
            ("I'm sorry, but I can't help with that.", "caption_refusal"),
            ("I cannot see the video.", "caption_refusal"),
            ("As an AI language model, I have no eyes.", "caption_refusal"),
            ("Unable to process the footage.", "caption_refusal"),
            ("No video was provided.", "caption_refusal"),
            ("A man walks. " * 3, "caption_loop"),
            ("Long. " + "x" * 2000, "caption_too_long"),
        ],
    )
    def test_words_that_are_no_caption_are_rejected(self, caption: str, rule: str) -> None:
        """Each by its own rule, in a shot and in the whole."""
        assert _broken(_check(_numbered(caption, WORDS[1]))) == [rule]
        if rule != "caption_empty":
            assert _broken(_check(_numbered(*WORDS[:2], global_caption=caption))) == [rule]

    @pytest.mark.parametrize(
        "caption",
        [
            "A sorry-looking dog cannot reach the ball.",
            "I see-saws stand in a park.",
            "A man walks. A woman walks. A man walks.",
        ],
    )
    def test_words_that_only_look_like_it_are_kept(self, caption: str) -> None:
        """A refusal is told by how a caption begins, a loop by the same sentence three times."""
        assert _check(_numbered(caption, WORDS[1])).storyboard is not None

    def test_empty_global_caption_becomes_none(self) -> None:
        """The storyboard is good without it."""
        checked = _check(_numbered(*WORDS[:2], global_caption=" "))

        assert checked.storyboard is not None
        assert checked.storyboard.global_caption is None
        assert checked.repair_ops[-1] == "global caption: it was empty"

    @pytest.mark.parametrize(
        ("caption", "expected"),
        [
            ("The video shows a dog.", "A dog."),
            ("This clip depicts  a dog.\n", "A dog."),
            ("In this scene, we see a dog.", "A dog."),
            ("In the video, the scene opens with a dog.", "A dog."),
            (
                "The scene, bathed in light, shows a dog.",
                "The scene, bathed in light, shows a dog.",
            ),
            ("The video shows", "The video shows"),
        ],
    )
    def test_boilerplate_in_front_is_removed(self, caption: str, expected: str) -> None:
        """Where a caption reads on without it."""
        checked = _check(_numbered(caption, WORDS[1]))

        assert checked.storyboard is not None
        assert checked.storyboard.shots[0].caption == expected
        assert bool(checked.repair_ops) == (caption != expected)

    def test_captions_that_all_say_the_same_are_rejected(self) -> None:
        """Three near copies of four are a loop; two of three may be chance."""
        copies = [f"{WORDS[0]}", f"{WORDS[0].upper()}", f"{WORDS[0]}  "]
        four = [_shot(2.5 * k, 2.5 * k + 2.5, c) for k, c in enumerate([*copies, WORDS[1]])]
        (violation,) = _check(_timed(*four)).violations

        assert (violation.rule, violation.score) == ("captions_repeat", 0.75)
        assert _check(_timed(*four), max_repeated_share=1.0).storyboard is not None
        assert _check(_timed(*four[:2], _shot(5, 10, WORDS[2]))).storyboard is not None

    @pytest.mark.parametrize(
        "captions",
        [
            [WORDS[0], WORDS[1]] * 3,
            [*WORDS, *WORDS, *WORDS],
            ["A unique beginning.", *[WORDS[0], WORDS[1]] * 4],
        ],
    )
    def test_captions_that_come_back_in_turn_are_a_loop(self, captions: list[str]) -> None:
        """Of a model they are rejected, of people they are noticed."""
        step = 10 / len(captions)
        text = _timed(*(_shot(k * step, k * step + step, c) for k, c in enumerate(captions)))
        by_people = _check(text, max_repeated_share=1.0)

        assert _broken(_check(text)) == ["captions_repeat"]
        assert by_people.storyboard is not None
        assert len(by_people.notices) == 1
        assert "one after the other" in by_people.notices[0]

    def test_captions_that_come_back_now_and_then_are_none(self) -> None:
        """Somebody speaks, somebody listens, and then they do other things."""
        captions = [WORDS[0], WORDS[1], WORDS[0], WORDS[1], WORDS[2], "They leave.", "A door."]
        step = 10 / len(captions)
        shots = [_shot(k * step, k * step + step, c) for k, c in enumerate(captions)]

        assert _check(_timed(*shots)).notices == ()

    def test_same_captions_of_people_are_noticed(self) -> None:
        """What they wrote twice they meant twice, but somebody should look."""
        shots = [_shot(2.5 * k, 2.5 * k + 2.5) for k in range(4)]

        checked = _check(_timed(*shots), max_repeated_share=1.0)

        assert checked.notices == ("100% of the captions say the same",)

    def test_caption_that_may_be_cut_off_is_kept_and_noticed(self) -> None:
        """With its number."""
        checked = _check(_numbered(WORDS[0], "A dog, a cat,"))

        assert checked.storyboard is not None
        assert checked.notices == ("caption 2 may be cut off: it ends with ','",)

    @pytest.mark.parametrize("caption", ["...", "N/A", "none", "\u65e0"])
    def test_global_caption_that_says_nothing_becomes_none(self, caption: str) -> None:
        """As an empty one does; a shot's is rejected."""
        checked = _check(_numbered(*WORDS[:2], global_caption=caption))

        assert checked.storyboard is not None
        assert checked.storyboard.global_caption is None
        assert checked.repair_ops[-1].endswith("which says nothing")
        assert _broken(_check(_numbered(caption, WORDS[1]))) == ["caption_empty"]

    def test_what_was_cleaned_is_named(self) -> None:
        """Each kind once, with the caption's number."""
        caption = '{"caption": "<think>Hm.</think>\\n[00:01] The video shows a  dog."}'
        checked = _check(_numbered(WORDS[0], caption))

        assert checked.storyboard is not None
        assert checked.storyboard.shots[1].caption == "A dog."
        assert checked.repair_ops == (
            "caption 2: tidied white space",
            "caption 2: took off reasoning",
            "caption 2: took the caption out of JSON",
            "caption 2: removed a time in front",
            "caption 2: removed 'The video shows' in front",
        )

    def test_all_faults_are_told_at_once(self) -> None:
        """So that one more request can mend them all."""
        text = _timed(_shot(0, 20), _shot(3, 3), _shot(4, 10, ""))

        assert _broken(_check(text)) == ["shot_out_of_bounds", "shot_empty", "caption_empty"]


# Anything that JSON can hold, anything that looks like a storyboard, and storyboards with one bit
# of text flipped.
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1.0, 12.0),
    st.integers(-2, 12),
    st.sampled_from([0.0, 4.0, 9.999, 10.0, 10.2, 10.5]),
)
captions = st.one_of(st.sampled_from(WORDS), st.text(max_size=40))
timed_shots = st.fixed_dictionaries(
    {"start_seconds": numbers, "end_seconds": numbers, "caption": captions}
)
timed_boards = st.fixed_dictionaries(
    {
        "schema_version": st.just(1),
        "global_caption": st.none() | captions,
        "shots": st.lists(timed_shots, max_size=6),
    }
)
# Whole numbers, because Hypothesis mixes the floats of the code under test into what it draws.
cuts = st.lists(st.integers(0, 20), min_size=2, max_size=7, unique=True).map(
    lambda halves: sorted(half / 2 for half in halves)
)


@st.composite
def nearly_good_boards(draw: st.DrawFn) -> dict[str, Any]:
    """Storyboards over the whole clip whose edges are off by a little."""
    edges = [0.0, *draw(cuts), 10.0]
    off = st.floats(-0.14, 0.14)
    shots = [
        _shot(a + draw(off), b + draw(off), f"{draw(st.sampled_from(WORDS))} {k}")
        for k, (a, b) in enumerate(pairwise(edges))
    ]
    return {"schema_version": 1, "shots": draw(st.permutations(shots)), "global_caption": None}


numbered_boards = st.fixed_dictionaries(
    {
        "shots": st.lists(
            st.fixed_dictionaries({"index": st.integers(0, 3), "caption": captions}), max_size=4
        ),
        "global_caption": captions,
    }
)
texts = st.one_of(timed_boards, nearly_good_boards(), numbered_boards).map(json.dumps)


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """A storyboard's text with a piece of it cut out, doubled, or replaced."""
    text = draw(texts)
    a = draw(st.integers(0, len(text)))
    b = draw(st.integers(a, min(len(text), a + 8)))
    return (
        text[:a] + draw(st.sampled_from(["", text[a:b] * 2, "NaN", "1e999", "-", '"'])) + text[b:]
    )


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(texts, mangled(), st.text(max_size=60)))
def test_kept_storyboards_keep_their_promises(text: str) -> None:
    """Shots within the clip, in order, without overlap; and checking again changes nothing."""
    checked = _check(text)

    assert (checked.storyboard is None) == bool(checked.violations)
    if checked.storyboard is None:
        return
    shots = checked.storyboard.shots
    assert shots
    assert all(0.0 <= s.start_seconds < s.end_seconds <= 10.0 for s in shots)
    assert all(a.end_seconds <= b.start_seconds for a, b in pairwise(shots))
    assert all(s.caption.strip() == s.caption != "" for s in shots)
    again = _check(checked.storyboard.to_json())
    assert again == Checked(storyboard=checked.storyboard, violations=(), repair_ops=())
    assert Storyboard.from_json(checked.storyboard.to_json()) == checked.storyboard


def test_nearly_good_storyboards_are_often_kept() -> None:
    """The property above is about something: a fair share of the examples passes the ladder."""
    kept = []

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(board=nearly_good_boards())
    def count(board: dict[str, Any]) -> None:
        kept.append(_check(json.dumps(board)).storyboard is not None)

    count()
    assert sum(kept) >= 20
