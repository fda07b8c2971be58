"""A local Qwen-VL as a judge: transformers' own classes, tiny and random, saved and loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.errors import WeightsError
from pfp.vlm import Frames, FramesQuestion, Verdict, load_judge

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pfp.vlm.judge_qwen import QwenJudge, encode, video_metadata  # noqa: E402 - needs torch

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
# The form of Qwen's own chat template, without its system message and pictures.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 56, 84, 3), np.uint8)
QUESTION = FramesQuestion(
    frames=Frames(list(FRAMES), [0.0, 0.5, 1.0, 1.5, 2.0]),
    prompt_id="test@1/it",
    prompt="Is it so? yes or no",
)


def _tokenizer() -> Any:
    """Every byte is a token, and so are yes and no."""
    from tokenizers.pre_tokenizers import ByteLevel

    merges = [("y", "e"), ("ye", "s"), ("n", "o")]
    names = [*sorted(ByteLevel.alphabet()), *(left + right for left, right in merges)]
    return transformers.Qwen2Tokenizer(
        vocab={name: k for k, name in enumerate(names)},
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
    )


def _save_model(folder: Path) -> None:
    """Qwen2.5-VL with two layers of 32 channels, and its processor."""
    tokenizer = _tokenizer()
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    sizes = {"hidden_size": 32, "intermediate_size": 48}
    config = transformers.Qwen2_5_VLConfig(
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
    torch.manual_seed(0)
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    processor = transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(
            size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 768}
        ),
        chat_template=TEMPLATE,
    )
    with torch.inference_mode():
        _teach_yes(model, processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _teach_yes(model: Any, processor: Any) -> None:
    """Set the last layer so that QUESTION is answered with "yes" and the end of the turn.

    Its two rows are the least-norm solution for the two hidden states; all others are zero.
    """
    yes, end = processor.tokenizer.convert_tokens_to_ids(["yes", "<|im_end|>"])
    before = _inputs(processor)
    after = _inputs(processor, then=[yes])
    states_2D = torch.stack([_last_state(model, inputs) for inputs in (before, after)])
    wanted_22 = torch.tensor([[9.0, -9.0], [-9.0, 9.0]])  # state x (yes, end)
    model.lm_head.weight.zero_()
    model.lm_head.weight[[yes, end]] = (torch.linalg.pinv(states_2D) @ wanted_22).T


def _inputs(processor: Any, then: tuple[int, ...] | list[int] = ()) -> dict[str, Any]:
    """What the processor makes of QUESTION by the chat form written out here, plus some tokens."""
    text = (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Is it so? yes or no"
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    times = transformers.video_utils.VideoMetadata(
        total_num_frames=5, fps=2.0, frames_indices=[0, 1, 2, 3, 4]
    )
    inputs = dict(
        processor(
            text=[text],
            videos=[list(FRAMES)],
            video_metadata=[times],
            do_sample_frames=False,
            return_tensors="pt",
        )
    )
    extra = torch.tensor([list(then)], dtype=torch.long)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], extra], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    types = inputs["mm_token_type_ids"]
    inputs["mm_token_type_ids"] = torch.cat([types, torch.zeros_like(extra)], dim=1)
    return inputs


def _last_state(model: Any, inputs: dict[str, Any]) -> Any:
    return model.model(**inputs).last_hidden_state[0, -1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that says yes to QUESTION."""
    path = tmp_path_factory.mktemp("tiny-random-qwen")
    _save_model(path)
    return path


def test_judge_is_loaded_asked_and_read(folder: Path) -> None:
    """From the folder through the real processor and model to a verdict, with token counts."""
    judge = load_judge(f"qwen:{folder}")
    judge.check_ready()

    said = judge.ask(QUESTION)

    assert (Verdict.YES, "yes", "stop") == (
        said.verdict,
        said.answer.raw_text,
        said.answer.finish_reason,
    )
    # 3 pairs of frames (the last one padded) of 2 x 3 merged patches, and 62 tokens of chat form.
    num_text = len("user\nIs it so?  or \nassistant\n") + len(("yes", "no")) + 3 + 2
    assert 3 * 2 * 3 + num_text == said.answer.tokens_in
    assert 2 == said.answer.tokens_out


def test_frames_words_and_times_reach_the_model(folder: Path) -> None:
    """The inputs are those of the chat form written out by hand, times in seconds and all."""
    processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)

    inputs = dict(encode(processor, QUESTION))

    expected = _inputs(processor)
    assert expected.keys() == inputs.keys()
    for name, value in expected.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(inputs[name])), name
    assert [1.0] == torch.as_tensor(inputs["second_per_grid_ts"]).tolist()


