"""A local Qwen-VL: transformers' own classes, tiny and random, saved and loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.errors import ConfigError, RetryableError, WeightsError
from pfp.vlm import Client, Finish, Frames, Request, Sampling, ask_votes, load_client
from tests.vlm.conftest import VERDICT_SCHEMA

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pfp.vlm.providers.qwen import QwenProvider, encode, video_metadata  # noqa: E402 - needs torch
from tests.vlm.tiny_qwen import save_qwen  # noqa: E402 - needs torch

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 56, 84, 3), np.uint8)
REQUEST = Request(
    media=Frames(list(FRAMES), [0.0, 0.5, 1.0, 1.5, 2.0]),
    prompt_id="test@1/it",
    prompt="Is it so? yes or no",
    json_schema=VERDICT_SCHEMA,
    schema_name="verdict",
    sampling=Sampling(temperature=0.0, max_output_tokens=512),
)


def _inputs(processor: Any) -> dict[str, Any]:
    """What the processor makes of REQUEST by the chat form written out here."""
    text = (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Is it so? yes or no"
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    times = transformers.video_utils.VideoMetadata(
        total_num_frames=5, fps=2.0, frames_indices=[0, 1, 2, 3, 4]
    )
    return dict(
        processor(
            text=[text],
            videos=[list(FRAMES)],
            video_metadata=[times],
            do_sample_frames=False,
            return_tensors="pt",
        )
    )


def _client(spec: str) -> Client:
    return load_client(spec, sampling=REQUEST.sampling)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that says yes to REQUEST."""
    path = tmp_path_factory.mktemp("tiny-random-qwen")
    save_qwen(path, REQUEST, "yes")
    return path


def test_model_is_loaded_asked_and_read(folder: Path) -> None:
    """From the folder through the real processor and model to an answer, with token counts."""
    client = _client(f"qwen:{folder}")
    client.check_ready()

    said = client.ask(REQUEST)

    assert (Finish.ANSWERED, "yes", "stop") == (said.finish, said.raw_text, said.finish_reason)
    # 3 pairs of frames (the last one padded) of 2 x 3 merged patches, and 62 tokens of chat form.
    num_text = len("user\nIs it so?  or \nassistant\n") + len(("yes", "no")) + 3 + 2
    assert 3 * 2 * 3 + num_text == said.tokens_in
    assert 2 == said.tokens_out


def test_frames_words_and_times_reach_the_model(folder: Path) -> None:
    """The inputs are those of the chat form written out by hand, times in seconds and all."""
    processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)

    inputs = dict(encode(processor, REQUEST))

    expected = _inputs(processor)
    assert expected.keys() == inputs.keys()
    for name, value in expected.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(inputs[name])), name
    assert [1.0] == torch.as_tensor(inputs["second_per_grid_ts"]).tolist()


def test_other_frames_change_the_answer(folder: Path) -> None:
    """The model looks: states taught for some frames say nothing of other ones."""
    assert isinstance(REQUEST.media, Frames)
    times = REQUEST.media.timestamps_seconds
    black = Frames([np.zeros((56, 84, 3), np.uint8)] * 5, times)
    model, processor = QwenProvider(directory=str(folder))._load()

    states = [
        model.model(**encode(processor, each)).last_hidden_state[0, -1]
        for each in (REQUEST, replace(REQUEST, media=black))
    ]

    assert (states[0] - states[1]).abs().max() > 1e-3


def test_answer_without_an_end_is_truncated(folder: Path) -> None:
    """One token is not enough for a yes and its end."""
    short = replace(REQUEST, sampling=replace(REQUEST.sampling, max_output_tokens=1))

    said = _client(f"qwen:{folder}").ask(short)

    assert said.finish is Finish.TRUNCATED
    assert "no end after 1 tokens" == said.problem


def test_votes_are_drawn_and_can_be_drawn_again(folder: Path) -> None:
    """Far from greedy, votes differ; each is the same once more; nobody else's draws move."""
    sampling = Sampling(temperature=1000.0, max_output_tokens=3)
    request = replace(REQUEST, sampling=sampling)
    torch.manual_seed(7)
    expected = torch.rand(1)

    torch.manual_seed(7)
    first, again = (
        [vote.raw_text for vote in ask_votes(_client(f"qwen:{folder}"), request, 4)]
        for _ in range(2)
    )

    assert 1 < len(set(first))
    assert first == again
    assert expected == torch.rand(1)


