"""The time of one video: shots, motion, black, frozen and damaged seconds, windows; as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pfp.ingest.report import words
from pfp.ingest.report.examples import Video
from pfp.ingest.report.html_funnel import numbers, row
from pfp.ingest.spans import Floats
from pfp.pages.markup import Markup, tag

WIDTH: Final = 1000
_LANE: Final = 18
_MOTION: Final = 40
_MAX_POINTS: Final = 500  # of a curve, and of the marks of a lane
# Seconds of which so much, or one damaged frame, has a mark.
_DEFECTS: Final = {
    "black": ("Black", 0.5),
    "frozen": ("Frozen", 0.5),
    "num_damaged": ("Damaged", 1.0),
}


def timeline(video: Video) -> Markup | None:
    """One lane for each; None for a video whose length is not known."""
    duration = video.measured.duration_seconds
    if not duration:
        return None
    name = words.file_name(video.measured.video_uri)
    lanes = [_shots(video, duration), *_lanes_of_track(video, duration), _windows(video, duration)]
    return tag(
        "div",
        tag("h3", name, tag("small", _facts(video, duration))),
        tag("div", lanes, class_="tracks"),
        _axis(duration),
        _window_table(video, name),
        class_="clip",
    )


def _facts(video: Video, duration: float) -> str:
    measured = video.measured
    size = f"{measured.width} x {measured.height}" if measured.width else "size unknown"
    rate = "" if measured.fps is None else f", {measured.fps:.4g} fps"
    return f"{duration:.1f} s, {size}{rate}"


def _lane(name: str, said: str, marks: Iterable[Markup], height: int = _LANE) -> Markup:
    """A line of the timeline; without marks what is said stands alone."""
    drawn = list(marks)
    picture = tag(
        "svg",
        drawn,
        viewBox=f"0 0 {WIDTH} {height}",
        preserveAspectRatio="none",
        height=height,
        role="img",
        aria_label=f"{name}: {said}",
        class_="timeline",
    )
    return tag(
        "div",
        tag("div", tag("b", name), tag("small", said), class_="what"),
        tag("div", picture if drawn else None, class_="seen"),
        class_="track",
    )


def _x(seconds: float, duration: float) -> float:
    return round(WIDTH * min(1.0, max(0.0, seconds / duration)), 1)


def _span(
    begin: float, end: float, duration: float, hint: str, class_: str | None = None
) -> Markup:
    x = _x(begin, duration)
    width = max(1.5, round(_x(end, duration) - x - 1.5, 1))
    return tag("rect", tag("title", hint), x=x, y=1, width=width, height=_LANE - 2, class_=class_)


def _shots(video: Video, duration: float) -> Markup:
    shots = video.measured.shots
    if not shots:
        return _lane("Shots", "not looked for", [])
    kinds: dict[str, int] = {}
    for shot in shots[1:]:
        kinds[shot["kind"]] = kinds.get(shot["kind"], 0) + 1
    begun = ", ".join(f"{number:,} by {kind}" for kind, number in sorted(kinds.items()))
    return _lane(
        "Shots",
        words.count(len(shots), "shot") + (f": {begun}" if begun else ""),
        (
            _span(
                shot["start_seconds"],
                shot["end_seconds"],
                duration,
                f"{shot['kind']} at {shot['start_seconds']:.2f} s, to {shot['end_seconds']:.2f} s",
                class_=f"shot {shot['kind']}",
            )
            for shot in shots[:_MAX_POINTS]
        ),
    )


def _lanes_of_track(video: Video, duration: float) -> Iterator[Markup]:
    track = video.measured.track
    if not track:
        is_hdr = video.measured.transfer not in {None, "sdr"}
        why = "not looked at: HDR" if is_hdr else "not looked at"
        yield _lane("Motion, black, frozen, damaged", why, [])
        return
    columns = {
        name: np.array([second.get(name) for second in track], float)
        for name in ("motion", *_DEFECTS)
    }
    yield _motion(columns["motion"], duration)
    without = []
    for name, (title, least) in _DEFECTS.items():
        is_bad_S = columns[name] >= least
        if is_bad_S.any():
            yield _defects(title, is_bad_S, duration)
        else:
            without.append(title)
    if without:
        yield _lane(", ".join([without[0], *(one.lower() for one in without[1:])]), "none", [])


def _motion(motion_S: Floats, duration: float) -> Markup:
    known_S = motion_S[~np.isnan(motion_S)]
    if not len(known_S):
        return _lane("Motion", "unknown", [])
    said = f"{known_S.min():.3g} to {known_S.max():.3g} levels/s"
    # Of a long video the greatest of as many seconds as share a point.
    step = -(-len(motion_S) // _MAX_POINTS)
    padded = np.append(motion_S, np.full(-len(motion_S) % step, np.nan)).reshape(-1, step)
    points = np.where(np.isnan(padded).all(1), np.nan, np.nan_to_num(padded, nan=-1.0).max(1))
    scale = (_MOTION - 4) / (float(known_S.max()) or 1.0)
    line, is_new = [], True
    for number, value in enumerate(points.tolist()):
        if np.isnan(value):
            is_new = True
            continue
        x = _x(number * step + step / 2, duration)
        line.append(f"{'M' if is_new else 'L'}{x} {_MOTION - 2 - value * scale:.1f}h.01")
        is_new = False
    path = tag("path", tag("title", said), d="".join(line), class_="line")
    return _lane("Motion", said, [path], _MOTION)


def _defects(title: str, is_bad_S: npt.NDArray[np.bool_], duration: float) -> Markup:
    """Runs of bad seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_bad_S.astype(np.int8), [0]])))
    runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    marks = (
        _span(begin, end, duration, f"{begin} to {end} s", class_="bad")
        for begin, end in runs[:_MAX_POINTS]
    )
    number = int(is_bad_S.sum())
    return _lane(title, words.count(number, "second"), marks)


