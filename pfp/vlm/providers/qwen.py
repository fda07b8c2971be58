"""A local Qwen-VL: transformers' own model and processor, from a folder.

Axes: B batch (1), L tokens.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.video_utils import VideoMetadata

from pfp.errors import ConfigError, RetryableError, WeightsError
from pfp.io.digests import sha256_file, sha256_json
from pfp.io.files import read_file
from pfp.io.json_text import parse_json
from pfp.limits import MAX_JSON_LENGTH
from pfp.vlm.answer import Answer, Finish
from pfp.vlm.client import Session
from pfp.vlm.frames import Frames
from pfp.vlm.request import Request, Sampling
from pfp.vlm.retry import RetryPolicy

MODEL_TYPES: Final = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
TICKS_PER_SECOND: Final = 1000  # frames are numbered in milliseconds, so that any times can be told
_READ_SUFFIXES: Final = (".json", ".safetensors", ".jinja", ".txt")  # of what is loaded


class QwenProvider:
    """Asks a Qwen-VL checkpoint that lies in a folder, one request at a time.

    Decoding is greedy at temperature 0. Else tokens are drawn, at the temperature given or (None)
    the checkpoint's own, from a seed that the request makes: the same request and vote have the
    same answer on the same machine. The schema is not enforced: what the prompt asks for is what
    the model may write.

    The frames go in as one video with their true times, sampled no further. The folder holds what
    ``save_pretrained`` of model and processor write, weights as safetensors. ``dtype`` is torch's
    name, or ``auto`` for what the checkpoint was saved in.
    """

    kind: Final = "qwen"
    takes_video: Final = False

    def __init__(self, *, directory: str, device: str = "cpu", dtype: str = "auto") -> None:
        self._directory = Path(directory)
        self._device = device
        self._dtype = dtype
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        self._files_sha256: dict[str, str] | None = None
        self.model: Final = self._directory.name
        self.model_id: Final = f"qwen:{self.model}"

    def fingerprint(self, sampling: Sampling) -> str:
        """Digest of the checkpoint's files and of the settings; reads all weights once."""
        with self._lock:
            if self._files_sha256 is None:
                self._check()
                files = [p for p in self._directory.iterdir() if p.suffix in _READ_SUFFIXES]
                self._files_sha256 = {path.name: sha256_file(path) for path in files}
            return sha256_json(
                {"judge": "qwen", "files": self._files_sha256, "params": self._params(sampling)}
            )

    def check_ready(self) -> None:
        """Raise WeightsError when the folder holds no Qwen-VL, ConfigError for an unknown device.

        Whether the device is here is seen when the model is loaded, maybe on another machine.
        """
        self._check()
        _device_called(self._device)

    @contextmanager
    def session(self, request: Request, policy: RetryPolicy) -> Iterator[Session]:
        """Nothing is needed beside the model."""
        del policy
        yield Session(send=lambda: self._send(request))

    def close(self) -> None:
        """Drop the model; the next request loads it again."""
        with self._lock:
            self._loaded = None

    def _send(self, request: Request) -> Answer:
        assert isinstance(request.media, Frames)
        with self._lock:
            try:
                model, processor = self._load()
                return self._generate(model, processor, request)
            except torch.OutOfMemoryError as error:
                raise RetryableError(
                    f"{self.model_id} ran out of memory on {self._device} with "
                    f"{len(request.media)} frames; run fewer at once or take a smaller model"
                ) from error

    def _params(self, sampling: Sampling) -> dict[str, Any]:
        temperature = sampling.temperature
        return {
            "dtype": self._dtype,
            "max_output_tokens": sampling.max_output_tokens,
            "greedy": temperature == 0,
            **({} if temperature == 0 else {"temperature": temperature}),
        }

    def _check(self) -> None:
        path = self._directory / "config.json"
        try:
            model_type = parse_json(read_file(path, MAX_JSON_LENGTH).decode()).get("model_type")
        except (OSError, ValueError, AttributeError) as error:
            raise WeightsError(
                f"{path} cannot be read; give the folder of a Qwen-VL checkpoint"
            ) from error
        if model_type not in MODEL_TYPES:
            raise WeightsError(
                f"{self._directory} holds a {model_type!r}; give one of {', '.join(MODEL_TYPES)}"
            )

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._check()
            device = _usable_device(self._device)
            make_processor: Any = AutoProcessor.from_pretrained
            make_model: Any = AutoModelForImageTextToText.from_pretrained
            try:
                processor = make_processor(self._directory, local_files_only=True)
                model = make_model(
                    self._directory,
                    local_files_only=True,
                    use_safetensors=True,
                    dtype=self._dtype,
                )
            except (OSError, ValueError, KeyError) as error:
                raise WeightsError(f"{self._directory} cannot be loaded: {error}") from error
            self._loaded = model.to(device).eval(), processor
        return self._loaded

    def _generate(self, model: Any, processor: Any, request: Request) -> Answer:
        inputs = encode(processor, request).to(self._device)
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(request.sha256[:8], 16))
            ids_BL = model.generate(
                **inputs,
                max_new_tokens=request.sampling.max_output_tokens,
                **_decoding(request.sampling.temperature),
            )
        num_in = inputs["input_ids"].shape[1]
        written = ids_BL[0, num_in:].tolist()
        is_whole = bool(written) and written[-1] in _end_tokens(model)
        (text,) = processor.batch_decode([written], skip_special_tokens=True)
        return Answer(
            backend="qwen",
            model=self._directory.name,
            finish=Finish.ANSWERED if is_whole else Finish.TRUNCATED,
            finish_reason="stop" if is_whole else "length",
            problem=None if is_whole else f"no end after {len(written)} tokens",
            raw_text=text,
            tokens_in=num_in,
            tokens_out=len(written),
            sampling=json.dumps(self._params(request.sampling), sort_keys=True),
        )


