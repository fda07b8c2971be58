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
from pfp.io.tables import write_table
from pfp.io.unchanged import FileChangedError, file_state
from pfp.models._folders import weights_sha256
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.tiny import load_base
from pfp.models.tiny_names import tiny_folder
from pfp.schema import KEPT, CheckpointRecord, ConditionRecord, EvalSample, Failed, Verdict
from pfp.schema.run_directory import VIDEOS_NAME, RunDirectory
from pfp.train.clip_list import write_clip_list
from pfp.train.split import lowest_digests, split_clips
from pipelines.eval.config import GenerateConfig
from pipelines.eval.stages import (
    _condition_keys,
    generate_stage,
    held_out_by_all,
    remove_strays,
)
from pipelines.eval.worker import GenerateSamples


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


def test_other_weights_than_the_table_s_are_no_method(
    worker: GenerateSamples, tmp_path: Path
) -> None:
    """Samples would be filed under the checkpoint that was there before."""
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    sha256 = weights_sha256(tmp_path)
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    worker._run = tmp_path.parent

    with pytest.raises(FileChangedError, match="not those of the table of checkpoints; run"):
        worker._load_method(tmp_path.name, sha256)


def test_videos_that_no_row_names_are_removed(tmp_path: Path) -> None:
    """Those of settings that the table is not of; nothing else in the folder."""
    names = [f"{VIDEOS_NAME}/a/{name}" for name in ("now.mp4", "then.mp4", "notes.txt")]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    made = EvalSample(
        sample_id="a",
        task="retrieve",
        group="a",
        clip_id="a",
        memory_clip_id="a",
        method="proposed",
        model_id="tiny",
        checkpoint_sha256=None,
        seed=0,
        rate=None,
        video_uri=names[0],
        verdict=KEPT,
    )
    write_table(tmp_path / "generations", EvalSample.table([made]), EvalSample)

    remove_strays(tmp_path)

    assert [True, False, True] == [(tmp_path / name).exists() for name in names]


def test_another_condition_makes_other_samples(tmp_path: Path) -> None:
    """The key counts what a prompt was embedded to, and that it was not."""

    def keys(result_key: str, verdict: Verdict) -> dict[str, str]:
        condition = ConditionRecord(
            prompt_sha256="p",
            prompt="A kite.",
            encoder_id="tiny",
            encoder_sha256="0",
            verdict=verdict,
            result_key=result_key,
        )
        write_table(tmp_path / "conditions", ConditionRecord.table([condition]), ConditionRecord)
        return _condition_keys(str(tmp_path))

    assert {"p": "one"} == keys("one", KEPT)
    assert {"p": "two"} == keys("two", KEPT)
    assert {} == keys("two", Failed(error="E", message="m"))
    columns = generate_stage(GenerateConfig(), str(tmp_path)).content_columns
    assert "condition_keys" in columns


def test_samples_have_the_shift_of_training_unless_another_is_asked_for() -> None:
    """Methods of one run may have been trained at different shifts."""
    assert 12.0 == GenerateConfig().sampler(trained_shift=12.0).shift
    assert 4.0 == GenerateConfig(shift=4.0).sampler(trained_shift=12.0).shift


def test_a_loaded_method_knows_its_shift(worker: GenerateSamples, tmp_path: Path) -> None:
    """The worker reads it beside the weights."""
    model = MemoryDiT(load_base(), MemoryDiTConfig(variant="only_lr", lora_rank=1))
    base_sha256 = weights_sha256(tiny_folder() / "base")
    card = {"base_sha256": base_sha256, "objective": {"shift": 9.0}}
    model.save_pretrained(tmp_path, card=card)
    worker._config, worker._run = GenerateConfig(), tmp_path.parent

    method = worker._load_method(tmp_path.name, weights_sha256(tmp_path))

    assert 9.0 == method.sampler.shift


def trained_with(run: RunDirectory, share: float, *clip_ids: str) -> CheckpointRecord:
    """A checkpoint of the run, trained on these clips, with that share held out."""
    clips = write_clip_list(run.clip_lists_path, clip_ids)
    names = ("checkpoint_id", "variant", "rate", "base", "base_sha256", "vae_sha256")
    texts: dict[str, Any] = dict.fromkeys(names, "x")
    return CheckpointRecord(
        **texts,
        clip_ids_sha256=clips.sha256,
        num_clips=clips.num_clips,
        held_out_share=share,
        verdict=KEPT,
    )


class TestHeldOut:
    """Which of ten clips are evaluated on."""

    CLIPS = tuple(map(str, range(10)))

    @pytest.fixture
    def run(self, tmp_path: Path) -> RunDirectory:
        """A run that holds nothing yet."""
        return RunDirectory(tmp_path)

    def test_the_split_of_training_is_read(self, run: RunDirectory) -> None:
        """Clips that a training would have seen, had they been there, are not evaluated on."""
        trained_on, held_out = split_clips(self.CLIPS, held_out_share=0.5)
        assert len(trained_on) > 1

        found = held_out_by_all(run, [trained_with(run, 0.5, trained_on[0])], self.CLIPS)

        assert set(held_out) == found

    def test_what_one_of_several_saw_is_left_out(self, run: RunDirectory) -> None:
        """The smallest share decides, and no clip that was trained on is held out."""
        _, held_out = split_clips(self.CLIPS, held_out_share=0.5)
        checkpoints = [trained_with(run, 0.9), trained_with(run, 0.5, held_out[0])]

        assert set(held_out[1:]) == held_out_by_all(run, checkpoints, self.CLIPS)

    def test_a_training_that_held_out_nothing_leaves_what_came_later(
        self, run: RunDirectory
    ) -> None:
        """A share of 0 holds nothing out; new clips are new to it all the same."""
        checkpoints = [trained_with(run, 0.0, *self.CLIPS[:8])]

        assert {"8", "9"} == held_out_by_all(run, checkpoints, self.CLIPS)

    def test_of_many_so_many_are_taken(self, run: RunDirectory) -> None:
        """The same whatever else is there, and no more than there are."""
        checkpoints = [trained_with(run, 0.9)]
        all_of_them = held_out_by_all(run, checkpoints, self.CLIPS)

        three = held_out_by_all(run, checkpoints, self.CLIPS, 3)

        assert len(all_of_them) > len(three) == 3
        assert set(lowest_digests(all_of_them, 3)) == three
        assert all_of_them == held_out_by_all(run, checkpoints, self.CLIPS, 99)
