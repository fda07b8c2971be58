"""Descriptions measured from pixels: no model, no network, the same answer every time."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pfp.caption.backends.appearance import AppearanceStats, measure_appearance
from pfp.caption.backends.description import describe_shot, describe_whole
from pfp.caption.backends.motion import measure_motion
from pfp.errors import PermanentError
from pfp.io.digests import sha256_json
from pfp.io.media import Guard, iter_frames, probe
from pfp.io.media.source import shown_name
from pfp.vlm.answer import Answer
from pfp.vlm.request import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pfp.caption.backends.backend import StoryboardRequest

SAMPLE_FPS: Final = 6.0  # of the frames that are looked at: fast pans still overlap
LONG_SIDE: Final = 96  # pixels of the frames that are looked at
MAX_ASPECT: Final = 3.0  # longer frames are cropped to this


class OfflineBackend:
    """Says what colour, light, layout and movement each shot has, from measurements alone.

    It stands in where no vision-language model is at hand, and is named for what it is: nothing
    here knows what is shown. The prompt is not read. With ``timeout_seconds`` every video is
    decoded in a child process that is killed after that time.
    """

    name: Final = "offline"
    model: Final = "offline-colour-motion@1"
    generative: Final = False
    sampling: Final = None
    fingerprint: Final = sha256_json(
        {"backend": "offline", "model": model, "fps": SAMPLE_FPS, "long_side": LONG_SIDE}
    )

    def __init__(self, *, timeout_seconds: float | None = None) -> None:
        self._guard = None if timeout_seconds is None else Guard(timeout_seconds)
        self._guard_lock = threading.Lock()  # a guard serves one thread at a time

    def check_ready(self) -> None:
        """Nothing is needed."""

    def ask(self, request: StoryboardRequest) -> Answer:
        """A caption for each of the request's shots, by number, and one for the whole clip.

        Raises PermanentError for a video that cannot be decoded.
        """
        span = request.span
        if self._guard is None:
            described = describe_video(request.path, span, request.shots)
        else:
            with self._guard_lock:
                described = self._guard.call(describe_video, request.path, span, request.shots)
        return Answer(
            backend=self.name,
            model=self.model,
            raw_text=json.dumps(described),
            sampling=json.dumps({"fps": SAMPLE_FPS, "long_side": LONG_SIDE}),
        )

    def close(self) -> None:
        """End the child process, if there is one."""
        if self._guard is not None:
            with self._guard_lock:
                self._guard.close()


def describe_video(path: str, span: Span, shots: tuple[Span, ...]) -> dict[str, Any]:
    """``{"shots": [{"index": 1, "caption": TEXT}, ...], "global_caption": TEXT}`` of a span.

    Decodes once. Memory grows with the longest shot, not with the video.
    """
    captions: list[str] = []
    stats: list[AppearanceStats] = []
    for frames_THWC in _frames_by_shot(path, span, shots):
        stats.append(measure_appearance(frames_THWC))
        captions.append(describe_shot(stats[-1], measure_motion(frames_THWC, SAMPLE_FPS)))
    return {
        "shots": [{"index": k, "caption": caption} for k, caption in enumerate(captions, 1)],
        "global_caption": describe_whole(stats, span.end_seconds - span.start_seconds),
    }


def _frames_by_shot(path: str, span: Span, shots: tuple[Span, ...]) -> Iterator[NDArray[np.uint8]]:
    """The sampled frames of each shot; one shorter than the sampling step gets the frame before."""
    height, width = _sample_size(path)
    frames = iter_frames(
        path,
        fps=SAMPLE_FPS,
        height=height,
        width=width,
        start_seconds=span.start_seconds,
        end_seconds=span.end_seconds,
    )
    position, last = 0, None
    for shot in shots:
        ahead = (shot.end_seconds - span.start_seconds) * SAMPLE_FPS
        first = (shot.start_seconds - span.start_seconds) * SAMPLE_FPS
        taken: list[NDArray[np.uint8]] = []
        while position < ahead and (frame := next(frames, None)) is not None:
            if position >= first:
                taken.append(frame)
            position, last = position + 1, frame
        if not taken and last is not None:
            taken = [last]
        if not taken:
            message = (
                f"{shown_name(path)} has no frame in [{shot.start_seconds}, {shot.end_seconds}) s"
            )
            raise PermanentError(message)
        yield np.stack(taken)


def _sample_size(path: str) -> tuple[int, int]:
    """Height and width of the frames that are looked at, in the frame's shape."""
    shown = probe(path)
    aspect = min(max(shown.width / shown.height, 1 / MAX_ASPECT), MAX_ASPECT)
    if aspect >= 1:
        return round(LONG_SIDE / aspect), LONG_SIDE
    return LONG_SIDE, round(LONG_SIDE * aspect)
