"""MAG-Bench: does what a model generates look like what was there, once the camera comes back?

A MAG-Bench video leaves a scene and returns. The model is given its first three quarters, the
history, and generates the rest; both the video that is scored and its reference are whole, history
included, frame for frame. Written from the description of MAG (Zhu et al., arXiv 2512.18741).

A sample with a history of its own is a memory model's: the history is what it encoded, all of
the video was generated after that, and the reference is the true continuation. There is no switch
then, nothing is cut off to whole blocks, and any length will do.

- ``magbench.matched.*``: each generated frame and the frame of the true rest that is nearest to it
  by LPIPS. This is the benchmark's protocol. It forgives any order and any repetition, so its
  numbers are upper bounds.
- ``magbench.matched.*.compat``: the same with the truth rounded to bfloat16, as MAG's repository
  keeps it: numbers are a little lower, the better the video the more.
- ``magbench.history.*``: the same among the frames of the true history. The paper reports it
  beside the first; we infer that it means the true history, not what a model makes of it. It is
  the sample's own history, else the reference's first part.
- ``magbench.aligned.*``: each generated frame and the true one of the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, final

import numpy as np
import numpy.typing as npt

from pfp.errors import Unmeasurable
from pfp.eval.metrics.base import Frame, Measurement, Metric, MetricCard, MetricValue, OpenedSample
from pfp.eval.metrics.lpips import LpipsAlex, need_side, network_of
from pfp.eval.metrics.psnr import CAP_DB, Psnr, psnr_of, squared_error
from pfp.eval.metrics.ssim import Ssim, ssim_map
from pfp.io.weights import Lock

if TYPE_CHECKING:
    from pfp.eval.networks.nearest_frames import Nearest

FPS: Final = 16
HISTORY_SHARE: Final = 0.75
BLOCK: Final = 12  # three latent frames of four frames; a clip's first latent frame holds only one
MAX_FRAME_BYTES: Final = 4 << 30
Form = Literal["matched", "matched.compat", "history", "aligned"]
Quantity = Literal["psnr", "ssim", "lpips"]
FrameArray = npt.NDArray[np.uint8]

AGAINST: Final = {
    "matched": "the true frame nearest to it by LPIPS",
    "matched.compat": "the true frame, rounded to bfloat16, nearest to it by LPIPS",
    "history": "the frame of the true history nearest to it by LPIPS",
    "aligned": "the true frame of the same time",
}
LIKE: Final = {"psnr": Psnr.card, "ssim": Ssim.card, "lpips": LpipsAlex.card}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is scored: frames ``[switch, stop)`` of the video at 16 fps; before it is history.

    With a history of its own ``switch`` is 0.
    """

    switch: int
    stop: int


def window_of(sample: OpenedSample) -> Window:
    """The whole video after a history of its own, else what follows the switch.

    Raises:
        Unmeasurable: nothing follows it.
    """
    if sample.num_history_frames is not None:
        return Window(switch=0, stop=num_at_16_fps(sample.num_frames, sample.fps))
    return window_after_switch(sample.num_frames, sample.fps)


def num_at_16_fps(num_frames: int, fps: float) -> int:
    """How many whole sixteenths of a second a video lasts, at least the one of its first frame."""
    return max(1, int(num_frames / fps * FPS + 1e-6))


