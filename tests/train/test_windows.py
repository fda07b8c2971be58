"""Windows of stored latents: the right frames, in step, with the right text."""

import numpy as np
import pytest
import torch

from pfp.errors import InputError
from pfp.train.windows import TrainClip, WindowPlan, window_batch


def numbered_clip(clip_id: str, num_latents: int, *, height: int = 2) -> TrainClip:
    """Latents whose values are their own frame index, so that a slice tells where it came from."""
    frames = np.arange(num_latents, dtype=np.float16)
    half = np.arange((num_latents + 1) // 2, dtype=np.float16)
    shape = (1, height, 2)
    return TrainClip(
        clip_id=clip_id,
        hr_TCHW=np.broadcast_to(frames[:, None, None, None], (num_latents, *shape)).copy(),
        lr_TCHW=np.broadcast_to(half[:, None, None, None], (len(half), *shape)).copy(),
        text_TLD=np.broadcast_to(frames[:, None, None], (num_latents, 3, 4)).copy(),
    )


def plan(*, continue_share: float) -> WindowPlan:
    """Histories of 5 latent frames, 2 targets."""
    return WindowPlan(batch_size=4, history_frames=5, num_targets=2, continue_share=continue_share)


@pytest.mark.parametrize("seed", range(20))
def test_retrieved_frames_are_the_histories_own(seed: int) -> None:
    """Target k is history frame ``frame_index[k]``; HR, LR and text are in step with it."""
    generator = torch.Generator().manual_seed(seed)

    batch = window_batch([numbered_clip("a", 12)], plan(continue_share=0.0), generator)

    for sample in range(4):
        start = batch.hr_BCTHW[sample, 0, 0, 0, 0]
        frames = batch.frame_index_BT[sample]
        assert torch.equal(start + frames, batch.target_BCTHW[sample, 0, :, 0, 0])
        assert torch.equal(start / 2 + torch.arange(3), batch.lr_BCTHW[sample, 0, :, 0, 0])
        assert start + frames[0] == batch.text_BLD[sample, 0, 0]


def test_continuation_targets_follow_the_history() -> None:
    """With continuation alone, the targets are the two frames after the last."""
    generator = torch.Generator().manual_seed(0)

    batch = window_batch([numbered_clip("a", 9)], plan(continue_share=1.0), generator)

    assert torch.equal(torch.tensor([[5, 6]] * 4), batch.frame_index_BT)
    start_B = batch.hr_BCTHW[:, 0, 0, 0, 0]
    assert torch.equal(start_B[:, None] + batch.frame_index_BT, batch.target_BCTHW[:, 0, :, 0, 0])


def test_a_batch_has_one_shape_and_short_clips_are_left_out() -> None:
    """Clips of two sizes never meet in a batch; a clip shorter than the history is never used."""
    clips = [
        numbered_clip("a", 7),
        numbered_clip("b", 7, height=4),
        numbered_clip("c", 3, height=6),
    ]
    heights = set()
    for seed in range(30):
        batch = window_batch(clips, plan(continue_share=0.5), torch.Generator().manual_seed(seed))
        heights.add(batch.hr_BCTHW.shape[3])

    assert {2, 4} == heights


def test_no_clip_that_is_long_enough_is_an_error_with_the_cure() -> None:
    """The message says how many latent frames are wanted."""
    with pytest.raises(InputError, match="none of 1 clips has 5 latent frames"):
        window_batch([numbered_clip("a", 3)], plan(continue_share=0.0), torch.Generator())
