"""From ballots to votes: un-blinded, counted once, with a word on each rater; the loop to Elo."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import ConfigError, InputError
from pfp.eval.elo.ratings import rate
from pfp.eval.elo.vote_study import EloSettings
from pfp.eval.elo.votes import Winner, read_votes
from pfp.eval.stats.aggregate import Bootstrap
from pfp.eval.study.ballots import Ballot
from pfp.eval.study.build import Built, StudySettings
from pfp.eval.study.design import Showing
from pfp.eval.study.export import Collected, collect, gather, write_votes
from pfp.eval.study.plan import Key, Plan, Prompt, Source
from pfp.eval.study.text import of_build, of_export
from tests.eval.study.study_by_hand import (
    always,
    ballot,
    build,
    fill_in,
    session_of,
    write_manifest,
)

OTHER = "fedcba9876543210"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """Three models, four prompts, three raters with all twelve pairs and two repeats."""
    folder = tmp_path_factory.mktemp("study")
    settings = StudySettings(num_raters=3, repeats_per_rater=2, excluded={"ghost": "broken"})
    return folder / "study", build(write_manifest(folder / "videos"), folder / "study", settings)


def made_up(slot: Sequence[Showing]) -> tuple[Plan, Key]:
    """A plan by hand: models x, y, z on the prompts ``first`` and ``second``, one slot."""
    videos = ("0.mp4", "1.mp4", "2.mp4", "3.mp4", "4.mp4", "5.mp4")
    plan = Plan(
        question="?",
        answers=("a", "b", "tie", "bothbad"),
        prompts=(Prompt(text=None), Prompt(text=None)),
        videos=videos,
        slots=(tuple(slot),),
    )
    sources = {
        name: Source(model="xyz"[i % 3], sample_id=name, sha256="") for i, name in enumerate(videos)
    }
    key = Key(study=plan.study, seed=0, groups=("first", "second"), excluded={}, videos=sources)
    return plan, key


XY, YX = Showing(prompt=0, left=0, right=1), Showing(prompt=0, left=1, right=0)
ZX2 = Showing(prompt=1, left=5, right=3)


def test_votes_name_models_and_sides() -> None:
    """The winner is the model whose video was chosen, whichever side it was on."""
    plan, key = made_up([XY, ZX2])
    cast = [ballot(plan, "ann", 0, "a"), ballot(plan, "ann", 1, "a")]
    cast += [ballot(plan, "bob", 0, "bothbad", session=OTHER)]
    cast += [ballot(plan, "bob", 1, "b", session=OTHER)]
    found = [
        (vote.model_a, vote.model_b, vote.winner, vote.rater, vote.prompt, vote.left)
        for vote in collect(cast, plan, key).votes
    ]

    assert found == [
        ("x", "y", "a", "ann", "first", "a"),
        ("x", "z", "b", "ann", "second", "b"),
        ("x", "y", "bothbad", "bob", "first", "a"),
        ("x", "z", "a", "bob", "second", "b"),
    ]


def test_the_last_revision_counts() -> None:
    """A vote taken back is none, one given again is the new one, in whatever order lines come."""
    plan, key = made_up([XY, ZX2])
    cast = [
        ballot(plan, "ann", 0, "a"),
        ballot(plan, "ann", 0, None, revision=1),
        ballot(plan, "ann", 0, "b", revision=2),
        ballot(plan, "ann", 1, "a"),
        ballot(plan, "ann", 1, None, revision=1),
    ]
    for order in (cast, cast[::-1]):
        found = collect(order, plan, key)

        assert [vote.winner for vote in found.votes] == ["b"]
        assert found.num_taken_back == 2


def test_two_browsers_of_one_rater_are_one_rater() -> None:
    """Of two answers to one showing the earlier counts and the other is told."""
    plan, key = made_up([XY, ZX2])
    cast = [
        ballot(plan, "ann", 0, "a", minute=5),
        ballot(plan, "ann", 0, "b", minute=4, session=OTHER),
        ballot(plan, "ann", 1, None, revision=1, minute=1, session=OTHER),
        ballot(plan, "ann", 1, "tie", minute=9),
    ]
    found = collect(cast, plan, key)

    assert [vote.winner for vote in found.votes] == ["b", "tie"]
    assert found.num_other_sessions == 1


@pytest.mark.parametrize(
    ("first", "second", "agrees"),
    [
        *[("a", "b", 1), ("b", "a", 1), ("a", "a", 0), ("b", "b", 0)],
        *[("tie", "tie", 1), ("tie", "bothbad", 0), ("a", "tie", 0)],
    ],
)
def test_repeats_are_checks_not_votes(first: Winner, second: Winner, agrees: int) -> None:
    """The repeat has swapped sides: choosing the same video is agreeing, the same side is not."""
    plan, key = made_up([XY, ZX2, YX])
    cast = [ballot(plan, "ann", 0, first), ballot(plan, "ann", 2, second)]
    found = collect(cast, plan, key)

    assert [vote.winner for vote in found.votes] == [first]
    report = found.raters[0]
    assert (report.num_agreeing, report.num_repeats) == (agrees, 1)
    assert (report.num_votes, report.num_expected) == (1, 2)


def test_a_repeat_stands_in_for_a_skipped_pair() -> None:
    """Where the first showing could not be played, the repeat is the vote."""
    plan, key = made_up([XY, ZX2, YX])
    found = collect([ballot(plan, "ann", 2, "a")], plan, key)

    assert [(vote.model_a, vote.winner, vote.left) for vote in found.votes] == [("x", "b", "b")]
    assert found.raters[0].num_repeats == 0


def test_reports_count_what_raters_did(study: tuple[Path, Built]) -> None:
    """Votes, seconds, agreement and sides of one who always goes left, and of one who decides."""
    _, built = study
    plan, key = built.plan, built.key
    best = max(source.model for source in key.videos.values())

    def decides(left: str, right: str) -> Winner:
        models = [key.videos[name].model for name in (left, right)]
        return "tie" if best not in models else "ab"[models.index(best)]  # type: ignore[return-value]

    cast = fill_in(plan, "r01", always("a")) + fill_in(plan, "r02", decides)
    lazy, careful = collect(cast, plan, key).raters

    assert (lazy.rater, lazy.num_votes, lazy.num_expected) == ("r01", 12, 12)
    assert (lazy.num_agreeing, lazy.num_repeats) == (0, 2)
    assert (lazy.num_left, lazy.num_decided) == (12, 12)
    assert lazy.median_seconds == 2.0 + 6.5
    assert (careful.num_agreeing, careful.num_repeats) == (2, 2)
    assert (careful.num_left, careful.num_decided) == (4, 8)


def test_words_say_it_all(study: tuple[Path, Built]) -> None:
    """The table has a row per rater; bias, changes, drops and what Elo would refuse are said."""
    folder, built = study
    plan, key = built.plan, built.key
    cast = fill_in(plan, "r01", always("a"))
    cast += fill_in(plan, "someone with a longer name", always("a"))
    cast += [ballot(plan, "r03", 0, "a"), ballot(plan, "r03", 0, None, revision=1)]
    cast += fill_in(plan, "r02", always("tie"))
    text = of_export(collect(cast, plan, key, drop=["r02"]))
    flat = " ".join(text.split())

    assert "r01 12/12 8.5 0/2 12/12" in flat
    assert "someone with a longer name 12/12" in flat
    assert "24 votes, 0 ties and 0 both bad; 0 of 4 repeats were answered alike" in flat
    assert "the left video won 100.0%" in flat
    assert "a bias for one side" in flat
    assert "1 vote taken back" in flat
    assert "left out as asked: r02" in flat
    one_sided = collect([ballot(plan, "r01", 0, "a")], plan, key)
    assert "will not rate these votes yet" in of_export(one_sided)
    built_text = of_build(built, str(folder))
    assert "36 votes, 12 on each pair of models, 3 on each comparison" in " ".join(
        built_text.split()
    )
    assert "10 Elo need 4,641, 24 Elo need 809, 42 Elo need 267" in " ".join(built_text.split())
    for line in (text + built_text).splitlines():
        assert len(line) <= 100 or str(folder) in line


def test_files_and_log_are_joined_once(study: tuple[Path, Built], tmp_path: Path) -> None:
    """What was both sent and downloaded counts once; half a line at a log's end does not count."""
    _, built = study
    plan = built.plan
    cast = fill_in(plan, "r01", always("a"))
    (tmp_path / "ballots.jsonl").write_bytes(
        b"".join(one.line() for one in cast[:9]) + cast[9].line()[:30]
    )
    saved = tmp_path / "ballots-r01.jsonl"
    saved.write_bytes(b"".join(one.line() for one in cast))

    assert gather(tmp_path, [], plan) == cast[:9]
    assert gather(tmp_path, [saved, saved], plan) == cast


