"""RAFT against its paper written out with plain functions, and the padding and passes around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody reads
from torch import Tensor
from torchvision.models.optical_flow import raft_large

from pfp.errors import WeightsError
from pfp.io import weights
from pfp.measures import flow

State = dict[str, Tensor]
RADIUS, LEVELS = 4, 4


def original_shapes() -> dict[str, tuple[int, ...]]:
    """Weights of RAFT (basic) under the authors' names, from the paper's description of it.

    Both encoders: 7x7 convolution to 64 channels, then two residual blocks each of 64, 96 and 128,
    then 1x1 to 256; the context's has batch normalisation, the features' has none with weights.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out: int, into: int, high: int, wide: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into, high, wide), (out,)

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    for net in ("fnet", "cnet"):
        norms: list[tuple[str, int]] = [("norm1", 64)]
        conv(f"{net}.conv1", 64, 3, 7, 7)
        into = 64
        for layer, width in enumerate((64, 96, 128), start=1):
            for block in (0, 1):
                at = f"layer{layer}.{block}"
                conv(f"{net}.{at}.conv1", width, into, 3, 3)
                conv(f"{net}.{at}.conv2", width, width, 3, 3)
                norms += [(f"{at}.norm1", width), (f"{at}.norm2", width)]
                if layer > 1 and block == 0:
                    conv(f"{net}.{at}.downsample.0", width, into, 1, 1)
                    norms += [(f"{at}.norm3", width), (f"{at}.downsample.1", width)]
                into = width
        conv(f"{net}.conv2", 256, 128, 1, 1)
        for name, channels in norms if net == "cnet" else []:
            norm(f"cnet.{name}", channels)
    update = "update_block"
    conv(f"{update}.encoder.convc1", 256, LEVELS * (2 * RADIUS + 1) ** 2, 1, 1)
    conv(f"{update}.encoder.convc2", 192, 256, 3, 3)
    conv(f"{update}.encoder.convf1", 128, 2, 7, 7)
    conv(f"{update}.encoder.convf2", 64, 128, 3, 3)
    conv(f"{update}.encoder.conv", 126, 192 + 64, 3, 3)
    for gate in "zrq":
        conv(f"{update}.gru.conv{gate}1", 128, 128 + 256, 1, 5)
        conv(f"{update}.gru.conv{gate}2", 128, 128 + 256, 5, 1)
    conv(f"{update}.flow_head.conv1", 256, 128, 3, 3)
    conv(f"{update}.flow_head.conv2", 2, 256, 3, 3)
    conv(f"{update}.mask.0", 256, 128, 3, 3)
    conv(f"{update}.mask.2", 64 * 9, 256, 1, 1)
    return shapes


