"""Held-out clips stay held out."""

from hypothesis import given
from hypothesis import strategies as st

from pfp.train.split import split_clips

CLIP_IDS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=8), unique=True, max_size=40)


@given(CLIP_IDS, st.integers(1, 8))
def test_every_clip_is_on_one_side(clip_ids: list[str], share: int) -> None:
    """The two sides are disjoint, complete, and of the size that was asked for."""
    train, held_out = split_clips(clip_ids, clips_per_train_clip=share)

    assert sorted(clip_ids) == sorted(train + held_out)
    assert len(clip_ids) // share == len(train)


@given(CLIP_IDS, st.randoms())
def test_the_order_of_clips_does_not_matter(clip_ids: list[str], random: object) -> None:
    """A shuffled list is split the same way."""
    shuffled = list(clip_ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert split_clips(clip_ids, clips_per_train_clip=4) == split_clips(
        shuffled, clips_per_train_clip=4
    )
