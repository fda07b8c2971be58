"""The table of what the tiny family gives back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.tiny.retrieval import (
    History,
    mean_psnr_db,
    other_of_shape,
    real_histories,
    table,
)
from experiments.tiny.run import main
from pfp.errors import InputError


def history(name: str, height: int = 8, value: int = 0) -> History:
    """Eleven latent frames of one grey, asked for its first and third."""
    return History(name, np.full((41, height, 8, 3), value, np.uint8), (0, 2))


class TestClips:
    """Which clips are measured, and on which frames."""

    def test_true_frames_are_those_of_the_latents_asked_for(self) -> None:
        """Latent 0 is frame 0, latent 2 is frames 5 to 8."""
        frames = np.arange(41, dtype=np.uint8)[:, None, None, None] * np.ones(
            (1, 1, 1, 3), np.uint8
        )
        asked = History("a", frames, (0, 2))
        assert [0, 5, 6, 7, 8] == asked.true_frames[:, 0, 0, 0].tolist()

    def test_a_shuffled_history_gets_the_next_clip_of_its_shape(self) -> None:
        """Clips of another shape are passed over, and the last takes the first."""
        tall, wide, last = history("tall"), history("wide", 4), history("last")
        assert "last" == other_of_shape(tall, [tall, wide, last]).name
        assert "tall" == other_of_shape(last, [tall, wide, last]).name

    def test_a_clip_without_a_like_cannot_be_shuffled(self) -> None:
        """The error names the clip."""
        tall, wide = history("tall"), history("wide", 4)
        with pytest.raises(InputError, match="wide is the only clip of its shape"):
            other_of_shape(wide, [tall, wide])

    def test_a_folder_without_videos_is_refused(self, tmp_path: Path) -> None:
        """A text is no video, and nothing is measured of none."""
        (tmp_path / "a.txt").write_text("no video")
        with pytest.raises(InputError, match="name another folder with --clips"):
            list(real_histories(tmp_path))


class TestTable:
    """The numbers and where they are written."""

    def test_mean_is_over_clips(self) -> None:
        """One clip off by 1 of 255 has 48.13 dB, one off by 10 has 28.13: their mean is 38.13."""
        clips = [history("a"), history("b")]
        found = [
            np.full_like(clip.true_frames, off) for clip, off in zip(clips, (1, 10), strict=True)
        ]
        assert 38.13 == pytest.approx(mean_psnr_db(clips, found), abs=0.005)

    def test_a_row_names_its_method(self) -> None:
        """Two digits, as the page prints them."""
        text = table({"proposed 4x4x2": 17.484}, 16)
        assert "| method | PSNR dB, 16 clips |" in text
        assert "| proposed 4x4x2 | 17.48 |" in text


def test_clips_that_cannot_be_measured_are_refused_before_training(tmp_path: Path) -> None:
    """Two hours of training would end without a card."""
    (clips := tmp_path / "clips").mkdir()
    assert 2 == main(["--work", str(tmp_path / "work"), "--clips", str(clips)])
    assert not (tmp_path / "work").exists()
