"""Held-out clips stay held out."""

from hypothesis import given
from hypothesis import strategies as st

from pfp.schema.clip_id import make_clip_id, video_of
from pfp.train.split import digest_share, split_clips
from pipelines.train.config import PRESETS, demo

CLIP_IDS = st.lists(st.text("0123456789abcdef", min_size=4, max_size=8), unique=True, max_size=40)
SHARES = st.floats(0.0, 0.99)

# Of the clips that ``make demo`` draws, by their digests: the first four are trained on.
DEMO_TRAINED_ON = [
    *("72e0298d5070dafbd25dde2a", "41a958cee640b129b06259bf", "16891a7b29ec67ac488ed3a5"),
    *("77b7c41b40c6f3f3bb5cec0c",),
]
DEMO_HELD_OUT = [
    *("6697c26abb5f1fe59d95b251", "1f9295db1358613b8352f6d3", "70d2acb22ac5b36392e8e330"),
    *("bdd8fbb35265e208beda0d5c", "f436e201dfa69b66a798f6b9", "9d47312cfbe6a20542e97254"),
    *("aba2ffc6973565b797e7a1e2", "4c1f3007671ce596f68cf365", "576074b27cf102d3dba0a6f9"),
    *("3cfa733973fe673b0e61ad9c", "eda184e9ac8d777c4af59739"),
]


@given(CLIP_IDS, SHARES)
def test_every_clip_is_on_one_side(clip_ids: list[str], share: float) -> None:
    """The two sides are disjoint and complete, and something is held out where that is wanted."""
    trained_on, held_out = split_clips(clip_ids, held_out_share=share)

    assert sorted(clip_ids) == sorted(trained_on + held_out)
    assert bool(held_out) == bool(clip_ids and share)


@given(st.lists(st.integers(0, 9), max_size=30), SHARES)
def test_windows_of_a_video_are_on_one_side(videos: list[int], share: float) -> None:
    """Held out, or trained on, whatever their spans: neighbours in time look alike."""
    ids = {make_clip_id(str(video) * 64, n, n + 1.0) for n, video in enumerate(videos)}
    trained_on, held_out = split_clips(ids, held_out_share=share)

    assert not {video_of(clip) for clip in trained_on} & {video_of(clip) for clip in held_out}


@given(CLIP_IDS, SHARES, st.randoms())
def test_the_order_of_clips_does_not_matter(
    clip_ids: list[str], share: float, random: object
) -> None:
    """A shuffled list is split the same way."""
    shuffled = list(clip_ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert split_clips(clip_ids, held_out_share=share) == split_clips(
        shuffled, held_out_share=share
    )


@given(CLIP_IDS, CLIP_IDS, SHARES)
def test_further_clips_move_none_into_training(
    clip_ids: list[str], more: list[str], share: float
) -> None:
    """What is trained on stays so, and what a digest holds out, too."""
    trained_on, held_out = map(set, split_clips(clip_ids, held_out_share=share))
    trained_on_later, held_out_later = map(
        set, split_clips({*clip_ids, *more}, held_out_share=share)
    )

    assert trained_on <= trained_on_later
    by_digest = {clip for clip in held_out if digest_share(clip) >= 1 - share}
    assert by_digest <= held_out_later


@given(CLIP_IDS, SHARES, SHARES)
def test_a_larger_share_only_holds_out_more(clip_ids: list[str], one: float, other: float) -> None:
    """Nothing that a smaller share holds out is trained on with a larger one."""
    small, large = sorted((one, other))
    trained_on, _ = split_clips(clip_ids, held_out_share=large)

    assert set(trained_on) <= set(split_clips(clip_ids, held_out_share=small)[0])


def test_many_clips_are_held_out_in_the_share_that_was_asked_for() -> None:
    """One in a hundred of 100,000, within four standard deviations."""
    _, held_out = split_clips(map(str, range(100_000)), held_out_share=0.01)

    assert abs(len(held_out) - 1000) < 4 * 31.5


def test_the_demo_trains_on_the_clips_that_it_always_trained_on() -> None:
    """The shipped table of README is of these: a quarter of its clips, in order of digests."""
    share = demo().held_out_share

    assert (sorted(DEMO_TRAINED_ON), sorted(DEMO_HELD_OUT)) == split_clips(
        [*DEMO_HELD_OUT, *DEMO_TRAINED_ON], held_out_share=share
    )


def test_every_preset_holds_something_out() -> None:
    """Nobody has to remember it."""
    assert all(0 < make().held_out_share < 1 for make in PRESETS.values())
