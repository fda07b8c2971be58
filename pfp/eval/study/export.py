"""From ballots to votes: joined, checked, counted once, un-blinded, with a word on each rater."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pfp.errors import ConfigError, InputError
from pfp.eval.elo.votes import Vote, Winner
from pfp.eval.study.ballots import Ballot, read_ballots
from pfp.eval.study.design import Showing
from pfp.eval.study.plan import BALLOTS_NAME, Key, Plan
from pfp.io.filesystems import Folder, explain_write_errors

OTHER_SIDE: Final[dict[Winner, Winner]] = {"a": "b", "b": "a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterReport:
    """What a rater did. ``num_votes`` leaves repeats out, ``median_seconds`` counts them.

    ``num_agreeing`` of ``num_repeats`` answers were the same, sides exchanged; ``num_left`` of
    ``num_decided`` were for the left video.
    """

    rater: str
    num_votes: int
    num_expected: int
    median_seconds: float | None
    num_agreeing: int
    num_repeats: int
    num_left: int
    num_decided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The votes, each rater, and how many ballots were taken back or came twice."""

    votes: tuple[Vote, ...]
    raters: tuple[RaterReport, ...]
    dropped: tuple[str, ...]
    num_taken_back: int
    num_other_sessions: int


def gather(folder: str | Path, files: Sequence[str | Path], plan: Plan) -> list[Ballot]:
    """The ballots of the server's log, if there is one, and of downloaded files, each once.

    Raises:
        InputError: a line is no ballot of this study, or one ballot has two contents.
    """
    log = Path(folder) / BALLOTS_NAME
    found: dict[str, Ballot] = {}
    sources = [(log, True)] if log.exists() else []
    for path, is_log in [*sources, *((Path(file), False) for file in files)]:
        for ballot in read_ballots(path, plan, is_log=is_log):
            if found.setdefault(ballot.id, ballot) != ballot:
                raise InputError(
                    f"{path}: ballot {ballot.id} of rater {ballot.rater!r} has another content "
                    "than in a file before; one of the two was changed, leave it out"
                )
    if not found:
        raise InputError(
            f"{folder} has no ballots; serve it with `pfp-eval study serve`, or name the files "
            "that raters downloaded"
        )
    return list(found.values())


def collect(
    ballots: Iterable[Ballot], plan: Plan, key: Key, *, drop: Collection[str] = ()
) -> Collected:
    """Votes of ballots, one per rater and comparison, in the order of raters and showings.

    What counts is the latest revision of a showing. Of a showing answered in two browsers the
    earlier answer counts. A repeat gives no second vote, but a vote where the first was skipped.

    Args:
        ballots: those of ``gather``.
        plan: of the same study.
        key: of the same study.
        drop: raters whose votes are left out.

    Raises:
        ConfigError: a dropped rater is not among the raters.
        InputError: no vote is left.
    """
    final, num_taken_back, num_other = _final(ballots)
    by_rater: dict[str, dict[int, Ballot]] = defaultdict(dict)
    for (rater, position), ballot in sorted(final.items()):
        by_rater[rater][position] = ballot
    if unknown := sorted(set(drop) - by_rater.keys()):
        raise ConfigError(f"no rater is {unknown[0]!r}; there are {', '.join(sorted(by_rater))}")
    votes: list[Vote] = []
    reports = []
    for rater, answered in sorted(by_rater.items()):
        if rater in drop:
            continue
        slot = plan.slots[plan.slot_of(rater)]
        first, again = _once(answered, slot)
        votes += [_vote(ballot, slot[ballot.position], plan, key) for ballot in first]
        reports.append(_report(rater, slot, answered, first, again))
    if not votes:
        raise InputError("no vote is left; all were taken back or dropped, so collect more")
    return Collected(
        votes=tuple(votes),
        raters=tuple(reports),
        dropped=tuple(sorted(drop)),
        num_taken_back=num_taken_back,
        num_other_sessions=num_other,
    )


