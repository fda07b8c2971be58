"""What an answer cost, from a dated table of list prices (``prices.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from datetime import date

MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One model's list prices, in USD per million tokens.

    ``audio_input`` is None where audio costs what other input costs. ``source`` is one of
    ``provider_page``, ``transcript`` and ``third_party``; ``read`` is the day of reading.
    """

    input: float
    output: float
    audio_input: float | None = None
    max_prompt_tokens: int | None = None
    valid_until: date | None = None
    read: date
    source: str


@cache
def load_prices() -> dict[str, Price]:
    """The table, by model name."""
    text = files("pfp.vlm").joinpath("prices.yaml").read_text("utf-8")
    return {name: Price(**row) for name, row in yaml.safe_load(text)["models"].items()}


def cost_usd(
    model: str,
    *,
    tokens_in: int | None,
    tokens_audio: int | None,
    tokens_out: int | None,
    tokens_thought: int | None,
    on: date,
) -> float | None:
    """List price of one answer on a day; None when the table or the server leaves it open.

    ``tokens_in`` includes the audio tokens. Thinking is billed as output.
    """
    price = load_prices().get(model.removeprefix("models/"))
    if price is None or tokens_in is None or tokens_out is None:
        return None
    if price.valid_until is not None and on > price.valid_until:
        return None
    if price.max_prompt_tokens is not None and tokens_in > price.max_prompt_tokens:
        return None
    if price.audio_input is None:
        input_usd = tokens_in * price.input
    elif tokens_audio is None:
        return None
    else:
        input_usd = (tokens_in - tokens_audio) * price.input + tokens_audio * price.audio_input
    return (input_usd + (tokens_out + (tokens_thought or 0)) * price.output) / MILLION
