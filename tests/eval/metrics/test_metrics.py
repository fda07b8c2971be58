"""What all metrics share: the table, the cards, and refusals of what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest

from pfp.errors import ConfigError, PermanentError
from pfp.eval.metrics import METRICS, resolve
from pfp.eval.metrics.base import MetricValue
from pfp.eval.metrics.psnr import Psnr
from pfp.io.weights import read_lock


@pytest.mark.parametrize("name", METRICS)
def test_every_line_of_the_table_resolves(name: str) -> None:
    """Each name leads to a class whose card bears it and says what a reader must know."""
    card = resolve(name).card

    assert card.name == name
    assert card.metric_id == f"{name}@{card.version}"
    assert card.direction in {"higher", "lower"}
    assert card.summary
    assert card.citation
    assert card.licence
    assert set(card.weights) <= read_lock().keys()


def test_an_unknown_metric_gets_a_suggestion() -> None:
    """A misspelt name is answered with the nearest known one."""
    with pytest.raises(ConfigError, match="'pnsr'; did you mean 'psnr'"):
        resolve("pnsr")


def test_a_missing_frame_is_never_truncated_away() -> None:
    """Videos of different length are refused with both lengths."""
    video = np.zeros((3, 12, 16, 3), np.uint8)

    with pytest.raises(PermanentError, match="has 2 frames and its reference 3"):
        Psnr().measure(video[:2], video)


def test_another_size_is_never_resized_away() -> None:
    """Videos of different size are refused with both sizes, width first."""
    video = np.zeros((3, 12, 16, 3), np.uint8)

    with pytest.raises(PermanentError, match="is 16x11 and its reference 16x12 pixels"):
        Psnr().measure(video[:, :11], video)


@pytest.mark.parametrize(
    "video",
    [
        np.zeros((3, 12, 16, 3), np.float32),
        np.zeros((3, 12, 16, 4), np.uint8),
        np.zeros((12, 16, 3), np.uint8),
        np.zeros((0, 12, 16, 3), np.uint8),
    ],
    ids=["float", "RGBA", "one image", "no frame"],
)
def test_what_is_not_uint8_rgb_video_is_refused(video: np.ndarray) -> None:
    """Other dtypes, channels and dimensions, and empty videos, are refused with their shape."""
    with pytest.raises(PermanentError, match=r"not uint8 of shape \(T, H, W, 3\)"):
        Psnr().measure(video, video)


@pytest.mark.parametrize(("value", "reason"), [(1.0, "no_face"), (None, None)])
def test_a_value_is_a_number_or_a_reason(value: float | None, reason: str | None) -> None:
    """A metric cannot give both a number and a reason, nor neither."""
    with pytest.raises(ValueError, match="give exactly one of them"):
        MetricValue(value=value, num_frames=1, evidence={}, unscored_reason=reason)


def test_titles_tell_metrics_apart() -> None:
    """No two columns of a table can have one heading."""
    titles = [resolve(name).card.title for name in METRICS]

    assert sorted(set(titles)) == sorted(titles)
