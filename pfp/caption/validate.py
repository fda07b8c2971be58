"""From an answer's text to a storyboard that keeps its promises, or to what is wrong with it.

The ladder: JSON, format, times (start before end, within the clip, in order, no overlap), coverage,
words (empty, refused, looping, too long, repeated). What can be repaired without guessing is
repaired, and every repair is named.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from pfp.caption.caption_text import (
    MAX_LOOKED_AT,
    caption_fault,
    caption_notice,
    clean_caption,
)
from pfp.caption.loops import runs
from pfp.caption.markup import drop_reasoning
from pfp.caption.nothing import says_nothing
from pfp.caption.refusals import find_refusal
from pfp.caption.storyboard import (
    Storyboard,
    StoryShot,
    require_caption,
    require_keys,
    require_shots,
)
from pfp.errors import InvariantError, SchemaError
from pfp.vlm import Span, parse_object

LADDER_VERSION: Final = 2
UNREADABLE: Final = frozenset({"not_json", "wrong_format"})  # rules about text, not about content
NUMBERED_KEYS: Final = frozenset({"shots", "global_caption"})
NUMBERED_SHOT_KEYS: Final = frozenset({"index", "caption"})

# What is left of a code fence when the JSON in it is taken out.
FENCE: Final = re.compile(r"```\s*(json)?\s*```", re.IGNORECASE)
NOTICED_SHARE: Final = 0.5  # of captions that are alike, where people may write what they like
SHOT_LOOP_COUNT: Final = 3
MAX_SHOT_PERIOD: Final = 50
REPEAT_COUNT: Final = 3  # fewer captions that are alike may be chance
MAX_GROUPS_OF_WORD: Final = 8  # that a caption is compared with because of one of its words
SAME_WORDS: Final = 0.9  # shared words over all words of two captions that count as one


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The bounds of the ladder.

    Times outside the clip by up to ``max_clamp_seconds`` are moved to its ends, shots that overlap
    by up to ``max_overlap_seconds`` are cut apart; beyond that they are rejected. Shots must cover
    ``min_coverage`` of the clip. At most ``max_repeated_share`` of the captions may be near copies
    of one another (1 allows all).
    """

    max_clamp_seconds: float = 0.5
    max_overlap_seconds: float = 0.25
    min_coverage: float = 0.8
    max_caption_length: int = 2000  # characters
    max_repeated_share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule that an answer breaks, with the number that was looked at and its bound."""

    rule: str
    detail: str
    score: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """``storyboard`` is there exactly when there are no violations.

    ``notices`` are what a person should look at in a storyboard that is kept all the same.
    """

    storyboard: Storyboard | None
    violations: tuple[Violation, ...]
    repair_ops: tuple[str, ...]
    notices: tuple[str, ...] = field(default=(), compare=False)


@dataclass(slots=True)
class _Notes:
    violations: list[Violation] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def reject(
        self, rule: str, detail: str, score: float | None = None, threshold: float | None = None
    ) -> None:
        self.violations.append(
            Violation(rule=rule, detail=detail, score=score, threshold=threshold)
        )


def check_storyboard(
    text: str, *, spans: Sequence[Span], start_seconds: float, end_seconds: float, rules: Rules
) -> Checked:
    """The storyboard in an answer about the clip ``[start_seconds, end_seconds)``.

    Answers come in two forms: captions by number, for the ``spans`` that were asked about, or
    captions by time, as storyboard files have them. A storyboard that is returned has its shots
    within the clip, in order, and without overlap.
    """
    notes = _Notes()
    value = _read_json(text, notes)
    board = None if value is None else _read_format(value, spans, notes)
    if board is None:
        return Checked(
            storyboard=None, violations=tuple(notes.violations), repair_ops=tuple(notes.repairs)
        )
    shots = [
        replace(shot, caption=_clean(f"caption {k}", shot.caption, notes))
        for k, shot in enumerate(board.shots, 1)
    ]
    shots = _within(shots, start_seconds, end_seconds, rules, notes)
    shots = _in_order(shots, notes)
    shots = _apart(shots, rules, notes)
    _check_coverage(shots, end_seconds - start_seconds, rules, notes)
    _check_words(shots, end_seconds - start_seconds, rules, notes)
    whole = _clean_whole(board.global_caption, end_seconds - start_seconds, rules, notes)
    storyboard = None
    if not notes.violations:
        storyboard = Storyboard(shots=tuple(shots), global_caption=whole)
        _promise(storyboard, start_seconds, end_seconds)
    return Checked(
        storyboard=storyboard,
        violations=tuple(notes.violations),
        repair_ops=tuple(notes.repairs),
        notices=tuple(notes.notices),
    )


def _read_json(text: str, notes: _Notes) -> dict[str, Any] | None:
    """The object in an answer; what may stand around it is taken off, and that is noted."""
    try:
        return parse_object(text)
    except ValueError as error:
        problem = error
    begin, end = text.find("{"), text.rfind("}") + 1
    if 0 <= begin < end:
        inner = drop_reasoning(text) if len(text) <= MAX_LOOKED_AT else text
        begin, end = inner.find("{"), inner.rfind("}") + 1
        around = (inner[:begin] + inner[end:]).strip()
        with contextlib.suppress(ValueError):
            value = parse_object(inner[begin:end])
            what = "its code fence" if FENCE.fullmatch(around) else "the words around it"
            notes.repairs.append(f"took the JSON out of {what}")
            return value
    if find_refusal(text[:MAX_LOOKED_AT]) is not None:
        notes.reject("caption_refusal", f"the answer is a refusal: {text[:80]!r}")
    else:
        notes.reject("not_json", f"the answer is not one JSON object: {problem}")
    return None


def _read_format(
    value: Mapping[str, Any], spans: Sequence[Span], notes: _Notes
) -> Storyboard | None:
    try:
        if "schema_version" in value:
            return Storyboard.from_object(value)
        return _by_number(value, spans, notes)
    except SchemaError as error:
        notes.reject("wrong_format", str(error))
        return None


def _by_number(value: Mapping[str, Any], spans: Sequence[Span], notes: _Notes) -> Storyboard | None:
    """The captions by number, with the times that the numbers stand for."""
    require_keys("the answer", value, NUMBERED_KEYS)
    if not isinstance(value["global_caption"], str):
        raise SchemaError(f"global_caption is {value['global_caption']!r}; write text")
    captions: dict[int, str] = {}
    for k, shot in enumerate(require_shots(value)):
        require_keys(f"shots[{k}]", shot, NUMBERED_SHOT_KEYS)
        index = shot["index"]
        if not isinstance(index, int) or isinstance(index, bool):
            raise SchemaError(f"shots[{k}].index is {index!r}; write the number of the shot")
        if not 1 <= index <= len(spans):
            notes.reject("unknown_shot", f"there is no shot {index}, only 1 to {len(spans)}")
        elif index in captions:
            notes.reject("repeated_shot", f"shot {index} is there twice")
        captions[index] = require_caption(k, shot)
    if missing := [k for k in range(1, len(spans) + 1) if k not in captions]:
        notes.reject("missing_shot", f"there is no caption for shot {', '.join(map(str, missing))}")
    if notes.violations:
        return None
    shots = tuple(
        StoryShot(
            start_seconds=span.start_seconds, end_seconds=span.end_seconds, caption=captions[k]
        )
        for k, span in enumerate(spans, 1)
    )
    return Storyboard(shots=shots, global_caption=value["global_caption"])


def _clean(what: str, caption: str, notes: _Notes) -> str:
    """The caption on one line and with nothing around it; what was done is noted."""
    text, done = clean_caption(caption)
    notes.repairs += [f"{what}: {each}" for each in done]
    return text


def _within(
    shots: list[StoryShot], start: float, end: float, rules: Rules, notes: _Notes
) -> list[StoryShot]:
    """Shots with start before end, moved into the clip where they stick out a little."""
    kept: list[StoryShot] = []
    for k, shot in enumerate(shots, 1):
        if not shot.start_seconds < shot.end_seconds:
            detail = f"shot {k} ends at {shot.end_seconds} s, not after its start"
            notes.reject("shot_empty", f"{detail} at {shot.start_seconds} s")
            continue
        excess = max(start - shot.start_seconds, shot.end_seconds - end, 0.0)
        if excess > rules.max_clamp_seconds:
            detail = f"shot {k} ({shot.start_seconds} to {shot.end_seconds} s) leaves the clip"
            notes.reject(
                "shot_out_of_bounds",
                f"{detail} ({start} to {end} s)",
                excess,
                rules.max_clamp_seconds,
            )
            continue
        inside = replace(
            shot,
            start_seconds=max(shot.start_seconds, start),
            end_seconds=min(shot.end_seconds, end),
        )
        if not inside.start_seconds < inside.end_seconds:
            notes.reject("shot_out_of_bounds", f"shot {k} lies outside the clip", excess, 0.0)
            continue
        if excess > 0:
            notes.repairs.append(f"shot {k}: cut {excess:.3f} s outside the clip")
        kept.append(inside)
    return kept


def _in_order(shots: list[StoryShot], notes: _Notes) -> list[StoryShot]:
    ordered = sorted(shots, key=lambda shot: (shot.start_seconds, shot.end_seconds))
    if ordered != shots:
        notes.repairs.append("put the shots in order of time")
    return ordered


def _apart(shots: list[StoryShot], rules: Rules, notes: _Notes) -> list[StoryShot]:
    """Shots that end where the next begins when they overlap a little."""
    apart: list[StoryShot] = []
    for k, shot in enumerate(shots, 1):
        overlap = apart[-1].end_seconds - shot.start_seconds if apart else 0.0
        if overlap > 0:
            is_small = overlap <= rules.max_overlap_seconds
            if not is_small or not apart[-1].start_seconds < shot.start_seconds:
                detail = f"shot {k} begins {overlap:.3f} s before the one in front of it ends"
                notes.reject("shots_overlap", detail, overlap, rules.max_overlap_seconds)
                continue
            apart[-1] = replace(apart[-1], end_seconds=shot.start_seconds)
            notes.repairs.append(f"shot {k}: cut {overlap:.3f} s off the one in front of it")
        apart.append(shot)
    return apart


def _check_coverage(
    shots: Sequence[StoryShot], duration: float, rules: Rules, notes: _Notes
) -> None:
    covered = sum(shot.end_seconds - shot.start_seconds for shot in shots) / duration
    if covered < rules.min_coverage and not notes.violations:
        detail = f"the shots cover {covered:.0%} of the clip, less than {rules.min_coverage:.0%}"
        notes.reject("coverage_below_min", detail, covered, rules.min_coverage)


def _check_words(shots: Sequence[StoryShot], duration: float, rules: Rules, notes: _Notes) -> None:
    for k, shot in enumerate(shots, 1):
        _check_caption(f"caption {k}", shot.caption, duration, rules, notes)
    captions = [shot.caption for shot in shots]
    share = _repeated_share(captions)
    if share > rules.max_repeated_share:
        detail = f"{share:.0%} of the captions say the same"
        notes.reject("captions_repeat", detail, share, rules.max_repeated_share)
    elif share > NOTICED_SHARE:
        notes.notices.append(f"{share:.0%} of the captions say the same")
    elif (loop := _shot_loop(captions)) is not None:
        detail = f"the captions of {loop[0]} shots come {loop[1]:.3g} times, one after the other"
        if rules.max_repeated_share < 1:
            notes.reject("captions_repeat", detail, loop[1], SHOT_LOOP_COUNT)
        else:
            notes.notices.append(detail)


def _clean_whole(caption: str | None, duration: float, rules: Rules, notes: _Notes) -> str | None:
    if caption is None:
        return None
    text = _clean("global caption", caption, notes)
    if not text:
        notes.repairs.append("global caption: it was empty")
        return None
    if says_nothing(text[:MAX_LOOKED_AT]):
        notes.repairs.append(f"global caption: removed {text[:40]!r}, which says nothing")
        return None
    _check_caption("the global caption", text, duration, rules, notes)
    return text


def _check_caption(what: str, caption: str, duration: float, rules: Rules, notes: _Notes) -> None:
    fault = caption_fault(caption, duration_seconds=duration, max_length=rules.max_caption_length)
    if fault is not None:
        notes.reject(fault.rule, f"{what} {fault.what}", fault.score, fault.threshold)
    elif (notice := caption_notice(caption)) is not None:
        notes.notices.append(f"{what} {notice}")


def _shot_loop(captions: Sequence[str]) -> tuple[int, float] | None:
    """``(shots, times)`` of captions that come back in the same order, most of them, or None."""
    words = [_words(caption) for caption in captions]
    for _, period, count in runs(words, MAX_SHOT_PERIOD):
        if count >= SHOT_LOOP_COUNT and 2 * period * count > len(captions):
            return period, count
    return None


def _repeated_share(captions: Sequence[str]) -> float:
    """Share of the captions in the largest group of near copies; 0 for a group of one or two.

    A caption joins the first group whose first caption it is like. Only groups are looked at that
    share one of the caption's rarest words: of two sets of words that have ``SAME_WORDS`` in
    common, the rarest tenth of the one cannot lie outside of the other (prefix filtering, Chaudhuri
    et al. 2006). A word leads to ``MAX_GROUPS_OF_WORD`` groups at most, so that the time does not
    grow with the square of the captions whatever their words.
    """
    counted = Counter(frozenset(_words(caption)) for caption in captions)
    rarity = Counter(word for words in counted for word in words)
    groups: list[tuple[frozenset[str], int]] = []
    groups_with: dict[str, list[int]] = {}
    for words, count in counted.items():
        telling = sorted(words, key=lambda word: (rarity[word], word))[: _num_telling(words)]
        candidates = sorted({k for word in telling or [""] for k in groups_with.get(word, ())})
        alike = next((k for k in candidates if _are_alike(words, groups[k][0])), None)
        if alike is not None:
            groups[alike] = (groups[alike][0], groups[alike][1] + count)
            continue
        for word in telling or [""]:
            with_word = groups_with.setdefault(word, [])
            if len(with_word) < MAX_GROUPS_OF_WORD:
                with_word.append(len(groups))
        groups.append((words, count))
    largest = max((count for _, count in groups), default=0)
    return largest / len(captions) if largest >= REPEAT_COUNT else 0.0


def _num_telling(words: frozenset[str]) -> int:
    """How many of the rarest words hold one that each like set has, too."""
    return len(words) - math.ceil(SAME_WORDS * len(words)) + 1


def _are_alike(words: frozenset[str], others: frozenset[str]) -> bool:
    shared = len(words & others)
    return shared >= SAME_WORDS * (len(words) + len(others) - shared)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def _promise(storyboard: Storyboard, start: float, end: float) -> None:
    """What readers of kept storyboards rely on."""
    shots = storyboard.shots
    kept = bool(shots) and all(start <= s.start_seconds < s.end_seconds <= end for s in shots)
    if not kept or any(b.start_seconds < a.end_seconds for a, b in pairwise(shots)):
        raise InvariantError(f"a checked storyboard breaks its promises: {storyboard}; report it")
