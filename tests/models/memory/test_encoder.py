"""The memory encoder and the variants that it is compared with."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file
from torch import Tensor, nn

from pfp.errors import ConfigError
from pfp.models.memory.encoder import (
    VARIANTS,
    HighResolutionBranch,
    LargePatchifier,
    MemoryEncoder,
    centre_positions,
    joined,
    make_encoder,
    make_encoders,
    pooled_positions,
)
from pfp.models.rates import Rate
from pfp.models.tiny import load_base
from pfp.models.tiny_names import variant_folder

RATE = Rate(height=4, width=4, time=2)


def history(num_latents: int = 11) -> tuple[torch.Tensor, torch.Tensor]:
    """HR and LR latents that go together."""
    return torch.randn(1, 16, num_latents, 16, 24), torch.randn(1, 16, (num_latents + 1) // 2, 4, 6)


def trained_branch() -> HighResolutionBranch:
    """An HR branch whose outputs are not the zeros that training starts from."""
    branch = HighResolutionBranch(16, 48, RATE)
    torch.nn.init.normal_(branch.project.weight)
    return branch


@pytest.mark.parametrize("variant", ["proposed", "large_patchifier", "only_lr"])
def test_all_variants_give_the_same_token_grid(
    variant: str, small_dit: WanTransformer3DModel
) -> None:
    """Variants are compared at equal token counts: 11 latent frames of 16x24 give 6x2x3 tokens."""
    encoder = make_encoder(variant, RATE, small_dit.patch_embedding)
    assert encoder is not None

    tokens = encoder(*history(), small_dit.patch_embedding)

    assert tuple(tokens.shape) == (1, 48, 6, 2, 3)


def test_an_untrained_proposed_variant_is_exactly_only_lr(small_dit: WanTransformer3DModel) -> None:
    """The HR branch ends in zeros, so training starts from the backbone's own tokens."""
    proposed = make_encoder("proposed", RATE, small_dit.patch_embedding)
    only_lr = make_encoder("only_lr", RATE, small_dit.patch_embedding)
    assert proposed is not None
    assert only_lr is not None
    hr, lr = history()

    assert torch.equal(
        proposed(hr, lr, small_dit.patch_embedding), only_lr(hr, lr, small_dit.patch_embedding)
    )


def test_channels_follow_the_paper_and_time_is_reduced_first() -> None:
    """4x4x2 has exactly four strided stages, 64 -> 128 -> 256 -> 512, the first in time."""
    stages = list(HighResolutionBranch(16, 48, RATE).stages)

    assert [stage.conv.out_channels for stage in stages] == [64, 128, 256, 512]
    assert [stage.axis for stage in stages] == ["time", "space", "space", "space"]


def test_appending_to_the_history_leaves_earlier_tokens_as_they_were() -> None:
    """Tokens of 15 latent frames begin with the tokens of the first 11 (section 3.2)."""
    torch.manual_seed(0)
    branch = trained_branch()
    hr, _ = history(15)

    longer, shorter = branch(hr), branch(hr[:, :, :11])

    torch.testing.assert_close(longer[:, :, :6], shorter, atol=1e-3, rtol=1e-5)


def test_a_tokens_frames_end_where_its_low_resolution_latent_ends() -> None:
    """HR latent 2j changes token j and latent 2j+1 does not: the branches are in step."""
    torch.manual_seed(0)
    branch = trained_branch()
    hr, _ = history(11)
    reached = []
    for latent in (4, 5):
        changed = hr.clone()
        changed[:, :, latent] += 1
        moved = (branch(changed) - branch(hr)).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
        reached.append(moved.nonzero().flatten().tolist())

    assert reached == [[2], [3]]


def test_the_large_patchifier_starts_as_the_mean_of_the_patches(
    small_dit: WanTransformer3DModel,
) -> None:
    """FramePack's tiled kernel, divided by 32, is the mean of the base's tokens in a cell."""
    patch_embedding = small_dit.patch_embedding
    variant = LargePatchifier(16, 48, RATE)
    variant.init_from(patch_embedding)
    hr, lr = history(12)

    tokens = variant(hr, lr, patch_embedding)
    means = torch.nn.functional.avg_pool3d(patch_embedding(hr), (2, 4, 4))

    torch.testing.assert_close(tokens, means, atol=1e-5, rtol=1e-4)


def test_branches_that_do_not_fit_are_refused(small_dit: WanTransformer3DModel) -> None:
    """An LR video of another length is an error that names both grids."""
    encoder = MemoryEncoder(RATE, hr=HighResolutionBranch(16, 48, RATE), lr=True)
    hr, lr = history()

    with pytest.raises(ConfigError, match=r"HR tokens \(6, 2, 3\) and LR tokens \(5, 2, 3\)"):
        encoder(hr, lr[:, :, :5], small_dit.patch_embedding)


