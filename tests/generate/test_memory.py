"""Memory that grows: the tokens of the whole history, at the cost of what is new."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pfp.generate.low_resolution import Shrink
from pfp.generate.memory import GrowingMemory, lr_rates
from pfp.latents.preprocess import downscale
from pfp.models.backbones.interface import Memory
from pfp.models.memory.dit import MemoryDiT
from pfp.models.vae.latent_vae import LatentVAE
from tests.closeness import assert_close_to_largest
from tests.generate.conftest import VariantMaker

SECTIONS = (9, 8, 24, 8)  # frames: 3, 2, 6 and 2 latents

VARIANTS = [
    {"variant": "proposed"},
    {"variant": "proposed", "rate": "2x2x2"},
    {"variant": "only_lr"},
    {"variant": "without_lr"},
    {"variant": "sliding_window"},
    {"variant": "proposed", "cross_attention": True},
    {"variant": "proposed", "rate": "4x4x2+2x2x1", "also_window": True},
]
REFUSE = [
    {"variant": "large_patchifier"},
    {"variant": "proposed", "stride": "symmetric"},
    {"variant": "proposed", "positions": "pooled"},
]


@pytest.fixture(name="frames_FHWC", scope="module")
def frames() -> NDArray[np.uint8]:
    """49 frames of 64 x 32 noise in blocks."""
    blocks = np.random.default_rng(0).integers(0, 256, (sum(SECTIONS), 8, 4, 3))
    return blocks.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def show(memory: GrowingMemory, frames_FHWC: NDArray[np.uint8], hr: Any) -> Any:
    """Frames, and then their latents."""
    for frame_HWC in frames_FHWC:
        memory.add_frame(frame_HWC)
    return memory.append(hr, num_frames=len(frames_FHWC))


def parts_of(vae: LatentVAE, frames_FHWC: NDArray[np.uint8]) -> list[Any]:
    """The frames of each section with their HR latents."""
    hr_TCHW = vae.encode(frames_FHWC)
    ends = np.cumsum(SECTIONS)
    frames = np.split(frames_FHWC, ends[:-1])
    latents = np.split(hr_TCHW, 1 + (ends[:-1] - 1) // 4)
    return list(zip(frames, latents, strict=True))


def from_all(model: MemoryDiT, vae: LatentVAE, frames_FHWC: NDArray[np.uint8]) -> Memory:
    """``encode_history`` of the whole history, whose LR videos are made by their definition."""

    def tensor(latents_TCHW: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(latents_TCHW).transpose(0, 1)[None]

    lrs = []
    for rate in lr_rates(model):
        lr = None
        if rate is not None:
            small = [downscale(frame, rate.height) for frame in frames_FHWC[:: rate.time]]
            lr = tensor(vae.encode(np.stack(small)))
        lrs.append(lr)
    with torch.inference_mode():
        memory = model.encode_history(tensor(vae.encode(frames_FHWC)), *lrs)
    assert memory is not None
    return memory


def assert_same(expected: Memory, got: Memory | None) -> None:
    """Every field, tokens and features up to rounding."""
    assert got is not None
    assert_close_to_largest(got.tokens_BND, expected.tokens_BND)
    torch.testing.assert_close(expected.positions_NK3, got.positions_NK3)
    if expected.features_BNF is not None and got.features_BNF is not None:
        assert_close_to_largest(got.features_BNF, expected.features_BNF)
    same = ("shared_timestep", "attends_to_text")
    assert [getattr(expected, n) for n in same] == [getattr(got, n) for n in same]
    assert (expected.features_BNF is None) == (got.features_BNF is None)


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_what_is_appended_is_the_memory_of_everything(
    make_variant: VariantMaker, vae: LatentVAE, frames_FHWC: NDArray[np.uint8], config: Any
) -> None:
    """After every section, for every variant that can append, without encoding the past again."""
    model = make_variant(**config)
    memory = GrowingMemory(model, vae, downscale, autocast=False)
    num_frames = 0

    for frames, hr_TCHW in parts_of(vae, frames_FHWC):
        show(memory, frames, hr_TCHW)
        num_frames += len(frames)
        assert_same(from_all(model, vae, frames_FHWC[:num_frames]), memory.memory())

    assert memory.reencode_reason is None


@pytest.mark.parametrize("config", REFUSE, ids=str)
def test_a_variant_that_cannot_append_says_so_and_encodes_anew(
    make_variant: VariantMaker, vae: LatentVAE, frames_FHWC: NDArray[np.uint8], config: Any
) -> None:
    """The memory is right all the same."""
    model = make_variant(**config)
    memory = GrowingMemory(model, vae, downscale, autocast=False)
    num_frames = 0

    for frames, hr_TCHW in parts_of(vae, frames_FHWC):
        show(memory, frames, hr_TCHW)
        num_frames += len(frames)
        assert_same(from_all(model, vae, frames_FHWC[:num_frames]), memory.memory())

    assert memory.reencode_reason is not None
    assert "encode" in memory.reencode_reason


def test_a_vae_whose_latents_depend_on_what_follows_is_encoded_anew(
    small_variant: MemoryDiT, vae: LatentVAE, frames_FHWC: NDArray[np.uint8]
) -> None:
    """As with HunyuanVideo's tiles; a variant without LR video does not mind."""
    tiled = replace(vae, append_exact=False)
    memory = GrowingMemory(small_variant, tiled, downscale, autocast=False)

    for frames, hr_TCHW in parts_of(vae, frames_FHWC):
        show(memory, frames, hr_TCHW)

    assert "the LR latents of VAE tiny depend on what follows" == memory.reencode_reason
    assert_same(from_all(small_variant, vae, frames_FHWC), memory.memory())


