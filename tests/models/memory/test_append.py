"""Appending to a history: the tokens of encoding it whole, for the work of what is new."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.memory.encoder import (
    EncoderState,
    MemoryEncoder,
    MemoryTokens,
    make_encoder,
    make_encoders,
)
from pfp.models.rates import Rate
from tests.closeness import assert_close_to_largest

RATES = {
    "4x4x2": Rate(height=4, width=4, time=2),
    "2x2x1": Rate(height=2, width=2, time=1),
    "2x2x2": Rate(height=2, width=2, time=2),
    "2x2x4": Rate(height=2, width=2, time=4),
    "2x2x8": Rate(height=2, width=2, time=8),
}
Z_CHANNELS, INNER_DIM = 4, 8
# Temporal kernel, and how many frames attention sees: the least, each alone, both, the whole past.
LOOKS_BACK = ((2, 1), (3, 1), (2, 3), (3, 2), (2, 99))


@cache
def patch_embedding() -> nn.Conv3d:
    """A base's patchify and first projection, small."""
    torch.manual_seed(1)
    return nn.Conv3d(Z_CHANNELS, INNER_DIM, (1, 2, 2), (1, 2, 2))


@cache
def encoder_of(variant: str, rate: str, looks_back: tuple[int, int] = (2, 1)) -> MemoryEncoder:
    """An encoder whose HR branch is not the zeros that training starts from."""
    torch.manual_seed(2)
    encoder = make_encoder(
        variant,
        RATES[rate],
        patch_embedding(),
        temporal_kernel=looks_back[0],
        attention_frames=looks_back[1],
    )
    assert isinstance(encoder, MemoryEncoder)
    if encoder.hr is not None:
        nn.init.normal_(encoder.hr.project.weight, std=0.1)
    return encoder.eval()


