"""Loading batches: the right latents, in order, from any number of workers, from any step on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pfp.errors import ConfigError
from pfp.io import tables
from pfp.io.prompts import Embedding
from pfp.latents.read import LatentReader
from pfp.schema import KEPT, LatentRecord
from pfp.schema.latent import Branch, LatentSpan
from pfp.schema.windows import num_frames_of
from pfp.train.loader import BatchStream, WindowBatches, batch_loader
from pfp.train.objective import Batch
from pfp.train.sampler import WindowPlan, WindowSampler

PLAN = WindowPlan(batch_size=3, history_frames=5, num_targets=2, continue_share=0.4)
SHAPES = [(7 + 5 * (row % 5), 1, 2 + 2 * (row % 2), 2) for row in range(14)]


def numbers_of(row: int, branch: Branch, stride: int = 2) -> NDArray[np.float16]:
    """Latents whose values are row and frame: 100 * row + t."""
    num_latents, *rest = SHAPES[row]
    count = num_latents if branch == "hr" else -(-num_latents // stride)
    values = 100 * row + np.arange(count)
    return np.broadcast_to(values[:, None, None, None], (count, *rest)).astype("<f2")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> LatentReader:
    """A real latents table of numbered frames."""
    folder = tmp_path_factory.mktemp("run") / "latents"
    tables.write_table(folder, LatentRecord.table([record(r) for r in range(14)]), LatentRecord)
    return LatentReader(folder)


def record(row: int, stride: int = 2) -> LatentRecord:
    """One clip."""
    hr, lr = numbers_of(row, "hr"), numbers_of(row, "lr", stride)
    return LatentRecord(
        clip_id=f"{row:02d}",
        hr=hr.tobytes(),
        hr_shape=list(hr.shape),
        lr=lr.tobytes(),
        lr_shape=list(lr.shape),
        dtype="float16",
        fps=12.0,
        start_seconds=0.0,
        num_frames=num_frames_of(len(hr)),
        temporal_stride=4,
        spatial_stride=4,
        lr_factor=1,
        lr_frame_stride=stride,
        vae_id="numbers",
        vae_sha256="0" * 64,
        latents_mean=[0.0],
        latents_std=[1.0],
        normalised=True,
        append_exact=True,
        preproc_sha256="1" * 64,
        verdict=KEPT,
    )


def text_at(row: int, latent: int) -> Embedding:
    """An embedding that says which latent it belongs to, of two tokens and one of padding."""
    return Embedding(np.full((3, 4), 100 * row + latent, np.float16), 2)


def batches(reader: LatentReader, **sampler: Any) -> WindowBatches:
    """Batches over all clips of the table."""
    return WindowBatches(reader, text_at, WindowSampler(SHAPES, PLAN, seed=0, **sampler))


def same(ours: Batch, theirs: Batch) -> bool:
    """Equal in all tensors."""
    names = ("hr_BCTHW", "lr_BCTHW", "target_BCTHW", "frame_index_BT", "text_BLD")
    return all(torch.equal(getattr(ours, name), getattr(theirs, name)) for name in names)


@pytest.mark.parametrize("step", range(12))
def test_a_batch_holds_the_latents_of_its_windows(reader: LatentReader, step: int) -> None:
    """History, LR history, targets and text are of one clip and in step, retrieved or continued."""
    batch = batches(reader)[step]

    choices = WindowSampler(SHAPES, PLAN, seed=0).at(step)
    for sample, (row, start, _, targets) in enumerate(choices):
        first = 100 * row + start
        assert list(range(first, first + 5)) == batch.hr_BCTHW[sample, 0, :, 0, 0].tolist()
        lr = 100 * row + start // 2
        assert [lr, lr + 1, lr + 2] == batch.lr_BCTHW[sample, 0, :, 1, 1].tolist()
        assert [first + t for t in targets] == batch.target_BCTHW[sample, 0, :, 1, 0].tolist()
        assert list(targets) == batch.frame_index_BT[sample].tolist()
        assert first + targets[0] == batch.text_BLD[sample, 2, 3].item()
        assert batch.text_mask_BL is not None
        assert [True, True, False] == batch.text_mask_BL[sample].tolist()
    assert torch.float16 == batch.hr_BCTHW.dtype
    assert torch.float32 == batch.to("cpu").hr_BCTHW.dtype


@pytest.mark.parametrize(
    ("stride", "plan_stride"), [(1, 1), (2, 2), (4, 4), (8, 8), (2, 8), (1, 4)]
)
def test_batches_of_every_rate(tmp_path: Path, stride: int, plan_stride: int) -> None:
    """LR latents are those of the same time, whatever T; a plan may keep step with a larger one.

    Histories and sections of several lengths, one each for a step.
    """
    records = [record(row, stride) for row in range(14)]
    tables.write_table(tmp_path / "latents", LatentRecord.table(records), LatentRecord)
    reader = LatentReader(tmp_path / "latents", lr_frame_stride=stride)
    plan = WindowPlan(
        batch_size=3,
        history_frames=(9, 17),
        num_targets=2,
        continue_share=0.5,
        section_lengths=(1, 3),
        time_stride=plan_stride,
    )
    sampler = WindowSampler(SHAPES, plan, seed=0)
    source = WindowBatches(reader, text_at, sampler)

    seen = set()
    for step in range(20):
        batch = source[step]
        for sample, (row, start, history, targets) in enumerate(sampler.at(step)):
            first = 100 * row + start
            hr = batch.hr_BCTHW[sample, 0, :, 0, 0].tolist()
            lr = batch.lr_BCTHW[sample, 0, :, 1, 1].tolist()
            assert list(range(first, first + history)) == hr
            # LR latent k of a clip ends with its HR latent k * stride.
            assert [each - 100 * row for each in hr[::stride]] == [
                (each - 100 * row) * stride for each in lr
            ]
            assert lr[-1] - 100 * row == (hr[-1] - 100 * row) / stride
            assert [first + t for t in targets] == batch.target_BCTHW[sample, 0, :, 1, 0].tolist()
            seen.add((history, len(targets), start))
    assert {9, 17} == {history for history, _, _ in seen}
    assert {1, 2, 3} == {num_targets for _, num_targets, _ in seen}
    assert len({start for _, _, start in seen}) > 1


def test_a_batch_without_history_has_its_section_alone(tmp_path: Path) -> None:
    """Histories of T = 0, also of further LR copies; the section is the clip's beginning."""
    tables.write_table(
        tmp_path / "latents", LatentRecord.table([record(r, 2) for r in range(14)]), LatentRecord
    )
    alone = [replace(record(row, 8), hr=None, hr_shape=[]) for row in range(14)]
    tables.write_table(tmp_path / "copy", LatentRecord.table(alone), LatentRecord)
    plan = WindowPlan(
        batch_size=3,
        history_frames=(0, 9),
        num_targets=2,
        continue_share=1.0,
        time_stride=8,
        shorten_history=True,
    )
    source = WindowBatches(
        LatentReader(tmp_path / "latents"),
        text_at,
        WindowSampler(SHAPES, plan, seed=0),
        more_lr=[LatentReader(tmp_path / "copy", lr_frame_stride=8)],
    )

    lengths = set()
    for batch in batch_loader(source, range(12), num_workers=2):
        lengths.add(batch.hr_BCTHW.shape[2])
        if batch.hr_BCTHW.shape[2]:
            continue
        assert [0, 0] == [x.shape[2] for x in (batch.lr_BCTHW, *batch.more_lr_BCTHW)]
        assert [[0, 1]] * 3 == batch.frame_index_BT.tolist()
        assert [0.0, 1.0] == (batch.target_BCTHW[0, 0, :, 0, 0] % 100).tolist()
        assert 0 == batch.text_BLD[0, 0, 0].item() % 100
    assert {0, 1, 9} == lengths


