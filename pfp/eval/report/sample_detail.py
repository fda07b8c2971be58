"""One video looked at closely: a film strip, the faces in it, and what every metric found.

Frames are even parts' middles and faces are the first and the least like their person: nothing is
picked by its looks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pfp.errors import PfpError
from pfp.eval.scores.evidence import Findings, SeenFace, findings
from pfp.io import media
from pfp.io.locate import locate
from pfp.schema import EvalSample, ScoreRecord

FrameArray: TypeAlias = npt.NDArray[np.uint8]

NUM_STRIP_FRAMES: Final = 8
STRIP_SIDE: Final = 128  # pixels
NUM_FACES: Final = 4  # of one metric
FACE_SIDE: Final = 72
FACE_MARGIN: Final = 0.25  # of the box, on each side


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one metric found; without a value, ``score.unscored_reason`` says why."""

    score: ScoreRecord
    findings: Findings
    faces: tuple[tuple[SeenFace, FrameArray], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDetail:
    """A video's strip, ``(seconds, frame)``, its length, and what was found in it."""

    strip: tuple[tuple[float, FrameArray], ...]
    duration_seconds: float
    found: tuple[Found, ...]


class SampleVideo:
    """One pass over a video for all the frames that a page shows of it."""

    def __init__(
        self,
        run_directory: str | Path,
        record: EvalSample,
        scores: Sequence[ScoreRecord] = (),
        *,
        more_frames: Sequence[int] = (),
    ) -> None:
        """scores: the video's. more_frames: what is wanted beside the strip and the faces."""
        self._place = locate(run_directory, record.video_uri or "")
        extent = _extent_of(self._place, record.fps)
        self._num_frames = extent.num_frames if extent else 0
        self._fps = extent.fps if extent else 0.0
        self._found = [_findings_of(score, self._fps) for score in scores] if extent else []
        self._strip = middles(self._num_frames, NUM_STRIP_FRAMES) if scores else []
        # Boxes of faces count the pixels of the frames that their metric saw.
        wanted: dict[media.Reading, list[int]] = {"player": [*self._strip, *more_frames]}
        for score, found in self._found:
            faces = [face.frame for face in telling(found.faces)]
            wanted.setdefault(reading_of(score), []).extend(faces)
        self._seen = {
            reading: frames_at(self._place, indices, reading) for reading, indices in wanted.items()
        }
        self._frames = self._seen["player"]

    def frame(self, index: int) -> FrameArray | None:
        """One of ``more_frames``; None where the video does not have it."""
        return self._frames.get(index)

    def detail(self) -> SampleDetail | None:
        """None of a video that cannot be read, or of which nothing was found."""
        if not self._found or not self._frames:
            return None
        return SampleDetail(
            strip=tuple(
                ((index + 0.5) / self._fps, shrunk(self._frames[index], STRIP_SIDE))
                for index in self._strip
                if index in self._frames
            ),
            duration_seconds=self._num_frames / self._fps,
            found=tuple(
                Found(score=score, findings=found, faces=tuple(self._faces(score, found)))
                for score, found in self._found
            ),
        )

    def _faces(self, score: ScoreRecord, found: Findings) -> list[tuple[SeenFace, FrameArray]]:
        frames = self._seen[reading_of(score)]
        crops = [
            (face, crop_of(frames[face.frame], face))
            for face in telling(found.faces)
            if face.frame in frames
        ]
        return [(face, shrunk(crop, FACE_SIDE)) for face, crop in crops if crop.size]


def telling(faces: Sequence[SeenFace]) -> list[SeenFace]:
    """The first face, then those that are least like their person, in order of time."""
    judged = sorted(
        (face for face in faces[1:] if face.cosine is not None),
        key=lambda face: (face.cosine, face.frame),
    )
    chosen = [*faces[:1], *judged[: NUM_FACES - 1]]
    return sorted(chosen, key=lambda face: face.frame)


def crop_of(frame_HWC: FrameArray, face: SeenFace) -> FrameArray:
    """The face with some of what is around it."""
    x0, y0, x1, y1 = face.box
    margin_x, margin_y = FACE_MARGIN * (x1 - x0), FACE_MARGIN * (y1 - y0)
    left, top = max(0, int(x0 - margin_x)), max(0, int(y0 - margin_y))
    right, bottom = max(0, math.ceil(x1 + margin_x)), max(0, math.ceil(y1 + margin_y))
    return frame_HWC[top:bottom, left:right]


def middles(length: int, count: int) -> list[int]:
    """The middles of ``count`` equal parts of ``[0, length)``, or all numbers of fewer."""
    count = min(length, count)
    return [int((part + 0.5) * length / count) for part in range(count)]


def reading_of(score: ScoreRecord) -> media.Reading:
    """How the video was read for a score: VBench's protocols have frames of their own."""
    return "reference" if score.protocol.startswith("vbench") else "player"


def frames_at(
    place: str, indices: Sequence[int], reading: media.Reading = "player"
) -> Mapping[int, FrameArray]:
    """Some frames of a video of any length, as far as they are there."""
    wanted, found = set(indices), dict[int, FrameArray]()
    if not wanted:
        return found
    try:
        with closing(media.iter_stored(place, reading=reading)) as frames:
            for index, frame in enumerate(frames):
                if index in wanted:
                    found[index] = frame
                if index >= max(wanted):
                    break
    except PfpError:  # what came before the damage can be shown
        return found
    return found


def shrunk(frame_HWC: FrameArray, side: int) -> FrameArray:
    """The frame scaled down so that neither side is longer than ``side`` pixels."""
    image = Image.fromarray(frame_HWC)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _extent_of(place: str, image_fps: float | None) -> media.Extent | None:
    """How long a video is; None where there is none to show."""
    try:
        extent = media.extent_of(place, image_fps=image_fps)
    except PfpError:
        return None
    return extent if extent.num_frames and extent.fps > 0 else None


def _findings_of(score: ScoreRecord, fps: float) -> tuple[ScoreRecord, Findings]:
    if score.evidence is None:
        return score, Findings()
    return score, findings(json.loads(score.evidence), fps=fps, params=json.loads(score.params))
