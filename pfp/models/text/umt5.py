"""UMT5, the text encoder of the Wan models, from a downloaded pipeline folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from diffusers.utils import is_ftfy_available
from numpy.typing import NDArray
from transformers import AutoTokenizer, UMT5EncoderModel

from pfp.errors import ConfigError, WeightsError
from pfp.io.digests import sha256_file, sha256_json
from pfp.models._folders import weights_sha256

MAX_TOKENS: Final = 512  # what Wan was trained with; longer prompts are cut
DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@final
class Umt5TextEncoder:
    """The embeddings of diffusers' ``WanPipeline``, without its zero padding."""

    encoder_id = "umt5@1"

    def __init__(self, model: UMT5EncoderModel, tokenizer: Any, sha256: str) -> None:
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
            prompt_clean(prompt),
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
    if dtype is not None and dtype not in DTYPES:
        raise ConfigError(f"there is no compute dtype {dtype!r}; give one of {', '.join(DTYPES)}")
    model_folder, tokenizer_folder = Path(folder, "text_encoder"), Path(folder, "tokenizer")
    for part in (model_folder, tokenizer_folder):
        if not part.is_dir():
            raise WeightsError(
                f"there is no folder {part}; give a downloaded Wan pipeline with the subfolders "
                "text_encoder and tokenizer"
            )
    model = UMT5EncoderModel.from_pretrained(
        model_folder,
        dtype=DTYPES[dtype or "float32"],
        local_files_only=True,
        use_safetensors=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    digest = sha256_json(
        {
            "weights": weights_sha256(model_folder),
            "tokenizer": {path.name: sha256_file(path) for path in tokenizer_folder.iterdir()},
            "max_tokens": MAX_TOKENS,
            "ftfy": is_ftfy_available(),  # prompt_clean mends broken Unicode only with it
        }
    )
    return Umt5TextEncoder(model.to(device).eval(), tokenizer, digest)
