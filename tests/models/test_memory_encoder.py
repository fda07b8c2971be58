"""The memory encoder and the arms that it is compared with."""

import pytest
import torch
from diffusers import WanTransformer3DModel

from pfp.errors import ConfigError
from pfp.models.memory_encoder import (
    BranchEncoder,
    HighResolutionBranch,
    LargePatchifier,
    centre_positions,
    make_encoder,
    pooled_positions,
)
from pfp.models.rates import Rate

RATE = Rate(height=4, width=4, time=2)


def history(num_latents: int = 11) -> tuple[torch.Tensor, torch.Tensor]:
    """HR and LR latents that go together."""
    return torch.randn(1, 16, num_latents, 16, 24), torch.randn(1, 16, (num_latents + 1) // 2, 4, 6)


def trained_branch() -> HighResolutionBranch:
    """An HR branch whose outputs are not the zeros that training starts from."""
    branch = HighResolutionBranch(16, 48, RATE)
    torch.nn.init.normal_(branch.project.weight)
    return branch


@pytest.mark.parametrize("arm", ["proposed", "large_patchifier", "only_lr"])
def test_all_arms_give_the_same_token_grid(arm: str, small_dit: WanTransformer3DModel) -> None:
    """Arms are compared at equal token counts: 11 latent frames of 16x24 give 6x2x3 tokens."""
    encoder = make_encoder(arm, RATE, small_dit.patch_embedding)
    assert encoder is not None

    tokens = encoder(*history(), small_dit.patch_embedding)

    assert tuple(tokens.shape) == (1, 48, 6, 2, 3)


def test_an_untrained_proposed_arm_is_exactly_only_lr(small_dit: WanTransformer3DModel) -> None:
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
    arm = LargePatchifier(16, 48, RATE)
    arm.start_from(patch_embedding)
    hr, lr = history(12)

    tokens = arm(hr, lr, patch_embedding)
    means = torch.nn.functional.avg_pool3d(patch_embedding(hr), (2, 4, 4))

    torch.testing.assert_close(tokens, means, atol=1e-5, rtol=1e-4)


def test_branches_that_do_not_fit_are_refused(small_dit: WanTransformer3DModel) -> None:
    """An LR video of another length is an error that names both grids."""
    encoder = BranchEncoder(RATE, hr=HighResolutionBranch(16, 48, RATE), lr=True)
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