def test_a_second_lr_copy_is_read_beside(tmp_path: Path, reader: LatentReader) -> None:
    """Two encoders at once, 4x4x2 and 2x2x8: the second's LR latents are of the same windows."""
    alone = [replace(record(row, 8), hr=None, hr_shape=[]) for row in range(14)]
    tables.write_table(tmp_path / "latents", LatentRecord.table(alone), LatentRecord)
    copy = LatentReader(tmp_path / "latents", lr_frame_stride=8)
    plan = WindowPlan(
        batch_size=3, history_frames=(9, 17), num_targets=2, continue_share=0.5, time_stride=8
    )
    sampler = WindowSampler(SHAPES, plan, seed=0)
    source = WindowBatches(reader, text_at, sampler, more_lr=[copy])

    starts = set()
    for step in range(12):
        batch = source[step]
        (second_BCTHW,) = batch.more_lr_BCTHW
        assert (torch.float16, 3) == (second_BCTHW.dtype, len(second_BCTHW))
        for hr, lr, second in zip(batch.hr_BCTHW, batch.lr_BCTHW, second_BCTHW, strict=True):
            row, start = divmod(int(hr[0, 0, 0, 0]), 100)
            starts.add(start)
            num_latents = hr.shape[1]
            assert [start // 2, (start + num_latents - 1) // 2] == ends(lr, row)
            assert [start // 8, (start + num_latents - 1) // 8] == ends(second, row)
    assert {0, 8} <= starts
    with pytest.raises(ConfigError, match="an LR copy of frame stride 8; give the plan"):
        WindowBatches(reader, text_at, WindowSampler(SHAPES, PLAN, seed=0), more_lr=[copy])


def ends(latents_CTHW: torch.Tensor, row: int) -> list[int]:
    """Which latents of a row a history begins and ends with."""
    return [int(latents_CTHW[0, t, 0, 0]) - 100 * row for t in (0, -1)]


def test_windows_out_of_step_with_the_lr_copy_are_refused(tmp_path: Path) -> None:
    """A plan of T = 2 would cut LR latents of T = 4 in two."""
    records = [record(row, 4) for row in range(14)]
    tables.write_table(tmp_path / "latents", LatentRecord.table(records), LatentRecord)
    sampler = WindowSampler(SHAPES, PLAN, seed=0)

    with pytest.raises(ConfigError, match=r"steps of 2 .* frame stride 4; .* time_stride=4"):
        WindowBatches(LatentReader(tmp_path / "latents"), text_at, sampler)


def test_targets_in_the_history_are_not_read_twice() -> None:
    """A retrieval batch costs its histories' bytes, a continuation the section's besides."""
    spans: list[LatentSpan] = []

    class Watching:
        lr_frame_stride = 2

        def shape(self, row: int, branch: Branch = "hr") -> tuple[int, ...]:
            return numbers_of(row, branch).shape

        def read(
            self, wanted: Sequence[LatentSpan], into: Sequence[NDArray[np.float16]]
        ) -> list[NDArray[np.float16]]:
            spans.extend(wanted)
            return list(into)

    for share, expected in ((0.0, 6), (1.0, 9)):
        spans.clear()
        plan = WindowPlan(batch_size=3, history_frames=5, num_targets=2, continue_share=share)
        sampler = WindowSampler(SHAPES, plan, seed=0)
        _ = WindowBatches(Watching(), text_at, sampler)[0]
        assert expected == len(spans)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("kind", ["map", "stream"])
def test_workers_do_not_change_the_order(reader: LatentReader, num_workers: int, kind: str) -> None:
    """A map-style loader and a stream give step after step, from the step that is asked for."""
    source = batches(reader)
    steps = range(5, 18)
    loader: DataLoader[Batch]
    if kind == "map":
        loader = batch_loader(source, steps, num_workers=num_workers)
    else:
        stream = BatchStream(source, steps)
        assert 13 == len(stream)
        loader = DataLoader(stream, batch_size=None, num_workers=num_workers)

    found = list(loader)

    assert 13 == len(found)
    assert all(same(ours, source[step]) for ours, step in zip(found, steps, strict=True))


def test_a_killed_loader_goes_on_with_the_next_step(reader: LatentReader) -> None:
    """Nine steps, then a new process with a new table handle: the rest is what was to come."""
    source = batches(reader)
    whole = list(batch_loader(source, range(20)))

    resumed = batch_loader(batches(reader), range(9, 20))

    assert all(same(a, b) for a, b in zip(whole[9:], resumed, strict=True))


def test_ranks_read_different_batches_that_make_up_the_epoch(reader: LatentReader) -> None:
    """Two ranks together read what one reads alone."""
    alone = batches(reader)
    pair = [batches(reader, rank=rank, world_size=2) for rank in range(2)]

    rows = {int(x) // 100 for step in range(6) for x in alone[step].hr_BCTHW[:, 0, 0, 0, 0]}
    by_rank = [
        [int(x) // 100 for step in range(3) for x in each[step].hr_BCTHW[:, 0, 0, 0, 0]]
        for each in pair
    ]

    assert rows == set(by_rank[0]) | set(by_rank[1])
    assert by_rank[0] != by_rank[1]


def test_prefetching_is_bounded(tmp_path: Path, reader: LatentReader) -> None:
    """While the consumer stands still, workers read as many batches as were allowed, no more."""
    source = LoggedBatches(batches(reader), tmp_path)

    stream = iter(batch_loader(source, range(100), num_workers=2, prefetch=3))
    next(stream)
    until_quiet(tmp_path)

    # Six ready or under way, and one more for the one that was taken.
    assert 7 == len(list(tmp_path.iterdir()))


class LoggedBatches(WindowBatches):
    """Leaves a file for each step that was read."""

    def __init__(self, source: WindowBatches, folder: Path) -> None:
        self.__dict__ |= source.__dict__
        self._folder = folder

    def __getitem__(self, step: int) -> Batch:
        (self._folder / str(step)).touch()
        return super().__getitem__(step)


def until_quiet(folder: Path) -> None:
    """Wait until no new file has come for half a second."""
    import time

    count = -1
    while count != (count := len(list(folder.iterdir()))):
        time.sleep(0.5)
