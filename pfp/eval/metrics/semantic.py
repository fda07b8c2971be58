"""How well a video fits its text: the cosine of ViCLIP's embeddings.

``semantic`` is VBench's overall consistency (Huang et al., CVPR 2024), which reads the first 30
tokens of the prompt and no more. ``semantic.storyboard`` compares each shot with its own caption,
all of it.

Axes: S spans of a video (its shots, or the whole), E embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from pfp.errors import ConfigError, PermanentError, Unmeasurable
from pfp.eval.metrics.base import (
    Frame,
    Measurement,
    Metric,
    MetricCard,
    MetricValue,
    OpenedSample,
    SecondsPer,
)
from pfp.io import weights
from pfp.io.weights import Lock

if TYPE_CHECKING:
    from pfp.schema import Shot

WEIGHTS = "viclip-internvid-10m-flt"
NUM_FRAMES = 8
COSINE_SLACK = 1e-4  # rounding in float32 stays far below it
CITATION = (
    "Wang et al., InternVid, ICLR 2024 (ViCLIP); Huang et al., VBench, CVPR 2024 (the protocol)"
)
PIXELS = "uint8, bicubic to 224 without antialiasing, centre crop, CLIP mean and std"


@final
class Semantic(Metric):
    """Cosine of eight frames of the video and the first 30 tokens of the prompt."""

    card: ClassVar = MetricCard(
        name="semantic",
        version=2,
        title="Semantic",
        unit="",
        direction="higher",
        low=-1.0,
        high=1.0,
        decimals=2,
        scale=100,
        summary=(
            "Cosine of ViCLIP's embeddings of eight frames and of the prompt's first 30 tokens "
            "(VBench overall_consistency; neither times 100 nor normalised)."
        ),
        citation=CITATION,
        licence="Apache-2.0 (ViCLIP)",
        weights=(WEIGHTS,),
        libraries=("open_clip_torch", "torch", "torchvision"),
        required_inputs=("prompt",),
        seconds_per=SecondsPer(seconds=25.0, per="video"),
        cost_note="1.7 GB of weights",
        params={"num_frames": NUM_FRAMES, "sample": "middle", "max_tokens": 30, "pixels": PIXELS},
    )

    _network: Any = None

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The middles of eight equal parts."""
        return middle_frames(sample.num_frames)

    def begin(self, sample: OpenedSample) -> Measurement:
        """Needs a prompt with at least one word (``Unmeasurable``)."""
        clip_pixels, clip_text = _measures()
        clip_pixels.check_size(sample.height, sample.width)
        tokens = clip_text.tokens_of(sample.prompt or "")
        if not tokens:
            raise Unmeasurable(
                "no_prompt",
                f"semantic needs a prompt, not {sample.prompt!r}; give one in the manifest",
            )
        self._network = self._network or _load_network(self._lock, self._device)
        text_E = _embed_pieces(self._network, [tokens[: clip_text.MAX_TOKENS]], self._device)
        spans = _Spans(self._network, self._device, [self.frames_of(sample)], [text_E])
        evidence = {"num_tokens": len(tokens), "truncated_tokens": clip_text.num_cut(tokens)}
        return _WholeVideo(spans, evidence)


