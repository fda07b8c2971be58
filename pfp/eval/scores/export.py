"""Scores in the form that VBench writes, for tools that read its results.

VBench's file holds, for each dimension, ``[mean, [{"video_path", "video_results"}, ...]]``.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pfp.errors import InputError, NothingUsable
from pfp.eval.scores.runs import Stored

# pfp's metric, VBench's name of the dimension, and what its mean is divided by.
DIMENSIONS: Final = {
    "clarity": ("imaging_quality", 100.0),
    "aesthetic": ("aesthetic_quality", 1.0),
    "dynamics": ("dynamic_degree", 1.0),
    "semantic": ("overall_consistency", 1.0),
}


def vbench_results(stored: Stored, method: str | None = None) -> dict[str, Any]:
    """One model's results as VBench has them; a dimension without a score is left out.

    Raises:
        InputError: the run has several models and none was named, or not that one.
        NothingUsable: none of VBench's dimensions was measured.
    """
    methods = stored.methods
    if method not in methods and (method is not None or len(methods) > 1):
        known = ", ".join(methods)
        raise InputError(f"VBench's file is of one model, not {method!r}; name one of {known}")
    chosen = method or methods[0]
    places = {
        made.sample_id: made.video_uri for made in stored.generations if made.method == chosen
    }
    results: dict[str, Any] = {}
    for metric, (dimension, divisor) in DIMENSIONS.items():
        found = [
            {
                "video_path": places[score.sample_id],
                "video_results": _result(dimension, score.value),
            }
            for score in stored.scores
            if score.value is not None
            and score.sample_id in places
            and score.metric.rpartition("@")[0] == metric
        ]
        if found:
            mean = sum(float(item["video_results"] or 0) for item in found) / len(found)
            results[dimension] = [mean / divisor, found]
    if not results:
        raise NothingUsable(
            f"{stored.directory} has no score of {', '.join(DIMENSIONS)}; run --suite table3 first"
        )
    return results


def _result(dimension: str, value: float) -> float | bool:
    """VBench says true or false of whether a video moves; a mean over clips is neither."""
    return bool(value) if dimension == "dynamic_degree" and value in {0.0, 1.0} else value


def to_text(results: dict[str, Any]) -> str:
    """The file's text."""
    return json.dumps(results, indent=4) + "\n"
