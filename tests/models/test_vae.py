"""VAEs: the real classes with small random weights, saved to disk and loaded back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo, AutoencoderKLWan

import pfp.models.vae
from pfp.errors import ConfigError, InputError, WeightsError
from pfp.models.vae import VAES, load_vae, vae_digest
from pfp.models.vae.hunyuan import HunyuanCodec
from pfp.models.vae.latent_vae import frame_groups
from pfp.models.vae.tiny import TinyCausalVAE
from pfp.models.vae.wan import WanCodec

MEAN = [0.1 * i - 0.7 for i in range(16)]
STD = [0.5 + 0.1 * i for i in range(16)]
WAN22_CONFIG = {
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.01 * i for i in range(48)],
    "latents_std": [0.4 + 0.02 * i for i in range(48)],
}


def random_clip(num_frames: int, height: int = 32, width: int = 48, seed: int = 0) -> Any:
    """Smooth random frames, uint8 RGB THWC."""
    noise = np.random.default_rng(seed).integers(0, 256, (num_frames, height // 8, width // 8, 3))
    return noise.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def as_input(frames_THWC: Any) -> torch.Tensor:
    """The oracle's own way from pixels to the networks' input."""
    return torch.tensor(frames_THWC.transpose(3, 0, 1, 2)[None]).float() / 127.5 - 1


def randomise(model: torch.nn.Module) -> None:
    """Random weights everywhere, the zero-initialised ones too."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 16
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)


def frames_taken(spec: str) -> int:
    """How many of 41 frames are asked for before the first latents come."""
    taken = 0

    def frames() -> Iterator[Any]:
        nonlocal taken
        for frame_HWC in random_clip(41):
            taken += 1
            yield frame_HWC

    next(load_vae(spec).encode_stream(frames()))
    return taken


@contextmanager
def tiles_of(reference: Any, *sizes: int) -> Iterator[None]:
    """Diffusers' own tiling of a VAE, of the given sizes, for a while."""
    before = dict(vars(reference))
    reference.enable_tiling(*sizes)
    try:
        yield
    finally:
        vars(reference).update(before)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, TinyCausalVAE]:
    """A random TinyCausalVAE on disk, and itself."""
    network = TinyCausalVAE(hidden_channels=24, latents_mean=MEAN, latents_std=STD)
    randomise(network)
    folder = tmp_path_factory.mktemp("tiny")
    network.save_pretrained(folder)
    return f"tiny:{folder}", network.eval()


@pytest.fixture(scope="module", params=["wan21", "wan22_5b"])
def wan(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, AutoencoderKLWan]:
    """A small AutoencoderKLWan of either generation on disk, and itself."""
    torch.manual_seed(0)
    extra = {} if request.param == "wan21" else {**WAN22_CONFIG, "decoder_base_dim": 8}
    vae = AutoencoderKLWan(base_dim=8, num_res_blocks=1, **extra)
    folder = tmp_path_factory.mktemp(request.param)
    vae.save_pretrained(folder)
    return f"{request.param}:{folder}", vae.eval()


def spec_of(architecture: str, request: Any) -> str:
    """The spec of one architecture's small VAE on disk."""
    if architecture in {"tiny", "hunyuan"}:
        return str(request.getfixturevalue(architecture)[0])
    folder = request.getfixturevalue("tmp_path")
    extra = {} if architecture == "wan21" else {**WAN22_CONFIG, "decoder_base_dim": 8}
    torch.manual_seed(0)
    AutoencoderKLWan(base_dim=8, num_res_blocks=1, **extra).save_pretrained(folder)
    return f"{architecture}:{folder}"


@pytest.fixture(scope="module")
def hunyuan(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, AutoencoderKLHunyuanVideo]:
    """A small AutoencoderKLHunyuanVideo on disk, and itself."""
    torch.manual_seed(0)
    vae = AutoencoderKLHunyuanVideo(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
    )
    folder = tmp_path_factory.mktemp("hunyuan")
    vae.save_pretrained(folder)
    return f"hunyuan:{folder}", vae.eval()