def _changed(text: str, change: dict[str, object]) -> str:
    return json.dumps({**json.loads(text), **change}) + "\n"


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        ({"study": "0" * 16}, "line.jsonl:1: study is .* open this study's own page"),
        ({"position": 14}, "line.jsonl:1: position is 14; write a whole number from 0 to 13"),
        ({"answer": "x"}, "line.jsonl:1: answer is 'x'"),
        ({"model": "Aardvark"}, "line.jsonl:1: .* is no ballot"),
    ],
)
def test_foreign_lines_are_refused(
    study: tuple[Path, Built], tmp_path: Path, change: dict[str, object], cure: str
) -> None:
    """The message names file, line, value and cure."""
    _, built = study
    text = ballot(built.plan, "r01", 0, "a").line().decode()
    (tmp_path / "line.jsonl").write_text(_changed(text, change))
    with pytest.raises(InputError, match=cure):
        gather(tmp_path, [tmp_path / "line.jsonl"], built.plan)


def test_contradictions_are_refused(study: tuple[Path, Built], tmp_path: Path) -> None:
    """One ballot with two answers, no ballots at all, unknown raters, and nothing left."""
    _, built = study
    plan, key = built.plan, built.key
    one = ballot(plan, "r01", 0, "a")
    (tmp_path / "a").write_bytes(one.line())
    (tmp_path / "b").write_bytes(replace(one, answer="b").line())
    with pytest.raises(InputError, match="one of the two was changed"):
        gather(tmp_path, [tmp_path / "a", tmp_path / "b"], plan)
    with pytest.raises(InputError, match="has no ballots"):
        gather(tmp_path, [], plan)
    with pytest.raises(ConfigError, match="no rater is 'r09'; there are r01"):
        collect([one], plan, key, drop=["r09"])
    with pytest.raises(InputError, match="no vote is left"):
        collect([one], plan, key, drop=["r01"])