def test_positions_are_the_centres_of_what_tokens_cover() -> None:
    """Token (1, 0, 1) at 4x4x2 covers latent frames 1..2 and patch columns 4..7."""
    positions = centre_positions((6, 2, 3), RATE)

    assert positions.reshape(6, 2, 3, 3)[1, 0, 1].tolist() == [1.5, 1.5, 5.5]


def test_a_large_patch_stands_at_all_its_patches() -> None:
    """Token (1, 0, 1) of FramePack's kernel covers latent frames 2..3 and patch columns 4..7."""
    positions = pooled_positions((6, 2, 3), RATE).reshape(6, 2, 3, 32, 3)[1, 0, 1]

    assert positions.amin(0).tolist() == [2, 0, 4]
    assert positions.amax(0).tolist() == [3, 3, 7]


# -- what is shipped -------------------------------------------------------------------------------


def reference_tokens(
    variant: str, weights: dict[str, Tensor], hr: Tensor, lr: Tensor, base: nn.Conv3d
) -> Tensor:
    """Tokens of a shipped 4x4x2 variant, straight from its weights, as it was trained."""
    low = F.conv3d(lr, base.weight, base.bias, stride=(1, 2, 2))
    if variant == "only_lr":
        return low
    if variant == "large_patchifier":
        padded = F.pad(hr, (0, 0, 0, 0, 0, hr.shape[2] % 2), mode="replicate")
        kernel = weights["project.weight"], weights["project.bias"]
        return F.conv3d(padded, *kernel, stride=(2, 8, 8))
    x = hr
    pads = [(1, 1, 1, 1, 1, 0), *[(1, 0, 1, 0, 0, 0)] * 3]
    for index, (pad, stride) in enumerate(zip(pads, [(2, 1, 1), *[(1, 2, 2)] * 3], strict=True)):
        kernel = (weights[f"hr.stages.{index}.conv.{name}"] for name in ("weight", "bias"))
        x = F.silu(F.conv3d(F.pad(x, pad), *kernel, stride=stride))
    attention = nn.MultiheadAttention(512, 8, batch_first=True)
    inner = "hr.attention.attention."
    attention.load_state_dict(
        {key.removeprefix(inner): value for key, value in weights.items() if key.startswith(inner)}
    )
    batch, _, num_frames, rows, columns = x.shape
    tokens = x.movedim(1, -1).reshape(batch * num_frames, rows * columns, 512)
    norm = weights["hr.attention.norm.weight"], weights["hr.attention.norm.bias"]
    normed = F.layer_norm(tokens, (512,), *norm)
    tokens = tokens + attention(normed, normed, normed, need_weights=False)[0]
    x = tokens.reshape(batch, num_frames, rows, columns, 512).movedim(-1, 1)
    return F.conv3d(x, weights["hr.project.weight"], weights["hr.project.bias"]) + low


@pytest.mark.parametrize("num_latents", [11, 24])
@pytest.mark.parametrize("variant", ["proposed", "only_lr", "large_patchifier"])
@torch.no_grad()
def test_shipped_variants_give_the_tokens_that_they_were_trained_with(
    variant: str, num_latents: int
) -> None:
    """Shipped weights load by name, and give the trained network's tokens up to rounding."""
    torch.manual_seed(0)
    patch_embedding = load_base().patch_embedding
    encoder = make_encoder(variant, RATE, patch_embedding)
    assert encoder is not None
    path = variant_folder(variant) / "encoder.safetensors"
    weights = {k: v.float() for k, v in load_file(path).items()} if path.is_file() else {}
    encoder.load_state_dict(weights)
    hr, lr = history(num_latents)

    right = reference_tokens(variant, weights, hr, lr, patch_embedding)
    torch.testing.assert_close(
        encoder(hr, lr, patch_embedding), right, atol=1e-5 * float(right.abs().max()), rtol=0
    )


