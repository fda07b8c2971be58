"""The worker that generates samples opens the videos that its rows are about, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pfp.io.digests import sha256_file
from pfp.io.media import path_to_uri
from pfp.io.unchanged import FileChangedError, file_state
from pfp.models._folders import weights_sha256
from pipelines.eval.samples import GenerateSamples


@pytest.fixture
def worker() -> GenerateSamples:
    """The worker without its models, with frames that no file is needed for."""
    made = object.__new__(GenerateSamples)
    made._history_frames = lambda *_: np.zeros((1, 2, 2, 3), np.uint8)  # type: ignore[assignment]
    return made


def row_of(video: Path) -> dict[str, Any]:
    """What the worker gets of a clip."""
    state = file_state(video)
    return {
        "clip_id": "a",
        "video_uri": path_to_uri(video),
        "video_sha256": sha256_file(video),
        "size_bytes": state.size_bytes,
        "changed_ns": state.changed_ns,
        "start_seconds": 0.0,
        "end_seconds": 1.0,
    }


def test_a_replaced_video_is_no_history(worker: GenerateSamples, tmp_path: Path) -> None:
    """Neither for a continuation nor for a retrieval, though its frames were decoded before."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"old")
    row = row_of(video)
    assert (1, 2, 2, 3) == worker._history(row).shape

    video.write_bytes(b"new")

    with pytest.raises(FileChangedError, match=r"v.mp4 is not the file that was ingested"):
        worker._history(row)


def test_other_weights_than_the_table_s_are_no_arm(worker: GenerateSamples, tmp_path: Path) -> None:
    """Samples would be filed under the checkpoint that was there before."""
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    sha256 = weights_sha256(tmp_path)
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    worker._run = tmp_path.parent

    with pytest.raises(FileChangedError, match="not those of the table of checkpoints; run"):
        worker._load_arm(tmp_path.name, sha256)
