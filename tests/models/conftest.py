"""Small real networks with random weights."""

import pytest
from diffusers import HunyuanVideoTransformer3DModel, WanTransformer3DModel

from tests import small_models
from tests.small_models import with_noise


@pytest.fixture
def small_dit() -> WanTransformer3DModel:
    """A real Wan DiT of two narrow layers, with random weights everywhere."""
    return with_noise(small_models.small_wan())


@pytest.fixture
def small_hunyuan() -> HunyuanVideoTransformer3DModel:
    """A real text-to-video HunyuanVideo DiT, two blocks of each kind, random weights everywhere."""
    return with_noise(small_models.small_hunyuan())


@pytest.fixture
def small_hunyuan_token_replace(
    small_hunyuan: HunyuanVideoTransformer3DModel,
) -> HunyuanVideoTransformer3DModel:
    """The same weights in diffusers' class of two timesteps: the first frame's, and the others'."""
    token_replace = small_models.small_hunyuan(image_condition_type="token_replace")
    token_replace.load_state_dict(small_hunyuan.state_dict())
    return token_replace
