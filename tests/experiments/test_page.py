"""Parts of pages that commands write and check."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import demo
from experiments.page import END, begin_mark, check_part, write_part
from experiments.tiny import retrieval
from pfp.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with a part of ``make it`` and one of another command."""
    path = tmp_path / "page.md"
    parts = (f"{begin_mark(command)}\n\nold\n\n{END}\n" for command in ("make it", "make more"))
    path.write_text("before\n" + "between\n".join(parts) + "after\n")
    return path


def test_a_part_goes_between_its_marks(page: Path) -> None:
    """The rest of the page stays, and a second run changes nothing."""
    write_part(page, "make it", "new\n")
    once = page.read_text()
    write_part(page, "make it", "new\n")

    assert once == page.read_text()
    first, second = once.split("between\n")
    assert f"before\n{begin_mark('make it')}\n\nnew\n\n{END}\n" == first
    assert f"{begin_mark('make more')}\n\nold\n\n{END}\nafter\n" == second


def test_a_page_without_marks_is_refused(page: Path) -> None:
    """Nothing is written."""
    before = page.read_text()
    with pytest.raises(InputError, match=r"has no lines .*make that"):
        write_part(page, "make that", "new")
    assert before == page.read_text()


def test_a_page_that_says_something_else_is_told(page: Path) -> None:
    """What a check compares is what a command writes."""
    with pytest.raises(InputError, match="shows other results than `make it` has now"):
        check_part(page, "make it", "new")
    write_part(page, "make it", "new\n\nlines")
    check_part(page, "make it", "\nnew\n\nlines\n")


@pytest.mark.parametrize(
    ("path", "command"),
    [("README.md", demo.COMMAND), ("docs/tiny-family.md", retrieval.COMMAND)],
)
def test_our_pages_have_the_marks(path: str, command: str) -> None:
    """The commands that they name can write them."""
    text = (ROOT / path).read_text()
    assert text.index(begin_mark(command)) < text.index(END)
