"""HunyuanVideo's second text encoder: one vector per prompt, from CLIP ViT-L/14's text tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, CLIPTextModel

from pfp.models._devices import compute_device, compute_dtype
from pfp.models.finite import check_weights
from pfp.models.text._folders import architecture_of, parts_sha256, pipeline_parts

MAX_TOKENS: Final = 77  # CLIP's length, with its two marks; longer prompts are cut


@final
class ClipPooledTextEncoder:
    """The pooled embeddings of diffusers' ``HunyuanVideoPipeline``: the state at the end mark."""

    encoder_id = "clip-pooled@1"

    def __init__(self, model: Any, tokenizer: Any, sha256: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.sha256 = sha256
        self.dim = int(model.config.hidden_size)

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """One float32 array ``(1, D)`` per prompt: L is 1. Prompts are encoded one by one."""
        return [self._encode_one(prompt) for prompt in prompts]

    @torch.inference_mode()
    def _encode_one(self, prompt: str) -> NDArray[np.float32]:
        # Padded as the pipeline pads; what follows the end mark cannot reach it (causal attention).
        tokens = self._tokenizer(
            prompt,
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).to(self._model.device)
        pooled_BD = self._model(tokens.input_ids, output_hidden_states=False).pooler_output
        embedding_LD: NDArray[np.float32] = pooled_BD.float().cpu().numpy()
        return embedding_LD


def load_clip_pooled(folder: str, *, device: str, dtype: str | None) -> ClipPooledTextEncoder:
    """The encoder in ``folder/text_encoder_2`` with the tokenizer in ``folder/tokenizer_2``.

    ``dtype`` is ``"float32"`` (also for None) or ``"bfloat16"``.
    """
    torch_device, torch_dtype = compute_device(device), compute_dtype(dtype)
    model_folder, tokenizer_folder = _parts(folder)
    model: Any = CLIPTextModel.from_pretrained(
        model_folder, dtype=torch_dtype, local_files_only=True, use_safetensors=True
    )
    check_weights(model.state_dict(), model_folder)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    digest = clip_pooled_sha256(folder)
    return ClipPooledTextEncoder(model.to(torch_device).eval(), tokenizer, digest)


def clip_pooled_sha256(folder: str) -> str:
    """The digest of the weights and the tokenizer; loads no network."""
    parts = _parts(folder)
    return parts_sha256(parts, config=architecture_of(parts[0]), max_tokens=MAX_TOKENS)


def _parts(folder: str) -> tuple[Path, Path]:
    return pipeline_parts(folder, "text_encoder_2", "tokenizer_2", of="HunyuanVideo")
