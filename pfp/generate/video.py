"""From a storyboard and a checkpoint to a video file, section by section, resumable.

The file grows while it is made and can be watched at any time. Beside it lies the state folder
(``pfp.generate.state``): a run that was ended, however abruptly, goes on from its last complete
section and gives the same bytes as an uninterrupted one on the same machine. The record of what was
made with what, ``NAME.mp4.json``, stays when the state is removed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from pfp.errors import InputError, PermanentError
from pfp.generate.conditions import encode_prompts
from pfp.generate.growing_mp4 import GrowingMp4, Segment
from pfp.generate.history import history_frames
from pfp.generate.low_resolution import Shrink
from pfp.generate.plan import PlannedSection
from pfp.generate.request import Request, make_request
from pfp.generate.rollout import Rollout
from pfp.generate.settings import GenerateSettings
from pfp.generate.state import State, first_difference
from pfp.io.digests import sha256_file
from pfp.io.filesystems import Folder
from pfp.io.media import write_video
from pfp.models.backbones.interface import TextConditions
from pfp.models.memory.dit import MemoryDiT
from pfp.models.offload import offload_blocks
from pfp.models.text import load_text_encoder
from pfp.models.vae import load_vae

RECORD_SUFFIX: Final = ".json"  # NAME.mp4.json: never the storyboard, which may be NAME.json

# Called with (done, total) sampler steps: first with those of an earlier run.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedVideo:
    """What there is now. ``num_reused`` sections are from an earlier run.

    ``reencode_reason`` says why the whole memory had to be encoded again for each section, if it
    had.
    """

    path: Path
    record_path: Path
    num_frames: int
    num_sections: int
    num_reused: int
    reencode_reason: str | None = None


def generate_video(
    shots: Sequence[Mapping[str, Any]],
    checkpoint: Path,
    out: Path,
    settings: GenerateSettings,
    *,
    shrink: Shrink,
    progress: Progress | None = None,
) -> GeneratedVideo:
    """Make the video ``out`` of a storyboard's ``shots``; times count from its first frame.

    ``shrink`` makes a frame smaller for the LR branch, as for the checkpoint's training
    (``pfp.latents.preprocess.downscale``). Raises a ``PfpError`` in one sentence for whatever
    cannot be: settings, files, weights that do not belong together, a full disk, an output that is
    there already, or whose state was begun with other settings.
    """
    checkpoint = checkpoint / "ema" if settings.ema else checkpoint
    request = make_request(shots, checkpoint, settings)
    vae = load_vae(request.vae, device=settings.device)
    facts = request.facts(vae)
    record_path = out.with_name(out.name + RECORD_SUFFIX)
    state = State(out)
    if out.exists() and not state.path.exists():
        _check_made(out, record_path, facts)
        num_sections = len(request.sections)
        return GeneratedVideo(
            path=out,
            record_path=record_path,
            num_frames=request.num_frames,
            num_sections=num_sections,
            num_reused=num_sections,
        )
    state.check(facts)
    texts = _encode_prompts(request, device="cpu" if settings.offload else settings.device)
    model = MemoryDiT.from_pretrained(
        checkpoint,
        base=settings.base,
        dtype=request.dtype,
        device="cpu" if settings.offload else settings.device,
    )
    if settings.offload:
        offload_blocks(model, settings.device)
    with state.held(facts), _threads(1 if request.config.base == "tiny" else None):
        rollout = Rollout(model, vae, shrink, request.sampler)
        run = _Run(request, rollout, state, GrowingMp4(out, request.fps))
        num_reused = run.resume()
        run.make(texts, num_reused, progress or (lambda _done, _total: None))
        _write_record(record_path, out, request, facts)
        if not settings.keep_state:
            state.remove()
    return GeneratedVideo(
        path=out,
        record_path=record_path,
        num_frames=request.num_frames,
        num_sections=len(request.sections),
        num_reused=num_reused,
        reencode_reason=rollout.memory.reencode_reason,
    )


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """So many of torch's CPU threads, None for those there are.

    Sums have the same order on every machine with one. tiny's products are too small to share:
    with two threads on two busy cores they took three times the CPU time.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if number is None else number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """One process's share of the work on a video."""

    def __init__(self, request: Request, rollout: Rollout, state: State, video: GrowingMp4) -> None:
        self._request, self._rollout = request, rollout
        self._state, self._video = state, video

    def resume(self) -> int:
        """Takes history and complete sections as made; returns how many sections."""
        request, state = self._request, self._state
        if request.history is not None:
            self._load_history(request.history)
        done: list[PlannedSection] = []
        for section in request.sections:
            if not state.has_section(section.number):
                break
            self._rollout.replay(state.section(section.number))
            done.append(section)
        self._video.begin([self._segment(section) for section in done])
        return len(done)

    def _load_history(self, path: str) -> None:
        chunk = self._state.history()
        if chunk is not None:
            self._rollout.replay(chunk)
            return
        request = self._request
        frames = history_frames(
            path, fps=request.fps, size=request.size, token_latents=request.token_latents
        )
        self._state.save_history(self._rollout.start_from_frames(frames))

    def make(self, texts: Mapping[str, TextConditions], num_done: int, progress: Progress) -> None:
        """Samples the sections that are missing; each is on disk before the next begins."""
        request = self._request
        num_steps = request.sampler.num_steps
        count, total = num_done * num_steps, len(request.sections) * num_steps
        progress(count, total)

        def on_step() -> None:
            nonlocal count
            count += 1
            progress(count, total)

        for section in request.sections[num_done:]:
            try:
                made = self._rollout.sample(
                    texts[section.prompt],
                    negative=texts[request.negative_prompt],
                    num_latents=section.num_latents,
                    latent_size=request.latent_size,
                    seed=section.seed,
                    on_step=on_step,
                )
            except PermanentError as error:
                where = f"section {section.number + 1} of {len(request.sections)}"
                raise PermanentError(f"{where}: {error}") from error
            segment = self._segment(section)
            write_video(segment.path, made.frames_FHWC[: section.num_frames], request.fps)
            self._state.save_section(section.number, made.chunk)
            self._video.append(segment)
        self._video.finish()

    def _segment(self, section: PlannedSection) -> Segment:
        return Segment(self._state.segment(section.number), section.first_frame)


