"""The dated price table."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pfp.vlm.prices import cost_usd, load_prices

TODAY = date(2026, 11, 20)
COUNTS: dict[str, Any] = {
    "tokens_in": 2000,
    "tokens_audio": 640,
    "tokens_out": 500,
    "tokens_thought": 100,
}


def test_audio_and_thinking_have_their_prices() -> None:
    """Audio is priced apart where the table says so; thinking is output."""
    expected = (1360 * 0.30 + 640 * 1.00 + 600 * 2.50) / 1e6

    assert cost_usd("models/gemini-2.5-flash", **COUNTS, on=TODAY) == pytest.approx(expected)


def test_audio_costs_like_the_rest_where_it_has_no_price() -> None:
    """Then it does not matter how many of the tokens are audio."""
    expected = (2000 * 1.50 + 600 * 9.00) / 1e6

    for audio in (640, None):
        counts = {**COUNTS, "tokens_audio": audio}
        assert cost_usd("gemini-3.5-flash", **counts, on=TODAY) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("model", "changes", "on"),
    [
        ("gemini-9", {}, TODAY),
        ("gemini-2.5-flash", {"tokens_in": None}, TODAY),
        ("gemini-2.5-flash", {"tokens_out": None}, TODAY),
        ("gemini-2.5-flash", {"tokens_audio": None}, TODAY),
        ("gemini-2.5-pro", {"tokens_in": 200_001}, TODAY),
        ("gemini-3.8-flash", {}, date(2027, 1, 1)),
    ],
)
def test_what_is_not_known_costs_none(model: str, changes: dict[str, Any], on: date) -> None:
    """No model, no counts, a longer prompt or an expired price: unknown, never 0."""
    assert cost_usd(model, **{**COUNTS, **changes}, on=on) is None


def test_last_day_of_a_price_counts() -> None:
    """A price holds on the day it names."""
    assert cost_usd("gemini-3.8-flash", **COUNTS, on=date(2026, 12, 31)) is not None


def test_every_price_is_dated_and_sourced() -> None:
    """Nobody has to guess where a figure came from."""
    prices = load_prices()

    assert prices
    for price in prices.values():
        assert isinstance(price.read, date)
        assert price.source in {"provider_page", "transcript", "third_party"}
        assert 0 < price.input < price.output