def _device_called(name: str) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"there is no device {name!r}; give cpu or cuda") from error


def _usable_device(name: str) -> torch.device:
    """The device, once it has taken a tensor; ConfigError where this process has no such device."""
    device = _device_called(name)
    try:
        torch.empty(1, device=device)
    except torch.OutOfMemoryError:
        raise  # others use it now
    except (RuntimeError, AssertionError) as error:  # of torch without CUDA, the latter
        why = str(error).partition("\n")[0]
        message = (
            f"device {name!r} is not here ({why}); give cpu, or give the stage's workers a GPU"
        )
        raise ConfigError(message) from error
    return device


def _decoding(temperature: float | None) -> dict[str, Any]:
    if temperature == 0:
        # Checkpoints bring settings for sampling, which greedy decoding would warn of.
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if temperature is None:
        return {"do_sample": True}
    return {"do_sample": True, "temperature": float(temperature)}


def encode(processor: Any, request: Request) -> Any:
    """The processor's inputs for one turn of frames and then words, on the CPU."""
    content = [{"type": "video"}, {"type": "text", "text": request.prompt}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    frames = request.media
    assert isinstance(frames, Frames)
    return processor(
        text=[text],
        videos=[list(frames.frames_HWC)],
        video_metadata=[video_metadata(frames)],
        do_sample_frames=False,
        return_tensors="pt",
    )


def video_metadata(frames: Frames) -> VideoMetadata:
    """When the frames were taken, as a video of 1000 frames a second of which they are some.

    Qwen3-VL writes the times into the prompt; Qwen2.5-VL takes the mean step from the length.
    """
    ticks = [round(seconds * TICKS_PER_SECOND) for seconds in frames.timestamps_seconds]
    step = (ticks[-1] - ticks[0]) / (len(ticks) - 1) if len(ticks) > 1 else TICKS_PER_SECOND
    return VideoMetadata(
        total_num_frames=max(1, round(len(ticks) * step)),
        fps=float(TICKS_PER_SECOND),
        frames_indices=ticks,
    )


def _end_tokens(model: Any) -> tuple[int, ...]:
    ends = model.generation_config.eos_token_id
    return (ends,) if isinstance(ends, int) else tuple(ends or ())