def test_other_frames_change_the_answer(folder: Path) -> None:
    """The model looks: states taught for some frames say nothing of other ones."""
    black = Frames([np.zeros((56, 84, 3), np.uint8)] * 5, QUESTION.frames.timestamps_seconds)
    question = FramesQuestion(frames=black, prompt_id="test@1/it", prompt=QUESTION.prompt)
    judge = QwenJudge(directory=str(folder))
    model, processor = judge._load()

    states = [
        model.model(**encode(processor, each)).last_hidden_state[0, -1]
        for each in (QUESTION, question)
    ]

    assert (states[0] - states[1]).abs().max() > 1e-3


def test_answer_without_an_end_is_truncated(folder: Path) -> None:
    """One token is not enough for a yes and its end."""
    said = QwenJudge(directory=str(folder), max_output_tokens=1).ask(QUESTION)

    assert (Verdict.UNPARSEABLE, "truncated") == (said.verdict, said.why_not)
    assert "no end after 1 tokens" == said.answer.problem


def test_votes_are_drawn_and_can_be_drawn_again(folder: Path) -> None:
    """Far from greedy, votes differ; each is the same once more; nobody else's draws move."""
    spec = f"qwen:{folder}#votes=4,temperature=1000,max_output_tokens=3"
    torch.manual_seed(7)
    expected = torch.rand(1)

    torch.manual_seed(7)
    first, again = (load_judge(spec).ask(QUESTION) for _ in range(2))

    texts = [vote.answer.raw_text for vote in first.votes]
    assert 1 < len(set(texts))
    assert texts == [vote.answer.raw_text for vote in again.votes]
    assert expected == torch.rand(1)


def test_votes_at_the_checkpoints_own_settings(folder: Path) -> None:
    """What the folder says of sampling is what is drawn with: at 0.01 all say yes."""
    config = folder / "generation_config.json"
    before = config.read_text()
    own = {"do_sample": True, "temperature": 0.01, "top_k": 1}
    config.write_text(json.dumps({**json.loads(before), **own}))
    try:
        said = load_judge(f"qwen:{folder}#votes=3").ask(QUESTION)
        greedy = load_judge(f"qwen:{folder}").ask(QUESTION)
    finally:
        config.write_text(before)

    assert [Verdict.YES] * 4 == [each.verdict for each in (*said.votes, greedy)]
    assert '"temperature": null' in (said.votes[0].answer.sampling or "")


def test_device_is_that_of_the_run_unless_the_spec_says(folder: Path) -> None:
    """Where a judge runs is not part of who it is."""
    judges = [
        load_judge(f"qwen:{folder}{options}", device="cuda:7")._judge  # type: ignore[attr-defined]
        for options in ("", "#device=cpu")
    ]

    assert ["cuda:7", "cpu"] == [judge._device for judge in judges]
    assert 1 == len({judge.fingerprint for judge in judges})
    assert "fake:always-yes" == load_judge("fake:always-yes", device="cuda:7").model_id


def test_times_are_told_in_milliseconds() -> None:
    """Qwen3-VL reads each frame's time, Qwen2.5-VL the mean rate."""
    metadata = video_metadata(Frames(list(FRAMES[:4]), [1.0, 1.04, 1.08, 1.12]))

    assert [1.0, 1.04, 1.08, 1.12] == metadata.timestamps
    assert 25.0 == metadata.sampled_fps
    assert 1.0 == video_metadata(Frames(list(FRAMES[:1]), [0.0])).sampled_fps


def test_fingerprint_follows_weights_and_settings_not_the_place(
    folder: Path, tmp_path: Path
) -> None:
    """A checkpoint with one other weight is another judge; a copy is the same."""
    copy, changed = tmp_path / "copy", tmp_path / "changed"
    for place in (copy, changed):
        shutil.copytree(folder, place)
    content = bytearray((changed / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (changed / "model.safetensors").write_bytes(content)

    first = QwenJudge(directory=str(folder)).fingerprint

    assert first == QwenJudge(directory=str(copy)).fingerprint
    assert first != QwenJudge(directory=str(changed)).fingerprint
    assert first != QwenJudge(directory=str(folder), max_output_tokens=9).fingerprint


def test_folder_of_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    """No folder, no Qwen-VL and no weights are three sentences."""
    with pytest.raises(WeightsError, match=r"gone.config\.json cannot be read; give the folder of"):
        load_judge(f"qwen:{tmp_path / 'gone'}").check_ready()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"holds a 'bert'; give one of qwen2_vl, qwen2_5_vl"):
        QwenJudge(directory=str(tmp_path)).check_ready()
    shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(WeightsError, match="bare cannot be loaded"):
        QwenJudge(directory=str(tmp_path / "bare")).ask(QUESTION)
