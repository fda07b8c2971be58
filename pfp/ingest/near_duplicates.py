"""Which clips show the same as another one, recoded: by perceptual hashes over time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from pfp.errors import ConfigError
from pfp.ingest.phash import distance
from pfp.schema.measured import MeasuredRecord

# Two hashes that differ in fewer bits than there are bands agree in at least one band.
NUM_BANDS: Final = 4
_HEX_PER_BAND: Final = 16 // NUM_BANDS

_Band = tuple[int, int, str]  # hash position, band, its hex digits
_Key = tuple[_Band, int]  # and the duration's bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """Clips whose five hashes differ in ``max_mean_bits`` of 64 bits on average, or fewer.

    Their durations must agree within ``max_duration_difference``, a share of the longer one. Cuts
    out of another clip, mirrored or cropped copies are not found; two clips of one fixed camera in
    which hardly anything moves can be.
    """

    max_mean_bits: float
    max_duration_difference: float

    def __post_init__(self) -> None:
        """Refuses thresholds under which the index would miss pairs."""
        if not 0 <= self.max_mean_bits < NUM_BANDS:
            message = (
                f"max_mean_bits is {self.max_mean_bits}; give a number from 0 to below {NUM_BANDS}"
            )
            raise ConfigError(message)
        if not 0 <= self.max_duration_difference < 0.5:
            message = (
                f"max_duration_difference is {self.max_duration_difference}; give 0 to below 0.5"
            )
            raise ConfigError(message)

    def find(self, clips: Sequence[MeasuredRecord]) -> dict[str, tuple[MeasuredRecord, float]]:
        """``video_uri`` of each near duplicate, to the clip kept in its place and the mean bits.

        Of each group the clip with the most pixels stays, the first by URI among equals.
        """
        index: dict[_Key, list[MeasuredRecord]] = defaultdict(list)
        rarity = Counter(band for clip in clips for band in _bands(clip))
        found: dict[str, tuple[MeasuredRecord, float]] = {}
        for clip in sorted(clips, key=_preference):
            match = self._match(clip, index, rarity)
            if match is not None:
                found[clip.video_uri] = match
                continue
            for key in self._keys(clip, rarity, spread=0):
                index[key].append(clip)
        return found

    def _match(
        self,
        clip: MeasuredRecord,
        index: Mapping[_Key, Sequence[MeasuredRecord]],
        rarity: Mapping[_Band, int],
    ) -> tuple[MeasuredRecord, float] | None:
        candidates = {
            other.video_uri: other
            for key in self._keys(clip, rarity, spread=1)
            for other in index.get(key, ())
        }
        for other in sorted(candidates.values(), key=_preference):
            bits = mean_bits(clip, other)
            if bits <= self.max_mean_bits and self._same_duration(clip, other):
                return other, bits
        return None

    def _same_duration(self, one: MeasuredRecord, other: MeasuredRecord) -> bool:
        seconds = sorted((one.duration_seconds or 0.0, other.duration_seconds or 0.0))
        return seconds[1] - seconds[0] <= self.max_duration_difference * seconds[1]

    def _keys(
        self, clip: MeasuredRecord, rarity: Mapping[_Band, int], *, spread: int
    ) -> Iterator[_Key]:
        """The clip's rarest bands, as many as must hold one that each near copy has, too.

        Copies that differ in d bits differ in d bands at most, so any d + 1 bands in one order of
        all bands will do (prefix filtering). A black beginning, which many clips share, is looked
        up by none.
        """
        if not clip.duration_seconds:
            return
        # Durations that agree lie in one bucket or in neighbouring ones.
        ratio = 1 / (1 - max(self.max_duration_difference, 1e-3))
        bucket = math.floor(math.log(clip.duration_seconds) / math.log(ratio))
        num_telling = math.floor(self.max_mean_bits * len(clip.phashes)) + 1
        for band in sorted(_bands(clip), key=lambda band: (rarity[band], band))[:num_telling]:
            for offset in range(-spread, spread + 1):
                yield band, bucket + offset


def _bands(clip: MeasuredRecord) -> Iterator[_Band]:
    for position, phash in enumerate(clip.phashes):
        for band in range(NUM_BANDS):
            yield position, band, phash[band * _HEX_PER_BAND : (band + 1) * _HEX_PER_BAND]


def mean_bits(one: MeasuredRecord, other: MeasuredRecord) -> float:
    """The mean number of bits in which the hashes of two clips differ; inf when one has none."""
    if not one.phashes or len(one.phashes) != len(other.phashes):
        return math.inf
    return fmean(distance(*pair) for pair in zip(one.phashes, other.phashes, strict=True))


def _preference(clip: MeasuredRecord) -> tuple[int, str]:
    return -(clip.width or 0) * (clip.height or 0), clip.video_uri
