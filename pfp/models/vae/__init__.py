"""Video VAEs: an explicit table, resolved when one is asked for. Importing this is light."""

from __future__ import annotations

from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from pfp.errors import ConfigError, WeightsError
from pfp.io.digests import sha256_json
from pfp.io.weights_lock import published_at
from pfp.models._folders import read_config, weights_sha256
from pfp.models.vae.tiles import TILE_PIXELS, TILE_STRIDE_PIXELS

if TYPE_CHECKING:  # importing it takes torch
    from pfp.models.vae.latent_vae import LatentVAE


class VaeEntry(NamedTuple):
    """Where a VAE is loaded, and what is known of it before it is: spatial stride, tiling."""

    target: str
    spatial_stride: int  # pixels
    has_tiling: bool


VAES: Final = {
    "tiny": VaeEntry("pfp.models.vae.tiny_codec:load_tiny", 4, has_tiling=False),
    "wan21": VaeEntry("pfp.models.vae.wan:load_wan", 8, has_tiling=True),
    "wan22_5b": VaeEntry("pfp.models.vae.wan:load_wan", 16, has_tiling=True),
    "hunyuan": VaeEntry("pfp.models.vae.hunyuan:load_hunyuan", 8, has_tiling=True),
}


def load_vae(
    spec: str, *, device: str = "cpu", dtype: str | None = None, tiling: bool = False
) -> LatentVAE:
    """The VAE that ``spec`` names: ``"tiny"``, or ``"NAME:FOLDER"`` for weights in a local folder.

    FOLDER holds ``config.json`` and the ``*.safetensors`` files, as diffusers saves them (the
    ``vae`` subfolder of a downloaded pipeline). ``"tiny"`` without a folder is the one that ships
    with pfp. ``dtype`` is the compute type: ``"float32"`` (the default; on the CPU, latents then do
    not depend on the length of the clip, to the bit) or ``"bfloat16"``.

    ``tiling`` encodes and decodes large frames in overlapping spatial tiles that are blended, as
    diffusers' ``enable_tiling`` does (``pfp.models.vae.tiles``), which takes less memory and gives
    other latents. ``tiny`` has no tiling (``ConfigError``).

    An unknown name is a ``ConfigError``; missing or foreign weights are a ``WeightsError``.
    """
    name, folder = _resolve(spec, tiling=tiling)
    module, _, attribute = VAES[name].target.partition(":")
    load = getattr(import_module(module), attribute)
    options = {"tiling": tiling} if VAES[name].has_tiling else {}
    return cast("LatentVAE", load(name, folder, device=device, dtype=dtype, **options))


def vae_digest(spec: str, *, tiling: bool = False) -> str:
    """The digest of all that decides a VAE's latents: its weights, configuration and tiles.

    Reads the files without loading the network, for the fingerprint of a stage.
    """
    name, folder = _resolve(spec, tiling=tiling)
    config = {key: value for key, value in read_config(folder).items() if key[0] != "_"}
    identity: dict[str, object] = {
        "name": name,
        "weights": weights_sha256(folder),
        "config": config,
    }
    if tiling:  # without it the digest stays what it was before there was tiling
        identity["tiles"] = [TILE_PIXELS, TILE_STRIDE_PIXELS]
    return sha256_json(identity)


def spatial_stride_of(spec: str) -> int:
    """Pixels per latent row and column of the VAE that ``spec`` names, without loading it."""
    return VAES[_resolve(spec)[0]].spatial_stride


def _resolve(spec: str, *, tiling: bool = False) -> tuple[str, Path]:
    name, _, given = spec.partition(":")
    if name not in VAES:
        raise ConfigError(f"there is no VAE {name!r}; give one of {', '.join(sorted(VAES))}")
    if tiling and not VAES[name].has_tiling:
        raise ConfigError(f"VAE {name!r} encodes whole frames and has no tiling; leave it off")
    if not given and name != "tiny":
        raise ConfigError(
            f"VAE {name!r} needs its weights; write {name}:/path/to/the/vae/folder"
            f"{published_at('vae', name)}"
        )
    folder = Path(given) if given else _shipped_folder()
    if not folder.is_dir():
        cure = (
            f"give the folder of the downloaded weights, {name}:/path/to/the/vae/folder"
            f"{published_at('vae', name)}"
            if given
            else "install pfp with its data files, or give another folder, tiny:/path/to/the/folder"
        )
        raise WeightsError(f"there are no weights at {folder}; {cure}")
    return name, folder


def _shipped_folder() -> Path:
    return Path(str(resources.files("pfp.models").joinpath("weights", "tiny", "vae")))