class TestTiny:
    """The embedded default."""

    def test_encoding_streams(self, tiny: Any) -> None:
        """Latents come as frames do, so memory does not grow with their number."""
        assert frames_taken(tiny[0]) == 1

    @torch.inference_mode()
    def test_streaming_equals_the_whole_clip(self, tiny: Any) -> None:
        """Latents made group by group are those of one pass over the whole clip."""
        spec, network = tiny
        clip = random_clip(29)
        raw = network.encode(as_input(clip))[0].transpose(0, 1).numpy()
        expected = (raw - np.float32(MEAN).reshape(-1, 1, 1)) / np.float32(STD).reshape(-1, 1, 1)

        actual = load_vae(spec).encode(clip)

        # Convolutions of other batch sizes may add in another order, at some sizes on some CPUs.
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=3e-6)
        assert (actual.dtype, actual.shape) == (np.float32, (8, 16, 8, 12))

    def test_a_latent_does_not_depend_on_what_follows(self, tiny: Any) -> None:
        """A longer clip begins with the latents of a shorter one, to the bit."""
        vae = load_vae(tiny[0])
        clip = random_clip(21)

        np.testing.assert_array_equal(vae.encode(clip[:9]), vae.encode(clip)[:3])
        assert vae.append_exact

    def test_there_is_no_tiling(self, tiny: Any) -> None:
        """It is refused, not ignored: latents would not be what their name says."""
        with pytest.raises(ConfigError, match="'tiny' encodes whole frames and has no tiling"):
            load_vae(tiny[0], tiling=True)
        with pytest.raises(ConfigError, match="'tiny' encodes whole frames and has no tiling"):
            vae_digest(tiny[0], tiling=True)

    @torch.inference_mode()
    @pytest.mark.parametrize(("is_start", "num_frames"), [(True, 45), (False, 48)])
    def test_decode_inverts_the_normalisation(
        self, tiny: Any, *, is_start: bool, num_frames: int
    ) -> None:
        """Decoding normalised latents equals decoding raw ones with the network itself."""
        spec, network = tiny
        latents = np.random.default_rng(0).normal(size=(12, 16, 4, 5)).astype(np.float32)
        raw = latents * np.float32(STD).reshape(-1, 1, 1) + np.float32(MEAN).reshape(-1, 1, 1)
        pixels = network.decode(torch.tensor(raw).transpose(0, 1)[None], is_start=is_start)[0]
        expected = np.rint((pixels.numpy().transpose(1, 2, 3, 0) + 1) * 127.5).clip(0, 255)

        actual = load_vae(spec).decode(latents, is_start=is_start)

        assert (actual.dtype, actual.shape) == (np.uint8, (num_frames, 16, 20, 3))
        # The addition order of the rescaling may round a half level either way.
        assert np.abs(actual - expected).max() <= 1
        assert np.mean(actual != expected) < 1e-3

    def test_bfloat16_is_near_float32(self, tiny: Any) -> None:
        """Computing in bfloat16 costs precision, not meaning, and still returns float32."""
        clip = random_clip(9)
        exact = load_vae(tiny[0]).encode(clip)

        rounded = load_vae(tiny[0], dtype="bfloat16").encode(clip)

        assert rounded.dtype == np.float32
        assert 0 < np.abs(rounded - exact).max() < 0.05 * np.abs(exact).max()

    @pytest.mark.parametrize("num_frames", [0, 4, 8, 43])
    def test_other_than_4k_plus_1_frames_are_refused(self, tiny: Any, num_frames: int) -> None:
        """A clip that would lose frames silently is an error that says where to cut."""
        cut = {0: 1, 4: 1, 8: 5, 43: 41}[num_frames]

        with pytest.raises(InputError, match=rf"{num_frames} frames are not 4k \+ 1.* to {cut}$"):
            load_vae(tiny[0]).encode(np.zeros((num_frames, 8, 8, 3), np.uint8))

    @pytest.mark.parametrize(("height", "width"), [(34, 50), (32, 50), (34, 48)])
    def test_odd_sizes_are_refused_with_the_cure(self, tiny: Any, height: int, width: int) -> None:
        """A size that is no multiple of the stride is not floored behind the user's back."""
        message = f"{width} x {height} .* stride 4; crop or scale to 48 x 32"

        with pytest.raises(InputError, match=message):
            load_vae(tiny[0]).encode(np.zeros((1, height, width, 3), np.uint8))

    def test_float_frames_are_refused(self, tiny: Any) -> None:
        """Frames in [0, 1] would encode to a black video; they are refused instead."""
        with pytest.raises(InputError, match="float64"):
            load_vae(tiny[0]).encode(np.zeros((1, 8, 8, 3)))

    def test_foreign_latents_are_refused(self, tiny: Any) -> None:
        """Latents of another number of channels name the VAE that was given."""
        with pytest.raises(InputError, match=r"\(2, 48, 4, 4\) are not tiny's \(T, 16, H, W\)"):
            load_vae(tiny[0]).decode(np.zeros((2, 48, 4, 4), np.float32))


