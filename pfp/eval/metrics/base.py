"""What a metric is: a card that says what its numbers mean, and a measurement that sees frames.

Axes: T time, H height, W width, C colour (R, G, B), uint8 in [0, 255].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt

from pfp.errors import InvariantError, PermanentError, Unmeasurable
from pfp.io.weights import Lock

if TYPE_CHECKING:  # records bring Arrow, and lists of metrics are to be quick
    from pfp.schema.eval_sample import EvalSample, Shot

Made = TypeVar("Made")
InputName = Literal["prompt", "shots", "reference", "history", "reference_faces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondsPer:
    """Measured time on one CPU core. With a ``size`` it grows with the frame's pixels, from there.

    A ``pair`` is two frames that are seen one after the other, a ``shot`` one of the storyboard.
    """

    seconds: float
    per: Literal["frame", "pair", "shot", "video"]
    size: tuple[int, int] | None = None  # (width, height)

    def at(self, width: int, height: int) -> float:
        """Seconds for each, of frames of a size."""
        if self.size is None:
            return self.seconds
        return self.seconds * (width * height) / (self.size[0] * self.size[1])

    def __str__(self) -> str:
        """For people: ``1 s a pair of 224x128 on one CPU core, growing with the pixels``."""
        of, more = "", ""
        if self.size is not None:
            of, more = " of {}x{}".format(*self.size), ", growing with the pixels"
        return f"{self.seconds:g} s a {self.per}{of} on one CPU core{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCard:
    """Everything a reader needs to know about a metric before believing its numbers.

    ``version`` goes up with any change that moves a score. ``low`` and ``high`` bound the values;
    None is unbounded. ``params`` are the choices the definition leaves open, all of them.
    ``required_inputs`` is what a sample must have beside its video; without it the metric says
    nothing. Of ``requires_any`` it looks at the first that a sample has, and at ``optional_inputs``
    if they are there.
    ``scale`` is what values are multiplied by when people read them (100, where the paper prints
    shares of 100), and ``decimals`` are those of the product. ``is_yes_no``: a video has 0 or 1.
    """

    name: str
    version: int
    title: str
    unit: str
    direction: Literal["higher", "lower"]  # which is better
    low: float | None
    high: float | None
    decimals: int
    summary: str
    citation: str
    licence: str  # of the weights or code that it needs beyond pfp's own
    weights: tuple[str, ...] = ()  # names in weights.lock
    libraries: tuple[str, ...] = ()  # that it computes with beside NumPy, as they are installed
    required_inputs: tuple[InputName, ...] = ()
    requires_any: tuple[InputName, ...] = ()
    optional_inputs: tuple[InputName, ...] = ()
    scale: int = 1
    is_yes_no: bool = False
    seconds_per: SecondsPer | None = None  # None: little, or not a matter of this machine
    cost_note: str = ""  # what else it takes, in words
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def metric_id(self) -> str:
        """``name@version``: what ScoreRecords carry."""
        return f"{self.name}@{self.version}"

    @property
    def cost(self) -> str:
        """What it takes, in words; empty if that is little."""
        seconds = "" if self.seconds_per is None else str(self.seconds_per)
        return "; ".join(part for part in (seconds, self.cost_note) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricValue:
    """One video's value, how many frames it rests on, and the evidence (plain JSON).

    A video of which the metric cannot say anything has no value and a reason, one lower-case word
    or several joined by underscores (``no_face``).
    """

    value: float | None
    num_frames: int
    evidence: dict[str, Any]
    unscored_reason: str | None = None

    def __post_init__(self) -> None:
        """A value or a reason, never both or neither."""
        if (self.value is None) == (self.unscored_reason is None):
            raise ValueError(
                f"value {self.value} and reason {self.unscored_reason!r}; give exactly one of them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSample:
    """A sample's video, or a clip of it, before its frames are seen; times are the clip's.

    A history is a video of what came before, as large as the video; then no part of the video is.
    ``num_frames`` is how many frames will come if all are asked for, ``fps`` their rate.
    """

    num_frames: int
    fps: float
    height: int
    width: int
    prompt: str | None = None
    shots: tuple[Shot, ...] = ()
    reference_faces: tuple[str, ...] = ()  # paths of images
    num_history_frames: int | None = None  # None: no history of its own, or the metric takes none
    history_fps: float | None = None


class Frame:
    """A decoded frame, its reference where the sample has one, and what metrics share of it."""

    __slots__ = ("_shared", "index", "reference_HWC", "rgb_HWC")

    def __init__(
        self,
        index: int,
        rgb_HWC: npt.NDArray[np.uint8],
        reference_HWC: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """index: number of the frame in its clip, from 0."""
        self.index = index
        self.rgb_HWC = rgb_HWC
        self.reference_HWC = reference_HWC
        self._shared: dict[Callable[..., Any], Any] = {}

    def shared(self, make: Callable[[npt.NDArray[np.uint8]], Made]) -> Made:
        """``make(rgb_HWC)``, worked out once however many metrics ask for it."""
        if make not in self._shared:
            self._shared[make] = make(self.rgb_HWC)
        return cast("Made", self._shared[make])

    def pair(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """The frame and its reference; Unmeasurable if their sizes differ."""
        if self.reference_HWC is None:
            raise PermanentError(
                f"frame {self.index} has no reference; give a reference video as long as the video"
            )
        if self.reference_HWC.shape != self.rgb_HWC.shape:
            height, width = self.rgb_HWC.shape[:2]
            true_height, true_width = self.reference_HWC.shape[:2]
            raise Unmeasurable(
                "sizes_differ",
                f"the video is {width}x{height} and its reference {true_width}x{true_height} "
                "pixels; generate it at the reference's size, or pass --align resize",
            )
        return self.rgb_HWC, self.reference_HWC


class Measurement(ABC):
    """One metric at work on one video; keeps no more frames than a model takes at once."""

    @abstractmethod
    def see(self, frame: Frame) -> None:
        """The next frame that ``Metric.frames_of`` asked for, in order of time."""

    def see_history(self, frame: Frame) -> None:
        """The next frame that ``Metric.history_frames_of`` asked for; all come before the video's.

        ``frame.index`` counts from the start of the history.
        """
        message = f"{type(self).__name__} was shown frame {frame.index} of a history; report it"
        raise InvariantError(message)

    @abstractmethod
    def finish(self) -> MetricValue:
        """The value of what was seen; called once, after the last frame.

        Raises:
            PermanentError: the video cannot be measured and trying again cannot help.
        """


class Metric(ABC):
    """Makes measurements. Constructing one is cheap; its networks load at the first ``begin``."""

    card: ClassVar[MetricCard]
    # Parameters that only ``rescore``'s rule reads: evidence taken with others of them still holds.
    rule_params: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *, device: str = "cpu", lock: Lock | None = None) -> None:
        """device: torch's name of where networks run; lock: None is the one that pfp ships."""
        self._device = device
        self._lock = lock

    def frames_of(self, sample: OpenedSample) -> Sequence[int] | None:
        """Numbers of the frames to be seen, in order, one of them twice if need be; None is all."""
        del sample
        return None

    def history_frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Numbers of the frames of the sample's own history to be seen, as in ``frames_of``."""
        del sample
        return ()

    @abstractmethod
    def begin(self, sample: OpenedSample) -> Measurement:
        """Start on a video.

        Raises:
            PermanentError: it cannot be measured.
            WeightsError: weights are missing; the message holds the command that gets them.
        """

    @classmethod
    def rescore(cls, evidence: Mapping[str, Any], num_frames: int) -> MetricValue | None:
        """The value that stored evidence of ``num_frames`` frames comes to by today's rule.

        Needs no weights and no video. None where the evidence does not hold what the rule reads.
        """
        del evidence, num_frames
        return None

    def measure(
        self,
        frames_THWC: npt.NDArray[np.uint8],
        reference_THWC: npt.NDArray[np.uint8] | None = None,
        *,
        fps: float = 24.0,
        prompt: str | None = None,
        shots: tuple[Shot, ...] = (),
        history_THWC: npt.NDArray[np.uint8] | None = None,
        history_fps: float | None = None,
        reference_faces: tuple[str, ...] = (),
    ) -> MetricValue:
        """The value of a video that lies in memory, with its reference where the metric needs one.

        frames_THWC, reference_THWC: uint8 RGB in [0, 255], T >= 1, of one shape.
        history_THWC: the same but for its own T, for metrics that take one; history_fps: its rate,
        None is ``fps``. reference_faces: paths of images of who should be seen.

        Raises what ``begin`` and ``finish`` do.
        """
        check_video(frames_THWC, "the video")
        if reference_THWC is not None:
            check_video(reference_THWC, "its reference")
            check_lengths(len(frames_THWC), len(reference_THWC))
        num_frames, height, width = frames_THWC.shape[:3]
        sample = OpenedSample(
            num_frames=num_frames,
            fps=fps,
            height=height,
            width=width,
            prompt=prompt,
            shots=shots,
            reference_faces=reference_faces,
            num_history_frames=None if history_THWC is None else len(history_THWC),
            history_fps=None if history_THWC is None else history_fps or fps,
        )
        measurement = self.begin(sample)
        if history_THWC is not None:
            check_video(history_THWC, "its history")
            for index in self.history_frames_of(sample):
                measurement.see_history(Frame(index, history_THWC[index]))
        asked = self.frames_of(sample)
        for index in range(num_frames) if asked is None else asked:
            reference_HWC = None if reference_THWC is None else reference_THWC[index]
            measurement.see(Frame(index, frames_THWC[index], reference_HWC))
        return measurement.finish()


