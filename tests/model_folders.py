"""Folders of pipelines as they are published, with real model classes and small random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLHunyuanVideo, AutoencoderKLWan


def save_wan22_vae(folder: Path) -> Path:
    """Wan 2.2's VAE of stride 16: 48 channels, patches, residual blocks."""
    torch.manual_seed(0)
    AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=8,
        num_res_blocks=1,
        z_dim=48,
        is_residual=True,
        patch_size=2,
        in_channels=12,
        out_channels=12,
        scale_factor_spatial=16,
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
    ).save_pretrained(folder)
    return folder


def save_hunyuan_vae(folder: Path) -> Path:
    """HunyuanVideo's VAE of stride 8, 16 channels."""
    torch.manual_seed(0)
    AutoencoderKLHunyuanVideo(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
    ).save_pretrained(folder)
    return folder


def save_umt5(folder: Path) -> Path:
    """Wan's text encoder: a UMT5, and a tokenizer trained on the spot."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    config = UMT5Config(
        vocab_size=99, d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, dropout_rate=0.0
    )
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=99, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    raw.train_from_iterator(["Tom & Jerry run", "A red car drives away.", "caf\u00e9"], trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", raw.token_to_id("</s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def save_llama_and_clip(folder: Path) -> Path:
    """HunyuanVideo's text encoders: LLaMA and CLIP, and tokenizers made on the spot."""
    from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video
    from transformers import CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel

    torch.manual_seed(0)
    llama = LlamaConfig(
        vocab_size=600,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    LlamaModel(llama).save_pretrained(folder / "text_encoder")
    template = pipeline_hunyuan_video.DEFAULT_PROMPT_TEMPLATE["template"]
    llama_tokenizer(template).save_pretrained(folder / "tokenizer")
    tokenizer = clip_tokenizer()
    clip = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
        initializer_factor=9.0,
    )
    CLIPTextModel(clip).save_pretrained(folder / "text_encoder_2")
    tokenizer.save_pretrained(folder / "tokenizer_2")
    return folder


def llama_tokenizer(template: str) -> Any:
    """Bytes merged into the words of the template, with LLaMA 3's marks; pads on the right."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    marks = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<pad>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=marks, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator([template], trainer)
    raw.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=marks[0], eos_token=marks[3], pad_token=marks[4]
    )


def clip_tokenizer() -> Any:
    """CLIP's own class with a vocabulary of single bytes."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *(f"{piece}</w>" for piece in alphabet)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=[])
