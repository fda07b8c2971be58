"""bf16 convolutions of every network that ships or is supported, against float32."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from diffusers import AutoencoderKLHunyuanVideo, AutoencoderKLWan
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models import alexnet, vgg16
from torchvision.models.optical_flow import raft_large

from pfp.eval.networks.arcface_resnet18 import ArcfaceResnet18
from pfp.eval.networks.retinaface import RetinaFace
from pfp.eval.networks.viclip import Viclip, ViclipConfig
from pfp.models import cpu_check
from pfp.models.memory.encoder import make_encoder
from pfp.models.precision import bf16_products
from pfp.models.rates import GEOMETRIES, parse_rate
from pfp.models.vae.tiny import TinyCausalVAE
from tests.small_models import small_hunyuan, small_wan

ROUNDING = 0.01  # relative; bf16's rounding of a right result is some 0.002
convolution = torch.ops.aten.convolution.default


def relative_error(made: Tensor, right: Tensor) -> float:
    """The norm of the difference over the norm of what is right; NaN is infinitely wrong."""
    wrong = (made.double() - right.double()).norm() / right.double().norm().clamp_min(1e-30)
    return float(torch.nan_to_num(wrong, nan=float("inf")))


class Walk(TorchDispatchMode):
    """Tries every bf16 convolution on random numbers too, and keeps those that are not float32's.

    Random, because many weights begin at zero, where any arithmetic is right.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_seen = 0
        self.wrong: list[Any] = []

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Every operator that torch runs."""
        del types
        made = operator(*args, **(kwargs or {}))
        if operator is convolution and args[0].dtype == torch.bfloat16:
            self.num_seen += 1
            drawn = [torch.randn_like(x) if isinstance(x, Tensor) else x for x in args]
            right = convolution(*(x.float() if isinstance(x, Tensor) else x for x in drawn))
            if relative_error(convolution(*drawn), right) > ROUNDING:
                self.wrong.append((*(tuple(x.shape) for x in args[:2]), *args[3:]))
        return made


def walked(run: Callable[[], object]) -> Walk:
    """What every convolution of a call is, under bf16 products."""
    walk = Walk()
    with torch.no_grad(), bf16_products(), walk:
        run()
    return walk


# -- what ships or is supported, at the channels, kernels and strides that presets use -------------


def tiny_vae() -> object:
    """The default VAE at the demo's size, there and back."""
    vae = TinyCausalVAE().eval()
    return vae.decode(vae.encode(torch.randn(1, 3, 9, 96, 160)))


def wan_vae(**changes: Any) -> object:
    """Wan's VAE at an eighth of its width, upright, so that its last maps are narrow."""
    vae: Any = AutoencoderKLWan(base_dim=16, num_res_blocks=1, **changes).eval()
    channels = changes.get("in_channels", 3)
    height, width = (64, 32) if channels == 3 else (32, 16)  # of folded pixels
    vae.encoder(torch.randn(1, channels, 1, height, width), feat_cache=None)
    return vae._decode(torch.randn(1, vae.config.z_dim, 2, 4, 2))


def hunyuan_vae() -> object:
    """HunyuanVideo's VAE at a quarter of its width."""
    vae: Any = AutoencoderKLHunyuanVideo(
        block_out_channels=(32, 64, 64, 64), layers_per_block=1, norm_num_groups=8
    ).eval()
    return vae.decode(vae.encode(torch.randn(1, 3, 5, 32, 16)).latent_dist.mean)


def dit(make: Callable[..., Any]) -> object:
    """A DiT's stock forward, whose patch embedding is a convolution."""
    model = make()
    embed = model.patch_embedding if hasattr(model, "patch_embedding") else model.x_embedder
    return embed(torch.randn(1, model.config.in_channels, 3, 16, 24))


