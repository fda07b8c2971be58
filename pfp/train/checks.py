"""What must be true before a training begins, said in one sentence where it is not."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from accelerate.tracking import get_available_trackers

from pfp.errors import ConfigError, NothingUsable, SchemaError
from pfp.io.prompts import Prompts
from pfp.io.tables import read_table
from pfp.models._folders import weights_sha256
from pfp.models.memory.checkpoint import check_same_variant, read_description
from pfp.models.memory.config import MemoryDiTConfig
from pfp.models.tiny_names import tiny_folder
from pfp.schema.run_directory import RunDirectory
from pfp.train.clips import LatentTable
from pfp.train.sampler import WindowPlan

# The VAE in whose latents each base was trained, by the names of ``load_vae``.
VAE_OF_BASE: Final = {
    "tiny": "tiny",
    "wan22_5b": "wan22_5b",
    "wan22_a14b_high": "wan21",
    "hunyuan": "hunyuan",
}


class Clip(NamedTuple):
    """A clip's latents: their shape ``(T, C, H, W)`` and the key of the result that they are."""

    hr_shape: tuple[int, ...]
    result_key: str


def check_trackers(trackers: Collection[str]) -> None:
    """Raise ConfigError for trackers that Accelerate does not know or that are not installed."""
    available = [str(tracker) for tracker in get_available_trackers()]
    missing = sorted(set(trackers) - set(available))
    if missing:
        raise ConfigError(
            f"trackers {', '.join(missing)} are not installed or unknown; pip install them, or "
            f"choose from {', '.join(available)}"
        )


class UsableLatents(NamedTuple):
    """The digest of a run's VAE, the clips that can be trained on by id, and how many are short."""

    vae_sha256: str
    clips: dict[str, Clip]
    num_too_short: int


def usable_latents(
    run: RunDirectory, tables: Sequence[LatentTable], *, base: str, windows: WindowPlan
) -> UsableLatents:
    """The clips that all ``tables`` have and that are long enough for the windows.

    Raises SchemaError for latents that the base cannot read rightly (another VAE's, not
    normalised, not finite), NothingUsable when no clip is long enough.
    """
    where = run.latents.path
    reader, *others = tables
    check_digest(where, reader, base)
    check_vae(where, str(reader.shared.get("vae_id", "")), base)
    found: dict[str, Clip] = {}
    num_kept, num_latents = 0, 0
    for row in _kept_rows(run):
        num_kept, num_latents = num_kept + 1, max(num_latents, row["hr_shape"][0])
        check_finite(where, row)
        if row["hr_shape"][0] >= windows.shortest_clip:
            found[row["clip_id"]] = Clip(tuple(row["hr_shape"]), row["result_key"])
    num_too_short = num_kept - len(found)
    for other in others:
        found = {clip: found[clip] for clip in other.clip_ids if clip in found}
    if not found:
        raise NothingUsable(
            f"{where} holds {num_kept} clips of at most {num_latents} latent frames, and "
            f"{_what_is_cut(windows)}"
        )
    return UsableLatents(
        str(reader.shared["vae_sha256"]), dict(sorted(found.items())), num_too_short
    )


def _what_is_cut(windows: WindowPlan) -> str:
    """How many latent frames a window takes at least, and how it takes fewer."""
    if not windows.shorten_history:
        return (
            f"a history takes {windows.shortest_clip}; give longer videos, or a shorter history "
            "with --set windows.history_frames=N"
        )
    section = max(windows.sections)
    return (
        f"a history and the section after it take {windows.shortest_clip - section} and {section} "
        "or more; give longer videos, or shorter sections with --set windows.num_targets=N"
    )


def _kept_rows(run: RunDirectory) -> list[dict[str, Any]]:
    columns = ["clip_id", "hr_shape", "hr_channel_mean", "hr_channel_std", "result_key", "verdict"]
    rows = read_table(*run.latents, columns=columns).to_pylist()
    return [row for row in rows if row["verdict"]["kind"] == "kept"]


def check_vae(where: str, vae_id: str, base: str) -> None:
    """Latents of one VAE mean nothing to a base that was trained on another's."""
    wanted = VAE_OF_BASE[base]
    if vae_id and vae_id.split("+", maxsplit=1)[0] != wanted:
        raise SchemaError(
            f"{where} holds latents of the VAE {vae_id}, and {base} was trained on those of "
            f"{wanted}; run pipelines.latents with --set vae={wanted}:DIR, or train another base"
        )


def check_digest(where: str, table: LatentTable, base: str) -> None:
    """The tiny base knows the weights of its VAE; of the large ones the name says which it is."""
    found, wanted = table.shared.get("vae_sha256"), weights_sha256(tiny_folder() / "vae")
    if base == "tiny" and found not in (None, wanted):
        raise SchemaError(
            f"{where} holds latents of the VAE {table.shared['vae_id']} {found}, not of the tiny "
            f"base's {wanted}; run pipelines.latents with --set vae=tiny"
        )


def check_finite(where: str, row: Mapping[str, Any]) -> None:
    """A clip whose moments are not numbers has latents that are not."""
    if not all(map(math.isfinite, [*row["hr_channel_mean"], *row["hr_channel_std"]])):
        raise SchemaError(
            f"{where}: the latents of clip {row['clip_id']} hold NaN or infinity; "
            "run pipelines.latents again"
        )


def check_prompts(run_directory: str, text_free_share: float) -> None:
    """Text-free samples need the empty prompt's condition."""
    if not text_free_share:
        return
    try:
        Prompts(run_directory).embedding("", 1)
    except SchemaError as error:
        raise SchemaError(
            f"objective.text_free_share is {text_free_share} and {run_directory} "
            "has no condition of the empty prompt; run pipelines.latents with "
            "--set with_empty_prompt=true"
        ) from error


def check_start(folder: Path | None, wanted: MemoryDiTConfig, vae_sha256: str) -> None:
    """The checkpoint to start from must be of the same variant and of the same VAE's latents."""
    if folder is None:
        return
    described = read_description(folder)
    check_same_variant(folder, wanted, MemoryDiTConfig.from_dict(described))
    if (found := described.get("vae_sha256")) != vae_sha256:
        raise SchemaError(
            f"{folder} was trained on latents of VAE {found}, and the run's are of {vae_sha256}; "
            "encode the run with that VAE, or start from another checkpoint"
        )
