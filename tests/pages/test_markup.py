"""Markup: what is text and what is not."""

from __future__ import annotations

from pfp.pages.markup import Markup, coded, tag, text


def test_text_is_escaped_and_markup_is_not() -> None:
    """Plain text cannot become an element; elements made here stay elements."""
    made = tag("p", "a < b & ", tag("b", '"c"'), None, ["d", tag("i", "e")])

    assert made == "<p>a &lt; b &amp; <b>&quot;c&quot;</b>d<i>e</i></p>"


def test_attributes_are_written_as_html_wants_them() -> None:
    """Names lose their underscore, True is bare, None and False are absent, quotes are escaped."""
    made = tag("a", class_="x", data_value=1.5, hidden=True, title=None, open=False, alt='"')

    assert made == '<a class="x" data-value="1.5" hidden alt="&quot;"></a>'


def test_backticks_become_code() -> None:
    """What a sentence puts between backticks is set as code, escaped."""
    assert coded("run `a < b` now") == "run <code>a &lt; b</code> now"


def test_joined_markup_is_markup() -> None:
    """Joining elements does not escape them a second time."""
    assert tag("p", text("a", Markup("<br>"))) == "<p>a<br></p>"