class TestWan:
    """Both generations of Wan's VAE."""

    def test_encoding_streams(self, wan: Any) -> None:
        """Latents come as frames do, so memory does not grow with their number."""
        assert frames_taken(wan[0]) == 1

    @torch.inference_mode()
    @pytest.mark.parametrize("num_frames", [1, 5, 17])
    def test_encode_is_the_normalised_posterior_mean(self, wan: Any, num_frames: int) -> None:
        """Streaming equals diffusers' own ``encode``, then ``(z - mean) / std``."""
        spec, reference = wan
        clip = random_clip(num_frames)
        raw = reference.encode(as_input(clip)).latent_dist.mode()[0].transpose(0, 1).numpy()
        mean = np.float32(reference.config.latents_mean).reshape(-1, 1, 1)
        std = np.float32(reference.config.latents_std).reshape(-1, 1, 1)

        actual = load_vae(spec).encode(clip)

        np.testing.assert_allclose(actual, (raw - mean) / std, rtol=1e-4, atol=3e-6)

    def test_a_latent_does_not_depend_on_what_follows(self, wan: Any) -> None:
        """A longer clip begins with the latents of a shorter one, to the bit."""
        vae = load_vae(wan[0])
        clip = random_clip(21)

        np.testing.assert_array_equal(vae.encode(clip[:9]), vae.encode(clip)[:3])
        assert vae.append_exact

    @torch.inference_mode()
    @pytest.mark.parametrize(("height", "width"), [(288, 32), (64, 272)])
    def test_tiles_are_the_library_s_own(self, wan: Any, height: int, width: int) -> None:
        """Group by group in tiles equals diffusers' ``tiled_encode`` of the whole clip."""
        spec, reference = wan
        clip = random_clip(9, height, width)
        with tiles_of(reference):
            raw = reference.encode(as_input(clip)).latent_dist.mode()[0].transpose(0, 1).numpy()
        mean = np.float32(reference.config.latents_mean).reshape(-1, 1, 1)
        std = np.float32(reference.config.latents_std).reshape(-1, 1, 1)

        actual = load_vae(spec, tiling=True).encode(clip)

        np.testing.assert_allclose(actual, (raw - mean) / std, rtol=1e-4, atol=3e-6)

    @torch.inference_mode()
    @pytest.mark.parametrize(("height", "width"), [(64, 96), (160, 64), (80, 112)])
    def test_a_grid_of_tiles_is_the_library_s_own(self, wan: Any, height: int, width: int) -> None:
        """Rows and columns of tiles, the last ones cut short, are blended as diffusers does."""
        _, reference = wan
        clip = as_input(random_clip(9, height, width))
        groups = (clip[:, :, first:stop] for first, stop in ((0, 1), (1, 5), (5, 9)))
        with tiles_of(reference, 64, 48, 32, 32):
            expected = reference.encode(clip).latent_dist.mode()

            actual = torch.cat([*WanCodec(reference).encode_stream(groups)], dim=2)

        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=3e-6)

    @torch.inference_mode()
    def test_tiling_changes_latents_and_their_name(self, wan: Any) -> None:
        """Tiles of a large frame give other latents, and say so; a small frame has no tiles."""
        spec = wan[0]
        large, small = random_clip(5, 288, 32), random_clip(5)
        whole, tiled = load_vae(spec), load_vae(spec, tiling=True)
        if spec.startswith("wan21"):  # Wan 2.2's encoder cuts from 512 pixels on
            assert np.abs(whole.encode(large) - tiled.encode(large)).max() > 0.01

        np.testing.assert_array_equal(whole.encode(small), tiled.encode(small))
        assert tiled.vae_id == f"{whole.vae_id}+tiling"
        assert vae_digest(spec) != vae_digest(spec, tiling=True)

    @torch.inference_mode()
    def test_tiled_decode_is_the_library_s_own(self, wan: Any) -> None:
        """Large latents are decoded in tiles too."""
        spec, reference = wan
        vae = load_vae(spec, tiling=True)
        latents = np.random.default_rng(0).normal(size=(2, vae.z_channels, 2, 34))
        raw = latents * np.reshape(vae.latents_std, (-1, 1, 1)) + np.reshape(
            vae.latents_mean, (-1, 1, 1)
        )
        with tiles_of(reference):
            pixels = reference.decode(torch.tensor(raw, dtype=torch.float32).transpose(0, 1)[None])
        expected = (pixels.sample[0].numpy().transpose(1, 2, 3, 0) + 1) * 127.5

        assert np.abs(vae.decode(latents.astype(np.float32)) - expected).max() <= 0.51

    @torch.inference_mode()
    def test_decode_inverts_the_normalisation(self, wan: Any) -> None:
        """Decoding equals diffusers' decode of ``z * std + mean``."""
        spec, reference = wan
        vae = load_vae(spec)
        latents = np.random.default_rng(0).normal(size=(3, vae.z_channels, 2, 3))
        raw = latents * np.reshape(vae.latents_std, (-1, 1, 1)) + np.reshape(
            vae.latents_mean, (-1, 1, 1)
        )
        pixels = reference.decode(torch.tensor(raw, dtype=torch.float32).transpose(0, 1)[None])
        expected = (pixels.sample[0].numpy().transpose(1, 2, 3, 0) + 1) * 127.5

        actual = vae.decode(latents.astype(np.float32))

        assert actual.shape == (9, 2 * vae.spatial_stride, 3 * vae.spatial_stride, 3)
        assert np.abs(actual - expected).max() <= 0.51

    def test_a_window_from_the_middle_gives_four_frames_per_latent(self, wan: Any) -> None:
        """Latents that do not begin a clip stand for four frames each, the first one too."""
        vae = load_vae(wan[0])
        latents = np.zeros((2, vae.z_channels, 2, 2), np.float32)

        assert len(vae.decode(latents, is_start=False)) == 8

    def test_the_other_generation_is_refused(self, wan: Any) -> None:
        """A folder of Wan 2.1 given as 2.2 (or the other way round) is named as what it is not."""
        name, _, folder = wan[0].partition(":")
        other = {"wan21": "wan22_5b", "wan22_5b": "wan21"}[name]

        with pytest.raises(WeightsError, match=f"is not {other}"):
            load_vae(f"{other}:{folder}")

    @pytest.mark.parametrize(
        ("config", "latent_TCHW", "lr_TCHW"),
        [
            ({}, (16, 60, 104), (16, 15, 26)),
            ({**WAN22_CONFIG, "base_dim": 160, "decoder_base_dim": 256}, (48, 30, 52), None),
        ],
    )
    def test_true_configurations_have_the_published_shapes(
        self, config: dict[str, Any], latent_TCHW: tuple[int, ...], lr_TCHW: Any
    ) -> None:
        """480p and its quarter give the latents of the specification (on the meta device)."""
        with torch.device("meta"):
            codec = WanCodec(AutoencoderKLWan(**config).eval())

            sizes = {(480, 832): latent_TCHW, (120, 208): lr_TCHW}
            for (height, width), expected in sizes.items():
                groups = (torch.empty(1, 3, n, height, width) for n in (1, 4, 4))
                if expected is not None:
                    shapes = [tuple(piece.shape) for piece in codec.encode_stream(groups)]
                    channels, rows, columns = expected
                    assert shapes == [(1, channels, 1, rows, columns)] * 3


