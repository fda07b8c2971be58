"""LoRA and encoder on a frozen base: what is trained, saved and loaded."""

import os
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import HunyuanVideoTransformer3DModel, WanTransformer3DModel
from safetensors.torch import load_file, save_file

from pfp.errors import ConfigError, WeightsError
from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.checkpoint import read_description
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.tiny_names import variant_folder
from tests.small_models import small_hunyuan, small_wan


def sample(model: MemoryDiT) -> torch.Tensor:
    """One forward with a fixed input."""
    generator = torch.Generator().manual_seed(3)
    hr = torch.randn(1, 16, 11, 16, 24, generator=generator)
    lr = torch.randn(1, 16, 6, 4, 6, generator=generator)
    noisy = torch.randn(1, 16, 2, 16, 24, generator=generator)
    text = torch.randn(1, 5, 8, generator=generator)
    out = model(
        noisy,
        torch.full((1, 2), 600.0),
        text,
        torch.tensor([[2, 7]]),
        memory=model.encode_history(hr, lr),
    )
    assert isinstance(out, torch.Tensor)
    return out


def test_gradients_reach_lora_and_encoder_and_nothing_else(
    small_dit: WanTransformer3DModel,
) -> None:
    """The base stays frozen; a step moves LoRA, and after it the HR branch too."""
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="proposed", lora_rank=4))
    sample(model).square().mean().backward()

    with_gradient = {
        name for name, parameter in model.named_parameters() if parameter.grad is not None
    }

    assert with_gradient
    assert all("lora_" in name or name.startswith("encoder.") for name in with_gradient)
    assert "encoder.hr.project.weight" in with_gradient


def test_what_is_saved_comes_back(small_dit: WanTransformer3DModel, tmp_path: Path) -> None:
    """Random LoRA and encoder weights survive save and load, in float32 to the bit."""
    fresh = MemoryDiT(deepcopy(small_dit), MemoryDiTConfig(variant="proposed", lora_rank=4)).eval()
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="proposed", lora_rank=4)).eval()
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.normal_(std=0.05)
    before = sample(model)
    assert not torch.equal(before, sample(fresh))

    model.save_pretrained(tmp_path / "variant", dtype=torch.float32, card={"num_steps": 3})
    described = fresh.load(tmp_path / "variant")

    assert described["num_steps"] == 3
    assert torch.equal(before, sample(fresh))


def test_weights_have_the_permissions_of_other_files(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """A colleague who may read what else a training wrote may read its weights."""
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="proposed", lora_rank=4))
    before = os.umask(0o027)
    try:
        model.save_pretrained(tmp_path / "variant")
    finally:
        os.umask(before)

    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "variant").iterdir()}

    assert dict.fromkeys(modes, 0o640) == modes
    assert "encoder.safetensors" in modes


def test_a_checkpoint_of_another_variant_is_refused(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """Loading no_memory's weights into the proposed variant names both."""
    other = MemoryDiT(deepcopy(small_dit), MemoryDiTConfig(variant="no_memory", lora_rank=4))
    other.save_pretrained(tmp_path / "variant")
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="proposed", lora_rank=4))

    with pytest.raises(WeightsError, match=r"holds the variant .*no_memory.* not .*proposed"):
        model.load(tmp_path / "variant")


def test_a_folder_without_a_variant_is_refused(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """A missing config.json is one sentence with the cure."""
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="no_memory", lora_rank=4))

    with pytest.raises(WeightsError, match="name a folder that holds a checkpoint"):
        model.load(tmp_path)


def randomise(model: MemoryDiT) -> None:
    """Random LoRA, encoder and cross-attention weights."""
    with torch.no_grad():
        for parameter in model.trainable_parameters():
            parameter.normal_(std=0.05)


def sample_stock(dit: WanTransformer3DModel) -> torch.Tensor:
    """The stock forward of a DiT with a fixed input."""
    generator = torch.Generator().manual_seed(4)
    video = torch.randn(1, 16, 2, 8, 12, generator=generator)
    text = torch.randn(1, 5, 8, generator=generator)
    out = dit(video, torch.tensor([600.0]), text).sample
    assert isinstance(out, torch.Tensor)
    return out


