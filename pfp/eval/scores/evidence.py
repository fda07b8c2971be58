"""What a score rests on, read from its evidence so that it can be drawn: curves, stretches, faces.

Metrics leave evidence as plain JSON and share a vocabulary, which is all that is known here:

- ``per_frame``: a value for each frame, or for each of ``frames``, from ``first_frame`` on, at
  ``fps`` where that is not the video's own rate; null is no value
- ``per_pair``, ``per_pair_px``: the same between neighbours among the frames looked at, which are
  ``interval_frames`` apart, the latter in pixels with a ``threshold_px``; ``cut_pairs`` are those
  with a cut between them
- ``shots``: spans of the storyboard, by their seconds or their frames
- ``asked``: what a judge was asked, about which shots or seconds, and what it said
- ``faces``: boxes in frames, with the cosine to who it should be
- ``clips``: evidence of parts of the video that were measured each by itself
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

Evidence: TypeAlias = Mapping[str, Any]
State = Literal["good", "bad", "unknown", "plain"]

# The answer that speaks against the video; other questions only lead to these.
BAD_ANSWERS: Final = {
    "broken_instance": "yes",
    "one_person": "no",
    "same_person": "no",
    "same_clothes": "no",
}
_SPAN: Final = ("start_seconds", "end_seconds")
# Not facts about the video, or drawn already.
_NOT_FACTS: Final = frozenset({"fps", "first_frame", "interval_frames", "judge_fingerprint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Values over the video's time; None is a frame without one. Above ``threshold`` is enough.

    ``unit`` is None where the values are of the metric's own kind.
    """

    seconds: tuple[float, ...]
    values: tuple[float | None, ...]
    unit: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of the video, ``[start_seconds, end_seconds)``, and what was found there."""

    start_seconds: float
    end_seconds: float
    state: State
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One answer of a judge: ``question`` in words with what it was about, and the raw text."""

    question: str
    verdict: str
    state: State
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFace:
    """A face in a frame: ``box`` is x0, y0, x1, y1 in pixels of the video."""

    frame: int
    seconds: float
    box: tuple[float, float, float, float]
    cosine: float | None
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that evidence shows. ``facts`` are its plain numbers and words, by name."""

    curve: Curve | None = None
    stretches: tuple[Stretch, ...] = ()
    cuts_seconds: tuple[float, ...] = ()
    said: tuple[Said, ...] = ()
    faces: tuple[SeenFace, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


def findings(evidence: Evidence, *, fps: float, params: Evidence | None = None) -> Findings:
    """What a score's evidence shows of a video.

    fps: of the stored frames. params: those of the metric, of which ``same_person`` is the cosine
    from which on two faces are one person's.
    """
    if "clips" in evidence:
        return _of_clips(evidence["clips"], fps=fps, params=params or {})
    same_person = (params or {}).get("same_person")
    return Findings(
        curve=_curve(evidence, fps),
        stretches=tuple(_stretches(evidence, fps)),
        cuts_seconds=tuple(_pair_seconds(evidence, fps, pair) for pair in _cut_pairs(evidence)),
        said=tuple(_said(asked) for asked in evidence.get("asked", ())),
        faces=tuple(_face(face, fps, same_person) for face in evidence.get("faces", ())),
        facts=tuple(_facts(evidence)),
    )


def _of_clips(clips: Sequence[Evidence], *, fps: float, params: Evidence) -> Findings:
    """The clips' findings one after the other, at the times that they have in the video."""
    parts = [
        (clip, _moved(findings(_asked_at(clip, fps), fps=fps, params=params), clip, fps))
        for clip in clips
    ]
    curves = [part.curve for _, part in parts if part.curve is not None]
    joined = Curve(
        seconds=tuple(second for curve in curves for second in curve.seconds),
        values=tuple(value for curve in curves for value in curve.values),
        unit=curves[0].unit if curves else None,
        threshold=curves[0].threshold if curves else None,
    )
    return Findings(
        curve=joined if curves else None,
        stretches=tuple(_clip_stretch(clip, fps) for clip in clips),
        cuts_seconds=tuple(second for _, part in parts for second in part.cuts_seconds),
        said=tuple(said for _, part in parts for said in part.said),
        faces=tuple(face for _, part in parts for face in part.faces),
        facts=(("clips", str(len(clips))),),
    )


def _clip_stretch(clip: Evidence, fps: float) -> Stretch:
    value, reason = clip["value"], clip["unscored_reason"]
    return Stretch(
        start_seconds=clip["start_frame"] / fps,
        end_seconds=clip["end_frame"] / fps,
        state="unknown" if value is None else "plain",
        text=in_words(reason or "") if value is None else f"{value:.4g}",
    )


def _asked_at(clip: Evidence, fps: float) -> Evidence:
    """A clip's evidence, with the seconds of the video in what was asked."""
    by = clip["start_frame"] / fps
    asked = [
        {**each, **{name: each[name] + by for name in _SPAN if name in each}}
        for each in clip["evidence"].get("asked", ())
    ]
    return {**clip["evidence"], "asked": asked}


