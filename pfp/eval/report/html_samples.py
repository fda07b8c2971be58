"""The film strips: frames of the history, true and retrieved ones, and the continuations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pfp.eval.leaderboard.leaderboard import Leaderboard
from pfp.eval.manifest import PROMPT_GROUP
from pfp.eval.report.html_sample_detail import sample_details
from pfp.eval.report.samples import Continuation, Frame, Retrieval, Segment, Shown
from pfp.pages.images import image_tag, inlined
from pfp.pages.markup import Markup, tag

Linker: TypeAlias = Callable[[str], str]

NUM_OPEN = 8  # further clips are folded away
SHORT_ID = 12

FRAMES_GIVEN_BACK = (
    "Top: frames of the history that was encoded. Below: the true frame asked for, then what "
    "each method gave back, with that frame's PSNR. Always the middle frame of those asked for, "
    "and clips in the order of their ids, which are digests: nothing is picked by its looks."
)
FRAMES_OF_VIDEOS = (
    "The middle frame of each video, after that of its reference where there is one, with its "
    "PSNR. Always the middle one, and prompts in the order of their names: nothing is picked by "
    "its looks."
)


def retrievals_section(retrievals: Sequence[Retrieval], board: Leaderboard) -> Markup:
    """One card per clip, the first ones open."""
    is_retrieval, num_clips = board.is_retrieval, len(board.groups)
    cards = [_retrieval(item, board) for item in retrievals]
    rest = num_clips - len(cards)
    hidden = (
        f"{rest} of {num_clips} clips have no images here; their values are in leaderboard.json."
    )
    return tag(
        "section",
        tag("h2", "Clip by clip", id="clips"),
        tag(
            "p",
            FRAMES_GIVEN_BACK if is_retrieval else FRAMES_OF_VIDEOS,
            class_="lede",
        ),
        cards[:NUM_OPEN],
        _fold(cards[NUM_OPEN:], "more clips"),
        tag("p", hidden, class_="notes") if rest else None,
        aria_labelledby="clips",
    )


def _fold(cards: Sequence[Markup], noun: str) -> Markup | None:
    if not cards:
        return None
    return tag("details", tag("summary", f"{len(cards)} {noun}"), cards)


def _retrieval(item: Retrieval, board: Leaderboard) -> Markup:
    short = item.group[:SHORT_ID]
    asked = " asked for" if board.is_retrieval else ""
    note = f"frame {item.frame_index + 1} of {item.num_frames}{asked}"
    cards = {card.metric_id: card for card in board.metrics}
    true = None
    if item.true_frame is not None:
        alt = f"true frame {item.frame_index + 1} of clip {short}"
        true = _figure(
            image_tag(item.true_frame, alt), "true frame", asked.strip() or None, class_="true"
        )
    return tag(
        "article",
        _heading(item, note) if board.is_retrieval else _given_heading(item, note),
        [tag("p", tag("q", prompt), class_="prompt") for prompt in _prompts_below(item)],
        _history(item.history, short),
        tag(
            "div",
            true,
            (_shown(shown, short, board) for shown in item.shown),
            class_="frames",
        ),
        tag("p", "What each metric saw", class_="eyebrow") if any(_seen(item)) else None,
        sample_details(item.shown, cards, short),
        class_=_class_of([item.true_frame, *item.history]),
    )


def _seen(item: Retrieval) -> list[bool]:
    return [shown.detail is not None for shown in item.shown]


def _heading(item: Retrieval | Continuation, note: str) -> Markup:
    """The video's file name where it is known; the clip's id, as `pfp why` takes it."""
    short = tag("code", item.group[:SHORT_ID], title=item.group)
    name = [item.file_name, " "] if item.file_name else ["Clip "]
    return tag("h3", name, short, tag("small", note))


def _given_heading(item: Retrieval, note: str) -> Markup:
    """The prompt, or what the samples have in common; groups that pfp named are named by it."""
    title = tag("q", item.prompts[0]) if _is_named_by_prompt(item) else item.group
    return tag("h3", title, tag("small", note))


def _prompts_below(item: Retrieval) -> Sequence[str]:
    """Those that are not the heading."""
    return item.prompts[1:] if _is_named_by_prompt(item) else item.prompts


def _is_named_by_prompt(item: Retrieval) -> bool:
    return bool(item.prompts) and item.group.startswith(PROMPT_GROUP)


def _class_of(frames: Sequence[Frame | None]) -> str:
    """Upright frames get narrower columns."""
    shape = next((frame.shape for frame in frames if frame is not None), (0, 0))
    return "clip portrait" if shape[0] > shape[1] else "clip"


def _history(frames: Sequence[Frame], short: str) -> Markup | None:
    if not frames:
        return None
    images = [
        image_tag(frame, f"history of clip {short}, {i + 1} of {len(frames)}")
        for i, frame in enumerate(frames)
    ]
    return tag("div", tag("span", "history"), tag("div", images), class_="film")


def _shown(shown: Shown, short: str, board: Leaderboard) -> Markup:
    kind = "focus" if shown.method == board.focus else None
    has_psnr = any(card.name == "psnr" for card in board.measured)
    if shown.frame is None:
        return _figure(tag("div", shown.note, class_="empty"), shown.method, None, class_=kind)
    alt = f"frame of clip {short} given back by {shown.method}, {shown.note}"
    note = shown.note if has_psnr else None
    return _figure(image_tag(shown.frame, alt), shown.method, note, class_=kind)


def _figure(content: Markup, name: str, note: str | None, *, class_: str | None) -> Markup:
    caption = tag("figcaption", tag("b", name), tag("span", note) if note else None)
    return tag("figure", content, caption, class_=class_)


def continuations_section(continuations: Sequence[Continuation], link: Linker) -> Markup | None:
    """Generated segments with their prompts; there is no truth to measure them against."""
    if not continuations:
        return None
    cards = [_continuation(item, link) for item in continuations]
    return tag(
        "section",
        tag("h2", "Continuations", id="continuations"),
        tag(
            "p",
            "Segments generated one after the other from the storyboard, each given all "
            "before it. No true continuation exists, so nothing is measured here: look.",
            class_="lede",
        ),
        cards[:NUM_OPEN],
        _fold(cards[NUM_OPEN:], "more continuations"),
        aria_labelledby="continuations",
    )


def _continuation(item: Continuation, link: Linker) -> Markup:
    short = item.group[:SHORT_ID]
    strips = [
        _history(item.history, short),
        tag("p", item.problem, class_="notes") if item.problem else None,
        [_segment(segment, i, short) for i, segment in enumerate(item.segments)],
    ]
    return tag(
        "article",
        _heading(item, f"{item.method}, seed {item.seed}"),
        tag("div", tag("div", strips), _player(item, link), class_="continuation"),
        class_=_class_of([frame for segment in item.segments for frame in segment.frames]),
    )


def _segment(segment: Segment, i: int, short: str) -> Markup:
    span = ""
    if segment.start_seconds is not None and segment.end_seconds is not None:
        span = f", {segment.start_seconds:.1f} to {segment.end_seconds:.1f} s"
    images = [
        image_tag(frame, f"segment {i + 1} of clip {short}, frame {j + 1}: {segment.prompt}")
        for j, frame in enumerate(segment.frames)
    ]
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("b", f"Segment {i + 1}{span}"),
            tag("q", segment.prompt) if segment.prompt else None,
        ),
        tag("div", images),
        class_="segment",
    )


def _player(item: Continuation, link: Linker) -> Markup | None:
    """A link to the video, and a player where browsers can play it."""
    if item.video_uri is None or not item.segments:
        return None
    address = link(item.video_uri)
    player = None
    if item.plays_in_browsers:
        poster, width, height = inlined(item.segments[0].frames[0])
        player = tag(
            "video",
            src=address,
            poster=poster,
            width=width,
            height=height,
            controls=True,
            loop=True,
            muted=True,
            preload="none",
            aria_label=f"generated continuation of clip {item.group[:SHORT_ID]}",
        )
    return tag("p", player, tag("a", "open the video", href=address), class_="player")
