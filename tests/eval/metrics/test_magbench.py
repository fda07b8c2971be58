"""MAG-Bench by its description: the window by hand, the matches by brute force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pfp.errors import PermanentError
from pfp.eval.metrics import METRICS, Frame, Metric, OpenedSample, resolve
from pfp.eval.metrics.lpips import network_of
from pfp.eval.metrics.magbench import (
    all_frames,
    generated_frames,
    history_frames,
    window_after_switch,
)
from pfp.eval.networks.nearest_frames import lpips_features, nearest_frames
from pfp.io.digests import sha256_file
from pfp.io.weights import Lock, Weights

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
QUANTITIES = ("psnr", "ssim", "lpips")
SIDE = 32
NUM_FRAMES, SWITCH, STOP = 57, 45, 57  # the shortest that leaves a whole block after 42 frames


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lock whose lpips-alex is a random AlexNet."""
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(0)
    trunk = {}
    for layer, (after, before, side) in SHAPES.items():
        weight = torch.randn((after, before, side, side), generator=generator)
        trunk[f"features.{layer}.weight"] = weight * (2.0 / (before * side * side)) ** 0.5
        trunk[f"features.{layer}.bias"] = torch.zeros(after)
    path = folder / "lpips-alex" / "trunk.pth"
    path.parent.mkdir()
    torch.save(trunk, path)
    entry = Weights(
        name="lpips-alex",
        urls=("https://example.org/trunk.pth",),
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        licence="none",
        non_commercial=False,
        cite="nobody",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PFP_WEIGHTS_DIR", str(folder))
        yield {"lpips-alex": entry}


@pytest.fixture(scope="module")
def network(lock: Lock) -> Any:
    """The LPIPS module with that trunk."""
    return network_of("alex", "cpu", lock)


@pytest.fixture(scope="module")
def videos() -> tuple[np.ndarray, np.ndarray]:
    """A true video of random frames, and one whose rest is the truth backwards, with noise."""
    rng = np.random.default_rng(3)
    true = rng.integers(0, 256, (NUM_FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    made = true.copy()
    made[SWITCH:STOP] = true[SWITCH:STOP][::-1]
    made[SWITCH] = true[7]  # the first generated frame is one of the history
    noise = rng.normal(0, 12, made[SWITCH:].shape)
    made[SWITCH:] = np.clip(made[SWITCH:] + noise, 0, 255).astype(np.uint8)
    return made, true


def distances(network: Any, frames: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The LPIPS of every pair by the authors' own module."""
    frames_TCHW, among_TCHW = (
        torch.from_numpy(np.ascontiguousarray(video.transpose(0, 3, 1, 2))).float() / 127.5 - 1
        for video in (frames, among)
    )
    with torch.inference_mode():
        rows = [network(x[None].expand_as(among_TCHW), among_TCHW) for x in frames_TCHW]
    return torch.stack(rows).flatten(1).double().numpy()


@pytest.fixture(scope="module")
def pairs(network: Any, videos: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """The LPIPS of every generated frame to every frame of the true rest and of the history."""
    made, true = videos[0][SWITCH:], videos[1]
    return {
        "matched": distances(network, made, true[SWITCH:]),
        "history": distances(network, made, true[:SWITCH]),
    }


def ssim_of_skimage(frame: np.ndarray, true: np.ndarray) -> float:
    """Gaussian SSIM where the window fits."""
    options: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "data_range": 255}
    full = structural_similarity(
        frame, true, channel_axis=-1, use_sample_covariance=False, full=True, **options
    )[1]
    return float(full[5:-5, 5:-5].mean())


def metric(name: str, lock: Lock) -> Metric:
    """A metric of MAG-Bench with the random trunk."""
    return resolve(f"magbench.{name}")(lock=lock)


@pytest.mark.parametrize(
    ("num_frames", "fps", "window"),
    [
        (57, 16.0, (45, 57)),
        (160, 16.0, (129, 153)),  # 120 -> 129, 160 -> 153
        (240, 24.0, (129, 153)),  # the same ten seconds
        (320, 16.0, (249, 309)),  # 240 -> 249, 320 -> 309
        (321, 16.0, (249, 321)),  # 240.75 -> 249, 324 is 27 blocks
        (481, 24.0, (249, 309)),  # 320.67 frames at 16 fps
    ],
)
def test_the_window_by_hand(num_frames: int, fps: float, window: tuple[int, int]) -> None:
    """The switch goes up and the end down to 12 n - 3 frames at 16 fps."""
    found = window_after_switch(num_frames, fps)

    assert (found.switch, found.stop) == window


@given(num_frames=st.integers(96, 5000))
def test_from_six_seconds_on_there_is_something_to_score(num_frames: int) -> None:
    """A video of 6 s or more has whole latent blocks on both sides of the switch."""
    window = window_after_switch(num_frames, 16.0)

    assert 0.75 * num_frames - 1 <= window.switch < window.stop <= num_frames
    assert (window.switch + 3) % 12 == (window.stop + 3) % 12 == 0


@pytest.mark.parametrize("num_frames", [1, 44, 50])
def test_a_short_video_is_refused(num_frames: int, lock: Lock) -> None:
    """Where rounding leaves no frame to score the metric says how long a video must be."""
    video = np.zeros((num_frames, SIDE, SIDE, 3), np.uint8)

    for name in ("matched.psnr", "history.lpips", "aligned.ssim"):
        with pytest.raises(PermanentError, match="give one of 6 s or more"):
            metric(name, lock).measure(video, video, fps=16.0)


def test_other_rates_are_read_at_sixteen_frames_per_second() -> None:
    """At 24 fps the frame shown at each sixteenth of a second is taken, at 16 fps each."""
    at_24 = OpenedSample(num_frames=240, fps=24.0, height=SIDE, width=SIDE)
    at_16 = OpenedSample(num_frames=160, fps=16.0, height=SIDE, width=SIDE)

    assert generated_frames(at_24)[:5] == [193, 195, 196, 198, 199]  # 129 / 16 s is frame 193.5
    assert generated_frames(at_16) == list(range(129, 153))
    assert all_frames(at_16) == list(range(153))


def test_the_nearest_frames_are_those_of_every_pair(
    network: Any, pairs: dict[str, np.ndarray], videos: tuple[np.ndarray, np.ndarray]
) -> None:
    """Distances and matches are the authors' module's over all pairs, in one part or in many."""
    made, true = videos[0][SWITCH:], videos[1][SWITCH:]
    expected = pairs["matched"]
    num_bytes = lpips_features(network, true[:1], "cpu").nbytes

    for max_feature_bytes in (1 << 30, 5 * num_bytes, 1):
        found = nearest_frames(network, list(made), list(true), max_feature_bytes=max_feature_bytes)
        assert found.index_Q.tolist() == expected.argmin(axis=1).tolist()
        assert found.distance_Q == pytest.approx(expected.min(axis=1), abs=1e-6)


def test_every_frame_goes_through_the_trunk_once(
    network: Any, videos: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matching T frames with T others takes 2 T frames through AlexNet, and one for the size."""
    seen = []
    trunk = network.net.forward
    monkeypatch.setattr(network.net, "forward", lambda x: (seen.append(len(x)), trunk(x))[1])

    nearest_frames(network, list(videos[0][SWITCH:]), list(videos[1][SWITCH:]))

    assert sum(seen) == 2 * (STOP - SWITCH) + 1


@pytest.mark.parity
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("form", ["matched", "history"])
def test_matched_numbers_are_those_of_brute_force(
    *,
    form: str,
    quantity: str,
    lock: Lock,
    pairs: dict[str, np.ndarray],
    videos: tuple[np.ndarray, np.ndarray],
    parity: Callable[..., None],
) -> None:
    """The value is the mean over generated frames of the quantity with the LPIPS-nearest frame."""
    made, true = videos
    first = 0 if form == "history" else SWITCH
    among = true[:SWITCH] if form == "history" else true[SWITCH:]
    match = pairs[form].argmin(axis=1)
    expected = {
        "lpips": pairs[form].min(axis=1),
        "psnr": [
            peak_signal_noise_ratio(among[j], made[SWITCH + i], data_range=255)
            for i, j in enumerate(match)
        ],
        "ssim": [ssim_of_skimage(made[SWITCH + i], among[j]) for i, j in enumerate(match)],
    }[quantity]

    result = metric(f"{form}.{quantity}", lock).measure(made, true, fps=16.0)

    assert result.evidence["matched_frame"] == (match + first).tolist()
    worst = np.abs(np.array(result.evidence["per_frame"]) - expected).max()
    name = f"magbench.{form}.{quantity}"
    parity(name, "every pair by `lpips`, then scikit-image", worst, tolerance=1e-6)
    assert result.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert result.num_frames == STOP - SWITCH
    assert result.evidence["first_frame"] == SWITCH


def test_matching_forgives_order_and_alignment_does_not(
    lock: Lock, videos: tuple[np.ndarray, np.ndarray]
) -> None:
    """A rest that runs backwards is nearly perfect when matched and far off when aligned."""
    matched = metric("matched.psnr", lock).measure(*videos, fps=16.0).value
    aligned = metric("aligned.psnr", lock).measure(*videos, fps=16.0).value

    assert matched is not None
    assert aligned is not None
    assert matched > aligned + 10


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("form", ["matched", "history"])
def test_a_history_of_its_own_gives_what_the_whole_video_gave(
    form: str, quantity: str, lock: Lock, videos: tuple[np.ndarray, np.ndarray]
) -> None:
    """The same frames in two files are the same numbers, counted from the start of their own."""
    made, true = videos
    whole = metric(f"{form}.{quantity}", lock).measure(made, true, fps=16.0)
    reference = None if form == "history" else true[SWITCH:]
    parts = metric(f"{form}.{quantity}", lock).measure(
        made[SWITCH:], reference, fps=16.0, history_THWC=true[:SWITCH]
    )

    assert (parts.value, parts.num_frames) == (whole.value, whole.num_frames)
    assert parts.evidence["per_frame"] == whole.evidence["per_frame"]
    shift = 0 if form == "history" else SWITCH
    matched = [index - shift for index in whole.evidence["matched_frame"]]
    assert parts.evidence["matched_frame"] == matched
    assert parts.evidence["first_frame"] == 0


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_after_a_history_of_its_own_every_frame_is_aligned(
    quantity: str, lock: Lock, videos: tuple[np.ndarray, np.ndarray]
) -> None:
    """Nothing is cut off, so that the aligned form is the plain metric, of 2 s as of 6."""
    made, true = videos[0][:7], videos[1][:7]
    plain = resolve({"lpips": "lpips_alex"}.get(quantity, quantity))(lock=lock)
    found = metric(f"aligned.{quantity}", lock).measure(made, true, fps=16.0, history_THWC=true[:1])

    assert found == plain.measure(made, true)


def test_a_history_is_read_at_sixteen_frames_per_second_of_its_own() -> None:
    """Whatever the video's rate; a frame that lasts shorter than a sixteenth counts once."""
    sample = OpenedSample(
        num_frames=12, fps=24.0, height=SIDE, width=SIDE, num_history_frames=6, history_fps=8.0
    )
    assert history_frames(sample) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert generated_frames(sample) == [0, 1, 3, 4, 6, 7, 9, 10]
    one = OpenedSample(
        num_frames=1, fps=24.0, height=1, width=1, num_history_frames=1, history_fps=24.0
    )
    assert (history_frames(one), generated_frames(one)) == ([0], [0])
    none = OpenedSample(num_frames=160, fps=16.0, height=SIDE, width=SIDE)
    assert history_frames(none) == []


def test_a_history_too_long_to_keep_is_refused_before_it_is_decoded(lock: Lock) -> None:
    """Ten minutes of 1080p are refused with their size, a few seconds of them are not."""
    short = {"num_frames": 33, "fps": 16.0, "height": 1080, "width": 1920, "history_fps": 16.0}
    long = OpenedSample(**short, num_history_frames=9600)  # type: ignore[arg-type]

    with pytest.raises(PermanentError, match=r"matching keeps 9633 frames .* limit of 4 GiB"):
        metric("history.lpips", lock).begin(long)
    metric("matched.lpips", lock).begin(long)  # keeps none of the history


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_aligned_numbers_are_those_of_the_plain_metric(
    quantity: str, lock: Lock, videos: tuple[np.ndarray, np.ndarray]
) -> None:
    """The aligned form is PSNR, SSIM or LPIPS of the frames after the switch alone."""
    made, true = videos
    plain = resolve({"lpips": "lpips_alex"}.get(quantity, quantity))(lock=lock)
    expected = plain.measure(made[SWITCH:STOP], true[SWITCH:STOP])

    assert metric(f"aligned.{quantity}", lock).measure(made, true, fps=16.0) == expected


def test_the_three_quantities_share_one_search(
    lock: Lock, network: Any, videos: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics that see the same frames keep them once and go through AlexNet once, as if alone."""
    names = [f"{form}.{quantity}" for form in ("matched", "history") for quantity in QUANTITIES]
    alone = [metric(name, lock).measure(*videos, fps=16.0) for name in names]
    seen = []
    trunk = network.net.forward
    monkeypatch.setattr(network.net, "forward", lambda x: (seen.append(len(x)), trunk(x))[1])
    sample = OpenedSample(num_frames=NUM_FRAMES, fps=16.0, height=SIDE, width=SIDE)
    asked = [set(metric(name, lock).frames_of(sample) or ()) for name in names]
    running = [metric(name, lock).begin(sample) for name in names]
    for index, (made, true) in enumerate(zip(*videos, strict=True)):
        frame = Frame(index, made, true)
        for wanted, measurement in zip(asked, running, strict=True):
            if index in wanted:
                measurement.see(frame)

    assert [measurement.finish() for measurement in running] == alone
    generated, history = STOP - SWITCH, SWITCH
    assert sum(seen) == (2 * generated + 1) + (generated + history + 1)


def test_an_identical_frame_is_capped_and_null_in_the_evidence(
    lock: Lock, videos: tuple[np.ndarray, np.ndarray]
) -> None:
    """A perfect rest is 100 dB, SSIM 1 and LPIPS 0, each frame matched with itself."""
    true = videos[1]
    psnr = metric("matched.psnr", lock).measure(true, true, fps=16.0)

    assert psnr.value == 100.0
    assert psnr.evidence["per_frame"] == [None] * (STOP - SWITCH)
    assert psnr.evidence["matched_frame"] == list(range(SWITCH, STOP))
    assert metric("matched.lpips", lock).measure(true, true, fps=16.0).value == 0.0


def test_a_video_too_large_to_match_is_refused_before_it_is_decoded(lock: Lock) -> None:
    """Matching keeps frames, so ten minutes of 1080p end with the size and the way out."""
    long = OpenedSample(num_frames=9600, fps=16.0, height=1080, width=1920)

    with pytest.raises(
        PermanentError, match=r"27\.\d GiB, over the limit of 4 GiB.*magbench.aligned"
    ):
        metric("matched.lpips", lock).begin(long)
    metric("aligned.psnr", lock).begin(long)


def test_frames_too_small_for_alexnet_are_refused(lock: Lock) -> None:
    """Matching needs what AlexNet needs, whichever quantity is asked for."""
    video = np.zeros((NUM_FRAMES, 30, 40, 3), np.uint8)

    with pytest.raises(PermanentError, match="at least 31x31 pixels, not 40x30"):
        metric("matched.psnr", lock).measure(video, video, fps=16.0)


def test_the_names_say_form_and_quantity() -> None:
    """The twelve names are in the table, and only those that match need LPIPS's weights."""
    names = [name for name in METRICS if name.startswith("magbench.")]
    cards = {name: resolve(name).card for name in names}

    assert len(names) == 12
    assert cards["magbench.aligned.psnr"].weights == ()
    assert cards["magbench.history.ssim"].weights == ("lpips-alex",)
    assert cards["magbench.matched.lpips"].direction == "lower"


@pytest.mark.parity
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_repository_s_truth_is_rounded(
    *,
    quantity: str,
    lock: Lock,
    network: Any,
    videos: tuple[np.ndarray, np.ndarray],
    parity: Callable[..., None],
) -> None:
    """Its arithmetic as described, in torch's bfloat16: truth in it, video in float32."""
    made, true = (torch.from_numpy(video[SWITCH:]).float() for video in videos)
    truth = (true / 127.5 - 1).to(torch.bfloat16).permute(0, 3, 1, 2)
    video = (made / 255).permute(0, 3, 1, 2)
    with torch.inference_mode():
        rows = [network(x[None].expand_as(truth) * 2 - 1, truth.float()) for x in video]
    lpips = torch.stack(rows).flatten(1)
    nearest = ((truth[lpips.argmin(dim=1)] + 1) / 2.0).float()
    expected = {
        "lpips": lpips.amin(dim=1),
        "psnr": -10 * torch.log10((video - nearest).double().square().mean(dim=(1, 2, 3))),
        "ssim": torch.tensor(
            [
                float_ssim(*(x.double().numpy() for x in pair))
                for pair in zip(video, nearest, strict=True)
            ]
        ),
    }[quantity].numpy()

    result = metric(f"matched.{quantity}.compat", lock).measure(*videos, fps=16.0)
    plain = metric(f"matched.{quantity}", lock).measure(*videos, fps=16.0)

    worst = np.abs(np.array(result.evidence["per_frame"]) - expected).max()
    name = f"magbench.matched.{quantity}.compat"
    parity(name, "the repository's arithmetic in torch's bfloat16", worst, tolerance=1e-5)
    assert result.value != plain.value


def float_ssim(video_CHW: np.ndarray, true_CHW: np.ndarray) -> float:
    """Gaussian SSIM of images in [0, 1] where the window fits."""
    options: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "data_range": 1.0}
    full = structural_similarity(
        video_CHW, true_CHW, channel_axis=0, use_sample_covariance=False, full=True, **options
    )[1]
    return float(full[:, 5:-5, 5:-5].mean())


def test_a_perfect_video_is_off_by_the_rounding(lock: Lock) -> None:
    """Values are up to 0.004 of the range off; a frame without any error is all that counts."""
    true = np.random.default_rng(0).integers(0, 256, (57, SIDE, SIDE, 3), dtype=np.uint8)
    compat = metric("matched.psnr.compat", lock)
    assert 100.0 == metric("matched.psnr", lock).measure(true, true, fps=16.0).value
    value = compat.measure(true, true, fps=16.0).value
    assert value is not None
    assert 55 < value < 70
    with_black = true.copy()
    with_black[50] = 0  # a code value that bfloat16 has
    assert 100.0 == compat.measure(with_black, with_black, fps=16.0).value