def _windows(video: Video, duration: float) -> Markup:
    kept = sum(one["verdict"]["kind"] == "kept" for one in video.windows)
    said = f"{kept} of {len(video.windows)} kept" if video.windows else "none"
    if video.num_windows > len(video.windows):
        said += f"; the first of {video.num_windows:,}"
    return _lane("Windows", said, (_window(one, duration) for one in video.windows))


def _window(one: Mapping[str, Any], duration: float) -> Markup:
    begin, end = one["start_seconds"] or 0.0, one["end_seconds"] or duration
    class_ = "good" if one["verdict"]["kind"] == "kept" else "bad"
    return _span(begin, end, duration, f"{begin:.2f} to {end:.2f} s: {_outcome(one)}", class_)


def _outcome(one: Mapping[str, Any]) -> str:
    verdict = one["verdict"]
    reason = words.in_words(verdict["reason"] or verdict["error"] or "")
    tier = f", tier {one['tier']}" if one["tier"] is not None else ""
    return f"{verdict['kind']}{f', {reason}' if reason else ''}{tier}"


def _axis(duration: float) -> Markup:
    return tag(
        "div",
        tag("div", tag("span", "0 s"), tag("span", f"{duration:.1f} s"), class_="ends"),
        class_="track",
        aria_hidden="true",
    )


def _window_table(video: Video, name: str) -> Markup | None:
    if not video.windows:
        return None
    rows: Sequence[Markup] = [
        row(
            str(number),
            words.seconds(one["start_seconds"]),
            words.seconds(one["end_seconds"]),
            _outcome(one),
        )
        for number, one in enumerate(video.windows, start=1)
    ]
    return tag(
        "details",
        tag("summary", "Windows in numbers"),
        numbers(rows, ("window", "from", "to", "outcome"), f"Windows of {name}"),
    )
