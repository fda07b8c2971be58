"""Text encoders: the hashed one, and UMT5 with small random weights against diffusers' pipeline."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pfp.errors import ConfigError, WeightsError
from pfp.models.text import TEXT_ENCODERS, identify_text_encoder, load_text_encoder
from tests.model_folders import save_llama_and_clip, save_umt5

PROMPTS = ["A red car drives away.", "", "Tom &amp; Jerry\n\n run", "caf\u00e9 " * 9]


def signs(text: str) -> Any:
    """The oracle's own way to 64 signs: the bits of the digest as a string."""
    bits = f"{int(hashlib.sha256(text.encode()).hexdigest(), 16):0256b}"[:64]
    return np.array([1.0 if bit == "1" else -1.0 for bit in bits])


class TestTiny:
    """The hashed encoder that ships with pfp."""

    def test_a_token_is_its_word_its_pair_and_its_place(self) -> None:
        """The second token of a prompt is the sum that the module's docstring gives."""
        angles = 1 / 10_000 ** (np.arange(32) / 32)
        place = np.concatenate([np.sin(angles), np.cos(angles)])
        expected = signs("car") + signs("red car") / 2 + place / 4

        actual = load_text_encoder("tiny").encode(["Red CAR!"])[0]

        assert (actual.dtype, actual.shape) == (np.float32, (2, 64))
        np.testing.assert_allclose(actual[1], expected, rtol=1e-6)

    def test_lengths_follow_the_words(self) -> None:
        """Nothing is padded, at most 64 words count, and no prompt is without a token."""
        prompts = ["one", "it's two", "", " ?! ", "word " * 99]

        shapes = [array.shape for array in load_text_encoder("tiny").encode(prompts)]

        assert shapes == [(1, 64), (2, 64), (1, 64), (1, 64), (64, 64)]

    def test_a_prompt_does_not_depend_on_its_company(self) -> None:
        """A prompt alone and among others gives the same bits."""
        encoder = load_text_encoder("tiny")

        np.testing.assert_array_equal(
            encoder.encode(["a dog"])[0], encoder.encode(["cat", "a dog", "x y z"])[1]
        )

    def test_other_words_and_another_order_differ(self) -> None:
        """What the captions say reaches the embedding."""
        first, order, word = load_text_encoder("tiny").encode(
            ["dog bites man", "man bites dog", "cat bites man"]
        )

        assert np.abs(first - order).max() > 1
        assert np.abs(first - word).max() > 1

    def test_the_definition_is_pinned(self) -> None:
        """Shipped weights were trained with this very encoder: a change needs a new id."""
        encoder = load_text_encoder("tiny")

        assert encoder.encoder_id == "tiny-hash@1"
        assert encoder.sha256 == "a4254f5ed3145c36e2624a4a812fed8d74f10108ecf9dff8bf374fe76c23f85b"
        assert encoder.dim == 64


@pytest.fixture(scope="module")
def wan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder with a small UMT5."""
    return save_umt5(tmp_path_factory.mktemp("wan"))


class TestUmt5:
    """Wan's encoder from a local folder."""

    @torch.inference_mode()
    def test_equals_the_pipeline_up_to_padding(self, wan_folder: Path) -> None:
        """Each embedding is the unpadded part of what ``WanPipeline`` feeds to Wan."""
        from diffusers import WanPipeline
        from transformers import AutoTokenizer, UMT5EncoderModel

        pipeline = WanPipeline(
            tokenizer=AutoTokenizer.from_pretrained(wan_folder / "tokenizer"),
            text_encoder=UMT5EncoderModel.from_pretrained(wan_folder / "text_encoder"),
            vae=None,
            scheduler=None,
            transformer=None,
        )
        padded, negative = pipeline.encode_prompt(
            PROMPTS, do_classifier_free_guidance=False, max_sequence_length=64
        )
        assert negative is None

        actual = load_text_encoder(f"umt5:{wan_folder}").encode(PROMPTS)

        for expected, embedding in zip(padded.numpy(), actual, strict=True):
            length = len(embedding)
            np.testing.assert_allclose(embedding, expected[:length], rtol=1e-4, atol=1e-5)
            assert not expected[length:].any()

    def test_shape_and_type(self, wan_folder: Path) -> None:
        """float32 of the model's width comes back, also when bfloat16 computes."""
        encoder = load_text_encoder(f"umt5:{wan_folder}", dtype="bfloat16")

        embedding = encoder.encode(["a"])[0]

        assert (embedding.dtype, embedding.shape[1]) == (np.float32, encoder.dim)

    def test_the_empty_prompt_has_its_end_mark(self, wan_folder: Path) -> None:
        """The prompt of text dropout is one token, not none."""
        assert load_text_encoder(f"umt5:{wan_folder}").encode([""])[0].shape == (1, 16)

    def test_sha256_follows_weights_and_tokenizer(self, wan_folder: Path) -> None:
        """Another tokenizer means other embeddings, so it counts."""
        before = load_text_encoder(f"umt5:{wan_folder}").sha256
        settings = wan_folder / "tokenizer" / "tokenizer_config.json"
        original = settings.read_bytes()
        settings.write_bytes(original + b"\n")
        after = load_text_encoder(f"umt5:{wan_folder}").sha256
        settings.write_bytes(original)

        assert before != after

    def test_missing_subfolder(self, tmp_path: Path) -> None:
        """A folder of another layout is told apart from a damaged one."""
        with pytest.raises(WeightsError, match="text_encoder; give a downloaded Wan pipeline"):
            load_text_encoder(f"umt5:{tmp_path}")