@final
class SemanticStoryboard(Metric):
    """Mean over shots of the cosine of a shot's frames and its caption, whatever its length."""

    card: ClassVar = MetricCard(
        name="semantic.storyboard",
        version=1,
        title="Semantic per shot",
        unit="",
        direction="higher",
        low=-1.0,
        high=1.0,
        decimals=2,
        scale=100,
        summary=(
            "Cosine of ViCLIP's embeddings of a shot's eight frames and of its caption, mean over "
            "shots weighted by their frames. A caption of over 30 tokens is not cut: its sentences "
            "are laid out in pieces of at most 30 tokens and the pieces' embeddings averaged, "
            "weighted by their tokens. Shots without a frame in the video do not count."
        ),
        citation=CITATION,
        licence="Apache-2.0 (ViCLIP)",
        weights=(WEIGHTS,),
        libraries=("open_clip_torch", "torch", "torchvision"),
        required_inputs=("shots",),
        seconds_per=SecondsPer(seconds=25.0, per="shot"),
        cost_note="1.7 GB of weights",
        params={
            "num_frames": NUM_FRAMES,
            "sample": "middle",
            "max_tokens_of_a_piece": 30,
            "weight_of_a_piece": "tokens",
            "weight_of_a_shot": "frames",
            "pixels": PIXELS,
        },
    )

    _network: Any = None

    def frames_of(self, sample: OpenedSample) -> Sequence[int]:
        """The middles of eight equal parts of each shot, in order of time."""
        return [index for index, _ in _plan(_frames_of_shots(sample))]

    def begin(self, sample: OpenedSample) -> Measurement:
        """Needs shots, each with a caption of at least one word (``PermanentError``)."""
        clip_pixels, clip_text = _measures()
        clip_pixels.check_size(sample.height, sample.width)
        if not sample.shots:
            raise PermanentError(
                "semantic.storyboard needs shots with captions; give a storyboard in the manifest"
            )
        pieces_S = [clip_text.pieces_of(shot.caption) for shot in sample.shots]
        for number, pieces in enumerate(pieces_S):
            if not pieces:
                raise Unmeasurable(
                    "no_caption", f"shot {number} has no caption; give it one in the storyboard"
                )
        self._network = self._network or _load_network(self._lock, self._device)
        texts_SE = [_embed_pieces(self._network, pieces, self._device) for pieces in pieces_S]
        spans = _Spans(self._network, self._device, _frames_of_shots(sample), texts_SE)
        lengths = [len(frames_of_shot(shot, sample)) for shot in sample.shots]
        return _Storyboard(spans, lengths, [[len(p) for p in pieces] for pieces in pieces_S])


class _Spans:
    """Cosines of spans of the video with their texts; keeps the frames of unfinished spans only."""

    def __init__(
        self,
        network: Any,
        device: str,
        frames_S: Sequence[Sequence[int]],
        texts_SE: Sequence[Any],
    ) -> None:
        """frames_S: eight frames of each span, or none; texts_SE: unit vectors."""
        self._pixels_of = _measures()[0].rounded
        self._network, self._device, self._texts_SE = network, device, texts_SE
        self._coming = iter(_plan(frames_S))
        self._waiting: dict[int, list[Any]] = {}
        self.frames_S = frames_S
        self.cosines_S: list[float | None] = [None] * len(frames_S)

    def see(self, frame: Frame) -> None:
        """The next frame of the plan; a span is compared as soon as it is whole."""
        _, span = next(self._coming)
        pixels_TCHW = self._waiting.setdefault(span, [])
        pixels_TCHW.append(frame.shared(self._pixels_of))
        if len(pixels_TCHW) == NUM_FRAMES:
            video_E = _embed_video(self._network, self._waiting.pop(span), self._device)
            self.cosines_S[span] = checked_cosine(float(video_E @ self._texts_SE[span]))

    def check_complete(self) -> None:
        """Raise ``PermanentError`` if frames of the plan never came."""
        missing = next(self._coming, None)
        if missing is not None:
            raise PermanentError(
                f"the video ended before frame {missing[0]}, which its number of frames promises; "
                "write it again"
            )


class _WholeVideo(Measurement):
    """One span, one prompt."""

    def __init__(self, spans: _Spans, evidence: dict[str, Any]) -> None:
        self._spans, self._evidence = spans, evidence

    def see(self, frame: Frame) -> None:
        """One of the eight frames."""
        self._spans.see(frame)

    def finish(self) -> MetricValue:
        """The cosine."""
        self._spans.check_complete()
        frames = list(self._spans.frames_S[0])
        return MetricValue(
            value=self._spans.cosines_S[0],
            num_frames=len(set(frames)),
            evidence={"frames": frames, **self._evidence},
        )