def _encode_prompts(request: Request, *, device: str) -> dict[str, TextConditions]:
    """All prompts before the model is loaded: a text encoder may be as large as it is."""
    prompts = [request.negative_prompt, *(section.prompt for section in request.sections)]
    dtype = None if request.dtype == torch.float32 else "bfloat16"
    encoders = [
        load_text_encoder(spec, device=device, dtype=dtype) for spec in request.text_encoders
    ]
    return encode_prompts(encoders, prompts, request.num_text_tokens)


def _check_made(out: Path, record_path: Path, facts: Mapping[str, Any]) -> None:
    """Passes if ``out`` is this very video already; what somebody else made is not replaced."""
    try:
        made = json.loads(record_path.read_text())["made_with"]
    except (OSError, ValueError, KeyError, TypeError):
        made = None
    if not isinstance(made, dict):
        raise InputError(f"{out} exists and was not made by this command; give another output")
    if difference := first_difference(made, json.loads(json.dumps(facts))):
        raise InputError(
            f"{out} exists and was made with {difference}; give another output, or delete it"
        )


def _write_record(path: Path, out: Path, request: Request, facts: Mapping[str, Any]) -> None:
    record = {
        "video": out.name,
        "video_sha256": sha256_file(out),
        "num_frames": request.num_frames,
        "made_with": facts,
        "sections": request.sections_told(),
    }
    Folder.at(str(path.parent)).write(path.name, json.dumps(record, indent=2).encode() + b"\n")