def random_state() -> State:
    """Random weights of the original that keep activations and flows of a sensible size."""
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for name, shape in original_shapes().items():
        values = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif len(shape) == 4:
            state[name] = values * (1.5 / (shape[1] * shape[2] * shape[3])) ** 0.5
        elif name.endswith(("running_var", "norm1.weight", "norm2.weight", "1.weight")):
            state[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            state[name] = values * 0.1
    for name in [name for name in state if ".norm3." in name]:
        state[name] = state[name.replace("norm3", "downsample.1")]
    return state


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights under the authors' names."""
    return random_state()


@pytest.fixture(scope="module")
def weights_path(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those weights in a file as the authors saved theirs, from ``DataParallel``."""
    path = tmp_path_factory.mktemp("raft") / "raft-things.pth"
    torch.save({f"module.{name}": value for name, value in state.items()}, path)
    return path


def noise(num_frames: int, height: int, width: int) -> np.ndarray:
    """Smooth random frames, each another."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (num_frames, height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width])


def encoder(w: State, net: str, image_BCHW: Tensor) -> Tensor:
    """Section 3.1: an eighth of the resolution, 256 channels."""

    def normed(name: str, x: Tensor) -> Tensor:
        if net == "fnet":
            centred = x - x.mean(dim=(2, 3), keepdim=True)
            return centred / (x.var(dim=(2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, var, scale, shift = (w[f"cnet.{name}.{p}"][:, None, None] for p in parts)
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = w[f"{net}.{name}.weight"]
        pad = weight.shape[-1] // 2
        return F.conv2d(x, weight, w[f"{net}.{name}.bias"], stride=stride, padding=pad)

    x = normed("norm1", conv("conv1", image_BCHW, 2)).relu()
    for layer in (1, 2, 3):
        for block in (0, 1):
            at, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = normed(f"{at}.norm1", conv(f"{at}.conv1", x, stride)).relu()
            y = normed(f"{at}.norm2", conv(f"{at}.conv2", y)).relu()
            if stride == 2:
                x = normed(f"{at}.downsample.1", conv(f"{at}.downsample.0", x, 2))
            x = (x + y).relu()
    return conv("conv2", x)


def look_up(volume_NHW: Tensor, x_N: Tensor, y_N: Tensor) -> Tensor:
    """Bilinear values of (N, H, W) at 9 x 9 places around N points, zero outside; (N, 81)."""
    num, height, width = volume_NHW.shape
    reach = torch.arange(-RADIUS, RADIUS + 1.0)
    # The authors' window runs over x slowly and over y fast.
    x = (x_N[:, None, None] + reach[:, None]).expand(num, 9, 9).reshape(num, 81)
    y = (y_N[:, None, None] + reach[None, :]).expand(num, 9, 9).reshape(num, 81)
    total = torch.zeros(num, 81, dtype=volume_NHW.dtype)
    for corner_x, share_x in ((x.floor(), 1 - x % 1), (x.floor() + 1, x % 1)):
        for corner_y, share_y in ((y.floor(), 1 - y % 1), (y.floor() + 1, y % 1)):
            inside = (corner_x >= 0) & (corner_x < width) & (corner_y >= 0) & (corner_y < height)
            cell = corner_y.clamp(0, height - 1) * width + corner_x.clamp(0, width - 1)
            found = volume_NHW.flatten(1).gather(1, cell.long())
            total += torch.where(inside, found, 0.0) * share_x * share_y
    return total


def by_definition(w: State, first_BCHW: Tensor, second_BCHW: Tensor, num_updates: int) -> Tensor:
    """Sections 3.1 to 3.3 of Teed and Deng for images in [-1, 1]; flow at full resolution."""

    def conv(name: str, x: Tensor) -> Tensor:
        weight = w[f"update_block.{name}.weight"]
        padding = (weight.shape[2] // 2, weight.shape[3] // 2)
        return F.conv2d(x, weight, w[f"update_block.{name}.bias"], padding=padding)

    first, second = encoder(w, "fnet", first_BCHW), encoder(w, "fnet", second_BCHW)
    num, _, high, wide = first.shape
    volume = torch.einsum("bchw,bcij->bhwij", first, second).reshape(-1, high, wide) / 16
    pyramid = [volume]
    for _ in range(LEVELS - 1):
        last = pyramid[-1]
        rows, columns = last.shape[1] // 2, last.shape[2] // 2
        even = last[:, : 2 * rows, : 2 * columns]
        pyramid.append(even.reshape(-1, rows, 2, columns, 2).mean(dim=(2, 4)))
    context = encoder(w, "cnet", first_BCHW)
    hidden, context = context[:, :128].tanh(), context[:, 128:].relu()
    y0, x0 = torch.meshgrid(torch.arange(float(high)), torch.arange(float(wide)), indexing="ij")
    moved = torch.zeros(num, 2, high, wide, dtype=first.dtype)
    for _ in range(num_updates):
        x, y = (x0 + moved[:, 0]).flatten(), (y0 + moved[:, 1]).flatten()
        seen = [look_up(level, x / 2**i, y / 2**i) for i, level in enumerate(pyramid)]
        seen_BCHW = torch.cat(seen, dim=1).reshape(num, high, wide, -1).permute(0, 3, 1, 2)
        from_seen = conv("encoder.convc2", conv("encoder.convc1", seen_BCHW).relu()).relu()
        from_flow = conv("encoder.convf2", conv("encoder.convf1", moved).relu()).relu()
        motion = conv("encoder.conv", torch.cat([from_seen, from_flow], dim=1)).relu()
        inputs = torch.cat([context, motion, moved], dim=1)
        for half in "12":
            both = torch.cat([hidden, inputs], dim=1)
            z = conv(f"gru.convz{half}", both).sigmoid()
            r = conv(f"gru.convr{half}", both).sigmoid()
            q = conv(f"gru.convq{half}", torch.cat([r * hidden, inputs], dim=1)).tanh()
            hidden = (1 - z) * hidden + z * q
        moved = moved + conv("flow_head.conv2", conv("flow_head.conv1", hidden).relu())
    mask = 0.25 * conv("mask.2", conv("mask.0", hidden).relu())
    shares = mask.reshape(num, 9, 8, 8, high, wide).softmax(dim=1)
    around = F.pad(8 * moved, (1, 1, 1, 1))
    shifts = [around[:, :, i : i + high, j : j + wide] for i in range(3) for j in range(3)]
    fine = torch.einsum("bkpqhw,kbchw->bchpwq", shares, torch.stack(shifts))
    return fine.reshape(num, 2, 8 * high, 8 * wide)


@pytest.fixture
def two_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates instead of twenty: enough where only what is around them matters."""
    monkeypatch.setattr(flow, "NUM_UPDATES", 2)


@pytest.mark.parity
def test_it_agrees_with_the_paper(
    state: State, weights_path: Path, parity: Callable[..., None]
) -> None:
    """20 updates of the original's weights give the flow of the paper's formulas.

    Both in float64: twenty updates of random weights blow float32's rounding up to 0.006 px, which
    would hide a small mistake.
    """
    frames = noise(2, 128, 136)
    images = 2 * torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()).double() / 255 - 1
    exact = {name: values.double() for name, values in state.items()}
    with torch.inference_mode():
        expected = by_definition(exact, images[:1], images[1:], 20)

    actual = flow.padded_flows(flow.load_raft(weights_path).double(), frames)

    assert (1, 2, 128, 136) == actual.shape
    assert expected.abs().mean() > 1.0, "flows that hardly move would prove nothing"
    difference = float((expected - actual).abs().max())
    parity(
        "dynamics", "RAFT from the paper's formulas, float64", difference, tolerance=1e-9, unit="px"
    )


@pytest.mark.parity
@pytest.mark.usefixtures("two_updates")
def test_it_is_torchvision_s_flow_bit_for_bit(
    weights_path: Path, parity: Callable[..., None]
) -> None:
    """Encoding frames once and upsampling once changes no number of torchvision's."""
    frames = noise(2, 128, 128)
    network = flow.load_raft(weights_path)
    images = 2 * (torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()).float() / 255.0) - 1.0
    with torch.inference_mode():
        expected = network(images[:-1], images[1:], num_flow_updates=2)[-1]
        expected_back = network(images[1:], images[:-1], num_flow_updates=2)[-1]

    there, back = flow.flows_both_ways(network, frames)

    assert torch.equal(expected_back, back)
    for found in (there, flow.padded_flows(network, frames)):
        difference = float((expected - found).abs().max())
        parity("dynamics", "torchvision's RAFT", difference, tolerance=0.0, unit="px")


@pytest.mark.usefixtures("two_updates")
def test_the_size_of_a_pass_changes_no_number(weights_path: Path) -> None:
    """Pairs that go through the network together have the flows that they have alone."""
    frames = noise(3, 128, 128)
    network = flow.load_raft(weights_path)
    alone = torch.cat([flow.padded_flows(network, frames[i : i + 2]) for i in range(2)])

    assert torch.equal(alone, flow.padded_flows(network, frames))


def test_both_names_of_the_weights_give_one_network(
    state: State, weights_path: Path, tmp_path: Path
) -> None:
    """Torchvision's own state dict loads as it is; the original's becomes the same one."""
    network = flow.load_raft(weights_path)
    torch.save(network.state_dict(), tmp_path / "raft_large.pth")
    again = flow.load_raft(tmp_path / "raft_large.pth").state_dict()

    renamed = flow.torchvision_names(state)

    assert raft_large(weights=None, progress=False).state_dict().keys() == renamed.keys()
    assert all(torch.equal(renamed[name], again[name]) for name in renamed)
    assert 5_257_536 == sum(parameter.numel() for parameter in network.parameters())


def test_loading_leaves_the_random_generator_alone(weights_path: Path) -> None:
    """A run's random numbers do not depend on whether flow was measured."""
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    flow.load_raft(weights_path)

    assert torch.equal(expected, torch.rand(4))


@pytest.mark.parametrize("content", ["other", "list", "text"])
def test_what_is_not_raft_is_refused(tmp_path: Path, content: str) -> None:
    """Another network's weights, another object and no weights at all name the file."""
    path = tmp_path / "w.pth"
    if content == "text":
        path.write_text("no weights")
    else:
        torch.save({"conv1.weight": torch.zeros(1)} if content == "other" else [1], path)

    with pytest.raises(WeightsError, match=r"w\.pth (is not|cannot be read as tensors only)"):
        flow.load_raft(path)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (480, 832, (0, 0, 0, 0)),
        (540, 961, (3, 4, 2, 2)),
        (135, 241, (3, 4, 0, 1)),
        (100, 64, (32, 32, 14, 14)),
        (127, 129, (3, 4, 0, 1)),
    ],
)
def test_padding_is_split_over_both_sides(
    height: int, width: int, expected: tuple[int, int, int, int]
) -> None:
    """To multiples of 8 and to 128: the smaller half goes left and above."""
    padding = flow.padding_of(height, width)

    assert expected == (padding.left, padding.right, padding.top, padding.bottom)


@pytest.mark.usefixtures("two_updates")
def test_padding_repeats_the_border(weights_path: Path) -> None:
    """A frame of odd size has the flow of the frame that was extended by its border by hand."""
    frames = noise(2, 133, 130)
    extended = np.pad(frames, ((0, 0), (1, 2), (3, 3), (0, 0)), mode="edge")
    network = flow.load_raft(weights_path)

    padded = flow.padded_flows(network, frames)
    there, _ = flow.flows_both_ways(network, frames)

    assert torch.equal(flow.padded_flows(network, extended), padded)
    assert torch.equal(padded[:, :, 1:-2, 3:-3], there)


@pytest.mark.usefixtures("two_updates")
def test_frames_below_128_pixels_have_a_flow(weights_path: Path) -> None:
    """A small frame is padded up to what torchvision takes."""
    network = flow.load_raft(weights_path)

    there, back = flow.flows_both_ways(network, noise(2, 40, 48))

    assert there.shape == back.shape == (1, 2, 40, 48)
    assert torch.isfinite(there).all()


@pytest.mark.usefixtures("two_updates")
def test_nothing_of_a_pass_stays_behind(weights_path: Path) -> None:
    """The correlations, gigabytes of a large frame, are let go."""
    network = flow.load_raft(weights_path)
    flow.padded_flows(network, noise(2, 128, 128))

    assert [] == network.corr_block.corr_pyramid


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(128, 224, 16), (480, 832, 5), (720, 1280, 1), (2160, 3840, 1)],
)
def test_a_pass_is_as_large_as_memory_allows(height: int, width: int, expected: int) -> None:
    """At 480p five pairs' correlations fit in a gibibyte; one pair always goes."""
    assert expected == flow.pairs_per_pass(height, width)


def test_real_weights_follow_a_moving_pattern() -> None:
    """With torchvision's weights a pattern that moves by (6, -3) px is followed to half a pixel."""
    try:
        path = weights.find("raft-large-c-t-v1")
    except WeightsError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 20, 28)).astype(np.float32))
    scene = F.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 255)[0]
    scene_HWC = scene.permute(1, 2, 0).numpy().astype(np.uint8)
    frames = np.stack([scene_HWC[8:136, 8:200], scene_HWC[11:139, 2:194]])

    there = flow.padded_flows(flow.load_raft(path), frames)[0, :, 16:-16, 16:-16]

    assert float((there[0] - 6).abs().max()) < 0.5
    assert float((there[1] + 3).abs().max()) < 0.5
