"""Whether a model was shown the video, told from the VIDEO tokens that it was billed for.

A very short clip can be tokenised to nothing, and the model then describes a video that it never
saw; a frame rate that the server ignored gives a video of another length. Both show in the count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Tokens per frame by model family and media resolution; None is the server's default. From the
# Gemini API's pages on video understanding and media resolution, as read in November 2026.
_UP_TO_2_5: Final = {None: 258, "low": 66, "medium": 258, "high": 258}
_FROM_3: Final = {None: 70, "low": 70, "medium": 70, "high": 280}
TOKENS_PER_FRAME: Final[Mapping[str, Mapping[str | None, int]]] = {
    "gemini-2.0-": _UP_TO_2_5,
    "gemini-2.5-": _UP_TO_2_5,
    "gemini-3-": _FROM_3,
    "gemini-3.": _FROM_3,
}
TOLERANCE: Final = 0.3  # of the expected count


def tokens_per_frame(model: str, media_resolution: str | None) -> int | None:
    """VIDEO tokens that the model takes for one frame; None when it is unknown."""
    name = model.removeprefix("models/")
    for family, tokens in TOKENS_PER_FRAME.items():
        if name.startswith(family):
            return tokens[media_resolution]
    return None


def video_token_problem(
    tokens_video: int,
    *,
    fps: float,
    duration_seconds: float,
    frame_tokens: int | None,
) -> str | None:
    """What is wrong with a count of VIDEO tokens, as a sentence; None when nothing is.

    The count must be above 0 and within 30 % (or one frame, for short clips) of
    ``fps * duration_seconds * frame_tokens``. Without ``frame_tokens`` only the first is checked.
    """
    if tokens_video <= 0:
        return "the model was given 0 VIDEO tokens, so it never saw the video"
    if frame_tokens is None:
        return None
    expected = fps * duration_seconds * frame_tokens
    if abs(tokens_video - expected) <= max(TOLERANCE * expected, frame_tokens):
        return None
    return (
        f"the model was given {tokens_video} VIDEO tokens where {duration_seconds:.2f} s at "
        f"{fps:g} fps and {frame_tokens} tokens per frame make about {expected:.0f}"
    )
