"""The small Table 1 as numbers: means over clips with intervals, differences, order. No torch.

A score file is what ``write_scores`` makes of one evaluation. Values of a clip are means over its
crops, the frames asked for and the seeds; intervals are by the sign-flip test over clips.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from pfp.errors import InputError
from pfp.eval.stats.aggregate import (
    Bootstrap,
    Difference,
    Summary,
    clip_means,
    paired_difference,
    summarise,
)

# PSNR in dB of the paper's Table 1. Its order among variants is what a small run is compared with.
PAPER_PSNR: Final[Mapping[str, float]] = {
    "large_patchifier 4x4x2": 12.93,
    "only_lr 4x4x2": 15.21,
    "without_lr 4x4x2": 15.73,
    "proposed 4x4x2": 17.41,
    "proposed 2x2x4": 18.63,
    "proposed 2x2x2": 19.12,
    "proposed 2x2x1": 20.19,
}
# Its SSIM has these two the other way round, so it leaves their order open.
UNDECIDED: Final = frozenset({"only_lr 4x4x2", "without_lr 4x4x2"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """One evaluation: a variant of a seed after ``step`` of ``num_steps``, on one set of crops.

    ``rows`` have ``clip``, ``crop``, ``latent`` (asked for), ``psnr``, ``ssim``, ``high_band``.
    """

    name: str
    crops: str  # "videos" or "same kind"
    seed: int = 0
    step: int = 0
    num_steps: int = 0
    num_tokens: int = 0
    rows: tuple[Mapping[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """What no other evaluation of a run is called."""
        if not self.num_steps:
            return f"{self.name}, seed {self.seed}, {self.crops}"
        steps = f"step {self.step} of {self.num_steps}"
        return f"{self.name}, seed {self.seed}, {steps}, {self.crops}"


def write_scores(path: Path, scores: Scores) -> None:
    """Write aside and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    aside.write_text(json.dumps(asdict(scores)) + "\n")
    aside.replace(path)


def read_scores(folder: Path) -> list[Scores]:
    """All score files of a folder; InputError when there is none."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(f"{folder} holds no scores; run the evaluation first")
    found = [json.loads(path.read_text()) for path in paths]
    return [Scores(**{**each, "rows": tuple(each["rows"])}) for each in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All evaluations of a run."""

    scores: Sequence[Scores]

    def sets(self) -> list[str]:
        """The sets of crops, in the order of their names."""
        return sorted({scores.crops for scores in self.scores})

    def seeds(self, name: str) -> list[int]:
        """The seeds that a variant was trained with."""
        return sorted({scores.seed for scores in self.scores if scores.name == name})

    def names(self) -> list[str]:
        """All variants and controls that were scored."""
        return sorted({scores.name for scores in self.scores})

    def steps(self, name: str) -> list[int]:
        """After how many steps a variant was scored."""
        return sorted({scores.step for scores in self.scores if scores.name == name})

    def num_tokens(self, name: str) -> int:
        """Memory tokens of one crop's history."""
        return next(scores.num_tokens for scores in self.scores if scores.name == name)

    def rows(
        self, name: str, crops: str, *, step: int | None = None, seed: int | None = None
    ) -> list[Mapping[str, Any]]:
        """The rows of a variant on a set, of its last step and all seeds if not told."""
        step = self.steps(name)[-1] if step is None else step
        return [
            row
            for scores in self.scores
            if (scores.name, scores.crops, scores.step) == (name, crops, step)
            and seed in (None, scores.seed)
            for row in scores.rows
        ]

    def by_clip(
        self,
        name: str,
        crops: str,
        metric: str,
        *,
        step: int | None = None,
        seed: int | None = None,
    ) -> dict[str, float]:
        """A variant's value of each clip."""
        rows = self.rows(name, crops, step=step, seed=seed)
        return clip_means([(row["clip"], row[metric]) for row in rows])

    def summary(
        self,
        name: str,
        crops: str,
        metric: str,
        *,
        step: int | None = None,
        seed: int | None = None,
    ) -> Summary:
        """Mean over clips and its interval."""
        values = self.by_clip(name, crops, metric, step=step, seed=seed)
        return summarise(values, num_expected=len(values), bootstrap=Bootstrap())

    def difference(self, a: str, b: str, crops: str, metric: str) -> Difference:
        """The paired difference of two variants over the clips of a set."""
        return paired_difference(self.by_clip(a, crops, metric), self.by_clip(b, crops, metric))

    def by_position(self, name: str, crops: str, metric: str) -> dict[int, float]:
        """The mean of a metric at every latent frame that was asked for."""
        pairs = [(f"{row['latent']:04d}", row[metric]) for row in self.rows(name, crops)]
        return {int(latent): value for latent, value in clip_means(pairs).items()}


def kendall_tau(ours: Mapping[str, float], paper: Mapping[str, float] = PAPER_PSNR) -> float | None:
    """Kendall's tau-a over the pairs of variants whose order the paper decides; None without any.

    Pairs in the paper's order count 1, the other way round -1, equal values 0.
    """
    signs = []
    for a, b in combinations([name for name in paper if name in ours], 2):
        if {a, b} == UNDECIDED or paper[a] == paper[b]:
            continue
        product = (ours[a] - ours[b]) * (paper[a] - paper[b])
        signs.append((product > 0) - (product < 0))
    return sum(signs) / len(signs) if signs else None