@pytest.mark.parametrize("way", ["load_lora_adapter", "load_lora_weights"])
@pytest.mark.parametrize("targets", ["attention", "attention_ffn"])
def test_diffusers_reads_the_lora_that_is_saved(
    small_dit: WanTransformer3DModel, tmp_path: Path, way: str, targets: str
) -> None:
    """The model's own loader and the pipeline's give the output that our model has."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline

    plain = deepcopy(small_dit)
    base_output = sample_stock(plain)
    model = MemoryDiT(
        small_dit, MemoryDiTConfig(variant="no_memory", lora_rank=4, lora_targets=targets)
    ).eval()
    randomise(model)
    model.save_pretrained(tmp_path)

    if way == "load_lora_adapter":
        plain.load_lora_adapter(tmp_path, weight_name="pytorch_lora_weights.safetensors")
    else:
        WanPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=None,
            transformer=plain,
            scheduler=FlowMatchEulerDiscreteScheduler(),
        ).load_lora_weights(tmp_path, local_files_only=True)

    ours = sample_stock(model.dit)
    torch.testing.assert_close(sample_stock(plain), ours, atol=1e-6, rtol=0)
    assert (ours - base_output).abs().max() > 1e-2


def test_a_checkpoint_decides_the_placement_of_memory(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """Loaded into a model of another one, a checkpoint brings its own and samples the same."""
    other = MemoryDiT(deepcopy(small_dit), MemoryDiTConfig(variant="proposed", lora_rank=4)).eval()
    model = MemoryDiT(
        small_dit,
        MemoryDiTConfig(
            variant="proposed",
            lora_rank=4,
            history_timestep="shared",
            positions="pooled",
            memory_attends_to_text=True,
        ),
    ).eval()
    randomise(model)
    model.save_pretrained(tmp_path)

    other.load(tmp_path)

    assert model.config == other.config == MemoryDiTConfig.from_dict(read_description(tmp_path))
    assert torch.equal(sample(model), sample(other))


@pytest.mark.parametrize(
    "placement",
    [{"history_timestep": "shared"}, {"positions": "pooled"}, {"memory_attends_to_text": True}],
)
def test_each_placement_is_another_model(
    small_dit: WanTransformer3DModel, placement: dict[str, Any]
) -> None:
    """Timestep, positions and text of memory each change what comes out."""
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="only_lr", lora_rank=4)).eval()
    before = sample(model)

    model.config = replace(model.config, **placement)

    assert (sample(model) - before).abs().max() > 1e-5


@pytest.mark.parametrize("told", [{}, {"format_version": 1}], ids=["untold", "told"])
def test_a_config_of_the_first_version_loads_as_it_was_meant(told: dict[str, int]) -> None:
    """It calls the variant an arm, and where it says nothing of text, memory attends to it."""
    first = {"arm": "only_lr", "rate": "4x4x2", "base": "tiny", "lora_rank": 32, "seed": 0}

    config = MemoryDiTConfig.from_dict(first | told)

    assert MemoryDiTConfig(variant="only_lr", memory_attends_to_text=True) == config
    assert MemoryDiT.from_pretrained(variant_folder("only_lr")).config == config


def test_a_config_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """What it means is not known here."""
    (tmp_path / "config.json").write_text('{"format_version": 4, "variant": "only_lr"}')

    with pytest.raises(WeightsError, match=r"format_version 4, .* up to 3; install a newer pfp"):
        read_description(tmp_path)


def test_a_config_that_is_no_object_is_refused(tmp_path: Path) -> None:
    """A list is JSON, too, and has no settings."""
    (tmp_path / "config.json").write_text('["only_lr"]')

    with pytest.raises(WeightsError, match=r"config\.json holds no JSON object; copy the folder"):
        read_description(tmp_path)


def test_the_shipped_large_patchifier_has_framepack_s_placement() -> None:
    """Pooled rotary phases, and the target's timestep for its memory."""
    model = MemoryDiT.from_pretrained(variant_folder("large_patchifier"))
    memory = model.encode_history(torch.zeros(1, 16, 3, 16, 24), torch.zeros(1, 16, 2, 4, 6))
    assert memory is not None
    assert memory.shared_timestep
    assert memory.positions_NK3.shape[1] == 32  # FramePack's pooling over 2 x 4 x 4 patches


def test_positions_of_a_window_are_its_own() -> None:
    """Tokens of single patches have one place; another would put them where nothing is."""
    with pytest.raises(ConfigError, match="positions 'centre' means nothing to sliding_window"):
        MemoryDiTConfig(variant="sliding_window", positions="centre")


