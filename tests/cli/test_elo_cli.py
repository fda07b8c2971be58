"""The command ``pfp-eval elo``: its table, its files, and what it refuses."""

from __future__ import annotations

import argparse
import html.parser
import json
import re
from pathlib import Path

import pytest

from pfp.cli import elo
from pfp.errors import ConfigError, InputError
from pfp.eval.elo.ratings import rate
from pfp.eval.elo.report import render_html, render_text
from pfp.eval.elo.vote_study import EloSettings
from pfp.eval.elo.votes import Vote, read_votes
from pfp.eval.stats.aggregate import Bootstrap


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    """A study of three models, 6 raters and 5 prompts, with a tie and a bad pair."""
    lines = []
    for i in range(90):
        models = [("ours", "theirs"), ("theirs", "old & <slow>"), ("ours", "old & <slow>")][i % 3]
        winner = ["a", "a", "b", "a", "tie"][i * 7 % 5] if i != 4 else "bothbad"
        lines.append(
            {
                "model_a": models[0],
                "model_b": models[1],
                "winner": winner,
                "rater": f"r{i % 6}",
                "prompt": f"p{i % 5}",
                "left": "ab"[i // 3 % 2],
            }
        )
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def run(*arguments: str) -> None:
    """Parse and run as ``pfp-eval`` will."""
    parser = argparse.ArgumentParser()
    elo.add_parser(parser.add_subparsers())
    options = parser.parse_args(["elo", *arguments])
    options.run(options)


class Page(html.parser.HTMLParser):
    """Collects the elements, the addresses and the text of a page."""

    def __init__(self, page: str) -> None:
        """page: HTML."""
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps the name and where it points."""
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        """Keeps the text."""
        self.words.append(data)


def test_it_prints_the_table_and_writes_what_is_asked(
    votes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Models stand best first with rank and interval; JSON and page hold the same numbers."""
    files = {form: tmp_path / "new" / f"elo.{form}" for form in ("json", "html")}
    run(
        str(votes),
        *("--draws", "200", "--ties", "davidson", "--exclude", "ghost=severe artifacts"),
        *(part for form, path in files.items() for part in (f"--{form}", str(path))),
    )
    out = capsys.readouterr().out
    written = json.loads(files["json"].read_text(encoding="utf-8"))
    board = rate(
        read_votes(votes),
        EloSettings(ties="davidson", bootstrap=Bootstrap(num_draws=200)),
        excluded={"ghost": "severe artifacts"},
    )

    assert written == json.loads(json.dumps(board.to_json()))
    assert render_text(board) in out
    assert render_html(board) == files["html"].read_text(encoding="utf-8")
    first = board.ratings[0]
    assert re.search(
        rf"^\S+ +{first.model} +{first.elo:.0f}  {first.low:.0f} to", out, re.MULTILINE
    )
    assert re.search(r"^/ +ghost +/  severe artifacts$", out, re.MULTILINE)
    assert "each rater and each prompt left out in turn" in " ".join(out.split())
    assert f"wrote {files['html']}" in out
    assert max(map(len, render_text(board).splitlines())) <= 100


def test_the_page_needs_nothing_and_says_everything(votes: Path) -> None:
    """The page loads nothing, escapes names, holds the JSON, and shows every model and note."""
    board = rate(read_votes(votes), EloSettings(bootstrap=Bootstrap(num_draws=100)))
    text = render_html(board)
    page = Page(text)
    shown = " ".join(page.words)

    assert page.addresses == []
    assert "old & <slow>" in shown
    assert "slow" not in page.tags
    embedded = re.search(r'<script type="application/json" id="elo">(.*?)</script>', text)
    assert embedded is not None
    assert json.loads(embedded[1]) == json.loads(json.dumps(board.to_json()))
    assert page.tags.count("circle") == 3
    for word in ("90", "1 of them both bad", "half a win for both sides", "The left video won"):
        assert word in shown


def test_options_reach_the_fit(votes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Base, scale, prior, seed and confidence are those of the command line."""
    run(
        str(votes),
        *("--base", "1500", "--scale", "200", "--prior", "--draws", "100", "--seed", "3"),
        *("--confidence", "0.9", "--ties", "drop"),
    )
    out = capsys.readouterr().out

    assert "their mean is 1500, and 200 points" in out.replace("\n", " ")
    assert "left out of the fit" in out
    assert "Prior: each model half beats" in out
    assert "Intervals are Student's, 90%, of ratings" in out.replace("\n", " ")
    assert "(100 draws of votes, seed 3)" in out.replace("\n", " ")


def test_what_is_unknown_is_said() -> None:
    """Without raters, prompts and sides the notes say so; mended draws are a warning."""
    votes = [Vote(model_a="x", model_b="y", winner="a")] * 4
    votes += [Vote(model_a="x", model_b="y", winner="b")]
    text = render_text(rate(votes, EloSettings(bootstrap=Bootstrap(num_draws=200))))
    single = rate(votes[:1], EloSettings(prior=True))

    flat = " ".join(text.split())
    assert "votes drawn anew, since none names its rater or prompt" in flat
    assert "Position bias is unknown" in flat
    assert re.search(r"In \d+\.\d% of the draws some model won or lost everything", flat)
    assert "One vote has no interval." in render_text(single)
    assert "unknown" in render_text(single)


@pytest.mark.parametrize("text", ["ours", "ours=", "=why"])
def test_an_exclusion_needs_a_reason(votes: Path, text: str) -> None:
    """A model is not left out without a word."""
    with pytest.raises(ConfigError, match="has no reason; write MODEL=REASON"):
        run(str(votes), "--exclude", text)


def test_an_unwritable_page_is_an_error(votes: Path) -> None:
    """A folder that cannot be made ends with the path and the cure."""
    with pytest.raises(InputError, match="cannot be written"):
        run(str(votes), "--draws", "100", "--html", f"{votes}/elo.html")