def write_votes(votes: Sequence[Vote], path: str | Path, folder: str | Path) -> None:
    """Write the votes as ``pfp-eval elo`` reads them, in one step.

    Raises:
        InputError: the path is the server's log, or cannot be written.
    """
    target = Path(path)
    if target.absolute().resolve() == (Path(folder) / BALLOTS_NAME).absolute().resolve():
        raise InputError(f"{path} is the log of ballots; write the votes to another file")
    lines = [json.dumps(asdict(vote), ensure_ascii=False) + "\n" for vote in votes]
    with explain_write_errors(str(path)):
        place = Folder.at(target.parent)
        place.make()
        place.write(target.name, "".join(lines).encode())


def _final(ballots: Iterable[Ballot]) -> tuple[dict[tuple[str, int], Ballot], int, int]:
    """The ballot that counts by rater and position, how many took back, how many came twice."""
    newest: dict[tuple[str, int, str], Ballot] = {}
    num_taken_back = 0
    for ballot in ballots:
        num_taken_back += ballot.answer is None
        place = (ballot.rater, ballot.position, ballot.session)
        if place not in newest or newest[place].revision < ballot.revision:
            newest[place] = ballot
    final: dict[tuple[str, int], Ballot] = {}
    num_other = 0
    for ballot in sorted(newest.values(), key=lambda one: (one.voted_at, one.session)):
        if ballot.answer is None:
            continue
        if (ballot.rater, ballot.position) in final:
            num_other += 1
        else:
            final[ballot.rater, ballot.position] = ballot
    return final, num_taken_back, num_other


def _once(
    answered: Mapping[int, Ballot], slot: Sequence[Showing]
) -> tuple[list[Ballot], list[tuple[Ballot, Ballot]]]:
    """The first ballot on each comparison, and pairs of a first one and one on its repeat."""
    first: dict[tuple[int, frozenset[int]], Ballot] = {}
    again = []
    for position, ballot in answered.items():
        showing = slot[position]
        comparison = (showing.prompt, frozenset({showing.left, showing.right}))
        before = first.setdefault(comparison, ballot)
        if before is not ballot:
            again.append((before, ballot))
    return list(first.values()), again


def _vote(ballot: Ballot, showing: Showing, plan: Plan, key: Key) -> Vote:
    """Un-blinded, with the models in alphabetic order."""
    assert ballot.answer is not None
    left, right = (key.videos[plan.videos[i]].model for i in (showing.left, showing.right))
    flipped = right < left
    winner = OTHER_SIDE.get(ballot.answer, ballot.answer) if flipped else ballot.answer
    return Vote(
        model_a=right if flipped else left,
        model_b=left if flipped else right,
        winner=winner,
        rater=ballot.rater,
        prompt=key.groups[showing.prompt],
        left="b" if flipped else "a",
    )


def _report(
    rater: str,
    slot: Sequence[Showing],
    answered: Mapping[int, Ballot],
    first: Sequence[Ballot],
    again: Sequence[tuple[Ballot, Ballot]],
) -> RaterReport:
    # A changed vote was cast on a pair seen before; its seconds are those of the second look.
    seconds = [ballot.seconds for ballot in answered.values()]
    decided = [ballot for ballot in first if ballot.answer in OTHER_SIDE]
    return RaterReport(
        rater=rater,
        num_votes=len(first),
        num_expected=len({(one.prompt, frozenset({one.left, one.right})) for one in slot}),
        median_seconds=statistics.median(seconds) if seconds else None,
        num_agreeing=sum(_agree(before, after, slot) for before, after in again),
        num_repeats=len(again),
        num_left=sum(ballot.answer == "a" for ballot in decided),
        num_decided=len(decided),
    )


def _agree(before: Ballot, after: Ballot, slot: Sequence[Showing]) -> bool:
    """Whether two answers say the same of the two videos."""
    same_sides = slot[before.position].left == slot[after.position].left
    answer = after.answer
    if answer in OTHER_SIDE and not same_sides:
        answer = OTHER_SIDE[answer]
    return before.answer == answer
