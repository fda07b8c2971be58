"""A Qwen-VL of transformers' own classes, tiny and random, that gives one answer to one request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

from pfp.vlm import Request
from pfp.vlm.providers.qwen import encode

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
# The form of Qwen's own chat template, without its system message and images.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_qwen(folder: Path, request: Request, text: str) -> None:
    """Qwen2.5-VL with two layers of 32 channels, and its processor.

    To the request, which is about frames, it answers with the text and the end of the turn.
    """
    processor = _processor(text)
    torch.manual_seed(0)
    model = transformers.Qwen2_5_VLForConditionalGeneration(_config(processor.tokenizer))
    model.generation_config.eos_token_id = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = processor.tokenizer.convert_tokens_to_ids(
        "<|endoftext|>"
    )
    with torch.inference_mode():
        _teach(model, processor, request, text)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _processor(text: str) -> Any:
    """Every byte is a token, and so are yes, no and the text."""
    merges = [("y", "e"), ("ye", "s"), ("n", "o")]
    names = [*sorted(ByteLevel.alphabet()), *(left + right for left, right in merges)]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab={name: k for k, name in enumerate(names)},
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
    )
    if text not in names:
        tokenizer.add_tokens([text])
    return transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(
            size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 768}
        ),
        chat_template=TEMPLATE,
    )


def _config(tokenizer: Any) -> Any:
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    sizes = {"hidden_size": 32, "intermediate_size": 48}
    return transformers.Qwen2_5_VLConfig(
        text_config={
            **sizes,
            "vocab_size": len(tokenizer),
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
        },
        vision_config={
            **sizes,
            "depth": 2,
            "num_heads": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )


def _teach(model: Any, processor: Any, request: Request, text: str) -> None:
    """Set the last layer so that the request is answered with the text and the end of the turn.

    Its two rows are the least-norm solution for the two hidden states; all others are zero.
    """
    word, end = processor.tokenizer.convert_tokens_to_ids([text, "<|im_end|>"])
    before = dict(encode(processor, request))
    states_2D = torch.stack(
        [_last_state(model, before), _last_state(model, continued(before, [word]))]
    )
    wanted_22 = torch.tensor([[9.0, -9.0], [-9.0, 9.0]])  # state x (word, end)
    model.lm_head.weight.zero_()
    model.lm_head.weight[[word, end]] = (torch.linalg.pinv(states_2D) @ wanted_22).T


def continued(inputs: dict[str, Any], tokens: list[int]) -> dict[str, Any]:
    """The processor's inputs with some tokens after them."""
    extra = torch.tensor([tokens], dtype=torch.long)
    ids = torch.cat([inputs["input_ids"], extra], dim=1)
    types = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(extra)], dim=1)
    mask = torch.ones_like(ids)
    return {**inputs, "input_ids": ids, "attention_mask": mask, "mm_token_type_ids": types}


def _last_state(model: Any, inputs: dict[str, Any]) -> Any:
    return model.model(**inputs).last_hidden_state[0, -1]
