"""Batches of windows, read from the latents table when they are due.

Axes: B batch, T latent frames, C channels, H rows, W columns, L text tokens, D text features, P
channels of a pooled text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from pfp.errors import ConfigError
from pfp.io.prompts import Embedding
from pfp.schema.latent import Branch, LatentSpan
from pfp.schema.windows import Window
from pfp.train.objective import Batch
from pfp.train.sampler import SampledWindow, WindowSampler

# A row and a latent frame of it to the embedding of the prompt that holds then: that of the nearest
# timestamp and nothing else, as the paper trains (section 4.1). All of one length.
TextAt: TypeAlias = Callable[[int, int], Embedding]


class LatentSource(Protocol):
    """What batches are read from; ``pfp.latents.read.LatentReader`` is one."""

    @property
    def lr_frame_stride(self) -> int:
        """How many times slower LR video is: T of the rate HxWxT that it is for."""
        ...

    def shape(self, row: int, branch: Branch = "hr") -> tuple[int, ...]:
        """``(T, C, H, W)`` of a clip's latents."""
        ...

    def read(
        self, spans: Sequence[LatentSpan], into: Sequence[NDArray[np.float16]]
    ) -> list[NDArray[np.float16]]:
        """Fill fp16 arrays ``(stop - start, C, H, W)``, all spans in one go."""
        ...


class WindowBatches(Dataset[Batch]):
    """Item s is the whole batch of step s: a map-style dataset without an end.

    A batch is read into its own memory, latents in fp16 as they are stored, and nothing is kept.
    ``more_lr`` are the LR copies of further encoders of other rates (section 4.5): they number the
    clips as ``latents`` does. ``ConfigError`` when the sampler's windows would not be in step with
    an LR copy.
    """

    def __init__(
        self,
        latents: LatentSource,
        text_at: TextAt,
        sampler: WindowSampler,
        *,
        more_lr: Sequence[LatentSource] = (),
    ) -> None:
        for source in (latents, *more_lr):
            _check_in_step(sampler, source)
        self._latents = latents
        self._text_at = text_at
        self._sampler = sampler
        self._more_lr = tuple(more_lr)

    def __getitem__(self, step: int) -> Batch:
        choices = self._sampler.at(step)
        hr_spans, hr_BTCHW = _histories(self._latents, choices, "hr")
        lr_spans, lr_BTCHW = _histories(self._latents, choices, "lr")
        _read(self._latents, [*hr_spans, *lr_spans], [*hr_BTCHW, *lr_BTCHW])
        prompts = [self._text_at(each.row, each.start + each.targets[0]) for each in choices]
        text_BLD = np.stack([prompt.tokens_LD for prompt in prompts])
        lengths_B1 = np.array([[prompt.num_tokens] for prompt in prompts])
        pooled = [prompt.pooled_P for prompt in prompts if prompt.pooled_P is not None]
        return Batch(
            hr_BCTHW=torch.from_numpy(hr_BTCHW).transpose(1, 2),
            lr_BCTHW=torch.from_numpy(lr_BTCHW).transpose(1, 2),
            target_BCTHW=torch.from_numpy(self._targets(choices, hr_BTCHW)).transpose(1, 2),
            frame_index_BT=torch.tensor([choice.targets for choice in choices]),
            text_BLD=torch.from_numpy(text_BLD),
            text_mask_BL=torch.from_numpy(np.arange(text_BLD.shape[1]) < lengths_B1),
            text_pooled_BP=torch.from_numpy(np.stack(pooled)) if pooled else None,
            more_lr_BCTHW=tuple(_read_lr(source, choices) for source in self._more_lr),
        )

    def _targets(
        self, choices: Sequence[SampledWindow], hr_BTCHW: NDArray[np.float16]
    ) -> NDArray[np.float16]:
        """Targets in the history are there already; those that follow it are read."""
        target_BTCHW = _empty(self._latents, choices, "hr", len(choices[0].targets))
        spans, into = [], []
        for choice, history_TCHW, target_TCHW in zip(choices, hr_BTCHW, target_BTCHW, strict=True):
            if choice.targets[0] < choice.history:
                target_TCHW[:] = history_TCHW[list(choice.targets)]
            else:
                first = choice.start + choice.history
                spans.append(LatentSpan(choice.row, "hr", first, first + len(choice.targets)))
                into.append(target_TCHW)
        _read(self._latents, spans, into)
        return target_BTCHW


def _check_in_step(sampler: WindowSampler, source: LatentSource) -> None:
    plan_stride, stride = sampler.plan.time_stride, source.lr_frame_stride
    if plan_stride % stride:
        raise ConfigError(
            f"windows in steps of {plan_stride} latent frames are not in step with an LR copy of "
            f"frame stride {stride}; give the plan time_stride={stride}"
        )


def _histories(
    source: LatentSource, choices: Sequence[SampledWindow], branch: Branch
) -> tuple[list[LatentSpan], NDArray[np.float16]]:
    """Where the histories lie in a branch, and an array (B, T, C, H, W) to read them into.

    A batch without history has no spans, and an array of T = 0.
    """
    if not choices[0].history:
        return [], _empty(source, choices, branch, 0)
    spans = []
    for each in choices:
        window = Window(
            first_latent=each.start,
            num_latents=each.history,
            time_stride=source.lr_frame_stride,
        )
        part = window.hr_slice if branch == "hr" else window.lr_slice
        spans.append(LatentSpan(each.row, branch, part.start, part.stop))
    return spans, _empty(source, choices, branch, spans[0].stop - spans[0].start)


def _read_lr(source: LatentSource, choices: Sequence[SampledWindow]) -> torch.Tensor:
    spans, lr_BTCHW = _histories(source, choices, "lr")
    _read(source, spans, list(lr_BTCHW))
    return torch.from_numpy(lr_BTCHW).transpose(1, 2)


def _read(
    source: LatentSource, spans: Sequence[LatentSpan], into: Sequence[NDArray[np.float16]]
) -> None:
    if spans:
        source.read(spans, into)


def _empty(
    source: LatentSource, choices: Sequence[SampledWindow], branch: Branch, num_latents: int
) -> NDArray[np.float16]:
    shape = source.shape(choices[0].row, branch)[1:]
    return np.empty((len(choices), num_latents, *shape), np.float16)


class BatchStream(IterableDataset[Batch]):
    """The batches of ``steps``, each once and in order however many workers read them."""

    def __init__(self, batches: WindowBatches, steps: range) -> None:
        self._batches = batches
        self._steps = steps

    def __iter__(self) -> Iterator[Batch]:
        """This worker's share: a DataLoader takes one item from each worker in turn."""
        worker = get_worker_info()
        steps = self._steps if worker is None else self._steps[worker.id :: worker.num_workers]
        return (self._batches[step] for step in steps)

    def __len__(self) -> int:
        return len(self._steps)


def batch_loader(
    batches: WindowBatches,
    steps: range,
    *,
    num_workers: int = 0,
    prefetch: int = 2,
    pin_memory: bool | None = None,
) -> DataLoader[Batch]:
    """A DataLoader over the batches of ``steps``, in order.

    To go on after step s, ask for ``range(s + 1, ...)``: there is no other state. At most
    ``num_workers * prefetch`` batches are held ready. ``pin_memory`` None: where there is a GPU.
    """
    return DataLoader(
        batches,
        batch_size=None,  # an item is a batch already
        sampler=steps,
        num_workers=num_workers,
        prefetch_factor=prefetch if num_workers else None,
        pin_memory=torch.cuda.is_available() if pin_memory is None else pin_memory,
        persistent_workers=num_workers > 0,
    )