# -- variants and rates ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "axes", "channels"),
    [
        ((4, 4, 2), "tsss", [64, 128, 256, 512]),
        ((2, 2, 1), "ssnn", [64, 128, 256, 512]),
        ((2, 2, 2), "tssn", [64, 128, 256, 512]),
        ((2, 2, 4), "ttss", [64, 128, 256, 512]),
        ((2, 2, 8), "tttss", [64, 128, 256, 512, 512]),
        ((1, 1, 1), "snnn", [64, 128, 256, 512]),
    ],
)
def test_every_rate_ends_at_512_channels_and_at_its_grid(
    cell: tuple[int, int, int], axes: str, channels: list[int], small_dit: WanTransformer3DModel
) -> None:
    """Time first, then space, then stages that only mix; 17 latents of 16x16 fill the grid."""
    rate = Rate(height=cell[0], width=cell[1], time=cell[2])
    encoder = make_encoder("without_lr", rate, small_dit.patch_embedding)
    assert isinstance(encoder, MemoryEncoder)
    assert encoder.hr is not None

    tokens = encoder(torch.randn(1, 16, 17, 16, 16), None, small_dit.patch_embedding)

    assert axes == "".join(stage.axis[0] for stage in encoder.hr.stages)
    assert channels == [stage.conv.out_channels for stage in encoder.hr.stages]
    assert 512 == encoder.feature_dim
    side = 16 // (2 * rate.height)
    assert (-(-17 // rate.time), side, side) == tuple(tokens.shape[2:])


def test_without_lr_starts_as_a_memory_of_high_resolution_alone(
    small_dit: WanTransformer3DModel,
) -> None:
    """Its first tokens depend on the history, around the base's token of a latent of zeros."""
    torch.manual_seed(0)
    patch_embedding = small_dit.patch_embedding
    encoder = make_encoder("without_lr", RATE, patch_embedding)
    assert isinstance(encoder, MemoryEncoder)
    assert encoder.hr is not None
    hr, lr = history()

    tokens = encoder(hr, None, patch_embedding)

    assert torch.equal(tokens, encoder(hr, lr, patch_embedding))
    assert torch.equal(patch_embedding.bias, encoder.hr.project.bias)
    assert (tokens - encoder(hr + 1, None, patch_embedding)).abs().amax() > 1e-3


def test_gradients_reach_the_projection_first_and_then_the_whole_branch(
    small_dit: WanTransformer3DModel,
) -> None:
    """From zeros only the 1x1 learns in the first step; without LR everything does at once."""
    patch_embedding = small_dit.patch_embedding.requires_grad_(requires_grad=False)
    moved = {}
    for variant in ("proposed", "without_lr"):
        encoder = make_encoder(variant, RATE, patch_embedding)
        assert encoder is not None
        encoder(*history(), patch_embedding).square().mean().backward()
        named = dict(encoder.named_parameters())
        moved[variant] = {name for name, p in named.items() if p.grad is not None and p.grad.any()}

    assert {"hr.project.weight", "hr.project.bias"} == moved["proposed"]
    assert set(named) == moved["without_lr"]


def test_attention_stays_within_a_frame() -> None:
    """At 2x2x1 a changed latent changes all tokens of its frame and none of another."""
    torch.manual_seed(0)
    branch = HighResolutionBranch(16, 48, Rate(height=2, width=2, time=1), zero_init=False)
    hr, _ = history(6)
    changed = hr.clone()
    changed[:, :, 3, 0, 0] += 1

    moved = (branch(changed) - branch(hr)).abs().amax(dim=(0, 1))

    assert [3] == (moved.amax(dim=(1, 2)) > 1e-5).nonzero().flatten().tolist()
    assert (moved[3] > 0).all()


@pytest.mark.parametrize(
    ("looks_back", "num_seen"), [((2, 1), 1), ((2, 3), 3), ((3, 1), 9), ((3, 2), 10)]
)
def test_a_token_sees_as_far_back_as_its_kernels_and_its_attention_reach(
    looks_back: tuple[int, int], num_seen: int
) -> None:
    """At 2x2x1 kernels of 3 reach two frames back in each of four stages, and none looks ahead."""
    torch.manual_seed(0)
    branch = HighResolutionBranch(
        16,
        48,
        Rate(height=2, width=2, time=1),
        zero_init=False,
        temporal_kernel=looks_back[0],
        attention_frames=looks_back[1],
    ).double()
    hr_BCTHW = torch.randn(1, 16, 14, 8, 8, dtype=torch.float64, requires_grad=True)

    branch(hr_BCTHW)[:, :, 11].square().sum().backward()

    assert hr_BCTHW.grad is not None
    seen = hr_BCTHW.grad.abs().amax(dim=(0, 1, 3, 4)).nonzero().flatten().tolist()
    assert list(range(12 - num_seen, 12)) == seen


def test_symmetric_strides_look_ahead() -> None:
    """Token j covers latents 2j and 2j + 1, half a latent after its place in the causal form."""
    torch.manual_seed(0)
    branch = HighResolutionBranch(16, 48, RATE, stride="symmetric", zero_init=False)
    hr, _ = history(11)
    reached = []
    for latent in (4, 5, 10):
        changed = hr.clone()
        changed[:, :, latent] += 1
        moved = (branch(changed) - branch(hr)).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
        reached.append(moved.nonzero().flatten().tolist())

    assert [[2], [2], [5]] == reached
    assert [-0.5, 1.5] == centre_positions((2, 1, 1), RATE)[:, 0, 0].tolist()
    assert [0.5, 2.5] == centre_positions((2, 1, 1), RATE, stride="symmetric")[:, 0, 0].tolist()


def test_symmetric_and_causal_encoders_share_their_weights(
    small_dit: WanTransformer3DModel,
) -> None:
    """The option changes where a stride begins and where tokens stand, not what is learnt."""
    base = small_dit.patch_embedding
    causal, symmetric = (
        make_encoder("without_lr", RATE, base, stride=stride) for stride in ("causal", "symmetric")
    )
    assert causal is not None
    assert symmetric is not None
    symmetric.load_state_dict(causal.state_dict())
    hr, _ = history(12)

    late, early = symmetric.encode(hr, None, base), causal.encode(hr, None, base)

    # From latent 1 on, causal pairs are those of a symmetric encoder.
    shifted = symmetric(hr[:, :, 1:], None, base)
    torch.testing.assert_close(causal(hr, None, base)[:, :, 1:], shifted[:, :, :5])
    assert {1.0} == set((late.positions_NK3 - early.positions_NK3)[..., 0].flatten().tolist())


@pytest.mark.parametrize("variant", ["proposed", "only_lr", "without_lr", "large_patchifier"])
def test_padding_keeps_the_rows_that_flooring_cuts(
    variant: str, small_dit: WanTransformer3DModel
) -> None:
    """20 rows are 2.5 tokens: two when cut, and three when the last rows are repeated."""
    torch.manual_seed(0)
    base = small_dit.patch_embedding
    hr, lr = torch.randn(1, 16, 3, 20, 16), torch.randn(1, 16, 2, 5, 4)
    floor = make_encoder(variant, RATE, base)
    pad = make_encoder(variant, RATE, base, rounding="pad")
    assert floor is not None
    assert pad is not None
    pad.load_state_dict(floor.state_dict())
    by_hand = [torch.cat([x, x[:, :, :, -1:].expand_as(x)], 3) for x in (hr, lr)]
    full = by_hand[0][:, :, :, :24], by_hand[1][:, :, :, :6]

    assert (2, 2, 2) == tuple(floor(hr, lr, base).shape[2:])
    assert torch.equal(floor(*full, base), pad(hr, lr, base))


def test_a_window_holds_the_last_three_latents_at_their_places(
    small_dit: WanTransformer3DModel,
) -> None:
    """The base's own tokens of latents 8..10, standing there; a shorter history is taken whole."""
    base = small_dit.patch_embedding
    window = make_encoder("sliding_window", RATE, base)
    assert window is not None
    hr, _ = history(11)

    tokens = window.encode(hr, None, base)
    short = window.encode(hr[:, :, :2], None, base)

    assert torch.equal(base(hr[:, :, 8:]), window(hr, None, base))
    assert [8.0] * 96 + [9.0] * 96 + [10.0] * 96 == tokens.positions_NK3[:, 0, 0].tolist()
    assert [8.0, 0.0, 1.0] == tokens.positions_NK3[1, 0].tolist()
    assert (2 * 96, [0.0, 1.0]) == (
        short.tokens_BND.shape[1],
        short.positions_NK3[:, 0, 0].unique().tolist(),
    )


def test_several_encoders_give_their_tokens_one_after_another(
    small_dit: WanTransformer3DModel,
) -> None:
    """4x4x2 and 2x2x8 together: each its own tokens, places and features, from its own LR video."""
    base, fine = small_dit.patch_embedding, Rate(height=2, width=2, time=8)
    several = make_encoders([("proposed", RATE), ("proposed", fine)], base)
    hr, lr = history(9)
    lr_fine = torch.randn(1, 16, 2, 8, 12)

    both = several(hr, [lr, lr_fine], base)

    first = several.encoders[0].encode(hr, lr, base)
    second = several.encoders[1].encode(hr, lr_fine, base)
    assert (5 * 6, 2 * 24) == (first.tokens_BND.shape[1], second.tokens_BND.shape[1])
    for name in ("tokens_BND", "features_BNF"):
        assert torch.equal(
            torch.cat([getattr(first, name), getattr(second, name)], dim=1), getattr(both, name)
        )
    assert torch.equal(torch.cat([first.positions_NK3, second.positions_NK3]), both.positions_NK3)
    assert 512 == several.feature_dim


@pytest.mark.parametrize("variant", ["proposed", "only_lr", "without_lr", "sliding_window"])
def test_histories_may_have_another_dtype_than_the_base(
    variant: str, small_dit: WanTransformer3DModel
) -> None:
    """float32 latents meet a patch embedding in bf16; what is trained stays float32."""
    base = small_dit.patch_embedding.to(torch.bfloat16)
    encoder = make_encoder(variant, RATE, base)
    assert encoder is not None

    tokens = encoder.float()(*history(), base)

    own = variant in {"only_lr", "sliding_window"}
    assert tokens.dtype == (torch.bfloat16 if own else torch.float32)


def test_features_are_what_the_projection_sees(small_dit: WanTransformer3DModel) -> None:
    """Projected by the 1x1, the penultimate features are the tokens of the HR branch."""
    base = small_dit.patch_embedding
    encoder = make_encoder("without_lr", RATE, base)
    assert isinstance(encoder, MemoryEncoder)
    assert encoder.hr is not None
    encoded = encoder.encode(history()[0], None, base)
    assert encoded.features_BNF is not None

    weight = encoder.hr.project.weight.flatten(1)
    projected = encoded.features_BNF @ weight.T + encoder.hr.project.bias

    torch.testing.assert_close(encoded.tokens_BND, projected, atol=1e-5, rtol=1e-5)


def test_causal_tokens_cover_their_patches_one_frame_earlier() -> None:
    """Pooled places of a causal token end at latent 2j; their mean is the token's centre."""
    pooled = pooled_positions((3, 1, 1), RATE, stride="causal")

    assert [0.0, 2.0, 4.0] == pooled[..., 0].amax(1).tolist()
    assert torch.equal(centre_positions((3, 1, 1), RATE), pooled.mean(1, keepdim=True))


# -- what cannot be --------------------------------------------------------------------------------


def test_an_unknown_variant_is_refused_with_those_there_are(
    small_dit: WanTransformer3DModel,
) -> None:
    """The error lists every variant, and every variant that it lists can be made."""
    with pytest.raises(
        ConfigError, match=f"'all_lr' is unknown; choose one of {', '.join(VARIANTS)}"
    ):
        make_encoder("all_lr", RATE, small_dit.patch_embedding)

    papers = {"proposed", "large_patchifier", "only_lr", "without_lr"}
    assert papers | {"sliding_window", "no_memory"} == set(VARIANTS)
    made = {variant: make_encoder(variant, RATE, small_dit.patch_embedding) for variant in VARIANTS}
    assert ["no_memory"] == [variant for variant, encoder in made.items() if encoder is None]


def test_an_encoder_that_cannot_work_is_refused(small_dit: WanTransformer3DModel) -> None:
    """No branch, no LR video where one is needed, no window, no encoder, rows unlike columns."""
    base = small_dit.patch_embedding
    only_lr = make_encoder("only_lr", RATE, base)
    assert only_lr is not None
    with pytest.raises(ConfigError, match="without branches gives no memory"):
        MemoryEncoder(RATE, hr=None, lr=False)
    with pytest.raises(ConfigError, match="needs the latents of the LR video"):
        only_lr(history()[0], None, base)
    with pytest.raises(ConfigError, match="a window of 0 latent frames"):
        make_encoder("sliding_window", RATE, base, window=0)
    with pytest.raises(ConfigError, match="no encoder is given"):
        make_encoders([("no_memory", RATE)], base)
    with pytest.raises(ConfigError, match="4x2x2 is not square"):
        make_encoder("proposed", Rate(height=4, width=2, time=2), base)
    with pytest.raises(ConfigError, match="not with 3 and 1, which look back; use causal"):
        make_encoder("proposed", RATE, base, stride="symmetric", temporal_kernel=3)
    with pytest.raises(ConfigError, match="1 LR videos are given for 2 encoders"):
        make_encoders([("only_lr", RATE)] * 2, base)(history()[0], [history()[1]], base)


def test_framepacks_tokens_stand_with_no_others(small_dit: WanTransformer3DModel) -> None:
    """Pooled places and the target's timestep cannot share a run with centres and timestep 0."""
    base = small_dit.patch_embedding
    runs = []
    for variant in ("only_lr", "large_patchifier"):
        encoder = make_encoder(variant, RATE, base)
        assert encoder is not None
        runs.append(encoder.encode(*history(), base))

    assert (1, 32) == (runs[0].positions_NK3.shape[1], runs[1].positions_NK3.shape[1])
    assert runs[1].shared_timestep
    with pytest.raises(ConfigError, match="use large_patchifier alone"):
        joined(runs)