class TestHunyuan:
    """HunyuanVideo's VAE."""

    def test_encoding_streams(self, hunyuan: Any) -> None:
        """Latents come after each tile of 17 frames; later ones are not waited for."""
        assert frames_taken(hunyuan[0]) == 17

    @torch.inference_mode()
    @pytest.mark.parametrize("num_frames", [1, 5, 13, 17, 21, 25, 29, 41])
    def test_encode_equals_the_tiled_reference(self, hunyuan: Any, num_frames: int) -> None:
        """Tiles made one by one equal diffusers' tiled ``encode``, times the scaling factor."""
        spec, reference = hunyuan
        clip = random_clip(num_frames, 16, 16)
        raw = reference.encode(as_input(clip)).latent_dist.mode()[0].transpose(0, 1).numpy()

        actual = load_vae(spec).encode(clip)

        np.testing.assert_allclose(actual, raw * 0.476986, rtol=1e-6, atol=1e-7)

    def test_appending_changes_the_last_tile(self, hunyuan: Any) -> None:
        """What follows changes a clip's last latents: 13 frames hold no whole tile."""
        vae = load_vae(hunyuan[0])
        clip = random_clip(29, 16, 16)
        longer = vae.encode(clip)

        np.testing.assert_allclose(vae.encode(clip[:17])[:4], longer[:4], rtol=1e-5, atol=1e-6)
        assert np.abs(vae.encode(clip[:21])[5] - longer[5]).max() > 0.01
        assert not vae.append_exact

    @torch.inference_mode()
    @pytest.mark.parametrize("size", [(5, 32, 272), (21, 272, 16)])
    def test_spatial_tiles_are_the_library_s_own(
        self, hunyuan: Any, size: tuple[int, int, int]
    ) -> None:
        """Tiles in space within tiles in time equal diffusers' own."""
        spec, reference = hunyuan
        clip = random_clip(*size)
        with tiles_of(reference):
            raw = reference.encode(as_input(clip)).latent_dist.mode()[0].transpose(0, 1).numpy()

        vae = load_vae(spec, tiling=True)
        actual = vae.encode(clip)

        np.testing.assert_allclose(actual, raw * 0.476986, rtol=1e-5, atol=1e-6)
        assert np.abs(actual - load_vae(spec).encode(clip)).max() > 1e-3
        assert vae.vae_id == "hunyuan+tiling"

    @torch.inference_mode()
    def test_decode_inverts_the_normalisation(self, hunyuan: Any) -> None:
        """Decoding equals diffusers' decode of ``z / scaling_factor``."""
        spec, reference = hunyuan
        latents = np.random.default_rng(0).normal(size=(3, 16, 2, 3)).astype(np.float32)
        pixels = reference.decode(torch.tensor(latents / 0.476986).transpose(0, 1)[None])
        expected = (pixels.sample[0].numpy().transpose(1, 2, 3, 0) + 1) * 127.5

        actual = load_vae(spec).decode(latents)

        assert actual.shape == (9, 16, 24, 3)
        assert np.abs(actual - expected.clip(0, 255)).max() <= 0.51

    def test_true_configuration_has_the_published_shapes(self) -> None:
        """480p gives 16 x 60 x 104 latents, a quarter 16 x 15 x 26 (on the meta device)."""
        with torch.device("meta"):
            codec = HunyuanCodec(AutoencoderKLHunyuanVideo().eval())
            shapes = []
            for height, width in ((480, 832), (120, 208)):
                groups = (torch.empty(1, 3, n, height, width) for n in (1, 4, 4))
                shapes += [tuple(piece.shape) for piece in codec.encode_stream(groups)]

        assert shapes == [(1, 16, 3, 60, 104), (1, 16, 3, 15, 26)]


