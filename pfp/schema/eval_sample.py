"""EvalSample: one video that evaluation looks at, with all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from pfp.schema.columns import Int32
from pfp.schema.record import Record
from pfp.schema.verdict import KEPT, Verdict

GIVEN: Final = "given"  # by a manifest: somebody's own video
RETRIEVE: Final = "retrieve"  # frames of a history that a memory gave back
CONTINUE: Final = "continue"  # what comes after a history


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A caption of the span ``[start_seconds, end_seconds)`` of a video."""

    start_seconds: float
    end_seconds: float
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSample(Record):
    """What a manifest gives or a checkpoint made, and what it is measured against.

    ``task`` is ``given``, ``retrieve`` or ``continue``. Samples of one ``group`` are compared with
    one another: they share a prompt, or the clip ``clip_id`` whose history a model was given.

    ``video_uri`` is None of a sample that was not made. ``reference_uri`` is what the video should
    be, frame for frame, ``history_uri`` what came before it. Relative places count from the run
    directory. They are videos, folders of images or images; the last two have no rate, so ``fps``
    gives it (None: 24, or the video's own).

    ``num_frames`` are those that were generated. ``omega`` lists the latent frames that a memory
    was asked for, in ``[0, T)``, and ``memory_clip_id`` the clip that it was of: another one's
    where memories are shuffled.
    """

    sample_id: str
    task: str = GIVEN
    group: str
    method: str
    seed: int = 0
    video_uri: str | None = None
    reference_uri: str | None = None
    history_uri: str | None = None
    fps: float | None = None
    num_frames: int | None = None
    prompt: str | None = None
    shots: tuple[Shot, ...] = ()
    reference_faces: tuple[str, ...] = ()  # places of images
    clip_id: str | None = None
    memory_clip_id: str | None = None
    model_id: str | None = None
    checkpoint_sha256: str | None = None
    rate: str | None = None
    num_memory_tokens: Int32 | None = None
    num_steps: Int32 | None = None
    omega: tuple[Int32, ...] = ()
    verdict: Verdict = KEPT
    result_key: str = ""

    NAME: ClassVar[str] = "generation"
    VERSION: ClassVar[int] = 3
    KEY: ClassVar[str] = "sample_id"

    @classmethod
    def of_video(cls, video_uri: str, **known: Any) -> Self:
        """A sample of one video alone, named after it unless ``known`` fields say otherwise."""
        named = {"sample_id": video_uri, "group": video_uri, "method": "model"}
        return cls(**{**named, **known}, video_uri=video_uri)

    @property
    def video(self) -> str:
        """Where the video is; ValueError of a sample that has none."""
        if self.video_uri is None:
            raise ValueError(f"sample {self.sample_id} has no video; generate it first")
        return self.video_uri

    @property
    def captions(self) -> list[str]:
        """What the video should show, in words: its prompt, else its shots' captions."""
        return [self.prompt] if self.prompt else [shot.caption for shot in self.shots]
