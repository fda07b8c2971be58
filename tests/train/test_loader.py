"""Loading batches: the right latents, in order, from any number of workers, from any step on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pfp.io import tables
from pfp.latents.read import LatentReader
from pfp.schema import KEPT, LatentRecord
from pfp.schema.latent import Branch, LatentSpan
from pfp.schema.windows import num_frames_of, num_lr_latents_of
from pfp.train.loader import BatchStream, WindowBatches, batch_loader
from pfp.train.objective import Batch
from pfp.train.order import WindowOrder, WindowPlan

PLAN = WindowPlan(batch_size=3, history_frames=5, num_targets=2, continue_share=0.4)
SHAPES = [(7 + 2 * (row % 5), 1, 2 + 2 * (row % 2), 2) for row in range(14)]


def numbers_of(row: int, branch: Branch) -> NDArray[np.float16]:
    """Latents whose values are row and frame: 100 * row + t."""
    num_latents, *rest = SHAPES[row]
    count = num_latents if branch == "hr" else num_lr_latents_of(num_latents)
    values = 100 * row + np.arange(count)
    return np.broadcast_to(values[:, None, None, None], (count, *rest)).astype("<f2")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> LatentReader:
    """A real latents table of numbered frames."""
    folder = tmp_path_factory.mktemp("run") / "latents"
    tables.write_table(folder, LatentRecord.table([record(r) for r in range(14)]), LatentRecord)
    return LatentReader(folder)


def record(row: int) -> LatentRecord:
    """One clip."""
    hr, lr = numbers_of(row, "hr"), numbers_of(row, "lr")
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
        vae_id="numbers",
        vae_sha256="0" * 64,
        latents_mean=[0.0],
        latents_std=[1.0],
        normalised=True,
        append_exact=True,
        preproc_sha256="1" * 64,
        verdict=KEPT,
    )


def text_at(row: int, latent: int) -> NDArray[np.float16]:
    """An embedding that says which latent it belongs to."""
    return np.full((3, 4), 100 * row + latent, np.float16)


def batches(reader: LatentReader, **order: Any) -> WindowBatches:
    """Batches over all clips of the table."""
    return WindowBatches(reader, text_at, WindowOrder(SHAPES, PLAN, seed=0, **order), PLAN)


def same(ours: Batch, theirs: Batch) -> bool:
    """Equal in all tensors."""
    names = ("hr_BCTHW", "lr_BCTHW", "target_BCTHW", "frame_index_BT", "text_BLD")
    return all(torch.equal(getattr(ours, name), getattr(theirs, name)) for name in names)


@pytest.mark.parametrize("step", range(12))
def test_a_batch_holds_the_latents_of_its_windows(reader: LatentReader, step: int) -> None:
    """History, LR history, targets and text are of one clip and in step, retrieved or continued."""
    batch = batches(reader)[step]

    choices = WindowOrder(SHAPES, PLAN, seed=0).at(step)
    for sample, (row, start, targets) in enumerate(choices):
        first = 100 * row + start
        assert list(range(first, first + 5)) == batch.hr_BCTHW[sample, 0, :, 0, 0].tolist()
        lr = 100 * row + start // 2
        assert [lr, lr + 1, lr + 2] == batch.lr_BCTHW[sample, 0, :, 1, 1].tolist()
        assert [first + t for t in targets] == batch.target_BCTHW[sample, 0, :, 1, 0].tolist()
        assert list(targets) == batch.frame_index_BT[sample].tolist()
        assert first + targets[0] == batch.text_BLD[sample, 2, 3].item()
    assert torch.float16 == batch.hr_BCTHW.dtype
    assert torch.float32 == batch.to("cpu").hr_BCTHW.dtype


def test_targets_in_the_history_are_not_read_twice() -> None:
    """A retrieval batch costs its histories' bytes, a continuation the section's besides."""
    spans: list[LatentSpan] = []

    class Watching:
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
        order = WindowOrder(SHAPES, plan, seed=0)
        _ = WindowBatches(Watching(), text_at, order, plan)[0]
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
