"""What a run directory holds, shards joined; and several run directories side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pfp.errors import InputError
from pfp.eval.scores.origin import read_origin
from pfp.io import tables
from pfp.io.locate import locate
from pfp.io.run_tables import has_table, shards_of
from pfp.schema import EvalSample, Kept, ScoreRecord
from pfp.schema.eval_sample import GIVEN
from pfp.schema.run_directory import SHARDS_NAME, RunDirectory

_CONTENTS: Final = ("video_sha256", "reference_sha256", "history_sha256")
_SHARD: Final = re.compile(rf"/{SHARDS_NAME}/(\d+)-of-(\d+)(?:\?|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The records of one or several runs; places of videos are such that ``directory`` finds them.

    ``directory`` is what relative places count from.
    """

    directory: str
    generations: list[EvalSample]
    scores: list[ScoreRecord]

    @property
    def methods(self) -> list[str]:
        """The methods' names, sorted."""
        return sorted({made.method for made in self.generations})


def read_run(directory: str | Path) -> Stored:
    """A run's records, those of its shards among them.

    Scores of samples that the run no longer has are left out.

    Raises:
        SchemaError: there are no such tables, or they are of another pfp.
        InputError: parts are of two versions of the manifest, or hold other scores of one sample
            and metric.
    """
    run = str(directory).rstrip("/")
    generations = read_generations(run)
    scores: dict[str, ScoreRecord] = {}
    for part in parts_of(run):
        _add_scores(scores, tables.read_records(*RunDirectory(part).scores), part, run)
    samples = {made.sample_id for made in generations}
    found = [score for score in scores.values() if score.sample_id in samples]
    return Stored(directory=run, generations=_with_lengths(generations, found), scores=found)


def read_generations(directory: str | Path) -> list[EvalSample]:
    """What a run has to score, scored or not; raises as ``read_run`` does."""
    parts = parts_of(str(directory).rstrip("/"))
    _check_one_manifest(parts)
    generations: dict[str, EvalSample] = {}
    for part in parts:
        for made in tables.read_records(*RunDirectory(part).generations):
            generations.setdefault(made.sample_id, made)
    return list(generations.values())


def read_runs(directories: Sequence[str | Path]) -> Stored:
    """Several runs as one. Methods that two runs have in common are told apart by the run's name.

    Directories with shards of one run are one run.
    """
    together = shards_together(directories)
    runs = [_read_together(shards) for shards in together]
    if len(runs) == 1:
        return runs[0]
    names = _names_of(together)
    count = Counter(method for run in runs for method in run.methods)
    joined = Stored(directory=runs[0].directory, generations=[], scores=[])
    for run, name in zip(runs, names, strict=True):
        methods = {
            method: f"{method} ({name})" if count[method] > 1 else method for method in run.methods
        }
        _add(joined, run, name, methods)
    return joined


def shards_together(directories: Sequence[str | Path]) -> list[list[str]]:
    """Directories in lists of one, or of several that hold shards of one run (``run.json``)."""
    lists: dict[object, list[str]] = {}
    for number, directory in enumerate(directories):
        run = str(directory).rstrip("/")
        lists.setdefault(_sharded_run_of(run) or number, []).append(run)
    return list(lists.values())


def _sharded_run_of(run: str) -> tuple[str, int] | None:
    """The manifest and the number of shards if nothing else is in a run directory."""
    origins = [read_origin(part) for part in parts_of(run)]
    found = {
        None if each is None or each.shard is None else (each.manifest_sha256, each.shard[1])
        for each in origins
    }
    return found.pop() if len(found) == 1 else None


def _read_together(shards: Sequence[str]) -> Stored:
    """Shards that lie in several directories, as one run."""
    first, *others = [read_run(shard) for shard in shards]
    if not others:
        return first
    generations: dict[str, EvalSample] = {}
    scores: dict[str, ScoreRecord] = {}
    for run in (first, *others):
        for made in run.generations:
            generations.setdefault(made.sample_id, _found_from_anywhere(run, made))
        _add_scores(scores, run.scores, run.directory, first.directory)
    return Stored(
        directory=first.directory,
        generations=list(generations.values()),
        scores=list(scores.values()),
    )


def _add_scores(
    scores: dict[str, ScoreRecord], more: Iterable[ScoreRecord], part: str, run: str
) -> None:
    """Add scores by id; of a score that was measured and one that was not, the former."""
    for score in more:
        known = scores.get(score.score_id)
        if known is not None and _contradict(known, score):
            raise InputError(
                f"{part} and another part of {run} hold other scores of {score.score_id}, of "
                "other videos, protocols or judges; measure them alike, or leave one out"
            )
        if known is None or isinstance(score.verdict, Kept):
            scores[score.score_id] = score


