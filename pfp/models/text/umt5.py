"""UMT5, the text encoder of the Wan models, from a downloaded pipeline folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from diffusers.pipelines.wan import pipeline_wan
from diffusers.utils import import_utils
from numpy.typing import NDArray
from transformers import AutoTokenizer, UMT5EncoderModel

from pfp.models._devices import compute_device, compute_dtype
from pfp.models.finite import check_weights
from pfp.models.text._folders import parts_sha256, pipeline_parts

# WanPipeline's own cleaning of prompts; it mends broken Unicode only where ftfy is installed.
_prompt_clean: Final[Any] = pipeline_wan.prompt_clean
_is_ftfy_available: Final[Any] = import_utils.is_ftfy_available

MAX_TOKENS: Final = 512  # what Wan was trained with; longer prompts are cut


@final
class Umt5TextEncoder:
    """The embeddings of diffusers' ``WanPipeline``, without its zero padding."""

    encoder_id = "umt5@1"

    def __init__(self, model: Any, tokenizer: Any, sha256: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.sha256 = sha256
        self.dim = int(model.config.d_model)

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """One float32 array ``(L, D)`` per prompt, L its tokens with the end mark, at most 512.

        Prompts are cleaned as ``WanPipeline`` does (HTML entities, white space, broken Unicode) and
        encoded one by one: a batch would need padding, whose extent would change the last bits.
        """
        return [self._encode_one(prompt) for prompt in prompts]

    @torch.inference_mode()
    def _encode_one(self, prompt: str) -> NDArray[np.float32]:
        tokens = self._tokenizer(
            _prompt_clean(prompt),
            max_length=MAX_TOKENS,
            truncation=True,
            add_special_tokens=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(self._model.device)
        hidden_BLD = self._model(tokens.input_ids, tokens.attention_mask).last_hidden_state
        embedding_LD: NDArray[np.float32] = hidden_BLD[0].float().cpu().numpy()
        return embedding_LD


def load_umt5(folder: str, *, device: str, dtype: str | None) -> Umt5TextEncoder:
    """The encoder in ``folder/text_encoder`` with the tokenizer in ``folder/tokenizer``.

    ``dtype`` is ``"float32"`` (also for None) or ``"bfloat16"``, which Wan uses and which halves
    the 22 GB of UMT5-XXL.
    """
    torch_device, torch_dtype = compute_device(device), compute_dtype(dtype)
    model_folder, tokenizer_folder = _parts(folder)
    model: Any = UMT5EncoderModel.from_pretrained(
        model_folder,
        dtype=torch_dtype,
        local_files_only=True,
        use_safetensors=True,
    )
    check_weights(model.state_dict(), model_folder)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    return Umt5TextEncoder(model.to(torch_device).eval(), tokenizer, umt5_sha256(folder))


def umt5_sha256(folder: str) -> str:
    """The digest of the weights, the tokenizer and the cleaning of prompts; loads nothing."""
    return parts_sha256(_parts(folder), max_tokens=MAX_TOKENS, ftfy=_is_ftfy_available())


def _parts(folder: str) -> tuple[Path, Path]:
    return pipeline_parts(folder, "text_encoder", "tokenizer", of="Wan")