def has_input(sample: EvalSample, name: InputName) -> bool:
    """Whether a sample has something beside its video."""
    field = f"{name}_uri" if name in {"reference", "history"} else name
    return bool(getattr(sample, field))


def inputs_used(card: MetricCard, sample: EvalSample) -> tuple[InputName, ...]:
    """What a metric looks at of a sample, beside its video."""
    first = next((name for name in card.requires_any if has_input(sample, name)), None)
    optional = (name for name in card.optional_inputs if has_input(sample, name))
    return (*card.required_inputs, *(() if first is None else (first,)), *optional)


def missing_input(card: MetricCard, sample: EvalSample) -> InputName | None:
    """The first thing that a metric requires and a sample lacks; of alternatives the last."""
    lacking = (name for name in card.required_inputs if not has_input(sample, name))
    missing = next(lacking, None)
    has_any = any(has_input(sample, name) for name in card.requires_any)
    if missing is None and card.requires_any and not has_any:
        return card.requires_any[-1]
    return missing


def check_video(frames_THWC: npt.NDArray[Any], name: str) -> None:
    """Raise ``PermanentError`` unless an array is a uint8 RGB video of at least one frame."""
    video = frames_THWC
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3 or not video.size:
        raise PermanentError(
            f"{name} is {video.dtype} of shape {video.shape}, not uint8 of shape (T, H, W, 3)"
        )


def check_lengths(num_frames: int, num_reference_frames: int) -> None:
    """Raise ``Unmeasurable`` unless a video and its reference are equally long."""
    if num_frames != num_reference_frames:
        raise Unmeasurable(
            "lengths_differ",
            f"the video has {num_frames} frames and its reference {num_reference_frames}; "
            "generate it again, frame for frame, or pass --align truncate",
        )
