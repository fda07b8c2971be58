"""What only a GPU can say: how much of it a training step uses, and what sampling takes of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import torch

from benchmarks.figures import ratios
from benchmarks.train_figure import Figure, Setting, in_turn, peak_bytes, timed
from benchmarks.train_steps import (
    Step,
    encoded_history,
    model_of,
    size_of_sampling,
    size_of_training,
    step_flops,
)
from pfp.generate.sampler import sample_frames
from pfp.generate.settings import SamplerSettings
from pfp.models.offload import offload_blocks

_SKIPPED: Final = "skipped: no GPU"
_MATMUL_SIDE: Final = 8192
_TINY_SIDE: Final = 128


def _can_measure(setting: Setting) -> bool:
    return setting.on_gpu or setting.tiny


def mfu_5b(setting: Setting) -> list[Figure]:
    """Operations per second of a training step of the 5B, over those of a bf16 matrix product.

    One sample at 480p: 20 s of history in 5,460 tokens, 3 target frames; LoRA of rank 128, gradient
    checkpointing, AdamW, all of ``pfp.train.loop.train``. Operations are products and convolutions
    of forward and backward, counted by torch's FlopCounterMode on the meta device. ``mfu_5b``
    leaves out what checkpointing computes again, as the term has it; ``hfu_5b`` counts it too. The
    product is of two square matrices of noise and takes turns with the step.
    """
    if not _can_measure(setting):
        return [Figure(name=name, note=_SKIPPED) for name in ("mfu_5b", "hfu_5b")]
    size, device = size_of_training(setting), setting.device
    side = _TINY_SIDE if setting.tiny else _MATMUL_SIDE
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    step = Step.of(size, "proposed", device)
    seconds = in_turn(
        {"step": step, "product": timed(lambda: left @ right, device, repeats=20)}, setting
    )
    matrix_rate = [2 * side**3 / each for each in seconds["product"]]
    figures = []
    for name, goal, checkpointing in (("mfu_5b", ">= 0.5", False), ("hfu_5b", "", True)):
        flops = step_flops(replace(size, checkpointing=checkpointing), "proposed")
        step_rate = [flops / each for each in seconds["step"]]
        figures.append(
            Figure(
                name=name,
                goal=goal,
                values=tuple(ratios(step_rate, matrix_rate)),
                note=(
                    f"{size}; {setting.name}; step {statistics.median(seconds['step']):.4f} s, "
                    f"{flops / 1e12:.3f} TFLOP, {statistics.median(step_rate) / 1e12:.3f} TFLOP/s; "
                    f"product of {side}: {statistics.median(matrix_rate) / 1e12:.3f} TFLOP/s"
                ),
            )
        )
    return figures


def generate_20s_peak_gb(setting: Setting) -> list[Figure]:
    """The most bytes of tensors on the GPU while a section is sampled after 20 s of history.

    The history is encoded and a section of one second sampled, two steps of UniPC with guidance, as
    ``pfp generate`` samples the 5B. The blocks' weights lie in the computer's memory and come to
    the GPU one block at a time. The VAE and the text encoder are not there. The second figure is
    the same with all weights on the GPU.
    """
    name, goal = "generate_20s_peak_gb", "<= 12"
    if not _can_measure(setting):
        return [Figure(name=each, note=_SKIPPED) for each in (name, f"{name}.whole")]
    size, device = size_of_sampling(setting), setting.device
    model = model_of(size, "proposed", device).eval()

    def sample() -> None:
        memory, batch = encoded_history(size, model)
        sample_frames(
            model,
            memory=memory,
            text=batch.text,
            negative=batch.text,
            frame_index_BT=batch.frame_index_BT,
            latent_size=size.history_THW[1:],
            settings=SamplerSettings(num_steps=2, scheduler="unipc", shift=5.0, guidance_scale=5.0),
            seed=0,
        )

    held = sum(parameter.nbytes for parameter in model.parameters())
    figures = [_peak(sample, held, setting, name=f"{name}.whole", goal="", what=str(size))]
    held -= offload_blocks(model, device)
    figures.append(_peak(sample, held, setting, name=name, goal=goal, what=str(size)))
    return figures[::-1]


def _peak(
    work: Callable[[], None], held: int, setting: Setting, *, name: str, goal: str, what: str
) -> Figure:
    """The peak of each of some repetitions after one that does not count."""
    work()
    times = 1 if setting.tiny else 3
    peaks = [peak_bytes(work, held, setting.device) / 1e9 for _ in range(times)]
    note = f"{what}; {setting.name}; weights there {held / 1e9:.3f} GB"
    return Figure(name=name, goal=goal, values=tuple(peaks), unit="GB", note=note)
