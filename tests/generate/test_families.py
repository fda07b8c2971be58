"""Every base has its parts, its defaults fit them, and its video rolls out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, HunyuanVideoTransformer3DModel, WanTransformer3DModel
from numpy.typing import NDArray

from pfp.errors import ConfigError
from pfp.generate.conditions import encode_prompts, encoder_specs
from pfp.generate.decoding import CONTEXT
from pfp.generate.families import FAMILIES, family_of, spec_of, trained_shift
from pfp.generate.request import check_size
from pfp.generate.rollout import Rollout
from pfp.generate.settings import SamplerSettings
from pfp.latents.preprocess import downscale
from pfp.models.backbones.interface import TextConditions
from pfp.models.backbones.loading import ARCHITECTURES
from pfp.models.memory.dit import MemoryDiT, MemoryDiTConfig
from pfp.models.rates import GEOMETRIES
from pfp.models.text import TEXT_ENCODERS
from pfp.models.vae import VAES, load_vae
from pfp.models.vae.latent_vae import LatentVAE
from tests.model_folders import save_hunyuan_vae, save_wan22_vae


class CountingEncoder:
    """Embeds a prompt as its length in words, two features, and notes what it was asked."""

    encoder_id, sha256, dim = "counting", "0", 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """One row a word."""
        self.asked += prompts
        return [np.full((len(p.split()), 2), len(p.split()), np.float32) for p in prompts]


@pytest.mark.parametrize("base", sorted(FAMILIES))
def test_a_base_s_parts_exist_and_fit_it(base: str) -> None:
    """Its VAE has its stride and a decoding context, and its own size holds the paper's rate."""
    family = family_of(base)

    assert VAES[family.vae].spatial_stride == GEOMETRIES[base].spatial_stride
    assert family.vae in CONTEXT
    assert family.text_encoder in TEXT_ENCODERS
    px = "px(32,32,8)" if base == "tiny" else "px(64,64,8)"
    check_size(MemoryDiTConfig(variant="proposed", rate=px, base=base), family.size)


def test_every_base_has_a_family() -> None:
    """As many as there are architectures."""
    assert set(ARCHITECTURES) == set(FAMILIES)
    with pytest.raises(ConfigError, match="base 'sora' is unknown; choose one of tiny, wan22_5b"):
        family_of("sora")


@pytest.mark.parametrize("given", [None, "tiny", "wan22_5b:/x"])
def test_a_part_of_another_base_is_refused(given: str | None) -> None:
    """The sentence names the right one."""
    with pytest.raises(
        ConfigError, match=r"the vae of this checkpoint's base is wan21, and .*; wri"
    ):
        spec_of("vae", "wan21", given)
    assert "wan21:/x" == spec_of("vae", "wan21", "wan21:/x")


def test_wan_s_prompts_are_padded_with_zeros_and_encoded_once() -> None:
    """To 512 tokens, which it was trained with and does not mask."""
    encoder = CountingEncoder()

    texts = encode_prompts([encoder], ["a b", "", "a b"], FAMILIES["wan22_5b"].num_text_tokens)

    assert ["a b", ""] == encoder.asked
    expected = torch.zeros(1, 512, 2)
    expected[:, :2] = 2
    assert torch.equal(expected, texts["a b"].text_BLD)
    assert [[True, True] + [False] * 510] == texts["a b"].mask_BL.tolist()  # type: ignore[union-attr]
    assert texts["a b"].pooled_BP is None


def test_hunyuan_is_told_a_prompt_twice() -> None:
    """Its tokens with a mask, unpadded, and one pooled vector of the encoder beside it."""
    assert ("hunyuan_llama:/p", "clip_pooled:/p") == encoder_specs("hunyuan_llama:/p")

    class Pooled(CountingEncoder):
        """One row."""

        def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
            """Whatever the prompt."""
            return [np.ones((1, 3), np.float32) for _ in prompts]

    text = encode_prompts([CountingEncoder(), Pooled()], ["a b c"], None)["a b c"]

    assert (1, 3, 2) == text.text_BLD.shape
    assert [[True, True, True]] == text.mask_BL.tolist()  # type: ignore[union-attr]
    assert (1, 3) == text.pooled_BP.shape  # type: ignore[union-attr]


def randomised(dit: torch.nn.Module, base: str, rate: str) -> MemoryDiT:
    """The proposed variant with random weights everywhere."""
    model = MemoryDiT(dit, MemoryDiTConfig(variant="proposed", rate=rate, base=base, lora_rank=4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model.eval()


def small_wan(base: str, z_channels: int, rate: str) -> MemoryDiT:
    """A narrow Wan."""
    return randomised(
        WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=24,
            in_channels=z_channels,
            out_channels=z_channels,
            text_dim=8,
            freq_dim=32,
            ffn_dim=64,
            num_layers=1,
        ),
        base,
        rate,
    )


def rolled(model: MemoryDiT, vae: LatentVAE, size: tuple[int, int], text: Any) -> Rollout:
    """Three sections of two latents, from text alone."""
    settings = SamplerSettings(num_steps=1, autocast=False, guidance_scale=3.0)
    rollout = Rollout(model, vae, downscale, settings)
    stride = vae.spatial_stride
    for number in range(3):
        made = rollout.sample(
            text,
            negative=text,
            num_latents=2 + (number == 0),
            latent_size=(size[0] // stride, size[1] // stride),
            seed=number,
        )
        assert (9 if number == 0 else 8, *size, 3) == made.frames_FHWC.shape
    return rollout


@pytest.mark.parametrize(("base", "rate"), [("wan22_a14b_high", "4x4x2"), ("wan22_5b", "2x2x2")])
def test_wan_rolls_out_and_appends(base: str, rate: str, tmp_path: Path) -> None:
    """Either generation, on its own VAE, without encoding anything anew."""
    torch.manual_seed(0)
    if base == "wan22_5b":
        save_wan22_vae(tmp_path)
    else:
        AutoencoderKLWan(base_dim=8, num_res_blocks=1).save_pretrained(tmp_path)
    vae = load_vae(f"{FAMILIES[base].vae}:{tmp_path}")
    model = small_wan(base, vae.z_channels, rate)

    rollout = rolled(model, vae, (64, 128), torch.randn(1, 5, 8))

    assert rollout.memory.reencode_reason is None
    assert 7 == rollout.num_latents


def test_hunyuan_rolls_out_and_encodes_anew(tmp_path: Path) -> None:
    """Its VAE's tiles in time make LR latents depend on what follows; guidance is embedded."""
    save_hunyuan_vae(tmp_path)
    dit = HunyuanVideoTransformer3DModel(
        in_channels=16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=2,
        text_embed_dim=8,
        pooled_projection_dim=6,
        rope_axes_dim=(4, 6, 6),
        guidance_embeds=True,
    )
    text = TextConditions(
        torch.randn(1, 4, 8), torch.ones(1, 4, dtype=torch.bool), torch.randn(1, 6)
    )

    rollout = rolled(
        randomised(dit, "hunyuan", "4x4x2"), load_vae(f"hunyuan:{tmp_path}"), (64, 128), text
    )

    assert "the LR latents of VAE hunyuan depend on what follows" == rollout.memory.reencode_reason


def test_a_checkpoint_is_sampled_at_the_shift_of_its_training() -> None:
    """Its config.json says which; an older one without a word has its family's."""
    assert 12.0 == trained_shift({"base": "tiny", "objective": {"shift": 12}})
    assert FAMILIES["wan22_5b"].shift == trained_shift({"base": "wan22_5b"})