def test_a_variant_without_lr_video_appends_whatever_the_vae(
    make_variant: VariantMaker, vae: LatentVAE
) -> None:
    """Its tokens are of HR latents alone."""
    tiled = replace(vae, append_exact=False)

    assert GrowingMemory(make_variant("without_lr"), tiled, downscale).reencode_reason is None


def test_a_section_costs_what_is_new(
    small_variant: MemoryDiT,
    vae: LatentVAE,
    frames_FHWC: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Latents through the encoder and frames through the VAE are the new ones, at any length."""
    encoder: Any = small_variant.encoder
    through_encoder: list[tuple[int, int]] = []
    through_vae: list[int] = []
    append = encoder.encode_append

    def counted_append(hr: Any, lr: Any, *rest: Any) -> Any:
        through_encoder.append((hr.shape[2], lr.shape[2]))
        return append(hr, lr, *rest)

    class Codec:
        """Counts the frames."""

        def encode_stream(self, groups: Any) -> Any:
            """As the codec encodes."""
            return vae.codec.encode_stream(map(counted, groups))

    def counted(group: Any) -> Any:
        through_vae.append(group.shape[2])
        return group

    monkeypatch.setattr(encoder, "encode_append", counted_append)
    monkeypatch.setattr(encoder, "encode", None)  # nothing may encode everything
    spied = replace(vae, codec=Codec())  # type: ignore[arg-type]
    memory = GrowingMemory(small_variant, spied, downscale)
    (frames, hr_TCHW), (more, more_TCHW), *_ = parts_of(vae, frames_FHWC)
    show(memory, frames, hr_TCHW)
    through_encoder.clear()
    through_vae.clear()

    for _ in range(30):
        show(memory, more, more_TCHW)
        memory.memory()

    assert [(2, 1)] * 30 == through_encoder
    assert [4] * 30 == through_vae


@pytest.mark.parametrize("config", [*VARIANTS[:3], VARIANTS[-1], *REFUSE], ids=str)
def test_a_replayed_history_is_the_same_history(
    make_variant: VariantMaker, vae: LatentVAE, frames_FHWC: NDArray[np.uint8], config: Any
) -> None:
    """To the bit, before and after what follows."""
    model = make_variant(**config)
    memory = GrowingMemory(model, vae, downscale)
    resumed = GrowingMemory(model, vae, downscale)
    *before, (frames, hr_TCHW) = parts_of(vae, frames_FHWC)
    for chunk in before:
        resumed.replay(show(memory, *chunk))

    for _ in range(2):
        expected, got = memory.memory(), resumed.memory()
        assert expected is not None
        assert got is not None
        assert torch.equal(expected.tokens_BND, got.tokens_BND)
        show(memory, frames, hr_TCHW)
        show(resumed, frames, hr_TCHW)


def test_nothing_is_no_memory(
    make_variant: VariantMaker, small_variant: MemoryDiT, vae: LatentVAE
) -> None:
    """Before the first section there is none, and a variant without memory never has any."""
    shrink: Shrink = downscale
    without = GrowingMemory(make_variant("no_memory"), vae, shrink)
    without.append(np.zeros((3, 16, 8, 8), np.float32), num_frames=9)

    assert GrowingMemory(small_variant, vae, shrink).memory() is None
    assert without.memory() is None
    assert 3 == without.num_latents
