"""``pfp tokens``: the paper's counts in a table, and one sentence for what cannot be."""

from __future__ import annotations

import re

import pytest

from pfp.cli.main import main


def test_a_rate_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """20 s of 480p at 4x4x2: notations, grid, tokens, ratio, LR video, seconds, and what is cut."""
    command = "tokens --seconds 20 --size 480x832 --rate 4x4x2 --base hunyuan"

    assert 0 == main(command.split())
    title, _, row, cut = capsys.readouterr().out.splitlines()
    assert title.endswith("hunyuan: 187,200 tokens without compression")
    assert re.split(r"  +", row) == [
        "4x4x2",
        "px(64,64,8)",
        "60x7x13",
        "5,460",
        "34.3x",
        "120x208, 237 frames at 12 fps",
        "3.66",
    ]
    assert cut.startswith("4x4x2 leaves out the last 32 rows and 0 columns")


def test_without_a_rate_all_of_the_papers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The five rates of the ablations, in the base's own latent units."""
    assert 0 == main(["tokens", "--base", "wan22_5b"])

    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:7]]
    assert [row[0] for row in rows] == ["2x2x2", "1x1x1", "1x1x2", "1x1x4", "1x1x8"]
    assert [row[3] for row in rows] == ["5,460", "46,800", "23,400", "11,700", "5,850"]


def test_padding_and_frame_rate_are_followed(capsys: pytest.CaptureFixture[str]) -> None:
    """Padded, 20 s take FramePack's 6,240 tokens; at 12 fps about half as many."""
    counts = []
    for fps in ("24", "12"):
        main(["tokens", "--rate", "4x4x2", "--rounding", "pad", "--fps", fps])
        counts.append(capsys.readouterr().out.splitlines()[2].split()[3])

    assert counts == ["6,240", "3,120"]


def test_a_rate_of_the_paper_that_does_not_fit_is_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """272x272 has an LR video at half its sides but not at a quarter; four rows and one note."""
    assert 0 == main(["tokens", "--size", "272x272"])

    out = capsys.readouterr().out
    assert 4 == out.count(" fps  ")
    assert "asks for an LR video of 68x68" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--size 480", "--size is '480'; write HEIGHTxWIDTH"),
        ("--size 480x840", "use 832 or 848"),
        ("--rate 4x4", "rate '4x4' is not understood"),
        ("--rate 4x4x2 --base wan22_5b", "stride 16 cannot encode"),
        ("--base sora", "base 'sora' is unknown"),
        ("--seconds 0", "0.0 seconds at 24.0 fps are no video"),
        ("--size 16x16", "smaller than one token"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, the value and the cure on one line of standard error, nothing on the other."""
    assert 2 == main(["tokens", *arguments.split()])

    printed = capsys.readouterr()
    assert "" == printed.out
    assert 1 == printed.err.count("\n")
    assert sentence in printed.err