class _Storyboard(Measurement):
    """A span for each shot."""

    def __init__(
        self, spans: _Spans, num_frames_S: Sequence[int], tokens_S: Sequence[Sequence[int]]
    ) -> None:
        """num_frames_S: how long each shot is; tokens_S: of each piece of its caption."""
        self._spans, self._num_frames_S, self._tokens_S = spans, num_frames_S, tokens_S

    def see(self, frame: Frame) -> None:
        """One of the frames of a shot."""
        self._spans.see(frame)

    def finish(self) -> MetricValue:
        """The mean over the shots that have frames."""
        self._spans.check_complete()
        pairs = zip(self._spans.cosines_S, self._num_frames_S, strict=True)
        scored = [(cosine, length) for cosine, length in pairs if cosine is not None]
        cosines, lengths = [pair[0] for pair in scored], [pair[1] for pair in scored]
        return MetricValue(
            value=float(np.average(cosines, weights=lengths)) if scored else None,
            num_frames=len({index for frames in self._spans.frames_S for index in frames}),
            evidence={
                "shots": self._shots(),
                "num_shots_without_frames": len(self._num_frames_S) - len(scored),
                "mean_over_shots": float(np.mean(cosines)) if scored else None,
            },
            unscored_reason=None if scored else "no_shot_within_the_video",
        )

    def _shots(self) -> list[dict[str, Any]]:
        columns = {
            "cosine": self._spans.cosines_S,
            "num_frames": self._num_frames_S,
            "frames": self._spans.frames_S,
            "tokens_of_pieces": self._tokens_S,
        }
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


def middle_frames(num_frames: int, *, count: int = NUM_FRAMES) -> list[int]:
    """``count`` frames of a video of ``num_frames`` >= 1: the middles of as many equal parts.

    A shorter video gives each frame once and its last one again until there are ``count``. This
    is VBench's ``middle`` sampling.
    """
    parts = min(count, num_frames)
    edges = np.linspace(0, num_frames, parts + 1).astype(int)
    middles = [int(index) for index in (edges[:-1] + edges[1:] - 1) // 2]
    return middles + middles[-1:] * (count - parts)


def frames_of_shot(shot: Shot, sample: OpenedSample) -> range:
    """The video's frames that begin within the shot; empty if the video ends before it."""
    first = max(0, math.ceil(shot.start_seconds * sample.fps - 1e-6))
    stop = math.ceil(shot.end_seconds * sample.fps - 1e-6)
    return range(first, max(first, min(stop, sample.num_frames)))


def _frames_of_shots(sample: OpenedSample) -> list[list[int]]:
    ranges = [frames_of_shot(shot, sample) for shot in sample.shots]
    return [[frames[i] for i in middle_frames(len(frames))] if frames else [] for frames in ranges]


def _plan(frames_S: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Every (frame, span) in order of time: spans may overlap, but a video is decoded forwards."""
    return sorted((index, span) for span, frames in enumerate(frames_S) for index in frames)


def _measures() -> tuple[Any, Any]:
    """``clip_pixels`` and ``clip_text``; ``ConfigError`` where torch is not installed."""
    try:
        from pfp.eval.networks import clip_text
        from pfp.measures import clip_pixels
    except ImportError as error:
        raise ConfigError(f"ViCLIP needs {error.name}; pip install 'pfp[metrics,train]'") from error
    return clip_pixels, clip_text


def _load_network(lock: Lock | None, device: str) -> Any:
    """The ``Viclip`` of the locked weights; both metrics share one."""
    from pfp.eval.networks.viclip import load_viclip

    return load_viclip(weights.find(WEIGHTS, lock=lock), device)


def checked_cosine(cosine: float) -> float:
    """The cosine as it is.

    Raises:
        PermanentError: it is no cosine, as broken weights or a broken torch have produced before.
    """
    if not abs(cosine) <= 1.0 + COSINE_SLACK:  # also false for NaN
        raise PermanentError(
            f"the cosine is {cosine}, so the weights {WEIGHTS} or this torch are broken; run "
            f"`pfp weights verify {WEIGHTS}`"
        )
    return cosine


def _embed_video(network: Any, pixels_TCHW: Sequence[Any], device: str) -> Any:
    """The unit vector of a span."""
    import torch

    with torch.inference_mode():
        return network.embed_videos(torch.stack(list(pixels_TCHW))[None].to(device))[0]


def _embed_pieces(network: Any, pieces: Sequence[Sequence[int]], device: str) -> Any:
    """The unit mean of the pieces' unit vectors, weighted by their numbers of tokens."""
    import torch

    _, clip_text = _measures()
    tokens_NL = torch.tensor([clip_text.in_context(piece) for piece in pieces], device=device)
    lengths_N = torch.tensor([float(len(piece)) for piece in pieces], device=device)
    with torch.inference_mode():
        mean_E = lengths_N @ network.embed_texts(tokens_NL) / lengths_N.sum()
        return mean_E / mean_E.norm()