class TestBatch:
    """Several clips in one forward pass."""

    @pytest.mark.parametrize("architecture", ["tiny", "wan21", "wan22_5b", "hunyuan"])
    def test_each_clip_has_its_own_latents(self, architecture: str, request: Any) -> None:
        """A batch equals its clips encoded one by one, up to the order of additions."""
        spec = spec_of(architecture, request)
        vae = load_vae(spec)
        clips = [random_clip(21, seed=seed) for seed in range(3)]

        batch = vae.encode_batch(clips)

        assert [latents.dtype for latents in batch] == [np.float32] * 3
        for clip, latents in zip(clips, batch, strict=True):
            alone = vae.encode(clip)
            np.testing.assert_allclose(latents, alone, rtol=0, atol=1e-5 * np.abs(alone).max())

    def test_a_batch_of_one_is_encode(self, tiny: Any) -> None:
        """The same bits, and the same type."""
        vae = load_vae(tiny[0])
        clip = random_clip(9)

        (latents,) = vae.encode_batch([clip])

        np.testing.assert_array_equal(latents, vae.encode(clip))

    def test_no_clips_make_no_latents(self, tiny: Any) -> None:
        """An empty batch is no error."""
        assert load_vae(tiny[0]).encode_batch([]) == []

    @pytest.mark.parametrize("other", [(5, 32, 48), (9, 32, 32)])
    def test_other_shapes_are_refused(self, tiny: Any, other: tuple[int, int, int]) -> None:
        """Nothing is cut or padded to make a batch."""
        with pytest.raises(InputError, match=r"shapes .* do not make one batch; group them"):
            load_vae(tiny[0]).encode_batch([random_clip(9), random_clip(*other)])

    def test_other_than_4k_plus_1_frames_are_refused(self, tiny: Any) -> None:
        """As ``encode`` refuses them."""
        with pytest.raises(InputError, match=r"8 frames are not 4k \+ 1.* to 5$"):
            load_vae(tiny[0]).encode_batch([random_clip(8)])


