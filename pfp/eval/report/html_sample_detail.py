"""What each metric found in one video, under its film strip and on the strip's time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pfp.eval.measure.reasons import explained
from pfp.eval.metrics.base import MetricCard
from pfp.eval.report import text
from pfp.eval.report.html_table import MINUS
from pfp.eval.report.sample_detail import Found, SampleDetail
from pfp.eval.report.samples import Frame, Shown
from pfp.eval.scores.evidence import Curve, Findings, Said, SeenFace, Stretch
from pfp.pages.images import image_tag
from pfp.pages.markup import Markup, coded, tag
from pfp.schema import Failed

WIDTH, HEIGHT = 1000, 36  # of a drawing, which is stretched to the width of the strip
EDGE: Final = 3  # above and below a curve
LANE: Final = 11  # of stretches that overlap; as many lanes as it takes
MAX_FACTS: Final = 6


def sample_details(
    shown: Sequence[Shown], cards: Mapping[str, MetricCard], short: str
) -> Iterable[Markup]:
    """A fold for each video of a clip; ``cards`` by metric id, in the order of the table."""
    for each in shown:
        if each.detail is not None:
            yield _sample_detail(each.method, each.detail, cards, short)


def _sample_detail(
    method: str, seen: SampleDetail, cards: Mapping[str, MetricCard], short: str
) -> Markup:
    by_metric = {found.score.metric: found for found in seen.found}
    rows = [
        _row(cards[metric], by_metric[metric], seen.duration_seconds, f"{method}, clip {short}")
        for metric in cards
        if metric in by_metric and _says_something(by_metric[metric])
    ]
    metrics = text.count(len(rows), "metric") if rows else "nothing measured"
    length = f"{seen.duration_seconds:.1f} s, {metrics}"
    return tag(
        "details",
        tag("summary", method, tag("small", length)),
        tag("div", _strip(method, seen, short), rows, class_="tracks"),
        class_="sample-detail",
    )


def _says_something(found: Found) -> bool:
    """Whether this is about the video; what could not be measured at all is told elsewhere."""
    score = found.score
    return score.value is not None or score.evidence is not None or _is_failed(found)


def _is_failed(found: Found) -> bool:
    return isinstance(found.score.verdict, Failed)


def _strip(method: str, seen: SampleDetail, short: str) -> Markup:
    images = [_moment(seconds, frame, method, short) for seconds, frame in seen.strip]
    return tag("div", tag("div", images, class_="strip"), class_="track")


def _moment(seconds: float, frame: Frame, method: str, short: str) -> Markup:
    alt = f"{method}, clip {short}, at {seconds:.1f} s"
    return tag("figure", image_tag(frame, alt), tag("figcaption", f"{seconds:.1f} s"))


def _row(card: MetricCard, found: Found, duration_seconds: float, whose: str) -> Markup:
    findings = found.findings
    return tag(
        "div",
        tag("div", tag("b", card.title), _value(card, found), class_="what"),
        tag(
            "div",
            _drawing(card, findings, duration_seconds, whose),
            _facts(card, findings),
            _faces(found.faces, whose),
            _answers(findings.said),
            class_="seen",
        ),
        class_="track",
    )


def _value(card: MetricCard, found: Found) -> Markup:
    score = found.score
    if score.value is not None:
        number = text.number(score.value, card).replace("-", MINUS)
        return tag("span", number, text.unit_and_scale(card))
    why = explained(score.unscored_reason or "")
    return tag("span", "failed: " if _is_failed(found) else "no value: ", coded(why), class_="none")


def _drawing(
    card: MetricCard, found: Findings, duration_seconds: float, whose: str
) -> Markup | None:
    """The curve over the stretches; None where there is nothing to be drawn over time."""
    if not duration_seconds:
        return None
    faces = [face for face in found.faces if face.cosine is not None]
    if found.curve is None and not found.stretches and not faces:
        return None
    lanes = _lanes(found.stretches)
    height = LANE * (max(lanes, default=-1) + 1) + 2
    if faces or found.curve is not None:
        height = max(HEIGHT, height)
    marks = [
        _stretch(stretch, lane, duration_seconds)
        for stretch, lane in zip(found.stretches, lanes, strict=True)
    ]
    marks += [_cut(seconds, duration_seconds, height) for seconds in found.cuts_seconds]
    if found.curve is not None:
        marks += _curve(card, found.curve, duration_seconds, height)
    marks += [_dot(face, duration_seconds, height) for face in faces]
    label = f"{card.title} over the {duration_seconds:.1f} s of {whose}"
    return tag(
        "svg",
        marks,
        viewBox=f"0 0 {WIDTH} {height}",
        preserveAspectRatio="none",
        height=height,
        role="img",
        aria_label=label,
        class_="timeline",
    )


def _lanes(stretches: Sequence[Stretch]) -> list[int]:
    """The lowest lane of each in which it overlaps none before it."""
    ends: list[float] = []
    lanes = []
    for stretch in stretches:
        free = (i for i, end in enumerate(ends) if end <= stretch.start_seconds + 1e-9)
        lane = next(free, len(ends))
        ends[lane : lane + 1] = [stretch.end_seconds]
        lanes.append(lane)
    return lanes


def _x(seconds: float, duration_seconds: float) -> float:
    return round(WIDTH * min(1.0, max(0.0, seconds / duration_seconds)), 1)


def _stretch(stretch: Stretch, lane: int, duration_seconds: float) -> Markup:
    left, right = (
        _x(seconds, duration_seconds) for seconds in (stretch.start_seconds, stretch.end_seconds)
    )
    span = f"{stretch.start_seconds:.1f} to {stretch.end_seconds:.1f} s: {stretch.text}"
    return tag(
        "rect",
        tag("title", span),
        x=left,
        y=lane * LANE + 1,
        width=max(1.0, round(right - left - 2, 1)),
        height=LANE - 2,
        class_=stretch.state,
    )


def _cut(seconds: float, duration_seconds: float, height: int) -> Markup:
    x = _x(seconds, duration_seconds)
    hint = tag("title", f"cut at {seconds:.1f} s")
    return tag("path", hint, d=f"M{x} 0V{height}", class_="cut")


def _curve(
    card: MetricCard, curve: Curve, duration_seconds: float, height: int
) -> Iterable[Markup]:
    """The values and their threshold; a gap where there is none."""
    known = [value for value in curve.values if value is not None]
    if not known:
        return
    bounds = [*known, *([] if curve.threshold is None else [curve.threshold])]
    low, high = min(bounds), max(bounds)

    def y(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(height - EDGE - share * (height - 2 * EDGE), 1)

    if curve.threshold is not None:
        hint = tag("title", f"threshold {_shown(curve.threshold, curve, card)}")
        yield tag("path", hint, d=f"M0 {y(curve.threshold)}H{WIDTH}", class_="threshold")
    yield tag(
        "path",
        tag("title", _range(curve, card)),
        d="".join(
            f"{'M' if is_first else 'L'}{_x(seconds, duration_seconds)} {y(value)}"
            for seconds, value, is_first in _runs(curve)
        ),
        class_="line",
    )


def _runs(curve: Curve) -> Iterable[tuple[float, float, bool]]:
    """The points, each with whether a line begins there: after a gap, or back in time."""
    before: float | None = None
    for seconds, value in zip(curve.seconds, curve.values, strict=True):
        if value is None:
            before = None
            continue
        yield seconds, value, before is None or seconds < before
        before = seconds


def _range(curve: Curve, card: MetricCard) -> str:
    known = [value for value in curve.values if value is not None]
    return f"{_shown(min(known), curve, card)} to {_shown(max(known), curve, card)}"


def _shown(value: float, curve: Curve, card: MetricCard) -> str:
    """A value of a frame or a pair, as many times itself as the metric's are shown."""
    if curve.unit is not None:
        return f"{value:.4g} {curve.unit}"
    return f"{value * card.scale:.4g}"


