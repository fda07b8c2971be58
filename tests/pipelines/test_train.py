"""Pretraining and fine-tuning over a run's tables: what they leave, and what they refuse."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from pfp.errors import ConfigError, NothingUsable, PfpError, SchemaError, WeightsError
from pfp.io import tables
from pfp.models.memory.checkpoint import read_description
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.tiny_names import tiny_folder, variant_folder
from pfp.runtime import NoProgress, Progress
from pfp.schema import LatentRecord
from pfp.schema.run_directory import RunDirectory
from pfp.train.clip_list import ClipList
from pfp.train.objective import Batch
from pfp.train.settings import Objective
from pipelines.train.config import PRESETS, TrainConfig, debug
from pipelines.train.run import main, run
from pipelines.train.stages import checkpoints_table
from pipelines.train.worker import frames_of_batch
from tests.small_models import small_hunyuan, small_wan


@pytest.fixture
def latents_run(finished_run: Path, tmp_path: Path) -> Path:
    """A run directory with all that training reads, and nothing trained."""
    for table in ("storyboards", "latents", "conditions"):
        shutil.copytree(finished_run / table, tmp_path / table)
    return tmp_path


def config(**changes: Any) -> TrainConfig:
    """Two steps of the proposed variant, with changes."""
    return replace(debug(), **{"variants": ("proposed",), **changes})


def trained(directory: Path, told: TrainConfig, progress: Progress | None = None) -> None:
    """Run the stage in this process."""
    run(
        told,
        input_directory=str(directory),
        output_directory=str(directory),
        engine="local",
        progress=progress,
        task=told.task,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint."""
    return {
        f"{path.name}/{name}": value
        for path in sorted(folder.glob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def test_fine_tuning_goes_on_from_what_was_pretrained(latents_run: Path) -> None:
    """Its start is the pretrained folder's digest, its title tells it, and it trains sections."""
    trained(latents_run, config())
    steps = replace(debug().steps, learning_rate=1e-3)
    trained(latents_run, config(task="finetune", start="pretrained", steps=steps))

    pretrained, finetuned = (
        tables.read_records(*checkpoints_table(str(latents_run), task))[0]
        for task in ("pretrain", "finetune")
    )
    assert pretrained.sha256 == finetuned.start_sha256
    assert ("proposed 4x4x2", "proposed 4x4x2 finetuned") == (
        pretrained.checkpoint_id,
        finetuned.checkpoint_id,
    )
    before, after = (weights(latents_run / str(each.uri)) for each in (pretrained, finetuned))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    described = read_description(latents_run / str(finetuned.uri))
    assert "finetune" == described["task"]
    assert finetuned.vae_sha256 == described["vae_sha256"]
    clips = ClipList(
        RunDirectory(latents_run).clip_lists_path, finetuned.clip_ids_sha256, finetuned.num_clips
    )
    assert described["clip_ids_sha256"] == clips.sha256
    assert clips.num_clips == described["num_clips"] == len(clips.read()) > 0


def test_fine_tuning_trains_histories_of_many_lengths(
    latents_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From none to what clips of 15 latent frames hold, without retrieval; the shares are told."""
    steps = replace(debug().steps, num_steps=8, ema_decay=0.9)
    told = config(
        task="finetune",
        start="pretrained",
        variants=("without_pretrain",),
        finetune_history_frames=(0, 1, 3, 239),
        steps=steps,
    )

    trained(latents_run, told)

    said = capsys.readouterr().err
    shares = re.findall(r"([\d.]+)% (none|\d+)[,;]", said)
    lengths = [length for _, length in shares]
    assert ["none", "1", "3", "13"] == lengths
    assert "100.0% ask for the section that follows, 0.0% for frames of the history" in said
    (record,) = tables.read_records(*checkpoints_table(str(latents_run), "finetune"))
    assert record.num_steps == 8


def test_clips_that_hold_no_section_are_refused(latents_run: Path) -> None:
    """Before anything is trained, with what a window takes."""
    windows = replace(debug().windows, history_frames=21, num_targets=20)
    told = config(task="finetune", start="pretrained", variants=("without_pretrain",))

    with pytest.raises(NothingUsable, match="a history and the section after it take 1 and 20"):
        trained(latents_run, replace(told, windows=windows))


def test_a_frozen_encoder_is_saved_as_it_was(latents_run: Path) -> None:
    """Fine-tuning with ``steps.train_encoder=false`` moves LoRA alone."""
    trained(latents_run, config())
    steps = replace(debug().steps, train_encoder=False, learning_rate=1e-2)
    trained(latents_run, config(task="finetune", start="pretrained", steps=steps))

    before = weights(latents_run / "checkpoints/proposed-4x4x2")
    after = weights(latents_run / "checkpoints/proposed-4x4x2-finetuned")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith("pytorch_lora_weights") for name in moved)


def test_without_pretrain_starts_from_nothing(latents_run: Path) -> None:
    """The variant of Table 2 needs no pretrained checkpoint and has a title of its own."""
    trained(
        latents_run, config(task="finetune", start="pretrained", variants=("without_pretrain",))
    )

    (record,) = tables.read_records(*checkpoints_table(str(latents_run), "finetune"))
    assert "proposed 4x4x2 without pretrain" == record.checkpoint_id
    assert record.start_sha256 is None
    MemoryDiT.from_pretrained(latents_run / str(record.uri))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": MemoryDiTConfig(variant="proposed", cross_attention=True, lora_rank=4)},
        {"model": MemoryDiTConfig(variant="proposed", stride="symmetric", lora_rank=4)},
        {"variants": ("without_lr",), "model": MemoryDiTConfig(variant="proposed", lora_rank=4)},
        {
            "variants": ("sliding_window",),
            "model": MemoryDiTConfig(variant="proposed", lora_rank=4),
        },
    ],
    ids=["cross-attention", "symmetric", "without_lr", "sliding_window"],
)
def test_variants_that_are_not_shipped_train_from_nothing(
    latents_run: Path, changes: dict[str, Any]
) -> None:
    """Their folder loads again as the variant that was asked for."""
    told = config(start="nothing", **changes)
    trained(latents_run, told)

    (record,) = tables.read_records(*checkpoints_table(str(latents_run), "pretrain"))
    model = MemoryDiT.from_pretrained(latents_run / str(record.uri))
    assert told.model_for(told.variants[0]) == model.config
    assert record.num_trained == sum(x.numel() for x in model.trainable_parameters())


def test_averages_lie_beside_what_was_trained(latents_run: Path) -> None:
    """``ema/`` is a checkpoint of its own, with other weights of the same names."""
    steps = replace(debug().steps, num_steps=4, ema_decay=0.9, learning_rate=1e-2)
    trained(latents_run, config(steps=steps))

    folder = latents_run / "checkpoints/proposed-4x4x2"
    last, averaged = weights(folder), weights(folder / "ema")
    MemoryDiT.from_pretrained(folder / "ema")
    assert last.keys() == averaged.keys()
    assert any(not torch.equal(last[name], averaged[name]) for name in last)


def test_curves_and_images_are_drawn(latents_run: Path) -> None:
    """TensorBoard gets loss, throughput, loss by position and retrieved frames at every step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(latents_run, config(trackers=("tensorboard",), log_every_steps=1, sample_every_steps=2))

    events = EventAccumulator(str(latents_run / "checkpoints/_curves/proposed-4x4x2"))
    events.Reload()
    tags = events.Tags()
    assert {"loss", "grad_norm", "learning_rate", "samples_per_second"} <= set(tags["scalars"])
    assert any(tag.startswith("loss_by_position/") for tag in tags["scalars"])
    assert [1, 2] == [event.step for event in events.Scalars("loss")]
    assert ["retrieved"] == tags["images"]
    (image,) = events.Images("retrieved")
    assert (image.height, image.width) in ((2 * 96, 2 * 160), (2 * 160, 2 * 96))


@pytest.mark.parametrize("num_frames", [5, 0])
@pytest.mark.parametrize("base", ["wan", "hunyuan"])
def test_frames_of_every_base_are_drawn_while_it_trains(base: str, num_frames: int) -> None:
    """HunyuanVideo is given its mask, pooled text and the guidance that it is trained with."""
    dit = small_wan() if base == "wan" else small_hunyuan(guidance_embeds=True)
    model = MemoryDiT(dit, MemoryDiTConfig(variant="proposed", lora_rank=2)).eval()
    told: list[Any] = []
    model.register_forward_pre_hook(lambda _, given: told.append(given[2]))
    batch = Batch(
        hr_BCTHW=torch.randn(2, 16, num_frames, 16, 16).half(),
        lr_BCTHW=torch.randn(2, 16, -(-num_frames // 2), 4, 4).half(),
        target_BCTHW=torch.randn(2, 16, 2, 16, 16).half(),
        frame_index_BT=torch.tensor([[num_frames, num_frames + 1]] * 2),
        text_BLD=torch.randn(2, 4, 8 if base == "wan" else 12).half(),
        text_mask_BL=torch.tensor([[True, True, True, False]] * 2),
        text_pooled_BP=None if base == "wan" else torch.randn(2, 10).half(),
    )

    frames_HWC = frames_of_batch(replace(debug(), objective=Objective(guidance=6.0)), model, batch)

    assert (128, 256, 3) == frames_HWC.shape
    if base == "hunyuan":
        assert [True, True, True, False] == told[0].mask_BL[0].tolist()
        assert (1, 10) == told[0].pooled_BP.shape
        assert [6000.0] == told[0].guidance_B.tolist()


def test_text_free_training_takes_the_empty_prompt_of_the_run(latents_run: Path) -> None:
    """Without one in the run it is refused, with the setting that makes it."""
    told = config(objective=replace(debug().objective, text_free_share=0.5))

    with pytest.raises(SchemaError, match="with_empty_prompt=true"):
        trained(latents_run, told)


# --- wrong input ---------------------------------------------------------------------------------


def rewritten(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write the latents again with every row changed, as another producer would have."""
    rows = tables.read_table(directory / "latents", LatentRecord).to_pylist()
    for row in rows:
        change(row)
    table = pa.Table.from_pylist(rows, schema=LatentRecord.SCHEMA)
    shutil.rmtree(directory / "latents")
    tables.write_table(directory / "latents", table, LatentRecord)


def of_another_vae(row: dict[str, Any]) -> None:
    """Another digest."""
    row["vae_sha256"] = "0" * 64


def of_wan(row: dict[str, Any]) -> None:
    """Another VAE altogether."""
    row["vae_id"] = "wan21"


def not_normalised(row: dict[str, Any]) -> None:
    """The flag is off."""
    row["normalised"] = False


def not_finite(row: dict[str, Any]) -> None:
    """One value is NaN, and so are the moments that were measured on it."""
    hr = np.frombuffer(row["hr"], np.float16).copy()
    hr[0] = np.nan
    row["hr"] = hr.tobytes()
    row["hr_channel_mean"] = [float("nan"), *row["hr_channel_mean"][1:]]


def too_short(row: dict[str, Any]) -> None:
    """Five latent frames."""
    _, *rest = row["hr_shape"]
    row["hr"] = row["hr"][: 2 * 5 * int(np.prod(rest))]
    row["hr_shape"] = [5, *rest]
    _, *rest = row["lr_shape"]
    row["lr"] = row["lr"][: 2 * 3 * int(np.prod(rest))]
    row["lr_shape"] = [3, *rest]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (of_another_vae, SchemaError, r"latents of the VAE tiny 0+, not of the tiny base's"),
        (of_wan, SchemaError, r"latents of the VAE wan21, and tiny was trained on those of tiny"),
        (not_normalised, SchemaError, r"latents that are not normalised"),
        (not_finite, SchemaError, r"latents of clip \w+ hold NaN or infinity; run"),
        (too_short, NothingUsable, r"at most 5 latent frames, and a history takes 11; give"),
    ],
)
def test_latents_that_cannot_be_trained_on_are_refused(
    latents_run: Path, change: Callable[[dict[str, Any]], None], error: type[PfpError], said: str
) -> None:
    """Before anything is loaded, with the value and the cure."""
    rewritten(latents_run, change)

    with pytest.raises(error, match=said):
        trained(latents_run, config())

    assert not (latents_run / "checkpoints").exists()


def test_an_empty_table_is_refused(latents_run: Path) -> None:
    """Nothing to train on is said, not trained on."""
    shutil.rmtree(latents_run / "latents")
    tables.write_table(latents_run / "latents", LatentRecord.SCHEMA.empty_table(), LatentRecord)

    with pytest.raises(NothingUsable, match="holds 0 clips"):
        trained(latents_run, config())


def test_a_rate_that_the_table_has_no_lr_copy_of_is_refused(latents_run: Path) -> None:
    """It names both rates and the settings that make the other."""
    told = config(start="nothing", model=MemoryDiTConfig(variant="proposed", rate="2x2x2"))

    with pytest.raises(SchemaError, match=r"4x4x2.*2x2x2.*preprocess.lr_factor=2"):
        trained(latents_run, told)


def test_fine_tuning_without_a_pretrained_variant_is_refused(latents_run: Path) -> None:
    """It names the folder that is missing and the command that makes it."""
    with pytest.raises(WeightsError, match=r"proposed-4x4x2 does not exist; run .* pretrain"):
        trained(latents_run, config(task="finetune", start="pretrained"))


def put_in_place_of_the_pretrained(directory: Path, source: Path) -> Path:
    """A folder where fine-tuning looks for the pretrained variant."""
    folder = directory / "checkpoints/proposed-4x4x2"
    shutil.copytree(source, folder)
    return folder


def test_a_checkpoint_of_another_variant_is_refused(latents_run: Path) -> None:
    """Both variants are named."""
    put_in_place_of_the_pretrained(latents_run, variant_folder("only_lr"))

    with pytest.raises(WeightsError, match=r"holds the variant .*only_lr.* not .*proposed"):
        trained(latents_run, config(task="finetune", start="pretrained"))


def test_a_checkpoint_that_lacks_a_weight_is_refused(latents_run: Path) -> None:
    """The missing key is named."""
    folder = put_in_place_of_the_pretrained(latents_run, variant_folder("proposed"))
    kept = load_file(folder / "encoder.safetensors")
    del kept["hr.project.weight"]
    save_file(kept, folder / "encoder.safetensors")

    with pytest.raises(NothingUsable, match=r"lacks the weights \['hr.project.weight'\]"):
        trained(latents_run, config(task="finetune", start="pretrained"))


def test_a_checkpoint_of_another_vae_is_refused(latents_run: Path) -> None:
    """Its latents mean something else."""
    folder = put_in_place_of_the_pretrained(latents_run, variant_folder("proposed"))
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "vae_sha256": "1" * 64}))

    with pytest.raises(SchemaError, match=r"was trained on latents of VAE 1+, and the run's"):
        trained(latents_run, config(task="finetune", start="pretrained"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "wan22_5b"], "weights of wan22_5b are not part of pfp; give --set base_fold"),
        (
            ["--set", "variants=[everything]"],
            r"variants ['everything'] cannot be trained; choose from",
        ),
        (["--set", "trackers=[clearml]"], "trackers clearml are not installed or unknown"),
        (["--set", "num_processes=2", "--engine", "local"], "give --engine ray"),
        (["--set", "sharded=true"], "give num_processes=2 or more"),
        (
            ["--set", "num_processes=2", "--set", "sharded=true", "--set", "steps.compiled=true"],
            "are not compiled; give sharded=false",
        ),
        (["--set", "variants=[without_lr]"], "give start=nothing"),
        (["--set", "windows.history_frames=10"], "give a multiple of 2 and one more"),
        (["--set", "steps.learning_rate=-1.0"], "must be positive"),
        (["finetune", "--set", "objective.mask_scope=lr"], "choose none, hr, hr+lr"),
    ],
)
def test_settings_that_cannot_work_are_one_sentence(
    latents_run: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, no traceback."""
    status = main([*arguments, "--output", str(latents_run)])

    assert 2 == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_can_be_made_and_checked(name: str) -> None:
    """With a base folder where one is needed; fine-tuning follows from pretraining."""
    from pipelines.train.config import finetuned

    made = replace(PRESETS[name](), base_folder=None if "2" not in name else "somewhere")
    if name == "hunyuan":
        made = replace(made, base_folder="somewhere")

    made.check()
    if made.start == "nothing":
        finetuned(made).check()


class Notes(NoProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)


def test_progress_is_told_while_a_variant_trains(
    latents_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step, loss, speed and time left, from a file that any process can write."""
    from pfp.train import monitor

    monkeypatch.setattr(monitor, "SECONDS_BETWEEN_NOTES", 0.01)
    notes = Notes()
    steps = replace(debug().steps, num_steps=12)

    trained(latents_run, config(steps=steps), notes)

    assert any("proposed 4x4x2: step" in said and "samples/s" in said for said in notes.said)


def test_the_estimate_comes_before_anything_is_loaded(
    latents_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even where the weights are missing: memory is a function of names and shapes."""
    with pytest.raises(ConfigError, match="weights"):
        trained(latents_run, replace(PRESETS["wan22_5b"](), num_processes=1, min_processes=None))
    trained(latents_run, config())

    assert "about" in capsys.readouterr().err
    assert (tiny_folder() / "base").is_dir()