class TestLoading:
    """Names, folders and digests."""

    def test_every_name_in_the_table_resolves(self) -> None:
        """Each line of the table names a function that exists."""
        for entry in VAES.values():
            module, _, attribute = entry.target.partition(":")
            assert callable(getattr(pfp.models.vae.import_module(module), attribute))

    def test_unknown_name(self) -> None:
        """A wrong name lists the right ones."""
        with pytest.raises(ConfigError, match="'wan3'; give one of hunyuan, tiny, wan21, wan22_5b"):
            load_vae("wan3")

    def test_a_name_that_needs_a_folder(self) -> None:
        """A VAE that is not shipped says how its folder is given."""
        with pytest.raises(ConfigError, match="write hunyuan:/path/to"):
            load_vae("hunyuan")

    def test_missing_folder(self, tmp_path: Path) -> None:
        """A folder that is not there is named."""
        with pytest.raises(WeightsError, match="nowhere; give the folder"):
            load_vae(f"wan21:{tmp_path / 'nowhere'}")

    def test_shipped_weights_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An installation without its data files says so."""
        monkeypatch.setattr(pfp.models.vae, "_shipped_folder", lambda: tmp_path / "absent")

        with pytest.raises(WeightsError, match="install pfp with its data files"):
            load_vae("tiny")

    def test_no_config(self, tmp_path: Path) -> None:
        """A folder without config.json says what should be in it."""
        with pytest.raises(WeightsError, match=r"holds no config.json"):
            load_vae(f"tiny:{tmp_path}")

    def test_missing_constants_are_not_guessed(self, tmp_path: Path) -> None:
        """Without the constants latents could not be normalised as others do."""
        TinyCausalVAE(hidden_channels=4).save_pretrained(tmp_path)

        with pytest.raises(WeightsError, match="0 latents_mean and 0 latents_std for 16"):
            load_vae(f"tiny:{tmp_path}")

    def test_unknown_dtype(self, tiny: Any) -> None:
        """A compute type that is not offered lists those that are."""
        with pytest.raises(ConfigError, match="'fp8'; give one of float32, bfloat16"):
            load_vae(tiny[0], dtype="fp8")

    def test_sha256_is_the_file_s_own(self, tiny: Any) -> None:
        """The recorded digest is what ``sha256sum`` prints for the weights."""
        file = Path(tiny[0].partition(":")[2], "diffusion_pytorch_model.safetensors")

        assert hashlib.sha256(file.read_bytes()).hexdigest() == load_vae(tiny[0]).sha256

    def test_vae_digest_follows_what_decides_latents(self, tmp_path: Path) -> None:
        """Other constants change the digest; another diffusers version does not."""
        network = TinyCausalVAE(hidden_channels=4, latents_mean=MEAN, latents_std=STD)
        network.save_pretrained(tmp_path)
        spec, path = f"tiny:{tmp_path}", tmp_path / "config.json"
        config = json.loads(path.read_text())
        before = vae_digest(spec)

        path.write_text(json.dumps({**config, "_diffusers_version": "0.0.1"}))
        same = vae_digest(spec)
        path.write_text(json.dumps({**config, "latents_std": STD[::-1]}))

        assert same == before
        assert vae_digest(spec) != before

    def test_vae_digest_is_pinned(self) -> None:
        """The shipped VAE's digest names finished results: a change would void them all."""
        expected = "9fcffe3dd8213a93e5ef8e98aafadbd42524eef4e7798ee1b8458d28a084d598"

        assert expected == vae_digest("tiny")


def test_groups_are_one_frame_then_fours() -> None:
    """Grouping leaves out only frames at the end that fill no group."""
    frames = random_clip(12)

    groups = list(frame_groups(frames))

    assert [len(group) for group in groups] == [1, 4, 4]
    np.testing.assert_array_equal(frames[:9], np.concatenate(groups))
