"""Decoding section by section gives the frames of one decode, at a cost that does not grow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pfp.generate.decoding import CONTEXT, Context, GrowingDecode
from pfp.models.vae.latent_vae import LatentVAE

SIZES = (3, 4, 37, 2, 1)  # latents of each section; the later ones have more past than context


class SpyCodec:
    """Passes latents on and notes how many there were."""

    def __init__(self, codec: Any) -> None:
        self.codec = codec
        self.num_decoded: list[int] = []

    def decode(self, latents_BCTHW: Any, *, is_start: bool) -> Any:
        """As the codec decodes."""
        self.num_decoded.append(latents_BCTHW.shape[2])
        return self.codec.decode(latents_BCTHW, is_start=is_start)


def latents(vae: LatentVAE, num: int) -> NDArray[np.float32]:
    """Random latents of 2 x 2."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(num, vae.z_channels, 2, 2)).astype(np.float32)


def levels_apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    """The largest difference of two videos."""
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


def test_sections_are_those_of_the_whole_decode(causal_vae: LatentVAE) -> None:
    """Every frame, at the borders too; Wan to the bit, tiny up to the rounding of a sum."""
    whole_TCHW = latents(causal_vae, sum(SIZES))
    expected = causal_vae.decode(whole_TCHW)
    growing = GrowingDecode(causal_vae)

    parts = [growing.append(part) for part in np.split(whole_TCHW, np.cumsum(SIZES)[:-1])]

    assert [4 * size - 3 * (index == 0) for index, size in enumerate(SIZES)] == list(
        map(len, parts)
    )
    assert levels_apart(expected, np.concatenate(parts)) <= (causal_vae.vae_id == "tiny")


def test_less_context_would_show(causal_vae: LatentVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reach in the table is no larger than it must be by half."""
    needed = CONTEXT[causal_vae.vae_id].num_latents
    monkeypatch.setitem(CONTEXT, causal_vae.vae_id, Context(needed // 2))  # type: ignore[misc]
    whole_TCHW = latents(causal_vae, needed + 6)
    growing = GrowingDecode(causal_vae)
    growing.add_context(whole_TCHW[:-2])

    assert levels_apart(causal_vae.decode(whole_TCHW)[-8:], growing.append(whole_TCHW[-2:])) > 1


def test_a_real_past_is_context_without_being_decoded(causal_vae: LatentVAE) -> None:
    """Latents that are only context are not decoded, and what follows continues them."""
    whole_TCHW = latents(causal_vae, 8)
    spy = SpyCodec(causal_vae.codec)
    growing = GrowingDecode(replace(causal_vae, codec=spy))

    growing.add_context(whole_TCHW[:6])
    assert [] == spy.num_decoded

    assert levels_apart(causal_vae.decode(whole_TCHW)[-8:], growing.append(whole_TCHW[6:])) <= 1


def test_a_long_past_costs_no_more_than_the_context(vae: LatentVAE) -> None:
    """After hundreds of sections each still decodes its own latents and three before them."""
    spy = SpyCodec(vae.codec)
    growing = GrowingDecode(replace(vae, codec=spy))

    for _ in range(200):
        growing.append(latents(vae, 2))

    assert [5] * 10 == spy.num_decoded[-10:]
    kept = growing._tail_TCHW
    assert kept is not None
    assert (3, True) == (len(kept), kept.base is None)


def test_tiles_in_time_stay_where_they_are_in_the_whole_video(vae: LatentVAE) -> None:
    """HunyuanVideo's context begins at a multiple of its tiles' stride of 3 latents."""
    spy = SpyCodec(vae.codec)
    growing = GrowingDecode(replace(vae, vae_id="hunyuan+tiling", append_exact=False, codec=spy))

    for _ in range(12):
        growing.append(latents(vae, 4))

    firsts = [4 * (k + 1) - num for k, num in enumerate(spy.num_decoded)]
    assert [0, 0, 0, 0, 3, 6, 12, 15, 18, 24, 27, 30] == firsts
    assert not growing.is_exact