def test_hunyuan_is_one_more_base(small_hunyuan: HunyuanVideoTransformer3DModel) -> None:
    """On another class the same variant trains LoRA and encoder only."""
    model = MemoryDiT(
        small_hunyuan, MemoryDiTConfig(variant="proposed", base="hunyuan", lora_rank=4)
    )
    generator = torch.Generator().manual_seed(3)
    text = TextConditions(
        torch.randn(1, 5, 12, generator=generator),
        torch.ones(1, 5, dtype=torch.bool),
        torch.randn(1, 10, generator=generator),
        torch.tensor([6000.0]),
    )
    memory = model.encode_history(
        torch.randn(1, 16, 3, 16, 24, generator=generator),
        torch.randn(1, 16, 2, 4, 6, generator=generator),
    )
    noisy = torch.randn(1, 16, 2, 16, 24, generator=generator)

    model(
        noisy, torch.full((1, 2), 600.0), text, torch.tensor([[2, 7]]), memory=memory
    ).square().mean().backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}

    assert all("lora_" in name or name.startswith("encoder.") for name in reached)
    assert "encoder.hr.project.weight" in reached
    assert any(name.startswith("dit.single_transformer_blocks.1.") for name in reached)


def fixed_history() -> tuple[torch.Tensor, torch.Tensor]:
    """HR and LR latents of 11 latent frames at 4x4x2."""
    generator = torch.Generator().manual_seed(3)
    hr = torch.randn(1, 16, 11, 16, 24, generator=generator)
    return hr, torch.randn(1, 16, 6, 4, 6, generator=generator)


