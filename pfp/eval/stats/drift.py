"""A per-frame metric over the time of long videos: does quality hold, and how fast does it fall?

From the ``per_frame`` evidence of scores to a curve of bins and a slope, each with its interval
over clusters (prompts or clips). NumPy only. Axes: T frames of one video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pfp.errors import ConfigError, InputError
from pfp.eval.stats.aggregate import Bootstrap, Summary, clip_means, summarise

MAX_BINS: Final = 10_000
MIN_SPAN_SECONDS: Final = 1e-9  # under two distinct times a line has no slope


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One video's metric over time: unknown values are absent. Times count from its start."""

    cluster: str
    seconds_T: npt.NDArray[np.float64]
    value_T: npt.NDArray[np.float64]

    @classmethod
    def of_frames(
        cls,
        cluster: str,
        per_frame: Sequence[float | None],
        *,
        fps: float,
        frames: Sequence[int] | None = None,
        null_value: float | None = None,
    ) -> Track:
        """From the values of frames.

        frames: their numbers in the video, None for 0, 1, 2...; null_value: what a null among the
        values counts as (the cap of an identical frame's PSNR), None leaves it out.

        Raises:
            InputError: there are not as many numbers as values, or ``fps`` is not positive.
        """
        numbers = range(len(per_frame)) if frames is None else frames
        if len(numbers) != len(per_frame) or not fps > 0:
            raise InputError(
                f"video of {cluster!r}: {len(per_frame)} values, {len(numbers)} frame numbers, "
                f"{fps} frames per second; give one number per value and a positive rate"
            )
        pairs = [
            (number / fps, null_value if value is None else value)
            for number, value in zip(numbers, per_frame, strict=True)
        ]
        known = np.array([pair for pair in pairs if pair[1] is not None], dtype=np.float64)
        seconds_T, value_T = known.reshape(-1, 2).T
        return cls(cluster=cluster, seconds_T=seconds_T, value_T=value_T)

    @classmethod
    def of_clips(cls, cluster: str, clips: Sequence[Mapping[str, Any]], *, fps: float) -> Track:
        """From a video that was measured in clips: each one's value at its middle.

        clips: with ``start_frame``, ``end_frame`` and ``value``; null values are left out.
        """
        known = [clip for clip in clips if clip["value"] is not None]
        middles = [(clip["start_frame"] + clip["end_frame"]) / 2 / fps for clip in known]
        return cls(
            cluster=cluster,
            seconds_T=np.array(middles, dtype=np.float64),
            value_T=np.array([clip["value"] for clip in known], dtype=np.float64),
        )

    @classmethod
    def of_evidence(
        cls,
        cluster: str,
        evidence: Mapping[str, Any],
        *,
        fps: float,
        null_value: float | None = None,
    ) -> Track:
        """From a score's evidence: ``per_frame``, and ``frames`` where not all were looked at.

        ``first_frame`` and ``fps`` in the evidence (MAG-Bench) go before the arguments.

        Raises:
            InputError: the metric keeps no values of frames.
        """
        if "per_frame" not in evidence:
            raise InputError(
                f"the evidence of {cluster!r} has {', '.join(sorted(evidence)) or 'nothing'} and "
                "no per_frame; draw the drift of a metric that is measured frame by frame"
            )
        per_frame = evidence["per_frame"]
        first = int(evidence.get("first_frame", 0))
        frames = evidence.get("frames", range(first, first + len(per_frame)))
        fps = float(evidence.get("fps", fps))
        return cls.of_frames(cluster, per_frame, fps=fps, frames=frames, null_value=null_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The macro mean over clusters of what lies in ``[start_seconds, end_seconds)``.

    ``summary.num_expected`` counts all clusters: later bins hold only the long videos, and their
    coverage says so.
    """

    start_seconds: float
    end_seconds: float
    summary: Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The curve, and the mean over clusters of each video's slope in the metric's unit a second.

    A slope compares a video with itself alone, so that it does not move when short videos end.
    """

    bins: tuple[Bin, ...]
    slope_per_second: Summary
    num_videos: int
    bootstrap: Bootstrap

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, floats unrounded."""
        return asdict(self) | {"bins": [asdict(each) for each in self.bins]}


def drift(
    tracks: Sequence[Track], *, bin_seconds: float = 1.0, bootstrap: Bootstrap | None = None
) -> Drift:
    """The curve and slope of some videos of one method.

    A bin's value of a video is the mean of its frames there, that of a cluster the mean of its
    videos; empty bins have no mean. The same seed gives the same intervals.

    Raises:
        ConfigError: ``bin_seconds`` is not positive, or so short that there are over 10,000 bins.
    """
    settings = bootstrap or Bootstrap()
    last_seconds = max((float(t.seconds_T.max()) for t in tracks if len(t.seconds_T)), default=-1.0)
    if not bin_seconds > 0 or last_seconds / bin_seconds >= MAX_BINS:
        raise ConfigError(
            f"bins of {bin_seconds} s over {max(last_seconds, 0):.1f} s; use a positive length "
            f"that makes fewer than {MAX_BINS} bins"
        )
    num_bins = _bin_of(last_seconds, bin_seconds) + 1 if last_seconds >= 0 else 0
    num_clusters = len({track.cluster for track in tracks})
    values: list[list[tuple[str, float]]] = [[] for _ in range(num_bins)]
    for track in tracks:
        for number, value in _binned(track, bin_seconds).items():
            values[number].append((track.cluster, value))
    slopes = [(track.cluster, slope) for track in tracks if (slope := slope_of(track)) is not None]
    return Drift(
        bins=tuple(
            Bin(
                start_seconds=number * bin_seconds,
                end_seconds=(number + 1) * bin_seconds,
                summary=summarise(clip_means(here), num_expected=num_clusters, bootstrap=settings),
            )
            for number, here in enumerate(values)
        ),
        slope_per_second=summarise(
            clip_means(slopes), num_expected=num_clusters, bootstrap=settings
        ),
        num_videos=len(tracks),
        bootstrap=settings,
    )


def slope_of(track: Track) -> float | None:
    """The slope of the least-squares line through a video's values; None under two times."""
    if not len(track.seconds_T) or np.ptp(track.seconds_T) < MIN_SPAN_SECONDS:
        return None
    seconds_T = track.seconds_T - track.seconds_T.mean()
    return float(seconds_T @ (track.value_T - track.value_T.mean()) / (seconds_T @ seconds_T))


def _binned(track: Track, bin_seconds: float) -> dict[int, float]:
    """The mean of a video's values in each bin that has some."""
    found: dict[int, list[float]] = {}
    for seconds, value in zip(track.seconds_T.tolist(), track.value_T.tolist(), strict=True):
        found.setdefault(_bin_of(seconds, bin_seconds), []).append(value)
    return {number: float(np.mean(values)) for number, values in found.items()}


def _bin_of(seconds: float, bin_seconds: float) -> int:
    # Frame 3 of 30 fps lies at 0.1 s and opens the second bin of 0.1 s, whatever floats make of it.
    return int(seconds / bin_seconds + 1e-9)