def window_after_switch(num_frames: int, fps: float) -> Window:
    """The switch after three quarters, up to a whole block, and the end, down to a whole block.

    Raises:
        Unmeasurable: nothing lies between them.
    """
    num_at_16_fps = num_frames / fps * FPS + 1e-6  # 81 frames at 24 fps are 54, not 53.999...
    stop = (int(num_at_16_fps) + 3) // BLOCK * BLOCK - 3
    switch = -(-(int(num_at_16_fps * HISTORY_SHARE) + 3) // BLOCK) * BLOCK - 3
    if switch >= stop:
        raise Unmeasurable(
            "too_short",
            f"MAG-Bench's history of {switch} frames at 16 fps leaves nothing to score of a video "
            f"of {num_frames / fps:.2f} s; give one of 6 s or more",
        )
    return Window(switch=switch, stop=stop)


def frames_at_16_fps(start: int, stop: int, num_frames: int, fps: float) -> list[int]:
    """The frames that a video shows at sixteenths of a second ``[start, stop)``."""
    shown = (int(k * fps / FPS + 1e-6) for k in range(start, stop))
    return [min(index, num_frames - 1) for index in shown]


def generated_frames(sample: OpenedSample) -> list[int]:
    """The frames after the switch; all if the history is a video of its own."""
    window = window_of(sample)
    return frames_at_16_fps(window.switch, window.stop, sample.num_frames, sample.fps)


def all_frames(sample: OpenedSample) -> list[int]:
    """The frames of the history, if that is part of the video, then those after the switch."""
    return frames_at_16_fps(0, window_of(sample).stop, sample.num_frames, sample.fps)


def history_frames(sample: OpenedSample) -> list[int]:
    """The frames of a history of its own; none without one."""
    if sample.num_history_frames is None:
        return []
    num_frames, fps = sample.num_history_frames, sample.history_fps or sample.fps
    return frames_at_16_fps(0, num_at_16_fps(num_frames, fps), num_frames, fps)


def to_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Numbers rounded to bfloat16, to the nearest and halfway to even, as float32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return ((bits + half) & np.uint32(0xFFFF0000)).view(np.float32)


# What MAG's repository makes of the 256 code values of the truth: in [-1, 1] for LPIPS, and from
# there in [0, 1], rounded once more, for PSNR and SSIM; the latter times 255.
BFLOAT16_TABLE: Final = to_bfloat16(np.arange(256, dtype=np.float32) / np.float32(127.5) - 1)
BFLOAT16_PIXELS: Final = to_bfloat16(BFLOAT16_TABLE + 1).astype(np.float64) * 127.5


def _card(form: Form, quantity: Quantity) -> MetricCard:
    like = LIKE[quantity]
    matched = form != "aligned"
    name = f"magbench.{form}.{quantity}"
    if form == "matched.compat":
        name = f"magbench.matched.{quantity}.compat"
    return MetricCard(
        name=name,
        version=1,
        title=f"{like.title} (MAG-Bench, {form.replace('.compat', ', bfloat16')})",
        unit=like.unit,
        direction=like.direction,
        low=like.low,
        high=like.high,
        decimals=like.decimals,
        summary=f"Mean {like.title} of each frame after the switch and {AGAINST[form]}.",
        citation=f"Zhu et al., Memorize-and-Generate, arXiv 2512.18741; {like.citation}",
        licence=LpipsAlex.card.licence if matched else like.licence,
        weights=LpipsAlex.card.weights if matched else like.weights,
        libraries=LpipsAlex.card.libraries if matched else like.libraries,
        seconds_per=None if matched else like.seconds_per,
        required_inputs=() if form == "history" else ("reference",),
        requires_any=("history", "reference") if form == "history" else (),
        optional_inputs=() if form == "history" else ("history",),
        cost_note="every frame through AlexNet once, and features of every pair compared" * matched,
        params={
            **like.params,
            "fps": FPS,
            "history_share": HISTORY_SHARE,
            "block": BLOCK,
            "against": AGAINST[form],
        },
    )


@final
class Pairs:
    """Generated frames and those they are looked up among, kept once for all three quantities."""

    def __init__(self) -> None:
        self._num_seen = 0
        self._nearest: Nearest | None = None
        # What LPIPS is fed for each code value of the truth; None: evenly from -1 to 1.
        self.input_table: npt.NDArray[np.float32] | None = None
        self.generated: list[FrameArray] = []
        self.true: list[FrameArray] = []

    def add(self, number: int, *, generated: FrameArray | None, true: FrameArray | None) -> None:
        """What to keep of the frame of that number, unless another metric brought it already."""
        if number < self._num_seen:
            return
        self._num_seen += 1
        if generated is not None:
            self.generated.append(generated)
        if true is not None:
            self.true.append(true)

    def nearest(self, network: Any, device: str) -> Nearest:
        """Which true frame each generated one is nearest to; found by whoever asks first."""
        if self._nearest is None:
            from pfp.eval.networks.nearest_frames import nearest_frames

            self._nearest = nearest_frames(
                network, self.generated, self.true, device=device, among_table=self.input_table
            )
        return self._nearest


def matched_pairs(first_HWC: FrameArray) -> Pairs:
    """Given to ``Frame.shared`` of the first frame, where the metrics of this form meet."""
    del first_HWC
    return Pairs()


def rounded_pairs(first_HWC: FrameArray) -> Pairs:
    """The same with the truth in bfloat16."""
    pairs = matched_pairs(first_HWC)
    pairs.input_table = BFLOAT16_TABLE
    return pairs


def history_pairs(first_HWC: FrameArray) -> Pairs:
    """The same for the history."""
    del first_HWC
    return Pairs()


PAIRS_OF: Final = {
    "matched": matched_pairs,
    "matched.compat": rounded_pairs,
    "history": history_pairs,
}


@final
class _Nearest(Measurement):
    """The mean over generated frames of a quantity of the frame and its nearest."""

    def __init__(
        self,
        form: Literal["matched", "matched.compat", "history"],
        quantity: Quantity,
        sample: OpenedSample,
        *,
        device: str,
        lock: Lock | None,
    ) -> None:
        need_side(sample, "alex")
        self._form, self._quantity = form, quantity
        self._is_history = form == "history"
        self._window = window_of(sample)
        self._history = history_frames(sample) if self._is_history else []
        num_true = self._window.stop - self._window.switch
        if self._is_history:
            num_true = len(self._history) or self._window.switch
        _need_room(sample, num_true + self._window.stop - self._window.switch)
        self._device, self._network = device, network_of("alex", device, lock)
        self._num_seen = 0
        self._pairs = Pairs()

    def see_history(self, frame: Frame) -> None:
        """Keeps what generated frames are looked up among."""
        self._meet(frame)
        self._pairs.add(self._num_seen, generated=None, true=frame.rgb_HWC)
        self._num_seen += 1

    def see(self, frame: Frame) -> None:
        """Keeps what there is to compare: the nearest frame may be the last."""
        self._meet(frame)
        if self._history:
            self._pairs.add(self._num_seen, generated=frame.rgb_HWC, true=None)
            self._num_seen += 1
            return
        generated, true = frame.pair()
        if not self._is_history:
            self._pairs.add(self._num_seen, generated=generated, true=true)
        elif self._num_seen < self._window.switch:
            self._pairs.add(self._num_seen, generated=None, true=true)
        else:
            self._pairs.add(self._num_seen, generated=generated, true=None)
        self._num_seen += 1

    def _meet(self, frame: Frame) -> None:
        """At the first frame, find what the other quantities of this form keep, too."""
        if not self._num_seen:
            self._pairs = frame.shared(PAIRS_OF[self._form])

    def finish(self) -> MetricValue:
        """The mean of what was seen.

        ``matched_frame`` counts from the start of the video, or of the history of its own.
        """
        nearest = self._pairs.nearest(self._network, self._device)
        first = 0 if self._is_history else self._window.switch
        values = [
            self._value(generated, self._pairs.true[index], distance)
            for generated, index, distance in zip(
                self._pairs.generated, nearest.index_Q, nearest.distance_Q.tolist(), strict=True
            )
        ]
        capped = np.asarray(values)
        if self._quantity == "psnr":
            # The repository caps no frame: one without any error makes the whole video's mean 100.
            is_off = self._form == "matched.compat" and np.isinf(values).any()
            capped = np.array([CAP_DB]) if is_off else np.minimum(values, CAP_DB)
        return MetricValue(
            value=float(np.mean(capped)),
            num_frames=len(values),
            evidence={
                "per_frame": [None if np.isinf(value) else value for value in values],
                "matched_frame": (nearest.index_Q + first).tolist(),
                "first_frame": self._window.switch,
                "fps": FPS,
                **({"num_history_frames": len(self._history)} if self._history else {}),
            },
        )

    def _value(self, generated: FrameArray, true_HWC: FrameArray, distance: float) -> float:
        is_rounded = self._form == "matched.compat"
        true = BFLOAT16_PIXELS[true_HWC] if is_rounded else true_HWC
        match self._quantity:
            case "psnr":
                return float(psnr_of(squared_error(generated, true)))
            case "ssim":
                return float(ssim_map(generated, true).mean())
            case "lpips":
                return distance


def _need_room(sample: OpenedSample, num_kept: int) -> None:
    """Raise ``Unmeasurable`` if the frames that must be kept do not fit."""
    size_bytes = num_kept * sample.height * sample.width * 3
    if size_bytes > MAX_FRAME_BYTES:
        raise Unmeasurable(
            "too_long",
            f"matching keeps {num_kept} frames of {sample.width}x{sample.height} pixels, "
            f"{size_bytes / (1 << 30):.1f} GiB, over the limit of {MAX_FRAME_BYTES >> 30} GiB; cut "
            "the video, or use magbench.aligned, which keeps none",
        )


@final
class MatchedPsnr(Metric):
    """PSNR of the nearest true frames: the benchmark's own number."""

    card: ClassVar = _card("matched", "psnr")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("matched", "psnr", sample, device=self._device, lock=self._lock)


@final
class MatchedSsim(Metric):
    """SSIM of the nearest true frames: the benchmark's own number."""

    card: ClassVar = _card("matched", "ssim")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("matched", "ssim", sample, device=self._device, lock=self._lock)


@final
class MatchedLpips(Metric):
    """LPIPS of the nearest true frames: the benchmark's own number."""

    card: ClassVar = _card("matched", "lpips")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("matched", "lpips", sample, device=self._device, lock=self._lock)


@final
class MatchedPsnrCompat(Metric):
    """PSNR of the nearest true frames, those rounded as MAG's repository rounds them."""

    card: ClassVar = _card("matched.compat", "psnr")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("matched.compat", "psnr", sample, device=self._device, lock=self._lock)


@final
class MatchedSsimCompat(Metric):
    """SSIM of the nearest true frames, those rounded as MAG's repository rounds them."""

    card: ClassVar = _card("matched.compat", "ssim")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("matched.compat", "ssim", sample, device=self._device, lock=self._lock)


@final
class MatchedLpipsCompat(Metric):
    """LPIPS of the nearest true frames, those rounded as MAG's repository rounds them."""

    card: ClassVar = _card("matched.compat", "lpips")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("matched.compat", "lpips", sample, device=self._device, lock=self._lock)


@final
class HistoryPsnr(Metric):
    """PSNR of the nearest frames of the history."""

    card: ClassVar = _card("history", "psnr")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Every frame at 16 fps, the history first."""
        return all_frames(sample)

    def history_frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Every frame of a history of its own, at 16 fps."""
        return history_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("history", "psnr", sample, device=self._device, lock=self._lock)


@final
class HistorySsim(Metric):
    """SSIM of the nearest frames of the history."""

    card: ClassVar = _card("history", "ssim")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Every frame at 16 fps, the history first."""
        return all_frames(sample)

    def history_frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Every frame of a history of its own, at 16 fps."""
        return history_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("history", "ssim", sample, device=self._device, lock=self._lock)


@final
class HistoryLpips(Metric):
    """LPIPS of the nearest frames of the history."""

    card: ClassVar = _card("history", "lpips")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Every frame at 16 fps, the history first."""
        return all_frames(sample)

    def history_frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """Every frame of a history of its own, at 16 fps."""
        return history_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Some 6 s of frames of 31 pixels a side or more, within 4 GiB (``Unmeasurable``)."""
        return _Nearest("history", "lpips", sample, device=self._device, lock=self._lock)


@final
class AlignedPsnr(Metric):
    """PSNR of the frames after the switch, each and its true one."""

    card: ClassVar = _card("aligned", "psnr")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """As ``Psnr``, on some 6 s or more (``Unmeasurable``)."""
        window_of(sample)
        return Psnr(device=self._device, lock=self._lock).begin(sample)


@final
class AlignedSsim(Metric):
    """SSIM of the frames after the switch, each and its true one."""

    card: ClassVar = _card("aligned", "ssim")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """As ``Ssim``, on some 6 s or more (``Unmeasurable``)."""
        window_of(sample)
        return Ssim(device=self._device, lock=self._lock).begin(sample)


@final
class AlignedLpips(Metric):
    """LPIPS of the frames after the switch, each and its true one."""

    card: ClassVar = _card("aligned", "lpips")

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The frames after the switch, at 16 fps."""
        return generated_frames(sample)

    def begin(self, sample: OpenedSample) -> Measurement:
        """As ``LpipsAlex``, on some 6 s or more (``Unmeasurable``)."""
        window_of(sample)
        return LpipsAlex(device=self._device, lock=self._lock).begin(sample)