def _dot(face: SeenFace, duration_seconds: float, height: int) -> Markup:
    """A face at the height of its cosine, 1 above and 0 below; a stroke without length is round."""
    assert face.cosine is not None
    share = min(1.0, max(0.0, face.cosine))
    y = round(height - EDGE - share * (height - 2 * EDGE), 1)
    hint = tag("title", f"face at {face.seconds:.1f} s, cosine {face.cosine:.2f}")
    return tag(
        "path", hint, d=f"M{_x(face.seconds, duration_seconds)} {y}h.01", class_=f"dot {face.state}"
    )


def _facts(card: MetricCard, found: Findings) -> Markup | None:
    """The range of the curve, and what else the evidence says in a word."""
    facts = []
    if found.curve is not None and any(value is not None for value in found.curve.values):
        facts.append(_range(found.curve, card))
    if not found.said:
        facts += [stretch.text for stretch in found.stretches[:MAX_FACTS]]
    if found.cuts_seconds:
        facts.append(text.count(len(found.cuts_seconds), "cut"))
    facts += [f"{name} {value}" for name, value in found.facts[:MAX_FACTS]]
    return tag("small", " \N{MIDDLE DOT} ".join(facts)) if facts else None


def _faces(faces: Sequence[tuple[SeenFace, Frame]], whose: str) -> Markup | None:
    if not faces:
        return None
    return tag("div", (_face(face, crop, whose) for face, crop in faces), class_="faces")


def _face(face: SeenFace, crop: Frame, whose: str) -> Markup:
    cosine = "" if face.cosine is None else f" \N{MIDDLE DOT} {face.cosine:.2f}"
    return tag(
        "figure",
        image_tag(crop, f"face in {whose}, at {face.seconds:.1f} s"),
        tag("figcaption", f"{face.seconds:.1f} s{cosine}"),
        class_=face.state,
    )


def _answers(said: Sequence[Said]) -> Markup | None:
    if not said:
        return None
    bad = sum(each.state == "bad" for each in said)
    unknown = sum(each.state == "unknown" for each in said)
    parts = [text.count(len(said), "answer")]
    parts += [f"{bad} against the video"] if bad else []
    parts += [f"{unknown} neither yes nor no"] if unknown else []
    return tag(
        "details",
        tag("summary", ", ".join(parts)),
        tag("ul", (_answer(each) for each in said)),
        class_="answers",
    )


def _answer(said: Said) -> Markup:
    verdict = tag("b", said.verdict, class_=said.state)
    return tag("li", said.question, ": ", verdict, tag("q", said.text) if said.text else None)