def test_the_log_is_not_overwritten(study: tuple[Path, Built], tmp_path: Path) -> None:
    """Votes go anywhere but onto the server's ballots."""
    _, built = study
    votes = collect([ballot(built.plan, "r01", 0, "a")], built.plan, built.key).votes
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "ballots.jsonl")
    for name in ("ballots.jsonl", "link.jsonl"):
        with pytest.raises(InputError, match="is the log of ballots"):
            write_votes(votes, tmp_path / name, tmp_path)


STRENGTHS = {"Aardvark-XL": 1300.0, "Basilisk-2": 1200.0, "Cockatrice": 1050.0}


def simulated(built: Built, rater: str, rng: np.random.Generator) -> list[Ballot]:
    """A rater who votes as Bradley and Terry would have it, a fifth of ties, some changed votes."""
    plan, key = built.plan, built.key

    def answer(left: str, right: str) -> Winner:
        models = [key.videos[name].model for name in (left, right)]
        odds = (STRENGTHS[models[0]] - STRENGTHS[models[1]]) / 400
        if rng.random() < 0.2:
            return "tie" if rng.random() < 0.7 else "bothbad"
        return "a" if rng.random() < 1 / (1 + 10**-odds) else "b"

    cast = fill_in(plan, rater, answer)
    changed = cast[3]
    return [
        *(replace(one, answer="bothbad") if one is changed else one for one in cast),
        replace(changed, answer=None, revision=1),
        replace(changed, revision=2),
    ]


def test_the_loop_recovers_the_strengths(study: tuple[Path, Built], tmp_path: Path) -> None:
    """Ninety simulated raters, half served and half downloaded: Elo gives back order and gaps."""
    _, built = study
    plan, key = built.plan, built.key
    rng = np.random.default_rng(4)
    files = []
    log = b""
    for number in range(90):
        rater = f"person {number}"
        lines = b"".join(one.line() for one in simulated(built, rater, rng))
        if number % 2:
            log += lines
        else:
            files.append(tmp_path / f"{session_of(rater)}-{number}.jsonl")
            files[-1].write_bytes(lines)
    (tmp_path / "ballots.jsonl").write_bytes(log)
    found: Collected = collect(gather(tmp_path, files, plan), plan, key)
    write_votes(found.votes, tmp_path / "votes.jsonl", tmp_path)
    votes = read_votes(tmp_path / "votes.jsonl")
    settings = EloSettings(ties="drop", bootstrap=Bootstrap(num_draws=200))
    board = rate(votes, settings, excluded=dict(key.excluded))
    elo = {rating.model: rating for rating in board.ratings}

    assert tuple(votes) == found.votes
    assert len(votes) == 90 * 12
    assert [rating.model for rating in board.ratings] == sorted(STRENGTHS)
    mean = sum(STRENGTHS.values()) / 3
    for model, strength in STRENGTHS.items():
        low, high = elo[model].low, elo[model].high
        assert low is not None
        assert high is not None
        assert math.isclose(elo[model].elo - 1200, strength - mean, abs_tol=40)
        assert low - 5 <= 1200 + strength - mean <= high + 5
    assert board.position is not None
    assert not board.position.is_biased
    assert board.excluded == {"ghost": "broken"}
    assert board.num_raters == 90
    assert board.num_prompts == 4