def history(rate: Rate, num_latents: int, *, cells: tuple[int, int] = (1, 2)) -> tuple[Tensor, ...]:
    """HR and LR latents of as many latent frames, of one by two tokens a frame."""
    generator = torch.Generator().manual_seed(num_latents)
    rows, columns = cells
    hr = (num_latents, rows * rate.height * 2, columns * rate.width * 2)
    lr = (-(-num_latents // rate.time), rows * 2, columns * 2)
    return tuple(torch.randn(1, Z_CHANNELS, *shape, generator=generator) for shape in (hr, lr))


def appended(
    encoder: MemoryEncoder, hr: Tensor, lr: Tensor, cuts: list[int]
) -> tuple[MemoryTokens, EncoderState]:
    """The history encoded in parts ``[0, cut), [cut, next cut), ...``."""
    time = encoder.rate.time
    edges = [0, *cuts, hr.shape[2]]
    parts = [
        (hr[:, :, start:end], lr[:, :, -(-start // time) : -(-end // time)])
        for start, end in pairwise(edges)
    ]
    tokens, state = encoder.encode_start(*parts[0], patch_embedding())
    for new_hr, new_lr in parts[1:]:
        new, state = encoder.encode_append(new_hr, new_lr, state, patch_embedding())
        tokens = tokens.followed_by(new)
    return tokens, state


@settings(max_examples=60, deadline=None)
@given(
    st.data(),
    st.sampled_from(["proposed", "without_lr", "only_lr"]),
    st.sampled_from([*RATES]),
    st.sampled_from(LOOKS_BACK),
)
def test_appended_is_recomputed(
    data: st.DataObject, variant: str, rate: str, looks_back: tuple[int, int]
) -> None:
    """Wherever a history is cut, tokens, positions and features are those of encoding it whole."""
    num_latents = data.draw(st.integers(1, 20), label="num_latents")
    cuts = sorted(data.draw(st.sets(st.integers(1, 19), max_size=4), label="cuts"))
    encoder = encoder_of(variant, rate, looks_back)
    hr, lr = history(encoder.rate, num_latents)

    with torch.no_grad():
        whole = encoder.encode(hr, lr, patch_embedding())
        parts, state = appended(encoder, hr, lr, [cut for cut in cuts if cut < num_latents])

    assert_close_to_largest(parts.tokens_BND, whole.tokens_BND)
    assert torch.equal(parts.positions_NK3, whole.positions_NK3)
    assert (parts.features_BNF is None) == (variant == "only_lr") == (whole.features_BNF is None)
    if parts.features_BNF is not None and whole.features_BNF is not None:
        assert_close_to_largest(parts.features_BNF, whole.features_BNF)
    assert (num_latents, lr.shape[2]) == (state.num_latents, state.num_token_frames)


@pytest.mark.parametrize("rate", [*RATES])
@pytest.mark.parametrize("num_past", [9, 41])
def test_the_work_is_that_of_the_new_frames(rate: str, num_past: int) -> None:
    """Appending 8 latents runs every stage on these and one kept frame, however long the past."""
    encoder = encoder_of("proposed", rate)
    assert encoder.hr is not None
    hr, lr = history(encoder.rate, num_past + 8)
    num_old = -(-num_past // encoder.rate.time)
    seen: list[int] = []

    def count(module: nn.Module, arguments: tuple[Tensor, ...], out: Tensor) -> None:
        del module, out
        seen.append(arguments[0].shape[2])

    with torch.no_grad():
        _, state = appended(encoder, hr[:, :, :num_past], lr[:, :, :num_old], [])
        hooks = [stage.conv.register_forward_hook(count) for stage in encoder.hr.stages]
        encoder.encode_append(hr[:, :, num_past:], lr[:, :, num_old:], state, patch_embedding())
        for hook in hooks:
            hook.remove()

    # A stage in time halves what it sees; from then on all stages see the new tokens' frames.
    num_time_stages = int(math.log2(encoder.rate.time))
    halved = [8 >> index for index in range(num_time_stages)]
    assert seen == halved + [8 >> num_time_stages] * (len(seen) - num_time_stages)


def test_a_state_keeps_one_frame_a_stage_and_not_the_history() -> None:
    """What is carried takes the memory of its own frames, not of a view into everything."""
    encoder = encoder_of("proposed", "2x2x8")
    _, state = appended(encoder, *history(encoder.rate, 40), [])

    assert state.branch is not None
    kept = [tail.untyped_storage().nbytes() for tail in state.branch.tails]
    frames = [tail.numel() * tail.element_size() for tail in state.branch.tails]
    assert kept == frames
    assert [1, 1, 1] == [tail.shape[2] for tail in state.branch.tails]


@pytest.mark.parametrize("looks_back", [(3, 1), (2, 3), (3, 3)])
def test_a_state_does_not_grow_with_the_history(looks_back: tuple[int, int]) -> None:
    """Kernels and attention that look back keep the frames that they need and no more."""

    def num_kept(num_latents: int) -> list[int]:
        encoder = encoder_of("proposed", "2x2x2", looks_back)
        _, state = appended(encoder, *history(encoder.rate, num_latents), [])
        assert state.branch is not None
        past = state.branch.past_BCTHW
        frames = [*state.branch.tails, *([] if past is None else [past])]
        assert all(x.untyped_storage().nbytes() == x.numel() * x.element_size() for x in frames)
        return [x.shape[2] for x in frames]

    assert num_kept(9) == num_kept(31)
    assert max(num_kept(31)) <= 2


def test_a_latent_that_completes_no_token_waits() -> None:
    """At 4x4x2 latent 1 alone gives no token, and token 1 comes with latent 2."""
    encoder = encoder_of("proposed", "4x4x2")
    hr, lr = history(encoder.rate, 3)
    _, state = encoder.encode_start(hr[:, :, :1], lr[:, :, :1], patch_embedding())

    none, state = encoder.encode_append(hr[:, :, 1:2], lr[:, :, :0], state, patch_embedding())
    one, state = encoder.encode_append(hr[:, :, 2:3], lr[:, :, 1:], state, patch_embedding())

    assert (1, 0, INNER_DIM) == tuple(none.tokens_BND.shape)
    assert [1.5, 1.5] == one.positions_NK3[:, 0, 0].tolist()


def test_low_resolution_latents_of_other_tokens_are_refused() -> None:
    """Appending as many LR as HR latents is an error that says how many are wanted."""
    encoder = encoder_of("only_lr", "4x4x2")
    hr, lr = history(encoder.rate, 9)

    with pytest.raises(ConfigError, match=r"9 HR latents at 4x4x2 complete 5 new.*3 LR.*give 5"):
        encoder.encode_start(hr, lr[:, :, :3], patch_embedding())


@pytest.mark.parametrize(
    ("variant", "word"), [("proposed", "symmetric"), ("large_patchifier", "last")]
)
def test_what_looks_ahead_refuses_to_append(variant: str, word: str) -> None:
    """Symmetric strides and FramePack's kernel change their last token and name the cure."""
    rate = RATES["4x4x2"]
    encoder = make_encoder(variant, rate, patch_embedding(), stride="symmetric")
    assert encoder is not None
    hr, lr = history(rate, 9)

    with pytest.raises(ConfigError, match=f"{word}.*encode the whole history again"):
        encoder.encode_start(hr, lr, patch_embedding())
    with pytest.raises(ConfigError, match="encode the whole history again"):
        encoder.encode_append(hr, lr, EncoderState(), patch_embedding())


def test_the_state_of_another_encoder_is_refused() -> None:
    """A branch with three stages in time cannot go on from a state of one, or of none."""
    encoder = encoder_of("proposed", "2x2x8")
    other = encoder_of("proposed", "4x4x2")
    hr, lr = history(encoder.rate, 9)
    _, state = other.encode_start(*history(other.rate, 9), patch_embedding())

    for foreign in (state, EncoderState()):
        with pytest.raises(ConfigError, match="begin with this encoder's encode_start"):
            encoder.encode_append(
                hr, lr[:, :, state.num_token_frames :], foreign, patch_embedding()
            )


def test_a_window_moves_on_instead_of_growing() -> None:
    """After an append the window's tokens are those of the last 3 latents, and replace the past."""
    rate = RATES["4x4x2"]
    window = make_encoder("sliding_window", rate, patch_embedding())
    assert window is not None
    hr, _ = history(rate, 9)

    past, state = window.encode_start(hr[:, :, :7], None, patch_embedding())
    new, state = window.encode_append(hr[:, :, 7:], None, state, patch_embedding())
    whole = window.encode(hr, None, patch_embedding())

    assert torch.equal(whole.tokens_BND, past.followed_by(new).tokens_BND)
    assert torch.equal(whole.positions_NK3, past.followed_by(new).positions_NK3)
    assert 9 == state.num_latents
    with pytest.raises(ConfigError, match="cannot follow"):
        past.followed_by(new._replace(replaces_past=False))


def test_several_encoders_are_appended_to_at_once() -> None:
    """4x4x2, 2x2x8 and a window: each run goes on in its own way, at any split."""
    rates = [RATES["4x4x2"], RATES["2x2x8"], RATES["4x4x2"]]
    variants = ["without_lr", "proposed", "sliding_window"]
    several = make_encoders(list(zip(variants, rates, strict=True)), patch_embedding())
    hr, _ = history(rates[0], 17, cells=(2, 2))
    lr = torch.randn(1, Z_CHANNELS, 3, 8, 8)

    past, states = several.encode_start(hr[:, :, :9], [None, lr[:, :, :2], None], patch_embedding())
    new, _ = several.encode_append(
        hr[:, :, 9:], [None, lr[:, :, 2:], None], states, patch_embedding()
    )
    runs = [old.followed_by(fresh) for old, fresh in zip(past, new, strict=True)]
    whole = several(hr, [None, lr, None], patch_embedding())

    assert [9 * 4, 3 * 16, 3 * 64] == [run.tokens_BND.shape[1] for run in runs]
    tokens = torch.cat([run.tokens_BND for run in runs], dim=1)
    assert_close_to_largest(tokens, whole.tokens_BND)
    assert torch.equal(torch.cat([run.positions_NK3 for run in runs]), whole.positions_NK3)
