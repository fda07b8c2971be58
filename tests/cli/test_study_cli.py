"""``pfp-eval study`` as a user meets it: build, serve and export with the real command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from dataclasses import asdict
from pathlib import Path

import pytest

from pfp.cli.eval import main
from pfp.eval.elo.ratings import votes_needed
from pfp.eval.elo.votes import Winner, read_votes
from pfp.eval.study.plan import read_study
from tests.eval.study.study_by_hand import MODELS, fill_in, write_manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on four prompts."""
    return write_manifest(tmp_path_factory.mktemp("videos"))


def test_from_videos_to_ratings(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Built, voted on in files, exported and rated with the command that export prints."""
    study = tmp_path / "study"
    status = main(
        [
            *("study", "build", str(manifest), "--out", str(study), "--raters", "4"),
            *("--pairs-per-rater", "12", "--repeats", "2", "--seed", "3", "--link"),
            *("--question", "Which one?", "--excluded", "ghost=severe artifacts"),
        ]
    )
    said = " ".join(capsys.readouterr().out.split())
    plan, key = read_study(study)

    assert status == 0
    assert "3 models, 4 prompts, 12 comparisons" in said
    assert "48 votes, 16 on each pair of models, 4 on each comparison" in said
    apart = re.search(r"16 votes on a pair tell (\d+) Elo apart", said)
    assert apart is not None
    needed = [votes_needed(float(apart[1]) - less) or 0 for less in (0, 1)]
    assert needed[0] <= 16 < needed[1]
    assert "10 Elo need 4,641, 24 Elo need 809, 42 Elo need 267" in said
    assert "rater ids are r01 to r04" in said
    assert plan.question == "Which one?"

    def prefers(left: str, right: str) -> Winner:
        models = [key.videos[name].model for name in (left, right)]
        return "a" if models == sorted(models) else "b"

    def contrary(left: str, right: str) -> Winner:
        return "b" if prefers(left, right) == "a" else "a"

    files = []
    for code, taste in (("r01", prefers), ("r02", prefers), ("r03", contrary), ("r04", prefers)):
        files.append(tmp_path / f"ballots-{code}.jsonl")
        files[-1].write_bytes(b"".join(one.line() for one in fill_in(plan, code, taste)))
    votes = tmp_path / "new" / "votes.jsonl"
    main(["study", "export", str(study), *map(str, files), "--out", str(votes)])
    said = capsys.readouterr().out

    assert len(read_votes(votes)) == 48
    assert re.search(r"^r03 +12/12 +8\.5 +2/2 ", said, re.MULTILINE)
    command = re.search(r"^next: pfp-eval (.*)$", said, re.MULTILINE)
    assert command is not None
    assert command[1] == f"elo {votes} --exclude 'ghost=severe artifacts'"
    main(["elo", str(votes), "--draws", "100", "--exclude", "ghost=severe artifacts"])
    ranked = re.findall(rf"^\S+ +({'|'.join(MODELS)}) ", capsys.readouterr().out, re.MULTILINE)
    assert ranked == sorted(MODELS)

    main(
        [
            "study",
            "export",
            str(study),
            *map(str, files),
            "--out",
            str(votes),
            *("--drop-rater", "r03"),
        ]
    )
    assert {vote.rater for vote in read_votes(votes)} == {"r01", "r02", "r04"}


def test_serving_takes_votes_until_it_is_interrupted(manifest: Path, tmp_path: Path) -> None:
    """The address is printed at once, a posted vote is on the disk, Ctrl-C ends it with 130."""
    study = tmp_path / "study"
    main(["study", "build", str(manifest), "--out", str(study), "--models", ",".join(MODELS[:2])])
    plan, _ = read_study(study)
    code = "import sys; from pfp.cli.eval import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "study", "serve", str(study), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert address is not None
        ballots = fill_in(plan, "r01", lambda _left, _right: "tie")
        request = urllib.request.Request(
            f"{address[0]}votes",
            json.dumps([asdict(one) for one in ballots]).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer) == {"stored": len(ballots)}
    finally:
        process.send_signal(2)
        _, errors = process.communicate(timeout=20)

    assert process.returncode == 130
    assert errors == "pfp-eval: stopped\n"
    assert (study / "ballots.jsonl").read_bytes() == b"".join(one.line() for one in ballots)
    assert not (study / "_lock").exists()


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["build", "{manifest}", "--out", "{study}", "--excluded", "x"], "write MODEL=REASON"),
        (["build", "{manifest}", "--out", "{study}", "--models", "A,B"], "there are Aardvark-XL"),
        (["build", "{manifest}", "--out", "{study}", "--repeats", "9"], "give 0 to 4, a third"),
        (["serve", "{study}"], "give a folder that `pfp-eval study build` wrote"),
        (["export", "{study}", "--out", "votes.jsonl"], "give a folder that `pfp-eval study"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    cure: str,
) -> None:
    """Exit status 2, the cure on stderr, no traceback and no folder."""
    known = {"manifest": str(manifest), "study": str(tmp_path / "study")}
    status = main(["study", *(text.format(**known) for text in arguments)])
    errors = capsys.readouterr().err

    assert (status, errors.count("\n")) == (2, 1)
    assert cure in errors
    assert list(tmp_path.iterdir()) == []


def test_help_warns_of_open_doors(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads how to open the server reads that nobody is asked for a password."""
    with pytest.raises(SystemExit):
        main(["study", "serve", "--help"])
    said = " ".join(capsys.readouterr().out.split())

    assert "no authentication" in said
    assert "--host 0.0.0.0" in said