def _check_one_manifest(parts: Sequence[str]) -> None:
    """Labels are those of the manifest of now, and of two nobody can tell which that is."""
    by_manifest: dict[str, str] = {}
    for part in parts:
        origin = read_origin(part)
        if origin is not None:
            by_manifest.setdefault(origin.manifest_sha256, part)
    if len(by_manifest) > 1:
        one, other, *_ = by_manifest.values()
        raise InputError(
            f"{one} and {other} are of two versions of a manifest; run `pfp-eval run` again for "
            "the older one, or delete it"
        )


def side_by_side(
    run_a: Stored, method_a: str | None, run_b: Stored, method_b: str | None
) -> tuple[Stored, tuple[str, str]]:
    """One method of each of two runs, and what they are called then; None: the run's only one.

    Raises:
        InputError: a run has no such method, or several and none was named.
    """
    first, second = _only_method(run_a, method_a), _only_method(run_b, method_b)
    directories = [run_a.directory, run_b.directory]
    if len({*directories}) == 2 and len(shards_together(directories)) == 1:
        raise InputError(
            f"{run_a.directory} and {run_b.directory} are shards of one run, which share no sample;"
            " move their folders in `shards` into one run directory, and compare RUN METHOD_A "
            "METHOD_B"
        )
    names = _names_of([[directory] for directory in directories])
    called = (first, second)
    if first == second:
        called = (f"{first} ({names[0]})", f"{second} ({names[1]})")
    joined = Stored(directory=run_a.directory, generations=[], scores=[])
    _add(joined, run_a, "a", {first: called[0]})
    _add(joined, run_b, "b", {second: called[1]})
    return joined, called


def _only_method(run: Stored, method: str | None) -> str:
    if method in run.methods:
        return str(method)
    known = ", ".join(run.methods)
    if method is not None:
        raise InputError(f"{run.directory} has no method {method!r}; it has {known}")
    if len(run.methods) != 1:
        raise InputError(f"{run.directory} has the methods {known}; name one as RUN#METHOD")
    return run.methods[0]


def _add(joined: Stored, run: Stored, name: str, methods: Mapping[str, str]) -> None:
    """Add the named methods of a run under other names; ``name`` keeps ids of two runs apart."""
    chosen = [made for made in run.generations if made.method in methods]
    samples = {made.sample_id for made in chosen}
    joined.generations.extend(
        replace(
            _found_from_anywhere(run, made),
            sample_id=f"{name}/{made.sample_id}",
            method=methods[made.method],
        )
        for made in chosen
    )
    joined.scores.extend(
        replace(
            score,
            score_id=f"{name}/{score.score_id}",
            sample_id=f"{name}/{score.sample_id}",
        )
        for score in run.scores
        if score.sample_id in samples
    )


def parts_of(run: str) -> list[str]:
    """The folders of a run that hold tables: itself, and its shards'."""
    parts = [RunDirectory(run), *shards_of(RunDirectory(run))]
    return [part.uri for part in parts if has_table(part.generations)] or [run]


def missing_shards(shards: Sequence[str | Path]) -> tuple[list[int], int]:
    """Which shards of a run are in none of these directories, and how many it has."""
    places = [_SHARD.search(part) for shard in shards for part in parts_of(str(shard).rstrip("/"))]
    found = [(int(place.group(1)), int(place.group(2))) for place in places if place is not None]
    total = max((count for _, count in found), default=0)
    here = {index for index, count in found if count == total}
    return [index for index in range(1, total + 1) if index not in here], total


def _contradict(one: ScoreRecord, other: ScoreRecord) -> bool:
    """Whether both were measured, and not the same, or they are of other videos."""
    both = isinstance(one.verdict, Kept) and isinstance(other.verdict, Kept)
    pairs = [(getattr(one, name), getattr(other, name)) for name in _CONTENTS]
    return (both and one.result_key != other.result_key) or any(
        a and b and a != b for a, b in pairs
    )


def _names_of(runs: Sequence[Sequence[str]]) -> list[str]:
    """The name of each run's first folder, or its whole path where two are called alike."""
    more = [f" and {len(run) - 1} more" if len(run) > 1 else "" for run in runs]
    short = [Path(run[0]).name + rest for run, rest in zip(runs, more, strict=True)]
    whole = [run[0] + rest for run, rest in zip(runs, more, strict=True)]
    return short if len(set(short)) == len(short) else whole


def _found_from_anywhere(run: Stored, made: EvalSample) -> EvalSample:
    """The record with places that do not count from its run directory."""
    return replace(
        made,
        video_uri=_absolute(run, made.video_uri),
        reference_uri=_absolute(run, made.reference_uri),
        history_uri=_absolute(run, made.history_uri),
    )


def _absolute(run: Stored, uri: str | None) -> str | None:
    if uri is None:
        return None
    place = locate(run.directory, uri)
    return place if "://" in place else str(Path(place).absolute())


def _with_lengths(generations: list[EvalSample], scores: Sequence[ScoreRecord]) -> list[EvalSample]:
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