def _moved(found: Findings, clip: Evidence, fps: float) -> Findings:
    """What was found in a clip, at the times that it has in the video."""
    start_frame = clip["start_frame"]
    by = start_frame / fps
    curve = found.curve
    return replace(
        found,
        curve=curve and replace(curve, seconds=tuple(second + by for second in curve.seconds)),
        cuts_seconds=tuple(second + by for second in found.cuts_seconds),
        faces=tuple(
            replace(face, frame=face.frame + start_frame, seconds=face.seconds + by)
            for face in found.faces
        ),
    )


def _curve(evidence: Evidence, fps: float) -> Curve | None:
    if "per_frame" in evidence:
        values = evidence["per_frame"]
        first = int(evidence.get("first_frame", 0))
        numbers = evidence.get("frames", range(first, first + len(values)))
        rate = float(evidence.get("fps", fps))
        return Curve(seconds=tuple(n / rate for n in numbers), values=tuple(values))
    pairs = evidence.get("per_pair_px", evidence.get("per_pair"))
    if not pairs:
        return None
    return Curve(
        seconds=tuple(_pair_seconds(evidence, fps, number) for number in range(len(pairs))),
        values=tuple(pairs),
        unit="px" if "per_pair_px" in evidence else None,
        threshold=evidence.get("threshold_px"),
    )


def _pair_seconds(evidence: Evidence, fps: float, number: int) -> float:
    """The middle between the two frames of a pair."""
    return (number + 0.5) * int(evidence.get("interval_frames", 1)) / fps


def _cut_pairs(evidence: Evidence) -> Sequence[int]:
    found: Sequence[int] = evidence.get("cut_pairs", ())
    return found


def _stretches(evidence: Evidence, fps: float) -> list[Stretch]:
    """What judges said of parts of the video, and the shots that were looked at."""
    asked = evidence.get("asked", ())
    windows = [
        Stretch(
            start_seconds=each["start_seconds"],
            end_seconds=each["end_seconds"],
            state=_state(each),
            text=f"{in_words(each['question'])}: {_verdict(each)}",
        )
        for each in asked
        if "start_seconds" in each
    ]
    states: dict[int, set[State]] = {}
    for each in asked:
        for number in each.get("shots", ()):
            states.setdefault(number, set()).add(_state(each))
    shots = [
        _shot(number, shot, states, fps) for number, shot in enumerate(evidence.get("shots", ()))
    ]
    return windows + [shot for shot in shots if shot is not None]


def _shot(
    number: int, shot: Evidence, states: Mapping[int, AbstractSet[State]], fps: float
) -> Stretch | None:
    """A shot of the storyboard, None if none of its frames was looked at."""
    cosine, number = shot.get("cosine"), shot.get("shot", number)
    if "start_seconds" in shot:
        start, end = shot["start_seconds"], shot["end_seconds"]
    elif shot.get("frames"):
        start, end = shot["frames"][0] / fps, (shot["frames"][-1] + 1) / fps
    else:
        return None
    text = f"shot {number + 1}" + (f": {cosine:.3f}" if cosine is not None else "")
    return Stretch(
        start_seconds=start, end_seconds=end, state=_worst(states.get(number, set())), text=text
    )


def _worst(states: AbstractSet[State]) -> State:
    order: tuple[State, ...] = ("bad", "good", "unknown")
    return next((state for state in order if state in states), "plain")


def _state(asked: Evidence) -> State:
    if asked["verdict"] not in {"yes", "no"}:
        return "unknown"
    bad = BAD_ANSWERS.get(asked["question"])
    if bad is None:
        return "plain"
    return "bad" if asked["verdict"] == bad else "good"


def _verdict(asked: Evidence) -> str:
    """Yes, no, or why it is neither."""
    return in_words(str(asked.get("why_not") or asked["verdict"]))


def _said(asked: Evidence) -> Said:
    about = ""
    if "start_seconds" in asked:
        about = f", {asked['start_seconds']:g} to {asked['end_seconds']:g} s"
    elif "shots" in asked:
        about = f", shot {' and '.join(str(shot + 1) for shot in asked['shots'])}"
    votes = asked.get("votes")
    return Said(
        question=f"{in_words(asked['question'])}{about}",
        verdict=_verdict(asked),
        state=_state(asked),
        text=_words(asked) if not votes else f"votes: {', '.join(map(_verdict, votes))}",
    )


def _words(asked: Evidence) -> str:
    """What the judge wrote, or why there is nothing."""
    return str(asked.get("raw_text") or asked.get("problem") or "")


def _face(face: Evidence, fps: float, same_person: float | None) -> SeenFace:
    cosine = face.get("cosine")
    state: State = "plain"
    if cosine is not None and same_person is not None:
        state = "good" if cosine >= same_person else "bad"
    x0, y0, x1, y1 = face["box"]
    return SeenFace(
        frame=face["frame"],
        seconds=face["frame"] / fps,
        box=(x0, y0, x1, y1),
        cosine=cosine,
        state=state,
    )


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    found = []
    for name, value in evidence.items():
        if name in _NOT_FACTS or value is None or not isinstance(value, bool | int | float | str):
            continue
        shown = f"{value:.4g}" if isinstance(value, float) else in_words(str(value))
        found.append((in_words(name), shown.lower() if isinstance(value, bool) else shown))
    return found


def in_words(name: str) -> str:
    """``num_with_face`` is "with face"."""
    return name.removeprefix("num_").replace("_", " ")
