"""Reading votes: what is taken, and that what is not is named with its line and cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfp.errors import InputError
from pfp.eval.elo.votes import Vote, read_votes

FULL = (
    '{"model_a": "x", "model_b": "y", "winner": "bothbad", '
    '"rater": "r", "prompt": "p", "left": "b"}'
)
BARE = '{"model_a": "x", "model_b": "y", "winner": "a"}'


def written(folder: Path, *lines: str | bytes) -> Path:
    """A file of these lines."""
    path = folder / "votes.jsonl"
    path.write_bytes(b"\n".join(x.encode() if isinstance(x, str) else x for x in lines))
    return path


def test_every_field_is_read(tmp_path: Path) -> None:
    """A full vote keeps its six fields; what is absent or null is unknown; blank lines are none."""
    null = FULL.replace("bothbad", "tie").replace('"b"}', "null}")

    votes = read_votes(written(tmp_path, FULL, "", null, "  "))

    assert votes == [
        Vote(model_a="x", model_b="y", winner="bothbad", rater="r", prompt="p", left="b"),
        Vote(model_a="x", model_b="y", winner="tie", rater="r", prompt="p"),
    ]
    assert read_votes(written(tmp_path, BARE)) == [Vote(model_a="x", model_b="y", winner="a")]


def test_names_may_be_of_any_script(tmp_path: Path) -> None:
    """Names are UTF-8, and a byte order other than a line's end splits nothing."""
    line = '{"model_a": "m\u00f6del \u2028 1", "model_b": "\u6a21\u578b", "winner": "b"}'

    assert read_votes(written(tmp_path, line))[0].model_a == "m\u00f6del \u2028 1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", r"'\[1, 2\]' is no object; write \{"),
        ('{"model_a": "x"', r"not JSON \(Expecting"),
        (b'{"model_a": "\xff"}', r"not UTF-8 \(invalid start byte\); save the file as UTF-8"),
        ('{"model_a": "x", "model_b": "y"}', r"no winner; write \{"),
        (BARE.replace('"a"}', '"model_a"}'), "winner is 'model_a'; write a, b, tie, bothbad"),
        (BARE.replace('"y"', '"x"'), "'x' was compared with itself; remove it"),
        (BARE.replace('"y"', '""'), "model_b is ''; write a text that is not empty"),
        (BARE.replace('"y"', "7"), "model_b is 7; write a text that is not empty"),
        (BARE.replace('"y"', "null"), "model_b is None; write a text that is not empty"),
        (BARE.replace("}", ', "left": "x"}'), "left is 'x'; write a or b"),
        (
            BARE.replace("}", ', "raters": "r"}'),
            "no field is called 'raters'; use model_a, model_b",
        ),
        (FULL, "has a rater where the votes above have none; name it in all votes or in none"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str | bytes, message: str) -> None:
    """Whatever is wrong with a line, the error has file, line and cure."""
    path = written(tmp_path, BARE, "", line)

    with pytest.raises(InputError, match=message) as error:
        read_votes(path)

    assert str(error.value).startswith(f"{path}:3: ")


def test_a_rater_that_goes_missing_is_named(tmp_path: Path) -> None:
    """A vote without a rater among votes with one cannot be drawn with its like."""
    path = written(tmp_path, FULL, BARE)

    with pytest.raises(InputError, match="has no rater where the votes above have one"):
        read_votes(path)


def test_a_file_without_votes_is_refused(tmp_path: Path) -> None:
    """An empty file, a missing one and a folder are errors that say what to give."""
    with pytest.raises(InputError, match="holds no vote; write one object a line, such as"):
        read_votes(written(tmp_path, "", " "))
    with pytest.raises(InputError, match="cannot be read: No such file or directory; give a JSONL"):
        read_votes(tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_votes(tmp_path)