@pytest.fixture(scope="module")
def hunyuan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline folder with small LLaMA and CLIP."""
    return save_llama_and_clip(tmp_path_factory.mktemp("hunyuan"))


def hunyuan_pipeline(folder: Path) -> Any:
    """Diffusers' pipeline over the folder's text encoders: the oracle."""
    from diffusers import HunyuanVideoPipeline
    from transformers import AutoTokenizer, CLIPTextModel, CLIPTokenizer, LlamaModel

    return HunyuanVideoPipeline(
        text_encoder=LlamaModel.from_pretrained(folder / "text_encoder"),
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder_2=CLIPTextModel.from_pretrained(folder / "text_encoder_2"),
        tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
        vae=None,
        scheduler=None,
        transformer=None,
    )


class TestHunyuan:
    """HunyuanVideo's two encoders from a local folder."""

    @torch.inference_mode()
    def test_both_equal_the_pipeline_up_to_padding(self, hunyuan_folder: Path) -> None:
        """LLaMA's states where the pipeline's mask is one, and CLIP's pooled vector."""
        prompts = [*PROMPTS, "a {brace} and a % sign", "a long walk " * 90]
        padded, pooled, mask = hunyuan_pipeline(hunyuan_folder).encode_prompt(prompts)

        llama = load_text_encoder(f"hunyuan_llama:{hunyuan_folder}").encode(prompts)
        clip = load_text_encoder(f"clip_pooled:{hunyuan_folder}").encode(prompts)

        assert [len(embedding) for embedding in llama] == mask.sum(dim=1).tolist()
        assert len(llama[-1]) == 256
        for expected, embedding in zip(padded.numpy(), llama, strict=True):
            actual_part = expected[: len(embedding)]
            np.testing.assert_allclose(embedding, actual_part, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.concatenate(clip), pooled.numpy(), rtol=1e-4, atol=1e-5)

    def test_prompts_differ(self, hunyuan_folder: Path) -> None:
        """What a prompt says reaches both embeddings: the cut does not take it away."""
        for name in ("hunyuan_llama", "clip_pooled"):
            first, second = load_text_encoder(f"{name}:{hunyuan_folder}").encode(["cat", "dog"])
            assert np.abs(first[-1] - second[-1]).max() > 0.01

    @pytest.mark.parametrize(("name", "dim"), [("hunyuan_llama", 16), ("clip_pooled", 24)])
    def test_shape_and_type(self, hunyuan_folder: Path, name: str, dim: int) -> None:
        """float32 of the model's width comes back, also when bfloat16 computes."""
        encoder = load_text_encoder(f"{name}:{hunyuan_folder}", dtype="bfloat16")

        embedding = encoder.encode([""])[0]

        assert (embedding.dtype, embedding.shape[1], encoder.dim) == (np.float32, dim, dim)
        assert name == "hunyuan_llama" or len(embedding) == 1

    def test_a_foreign_tokenizer_is_refused(self, hunyuan_folder: Path, tmp_path: Path) -> None:
        """One that needs fewer tokens for the template would lose the prompt to the cut."""
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        (tmp_path / "text_encoder").symlink_to(hunyuan_folder / "text_encoder")
        raw = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
        raw.pre_tokenizer = pre_tokenizers.Split("video", "isolated")
        PreTrainedTokenizerFast(tokenizer_object=raw).save_pretrained(tmp_path / "tokenizer")

        with pytest.raises(WeightsError, match=r"tokens of the template .* has 95; give Hunyuan"):
            load_text_encoder(f"hunyuan_llama:{tmp_path}").encode(["a"])

    @pytest.mark.parametrize(
        ("name", "file"),
        [
            ("hunyuan_llama", "tokenizer/tokenizer_config.json"),
            ("hunyuan_llama", "text_encoder/config.json"),
            ("clip_pooled", "tokenizer_2/tokenizer_config.json"),
            ("clip_pooled", "text_encoder_2/config.json"),
        ],
    )
    def test_sha256_follows_tokenizer_and_configuration(
        self, hunyuan_folder: Path, name: str, file: str
    ) -> None:
        """Both decide the embedding beside the weights."""
        before = identify_text_encoder(f"{name}:{hunyuan_folder}")
        path = hunyuan_folder / file
        original = path.read_bytes()
        path.write_bytes(original + b"\n")
        after = identify_text_encoder(f"{name}:{hunyuan_folder}")
        path.write_bytes(original)

        assert before != after

    @pytest.mark.parametrize("name", ["hunyuan_llama", "clip_pooled"])
    def test_missing_subfolder(self, tmp_path: Path, name: str) -> None:
        """A folder of another layout is told apart from a damaged one."""
        with pytest.raises(WeightsError, match="give a downloaded HunyuanVideo pipeline with the"):
            load_text_encoder(f"{name}:{tmp_path}")


@pytest.mark.parametrize("name", sorted(TEXT_ENCODERS))
def test_identity_is_known_before_loading(
    name: str, wan_folder: Path, hunyuan_folder: Path
) -> None:
    """The table's id and digest are those that the loaded encoder has."""
    folder = {"tiny": "", "umt5": f":{wan_folder}"}.get(name, f":{hunyuan_folder}")

    identity = identify_text_encoder(name + folder)

    encoder = load_text_encoder(name + folder)
    assert identity == (encoder.encoder_id, encoder.sha256)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("clip", "'clip'; give one of clip_pooled, hunyuan_llama, tiny, umt5"),
        ("umt5", "write umt5:/path/to"),
        ("hunyuan_llama", "write hunyuan_llama:/path/to"),
        ("tiny:/models", "give just 'tiny'"),
    ],
)
def test_unusable_specs(spec: str, message: str) -> None:
    """An encoder that cannot be loaded says how it is named."""
    with pytest.raises(ConfigError, match=message):
        load_text_encoder(spec)
