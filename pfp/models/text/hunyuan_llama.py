"""HunyuanVideo's first text encoder: LLaMA (llava-llama-3-8b), asked to describe the video.

Axes: B batch (always 1), L tokens, D features.

The prompt stands in a chat template; the tokens before it, always the same 95, are cut off again,
and the embedding is the hidden state two layers before the last (HunyuanVideo, arXiv 2412.03603;
as diffusers' ``HunyuanVideoPipeline`` does it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video
from numpy.typing import NDArray
from transformers import AutoTokenizer, LlamaModel

from pfp.errors import WeightsError
from pfp.models._devices import compute_device, compute_dtype
from pfp.models.finite import check_weights
from pfp.models.text._folders import architecture_of, parts_sha256, pipeline_parts

_TEMPLATE: Final[Any] = pipeline_hunyuan_video.DEFAULT_PROMPT_TEMPLATE

MAX_TOKENS: Final = 256  # of the prompt and what ends it; longer prompts are cut
SKIPPED_LAYERS: Final = 2


@final
class HunyuanLlamaTextEncoder:
    """The first embeddings of diffusers' ``HunyuanVideoPipeline``, without their padding."""

    encoder_id = "hunyuan-llama@1"

    def __init__(self, model: Any, tokenizer: Any, sha256: str) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.sha256 = sha256
        self.dim = int(model.config.hidden_size)

    def encode(self, prompts: list[str]) -> list[NDArray[np.float32]]:
        """One float32 array ``(L, D)`` per prompt, L its tokens with the end mark, at most 256.

        Prompts are encoded one by one: a batch would need padding, whose extent would change the
        last bits. A tokenizer that splits the template otherwise than LLaMA 3's, so that nothing is
        left after the cut, is a ``WeightsError``.
        """
        return [self._encode_one(prompt) for prompt in prompts]

    @torch.inference_mode()
    def _encode_one(self, prompt: str) -> NDArray[np.float32]:
        num_cut = _TEMPLATE["crop_start"]
        tokens = self._tokenizer(
            _TEMPLATE["template"].format(prompt),
            max_length=num_cut + MAX_TOKENS,
            truncation=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(self._model.device)
        if tokens.input_ids.shape[1] <= num_cut:
            raise WeightsError(
                f"the tokenizer makes {tokens.input_ids.shape[1]} tokens of the template and the "
                f"prompt, but the template alone has {num_cut}; give HunyuanVideo's own tokenizer"
            )
        hidden_BLD = self._model(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            output_hidden_states=True,
        ).hidden_states[-(SKIPPED_LAYERS + 1)]
        embedding_LD: NDArray[np.float32] = hidden_BLD[0, num_cut:].float().cpu().numpy()
        return embedding_LD


def load_hunyuan_llama(folder: str, *, device: str, dtype: str | None) -> HunyuanLlamaTextEncoder:
    """The encoder in ``folder/text_encoder`` with the tokenizer in ``folder/tokenizer``.

    ``dtype`` is ``"float32"`` (also for None) or ``"bfloat16"``, which halves the 30 GB of an 8B
    LLaMA; HunyuanVideo itself computes in float16.
    """
    torch_device, torch_dtype = compute_device(device), compute_dtype(dtype)
    model_folder, tokenizer_folder = _parts(folder)
    model: Any = LlamaModel.from_pretrained(
        model_folder, dtype=torch_dtype, local_files_only=True, use_safetensors=True
    )
    check_weights(model.state_dict(), model_folder)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    digest = hunyuan_llama_sha256(folder)
    return HunyuanLlamaTextEncoder(model.to(torch_device).eval(), tokenizer, digest)


def hunyuan_llama_sha256(folder: str) -> str:
    """The digest of the weights, the tokenizer and the template; loads no network."""
    parts = _parts(folder)
    return parts_sha256(
        parts,
        config=architecture_of(parts[0]),
        template=_TEMPLATE,
        max_tokens=MAX_TOKENS,
        skipped_layers=SKIPPED_LAYERS,
    )


def _parts(folder: str) -> tuple[Path, Path]:
    return pipeline_parts(folder, "text_encoder", "tokenizer", of="HunyuanVideo")