def variant(name: str, rate: str, size: tuple[int, int]) -> object:
    """A variant's memory encoder over a history of 13 latents, in one piece and appended to."""
    base = nn.Conv3d(16, 256, (1, 2, 2), (1, 2, 2))
    parsed = parse_rate(rate, GEOMETRIES["tiny"])
    encoder: Any = make_encoder(name, parsed, base)
    rows, columns = size
    hr = torch.randn(1, 16, 13, rows, columns)
    lr = torch.randn(1, 16, -(-13 // parsed.time), rows // parsed.height, columns // parsed.width)
    if name == "large_patchifier":
        return encoder(hr, lr, base)
    _, state = encoder.encode_start(hr, lr, base)
    more = torch.randn(1, 16, parsed.time, rows, columns)
    return encoder.encode_append(more, lr[:, :, :1], state, base)


def viclip() -> object:
    """ViCLIP's patches, 14 x 14 pixels of three channels."""
    config = ViclipConfig()
    return Viclip(config).vision_encoder.conv1(torch.randn(1, 3, 2, 224, 224))


NETWORKS: dict[str, Callable[[], object]] = {
    "tiny VAE": tiny_vae,
    "Wan 2.1 VAE": wan_vae,
    "Wan 2.2 VAE": lambda: wan_vae(
        z_dim=48, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
        scale_factor_spatial=16, decoder_base_dim=16,
    ),
    "HunyuanVideo VAE": hunyuan_vae,
    "Wan 2.1 DiT": lambda: dit(small_wan),
    "Wan 2.2 DiT": lambda: dit(lambda: small_wan(in_channels=48, out_channels=48)),
    "HunyuanVideo DiT": lambda: dit(small_hunyuan),
    "RetinaFace": lambda: RetinaFace().eval()(torch.randn(1, 3, 96, 64)),
    "ArcFace": lambda: ArcfaceResnet18().eval()(torch.randn(1, 1, 128, 128)),
    "AlexNet of LPIPS": lambda: alexnet().features(torch.randn(1, 3, 64, 64)),
    "VGG of LPIPS": lambda: vgg16().features(torch.randn(1, 3, 32, 32)),
    "RAFT": lambda: raft_large().eval()(
        *torch.randn(2, 1, 3, 128, 128).unbind(), num_flow_updates=1
    ),
    "ViCLIP": viclip,
    "CLIP's patches": lambda: nn.Conv2d(3, 64, 14, 14)(torch.randn(1, 3, 224, 224)),
    "MUSIQ's stem": lambda: nn.Conv2d(3, 64, 7, 2)(torch.randn(4, 3, 32, 32)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_of_a_network_is_right_in_bf16(name: str) -> None:
    """None differs from float32 by more than rounding, also where the CPU's own are wrong."""
    torch.manual_seed(0)

    walk = walked(NETWORKS[name])

    assert [] == walk.wrong
    assert walk.num_seen > 0


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (40, 8)])
@pytest.mark.parametrize("rate", ["4x4x2", "2x2x4", "2x2x1"])
def test_every_convolution_of_the_hr_branch_is_right_in_bf16(
    rate: str, size: tuple[int, int]
) -> None:
    """Whole histories and appended ones: a training's crop, the demo's size, one column wide."""
    torch.manual_seed(0)

    walk = walked(lambda: variant("proposed", rate, size))

    assert [] == walk.wrong
    assert walk.num_seen > 0


def test_patchify_variants_have_no_convolution() -> None:
    """The large patchifier, whose convolution was the wrong one, is matrix products alone."""
    assert 0 == walked(lambda: variant("large_patchifier", "4x4x2", (24, 40))).num_seen


# -- kinds that CPUs with AMX get wrong ------------------------------------------------------------

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
KINDS = {
    "few channels, kernel = stride": (16, (8, 8), (8, 8), (32, 24), 0, 1),
    "few channels, wide kernel": (8, (3, 8), (1, 1), (12, 21), 1, 1),
    "few channels, 1D": (8, (8,), (2,), (40,), 0, 1),
    "few channels, 3D": (16, (2, 4, 4), (2, 4, 4), (4, 16, 16), 0, 1),
    "one column wide": (128, (3, 3), (2, 2), (5, 3), 0, 1),
    "one column wide, padded": (64, (5, 5), (3, 3), (21, 2), 2, 1),
    "one column wide, 3D": (64, (3, 3, 3), (3, 3, 3), (1, 20, 1), 1, 1),
    "one column wide, grouped": (48, (8, 8), (4, 4), (68, 8), 0, 2),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["autocast", "bf16 weights"])
@pytest.mark.parametrize("transposed", [False, True])
def test_results_and_gradients_are_right(kind: str, how: str, *, transposed: bool) -> None:
    """Each time, forwards and backwards, under autocast and where the weights are bf16."""
    channels, kernel, stride, size, padding, groups = KINDS[kind]
    table = TRANSPOSED if transposed else CONVOLUTIONS
    convolve: Any = table[len(kernel)]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, *size, generator=generator).bfloat16().float()
    shape = (channels, 32) if transposed else (32 * groups, channels // groups)
    weight = torch.randn(*shape, *kernel, generator=generator).bfloat16().float()

    def results(*, bf16: bool) -> list[Tensor]:
        dtype = torch.bfloat16 if bf16 and how == "bf16 weights" else torch.float32
        given = [t.to(dtype).requires_grad_() for t in (x, weight)]
        with bf16_products(enabled=bf16 and how == "autocast"):
            out = convolve(*given, None, stride, padding, groups=groups)
        sum_of_squares = out.float().square().sum()
        return [out.detach(), *torch.autograd.grad(sum_of_squares, given)]

    right = results(bf16=False)
    for _ in range(2):
        made = results(bf16=True)
        assert torch.bfloat16 == made[0].dtype
        assert max(map(relative_error, made, right)) < ROUNDING


def test_other_dtypes_are_left_to_torch() -> None:
    """float32 and float64 results are those of a process without pfp, to the bit."""
    script = (
        "import torch, sys; torch.set_num_threads(1); torch.manual_seed(0)\n"
        "x, w = torch.randn(1, 16, 20, 20), torch.randn(8, 16, 3, 3)\n"
        "for t in (torch.float32, torch.float64):\n"
        "    y = torch.conv2d(x.to(t), w.to(t), stride=2)\n"
        "    print(y.double().sum().item(), y.double().square().sum().item())\n"
    )
    both = [
        subprocess.run([sys.executable, "-c", before + script], capture_output=True, check=True)
        for before in ("", "import pfp.models.precision\n")
    ]

    assert both[0].stdout == both[1].stdout


def test_a_compiled_network_is_right_too() -> None:
    """What torch.compile makes calls the same operator."""
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 8, 8, 8)
    x = torch.randn(1, 16, 16, 16)
    right = conv(x).detach()
    compiled = torch.compile(conv, backend="aot_eager")

    with bf16_products():
        made = compiled(x)

    assert relative_error(made.detach(), right) < ROUNDING


MAKERS = (
    "pfp.models.memory.encoder",
    "pfp.models.memory.dit",
    "pfp.models.backbones.loading",
    "pfp.models.vae.tiny_codec",
    "pfp.models.vae.wan",
    "pfp.models.vae.hunyuan",
)
# torch and diffusers are loaded once; of pfp each module finds nothing loaded.
IMPORT_EACH = """
import importlib.machinery, sys, types
import pfp.models

NAME = "pfp.models.precision"

class Noted(types.ModuleType):
    bf16_products = None

for maker in MAKERS:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pfp"]:
        del sys.modules[name]
    asked = []

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != NAME:
                return None
            asked.append(name)
            return importlib.machinery.ModuleSpec(name, Finder)
        create_module = staticmethod(lambda spec: Noted(spec.name))
        exec_module = staticmethod(lambda module: None)

    sys.meta_path.insert(0, Finder)
    importlib.import_module(maker)
    sys.meta_path.remove(Finder)
    print(maker, *asked)
"""


def test_whatever_makes_a_network_brings_right_convolutions() -> None:
    """Nobody has to import ``precision``: each module that makes networks has done so."""
    script = f"MAKERS = {MAKERS!r}\n{IMPORT_EACH}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )

    assert [f"{maker} pfp.models.precision" for maker in MAKERS] == done.stdout.splitlines()


# -- what doctor says ------------------------------------------------------------------------------


def test_no_probe_is_wrong_here() -> None:
    """Every convolution that the check of a CPU probes is right in a process that has pfp."""
    assert [] == [probe for probe in cpu_check.PROBES if cpu_check.is_wrong(probe)]


def test_the_check_sees_what_torch_does_without_pfp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without AMX, which oneDNN can be told to leave alone, nothing that is probed is wrong."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

    assert (0, len(cpu_check.PROBES)) == cpu_check.check()


def test_a_check_that_ends_its_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution that writes where it must not ends the check, not who asked for it."""
    monkeypatch.setattr(sys, "executable", "/bin/false")

    assert (None, len(cpu_check.PROBES)) == cpu_check.check()
