"""From columns of numbers second by second to the rows of ``MeasuredRecord.track``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from pfp.ingest.seconds import Floats
from pfp.schema.measured import SecondMeasures


def second_measures(
    columns: Mapping[str, Floats], num_damaged: Mapping[int, int]
) -> list[SecondMeasures]:
    """One row a second, from columns of one length; NaN, for what is unknown, becomes None.

    ``num_damaged`` names the seconds in which anything was damaged.
    """
    plain = {name: _plain(column_K) for name, column_K in columns.items()}
    rows: list[dict[str, Any]] = [
        dict(zip(plain, values, strict=True)) for values in zip(*plain.values(), strict=True)
    ]
    for second, row in enumerate(rows):
        row["num_damaged"] = num_damaged.get(second, 0)
    return cast("list[SecondMeasures]", rows)


def _plain(column_K: Floats) -> list[float | None]:
    """As float32 has them, so that a row is the same before it was stored and after."""
    values = column_K.astype(np.float32).tolist()
    return [None if math.isnan(value) else value for value in values]