def test_votes_at_the_checkpoints_own_settings(folder: Path) -> None:
    """What the folder says of sampling is what is drawn with: at 0.01 all say yes."""
    config = folder / "generation_config.json"
    before = config.read_text()
    own = {"do_sample": True, "temperature": 0.01, "top_k": 1}
    config.write_text(json.dumps({**json.loads(before), **own}))
    drawn = replace(REQUEST, sampling=replace(REQUEST.sampling, temperature=None))
    try:
        votes = ask_votes(_client(f"qwen:{folder}"), drawn, 3)
        greedy = _client(f"qwen:{folder}").ask(REQUEST)
    finally:
        config.write_text(before)

    assert ["yes"] * 4 == [each.raw_text for each in (*votes, greedy)]
    assert '"temperature": null' in (votes[0].sampling or "")


def test_device_is_that_of_the_run_unless_the_spec_says(folder: Path) -> None:
    """Where a model runs is not part of who it is."""
    clients = [
        load_client(f"qwen:{folder}{options}", device="cuda:7") for options in ("", "#device=cpu")
    ]

    devices = [client._provider._device for client in clients]  # type: ignore[attr-defined]
    assert ["cuda:7", "cpu"] == devices
    assert 1 == len({client.fingerprint(REQUEST.sampling) for client in clients})
    assert "fake:always-yes" == load_client("fake:always-yes", device="cuda:7").model_id


def test_device_that_is_not_here_is_a_setting_to_mend(folder: Path) -> None:
    """One of no kind at once; one of another machine when the model is to be loaded on it."""
    with pytest.raises(ConfigError, match="there is no device 'gpu'; give cpu or cuda"):
        _client(f"qwen:{folder}#device=gpu").check_ready()

    elsewhere = _client(f"qwen:{folder}#device=cuda:99")
    elsewhere.check_ready()
    with pytest.raises(ConfigError, match=r"'cuda:99' is not here \(.*\); give cpu, or give"):
        elsewhere.ask(REQUEST)


def test_model_that_finds_no_memory_may_be_loaded_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may be using the GPU now."""

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    client = _client(f"qwen:{folder}")
    monkeypatch.setattr(torch.nn.Module, "to", full)

    with pytest.raises(RetryableError, match="ran out of memory on cpu with 5 frames"):
        client.ask(REQUEST)


def test_times_are_told_in_milliseconds() -> None:
    """Qwen3-VL reads each frame's time, Qwen2.5-VL the mean rate."""
    metadata = video_metadata(Frames(list(FRAMES[:4]), [1.0, 1.04, 1.08, 1.12]))

    assert [1.0, 1.04, 1.08, 1.12] == metadata.timestamps
    assert 25.0 == metadata.sampled_fps
    assert 1.0 == video_metadata(Frames(list(FRAMES[:1]), [0.0])).sampled_fps


def test_fingerprint_follows_weights_and_settings_not_the_place(
    folder: Path, tmp_path: Path
) -> None:
    """A checkpoint with one other weight is another model; a copy is the same."""
    copy, changed = tmp_path / "copy", tmp_path / "changed"
    for place in (copy, changed):
        shutil.copytree(folder, place)
    content = bytearray((changed / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (changed / "model.safetensors").write_bytes(content)

    def of(place: Path, sampling: Sampling = REQUEST.sampling) -> str:
        return QwenProvider(directory=str(place)).fingerprint(sampling)

    assert of(folder) == of(copy)
    assert of(folder) != of(changed)
    assert of(folder) != of(folder, replace(REQUEST.sampling, max_output_tokens=9))


def test_folder_of_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    """No folder, no Qwen-VL and no weights are three sentences."""
    with pytest.raises(WeightsError, match=r"gone.config\.json cannot be read; give the folder of"):
        _client(f"qwen:{tmp_path / 'gone'}").check_ready()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"holds a 'bert'; give one of qwen2_vl, qwen2_5_vl"):
        QwenProvider(directory=str(tmp_path)).check_ready()
    shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(WeightsError, match="bare cannot be loaded"):
        _client(f"qwen:{tmp_path / 'bare'}").ask(REQUEST)
