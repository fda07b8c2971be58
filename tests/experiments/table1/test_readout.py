"""The gate before trainings: one fit of it at a microscopic size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.table1 import readout
from experiments.table1.training import TrainPlan


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Table 1 with random latents in place of windows' and crops'."""
    rng = np.random.default_rng(0)

    def save(path: Path, num: int, height: int, width: int) -> None:
        shapes = {
            "hr": (num, 5, 16, height, width),
            "lr_4x4x2": (num, 3, 16, height // 4, width // 4),
            "text": (num, 2, 64),
        }
        parts = {name: rng.normal(size=shape).astype(np.float16) for name, shape in shapes.items()}
        frames = np.zeros((num, 17, 4 * height, 4 * width, 3), np.uint8)
        path.parent.mkdir(exist_ok=True)
        np.savez(path, frames=frames, clip_id=np.array(["a"] * num), **parts)

    save(tmp_path / "bank" / "landscape.npz", 3, 24, 40)
    save(tmp_path / "bank" / "portrait.npz", 3, 40, 24)
    save(tmp_path / "crops" / "same_kind.npz", 2, 8, 8)
    small = replace(TrainPlan(), num_latents=5, crop_cells=1, lora_rank=1, compiled=False)
    monkeypatch.setattr(readout, "TrainPlan", lambda: small)
    monkeypatch.setattr(readout, "BATCH_SIZE", 2)
    return tmp_path


def test_every_encoder_is_fitted_once(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row each; a second call reads what the first left. Noise cannot be read off anything."""
    arguments = ["--work", str(work), "--steps", "2", "--rates", "4x4x2"]
    assert 0 == readout.main(arguments)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]

    assert 0 == readout.main(arguments)
    again = capsys.readouterr().out.splitlines()

    assert rows == [line for line in again if line.startswith("| ")]
    assert not any("step" in line for line in again)
    assert ["only_lr", "large_patchifier", "proposed"] == [
        row.split(" | ")[0][2:] for row in rows[1:]
    ]
    assert all(float(row.split(" | ")[2].rstrip(" |")) < 0.1 for row in rows[1:])


@pytest.mark.parametrize(
    ("rate", "sentence"), [("8x8x8", "has no latents here; choose from 1x1x1"), ("4x4x2", "first")]
)
def test_what_cannot_be_measured_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str, sentence: str
) -> None:
    """A rate that Table 1 has not, and a folder without its crops."""
    assert 2 == readout.main(["--work", str(tmp_path), "--rates", rate])
    assert sentence in capsys.readouterr().err
