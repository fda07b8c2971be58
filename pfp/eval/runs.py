"""What a run directory holds, shards joined; and several run directories side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pfp.errors import InputError
from pfp.eval.build import GIVEN
from pfp.eval.locate import locate
from pfp.io import tables
from pfp.io.filesystems import Folder
from pfp.io.manifest import MANIFEST_NAME
from pfp.schema import GenerationRecord, Kept, ScoreRecord

SHARDS: Final = "shards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The records of one or several runs; places of videos are such that ``directory`` finds them.

    ``directory`` is what relative places count from.
    """

    directory: str
    generations: list[GenerationRecord]
    scores: list[ScoreRecord]

    @property
    def arms(self) -> list[str]:
        """The arms' names, sorted."""
        return sorted({made.arm for made in self.generations})


def read_run(directory: str | Path) -> Stored:
    """A run's records, those of its shards among them.

    Raises:
        SchemaError: there are no such tables, or they are of another pfp.
        InputError: two parts hold other scores of one sample and metric.
    """
    run = str(directory).rstrip("/")
    scores: dict[str, ScoreRecord] = {}
    for part in parts_of(run):
        if not _has_table(f"{part}/scores") and part != run:
            continue  # a shard without samples
        for score in tables.read_records(f"{part}/scores", ScoreRecord):
            known = scores.get(score.score_id)
            if known is not None and _contradict(known, score):
                raise InputError(
                    f"{part} and another part of {run} hold other scores of {score.score_id}, of "
                    "other videos, protocols or judges; give shards an --out of their own"
                )
            if known is None or isinstance(score.verdict, Kept):
                scores[score.score_id] = score
    found = list(scores.values())
    return Stored(
        directory=run, generations=_with_lengths(read_generations(run), found), scores=found
    )


def read_generations(directory: str | Path) -> list[GenerationRecord]:
    """What a run has to score, scored or not; raises as ``read_run`` does."""
    generations: dict[str, GenerationRecord] = {}
    for part in parts_of(str(directory).rstrip("/")):
        for made in tables.read_records(f"{part}/generations", GenerationRecord):
            generations.setdefault(made.sample_id, made)
    return list(generations.values())


def read_runs(directories: Sequence[str | Path]) -> Stored:
    """Several runs as one. Arms that two runs have in common are told apart by the run's name."""
    runs = [read_run(directory) for directory in directories]
    if len(runs) == 1:
        return runs[0]
    names = _names_of(runs)
    count = Counter(arm for run in runs for arm in run.arms)
    joined = Stored(directory=runs[0].directory, generations=[], scores=[])
    for run, name in zip(runs, names, strict=True):
        arms = {arm: f"{arm} ({name})" if count[arm] > 1 else arm for arm in run.arms}
        _add(joined, run, name, arms)
    return joined


def side_by_side(
    run_a: Stored, arm_a: str | None, run_b: Stored, arm_b: str | None
) -> tuple[Stored, tuple[str, str]]:
    """One arm of each of two runs, and what they are called then; None: the run's only one.

    Raises:
        InputError: a run has no such arm, or several and none was named.
    """
    first, second = _only_arm(run_a, arm_a), _only_arm(run_b, arm_b)
    names = _names_of([run_a, run_b])
    called = (first, second)
    if first == second:
        called = (f"{first} ({names[0]})", f"{second} ({names[1]})")
    joined = Stored(directory=run_a.directory, generations=[], scores=[])
    _add(joined, run_a, "a", {first: called[0]})
    _add(joined, run_b, "b", {second: called[1]})
    return joined, called


def _only_arm(run: Stored, arm: str | None) -> str:
    if arm in run.arms:
        return str(arm)
    known = ", ".join(run.arms)
    if arm is not None:
        raise InputError(f"{run.directory} has no arm {arm!r}; it has {known}")
    if len(run.arms) != 1:
        raise InputError(f"{run.directory} has the arms {known}; name one as RUN#ARM")
    return run.arms[0]


def _add(joined: Stored, run: Stored, name: str, arms: Mapping[str, str]) -> None:
    """Add the named arms of a run under other names; ``name`` keeps ids of two runs apart."""
    joined.generations.extend(
        replace(
            made,
            sample_id=f"{name}/{made.sample_id}",
            arm=arms[made.arm],
            video_uri=_absolute(run, made.video_uri),
            reference_uri=_absolute(run, made.reference_uri),
            history_uri=_absolute(run, made.history_uri),
        )
        for made in run.generations
        if made.arm in arms
    )
    joined.scores.extend(
        replace(
            score,
            score_id=f"{name}/{score.score_id}",
            sample_id=f"{name}/{score.sample_id}",
            arm=arms[score.arm],
        )
        for score in run.scores
        if score.arm in arms
    )


def parts_of(run: str) -> list[str]:
    """The folders of a run that hold tables: itself, and its shards'."""
    shards = Folder.at(f"{run}/{SHARDS}").folder_names()
    parts = [run, *(f"{run}/{SHARDS}/{name}" for name in shards)]
    return [part for part in parts if _has_table(f"{part}/generations")] or [run]


def missing_shards(directory: str | Path) -> tuple[int, int]:
    """How many shards of a run are not there, and how many there should be."""
    run = str(directory).rstrip("/")
    here = [part for part in parts_of(run) if part != run]
    total = max((int(part.rpartition("-")[2]) for part in here), default=0)
    return total - sum(part.endswith(f"-of-{total}") for part in here), total


def _contradict(one: ScoreRecord, other: ScoreRecord) -> bool:
    """Whether both were measured, and not the same."""
    both = isinstance(one.verdict, Kept) and isinstance(other.verdict, Kept)
    return both and one.result_key != other.result_key


def _has_table(directory: str) -> bool:
    return Folder.at(directory).has(MANIFEST_NAME)


def _names_of(runs: Sequence[Stored]) -> list[str]:
    """The folders' names, or whole paths where two are called alike."""
    short = [Path(run.directory).name for run in runs]
    return short if len(set(short)) == len(short) else [run.directory for run in runs]


def _absolute(run: Stored, uri: str | None) -> str | None:
    if uri is None:
        return None
    place = locate(run.directory, uri)
    return place if "://" in place else str(Path(place).absolute())


def _with_lengths(
    generations: list[GenerationRecord], scores: Sequence[ScoreRecord]
) -> list[GenerationRecord]:
    """Nobody told how long given videos are; their scores know how many frames were looked at."""
    seen: dict[str, int] = {}
    for score in scores:
        seen[score.sample_id] = max(seen.get(score.sample_id, 0), score.num_frames or 0)
    return [
        replace(made, num_frames=seen.get(made.sample_id) or None)
        if made.task == GIVEN and made.num_frames is None
        else made
        for made in generations
    ]