def test_cross_attention_is_trained_and_saved(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """Fresh modules change nothing; then each gets a gradient and comes back from disk."""
    config = MemoryDiTConfig(variant="proposed", lora_rank=4, cross_attention=True)
    plain = MemoryDiT(deepcopy(small_dit), replace(config, cross_attention=False)).eval()
    twin = MemoryDiT(deepcopy(small_dit), config).eval()
    model = MemoryDiT(small_dit, config).eval()
    assert model.encoder is not None
    assert plain.encoder is not None
    plain.encoder.load_state_dict(model.encoder.state_dict())
    assert torch.equal(sample(plain), sample(model))

    randomise(model)
    model.save_pretrained(tmp_path)
    assert not torch.equal(sample(model), sample(twin))
    twin.load(tmp_path)
    sample(model).square().mean().backward()

    assert torch.equal(sample(model), sample(twin))
    assert model.cross_attend is not None
    assert 2 == len(model.cross_attend)
    assert all(
        parameter.grad is not None and parameter.grad.abs().max() > 0
        for parameter in model.cross_attend.parameters()
    )


@pytest.mark.parametrize("base", ["wan", "hunyuan"])
def test_cross_attention_knows_where_features_are(base: str) -> None:
    """Features in another order of positions are read otherwise; without positions they are not."""
    dit = small_wan() if base == "wan" else small_hunyuan()
    config = MemoryDiTConfig(variant="proposed", lora_rank=4, cross_attention=True)
    model = MemoryDiT(dit, config).eval()
    randomise(model)
    memory = model.encode_history(*fixed_history())
    assert memory is not None
    assert memory.feature_positions_NK3 is not None
    assert torch.equal(memory.feature_positions_NK3, memory.positions_NK3)
    text = TextConditions(
        torch.zeros(1, 3, 8 if base == "wan" else 12),
        torch.ones(1, 3, dtype=torch.bool),
        torch.zeros(1, 10),
        torch.tensor([1000.0]),
    )

    def velocity(places: torch.Tensor | None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(4)
        return model(
            torch.randn(1, 16, 2, 16, 24, generator=generator),
            torch.full((1, 2), 500.0),
            text,
            torch.tensor([[0, 8]]),
            memory=memory._replace(feature_positions_NK3=places),
        )

    with torch.no_grad():
        whole, flipped, nowhere = map(
            velocity,
            (memory.feature_positions_NK3, memory.feature_positions_NK3.flip(0), None),
        )

    assert (whole - flipped).abs().max() > 1e-5
    assert (whole - nowhere).abs().max() > 1e-5
    model.config = replace(config, cross_attention_positions="none")
    placed = model.encode_history(*fixed_history())
    assert placed is not None
    assert placed.feature_positions_NK3 is None


@pytest.mark.parametrize("version", [{}, {"format_version": 2}], ids=["1", "2"])
def test_old_cross_attention_reads_features_as_a_set(version: dict[str, int]) -> None:
    """As it was trained; a config without cross-attention is what it would be today."""
    old = {"variant": "proposed", "memory_attends_to_text": False, **version}

    read = MemoryDiTConfig.from_dict({**old, "cross_attention": True})

    assert "none" == read.cross_attention_positions
    assert "proposed 4x4x2 + cross-attention without positions" == read.title
    assert MemoryDiTConfig(variant="proposed") == MemoryDiTConfig.from_dict(old)
    again = MemoryDiTConfig.from_dict({**asdict(read), "format_version": 3})
    assert read == again


@pytest.mark.parametrize("variant", ["only_lr", "large_patchifier", "no_memory"])
def test_cross_attention_needs_an_encoder_with_features(
    small_dit: WanTransformer3DModel, variant: str
) -> None:
    """A variant without an HR branch has nothing to read; the message names those that have."""
    with pytest.raises(ConfigError, match=f"{variant} has no HR branch; use it with proposed"):
        MemoryDiT(small_dit, MemoryDiTConfig(variant=variant, lora_rank=4, cross_attention=True))


def test_several_encoders_stand_in_one_sequence(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """4x4x2 and 2x2x8 with a window: 2*3*6 + 4*6*2 + 3*8*12 tokens, saved and loaded."""
    config = MemoryDiTConfig(variant="proposed", rate="4x4x2+2x2x8", lora_rank=4, also_window=True)
    twin = MemoryDiT(deepcopy(small_dit), config).eval()
    model = MemoryDiT(small_dit, config).eval()
    randomise(model)
    hr, lr = fixed_history()
    slow = torch.randn(1, 16, 2, 8, 12, generator=torch.Generator().manual_seed(6))

    memory = model.encode_history(hr, lr, slow)
    model.save_pretrained(tmp_path)
    twin.load(tmp_path)
    again = twin.encode_history(hr, lr, slow)

    assert memory is not None
    assert again is not None
    assert 36 + 48 + 288 == memory.tokens_BND.shape[1] == len(memory.positions_NK3)
    assert 36 + 48 + 288 == config.num_tokens((11, 16, 24))
    assert torch.equal(memory.tokens_BND, again.tokens_BND)
    assert "proposed 4x4x2+2x2x8 + window 3" == config.title


def test_the_memory_of_appended_latents_is_that_of_all(small_dit: WanTransformer3DModel) -> None:
    """``as_memory`` of joined runs has the place in the sequence that ``encode_history`` gives."""
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="proposed", lora_rank=4)).eval()
    randomise(model)
    hr, lr = fixed_history()
    assert model.encoder is not None
    first, state = model.encoder.encode_start(hr[:, :, :7], lr[:, :, :4], model.patch_embedding)
    more, _ = model.encoder.encode_append(
        hr[:, :, 7:],
        lr[:, :, 4:],
        state,  # type: ignore[arg-type]
        model.patch_embedding,
    )

    whole, joined = model.encode_history(hr, lr), model.as_memory(first.followed_by(more))  # type: ignore[union-attr, arg-type]

    assert whole is not None
    torch.testing.assert_close(joined.tokens_BND, whole.tokens_BND, atol=1e-5, rtol=0)
    assert torch.equal(joined.positions_NK3, whole.positions_NK3)


def test_a_folder_gives_back_the_model(tmp_path: Path) -> None:
    """``from_pretrained`` puts the variant on the shipped base; the config says what it is."""
    shipped = MemoryDiT.from_pretrained(variant_folder("only_lr"))
    described = read_description(variant_folder("only_lr"))
    shipped.save_pretrained(tmp_path / "copy", card={"base_sha256": described["base_sha256"]})

    copy = MemoryDiT.from_pretrained(tmp_path / "copy")

    assert shipped.config == copy.config
    states = shipped.state_dict()
    assert all(torch.equal(value, states[name]) for name, value in copy.state_dict().items())
    assert "MemoryDiT" == read_description(tmp_path / "copy")["_class_name"]
    assert "# only_lr 4x4x2 on tiny" in (tmp_path / "copy" / "README.md").read_text()


def test_a_variant_of_another_base_is_refused(tmp_path: Path) -> None:
    """The digest of the base is compared, and the folder named."""
    shipped = MemoryDiT.from_pretrained(variant_folder("only_lr"))
    shipped.save_pretrained(tmp_path, card={"base_sha256": "0" * 64})

    with pytest.raises(WeightsError, match=r"was trained on base 0+, not on \w+ of .*; name"):
        MemoryDiT.from_pretrained(tmp_path)


def test_a_large_base_must_be_named(tmp_path: Path) -> None:
    """The weights of a large base are not part of a variant."""
    (tmp_path / "config.json").write_text(
        '{"variant": "proposed", "base": "wan22_5b", "rate": "2x2x2"}'
    )

    with pytest.raises(
        WeightsError, match="weights of wan22_5b are not part of the checkpoint; name"
    ):
        MemoryDiT.from_pretrained(tmp_path)


def test_a_missing_key_is_named(small_dit: WanTransformer3DModel, tmp_path: Path) -> None:
    """An encoder file without one of its weights is refused before anything is sampled."""
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="proposed", lora_rank=4))
    model.save_pretrained(tmp_path)
    path = tmp_path / "encoder.safetensors"
    weights = load_file(path)
    del weights["hr.project.weight"]
    save_file(weights, path)

    with pytest.raises(WeightsError, match=r"encoder.safetensors lacks the weights \['hr.project"):
        model.load(tmp_path)


def test_what_is_trained_is_float32_on_a_bf16_base(small_dit: WanTransformer3DModel) -> None:
    """A bf16 base runs with float32 LoRA and encoder, without autocast, and gradients arrive."""
    model = MemoryDiT(
        small_dit.to(torch.bfloat16), MemoryDiTConfig(variant="proposed", lora_rank=4)
    )

    out = sample(model)
    out.float().square().mean().backward()

    assert out.dtype == torch.bfloat16
    assert model.dit.proj_out.weight.dtype == torch.bfloat16
    for parameter in model.trainable_parameters():
        assert parameter.dtype == torch.float32
    assert any(parameter.grad is not None for parameter in model.trainable_parameters())


@pytest.mark.parametrize(
    "wrong",
    [{"history_timestep": "one"}, {"positions": "corner"}, {"lora_targets": "everything"}],
)
def test_unknown_words_are_refused(small_dit: WanTransformer3DModel, wrong: dict[str, Any]) -> None:
    """Each option names its value and what may stand there."""
    with pytest.raises(ConfigError, match=r"is unknown; choose \w+ or \w+"):
        MemoryDiT(small_dit, MemoryDiTConfig(variant="only_lr", lora_rank=4, **wrong))


def test_a_lora_file_of_fewer_maps_is_refused(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """A file that lacks what the model wants is named, not half loaded."""
    model = MemoryDiT(small_dit, MemoryDiTConfig(variant="no_memory", lora_rank=4))
    model.save_pretrained(tmp_path)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    weights = load_file(path)
    del weights["transformer.blocks.0.attn1.to_k.lora_A.weight"]
    save_file(weights, path)

    with pytest.raises(WeightsError, match=r"lacks the weights \['blocks.0.attn1.to_k"):
        model.load(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temporal_kernel": 4}, "temporal_kernel 4 is 2 or 3"),
        ({"attention_frames": 0}, "attention_frames 0 starts at 1"),
        ({"variant": "only_lr", "temporal_kernel": 3}, "only_lr has none; use them with proposed"),
    ],
)
def test_how_far_a_token_looks_back_is_checked(wrong: dict[str, Any], sentence: str) -> None:
    """Other kernels, no frames, and a variant without an HR branch are refused."""
    with pytest.raises(ConfigError, match=sentence):
        MemoryDiTConfig(**{"variant": "proposed"} | wrong)


def test_an_encoder_that_looks_back_says_so_and_is_saved(
    small_dit: WanTransformer3DModel, tmp_path: Path
) -> None:
    """Kernels of another size and attention over frames are part of the name and of the file."""
    config = MemoryDiTConfig(
        variant="proposed", rate="2x2x2", lora_rank=4, temporal_kernel=3, attention_frames=2
    )
    model = MemoryDiT(small_dit, config)

    model.save_pretrained(tmp_path)

    assert "proposed 2x2x2 + temporal kernel 3 + attention over 2 frames" == config.title
    assert config == MemoryDiTConfig.from_dict(read_description(tmp_path))
    assert model.encoder is not None
    kernels = {
        x.shape[2]
        for name, x in model.encoder.named_parameters()
        if "stages" in name and x.ndim > 1
    }
    assert {3} == kernels
