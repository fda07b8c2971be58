"""A checkpoint as a folder: safetensors, config.json and a model card, without the frozen base.

pytorch_lora_weights.safetensors is what diffusers' ``load_lora_weights`` and ``load_lora_adapter``
read. The averaged weights of a training lie in the subfolder ``ema``, which is such a folder too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, cast

import torch
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from pfp.errors import WeightsError
from pfp.io.files import UnusableFile, open_file, read_file
from pfp.io.json_text import parse_json
from pfp.io.weights_lock import published_at
from pfp.limits import MAX_JSON_LENGTH
from pfp.models._folders import weights_sha256
from pfp.models.backbones.loading import load_backbone
from pfp.models.finite import check_weights
from pfp.models.memory.config import FORMAT_VERSION, PLACEMENT, MemoryDiTConfig
from pfp.models.tiny_names import tiny_folder

CONFIG_FILE: Final = "config.json"
CARD_FILE: Final = "README.md"
LORA_FILE: Final = "pytorch_lora_weights.safetensors"  # the name that diffusers looks for
LORA_PREFIX: Final = "transformer."  # the component of a pipeline that it belongs to
ENCODER_FILE: Final = "encoder.safetensors"
CROSS_ATTENTION_FILE: Final = "cross_attention.safetensors"
EMA_FOLDER: Final = "ema"

_OWN_PARTS: Final = {ENCODER_FILE: "encoder", CROSS_ATTENTION_FILE: "cross_attend"}
_DIT: Final = "dit."
_LORA: Final = ".lora_"
_ADAPTER: Final = ".default."  # peft's name of the one adapter, which files leave out


def own_weights(model: nn.Module) -> dict[str, Tensor]:
    """LoRA, encoder and cross-attention by the names that they have in the model, whole.

    Where the model is spread over ranks, all of them must ask at the same time.
    """
    return {
        name: whole(weight) for name, weight in model.state_dict().items() if is_own_weight(name)
    }


def is_own_weight(name: str) -> bool:
    """Whether a weight of a ``MemoryDiT`` belongs to its checkpoint, and not to the base."""
    return _LORA in name or not name.startswith(_DIT)


def save_weights(folder: Path, dtype: torch.dtype, weights: Mapping[str, Tensor]) -> None:
    """Write ``own_weights``, or their averages; files without tensors are not written."""
    folder.mkdir(parents=True, exist_ok=True)
    lora = {name: x for name, x in weights.items() if name.startswith(_DIT)}
    states = {LORA_FILE: {_lora_key(name): x for name, x in lora.items()}}
    for file, part in _OWN_PARTS.items():
        prefix = f"{part}."
        states[file] = {
            name.removeprefix(prefix): x for name, x in weights.items() if name.startswith(prefix)
        }
    for file, state in states.items():
        tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()}
        if tensors:
            # Not save_file: it gives the file to its owner alone, whatever the umask says.
            (folder / file).write_bytes(save(tensors))


def _lora_key(name: str) -> str:
    """As ``get_peft_model_state_dict`` says it, which would want the base's model for that."""
    return LORA_PREFIX + name.removeprefix(_DIT).replace(_ADAPTER, ".")


def whole(weight: Tensor) -> Tensor:
    """A weight that ranks hold in parts, put together; all of them must ask."""
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def load_weights(model: nn.Module, folder: Path) -> None:
    """Read them back into a ``MemoryDiT``.

    A missing, foreign or infinite weight is a ``WeightsError`` that names it.
    """
    path, dit = folder / LORA_FILE, model.get_submodule(_DIT.rstrip("."))
    # The first checkpoints name no component.
    lora = {k.removeprefix(LORA_PREFIX): v for k, v in _read_weights(path).items()}
    missing = sorted(get_peft_model_state_dict(dit).keys() - lora.keys())
    if missing:
        raise WeightsError(f"{path} lacks the weights {missing[:3]}; train again")
    result: Any = set_peft_model_state_dict(dit, lora)
    if result.unexpected_keys:
        foreign = result.unexpected_keys[:3]
        raise WeightsError(f"{path} has foreign weights {foreign}; train again")
    for file, name in _OWN_PARTS.items():
        part: nn.Module | None = getattr(model, name)
        if part is not None and part.state_dict():
            _load_part(part, folder / file)


def _load_part(part: nn.Module, path: Path) -> None:
    found, wanted = _read_weights(path), part.state_dict()
    for what, names in (("lacks", wanted.keys() - found.keys()), ("has", found.keys() - wanted)):
        if names:
            foreign = "foreign " if what == "has" else ""
            raise WeightsError(
                f"{path} {what} the {foreign}weights {sorted(names)[:3]}; train again"
            )
    part.load_state_dict(found)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        open_file(path).close()  # no pipe, which safetensors would wait for
        weights = load_file(path)
    except FileNotFoundError:
        raise WeightsError(
            f"{path} does not exist; name a folder that holds a checkpoint"
        ) from None
    except UnusableFile as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); train again") from error
    check_weights(weights, path)
    return weights


def read_description(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json; ``WeightsError`` where there is none or it cannot be read."""
    path = folder / CONFIG_FILE
    try:
        described = cast("dict[str, Any]", parse_json(read_file(path, MAX_JSON_LENGTH).decode()))
    except (FileNotFoundError, NotADirectoryError):
        message = f"{path} does not exist; name a folder that holds a checkpoint"
        raise WeightsError(message) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not JSON ({error}); copy the folder again") from error
    if not isinstance(described, dict):
        raise WeightsError(f"{path} holds no JSON object; copy the folder again")
    if (version := described.get("format_version", 1)) not in range(1, FORMAT_VERSION + 1):
        raise WeightsError(
            f"{path} has format_version {version!r}, and this pfp reads up to {FORMAT_VERSION}; "
            "install a newer pfp"
        )
    return described


def write_description(folder: Path, config: MemoryDiTConfig, card: Mapping[str, Any]) -> None:
    """Write config.json, and what it says as a model card that hubs and people read."""
    settings = {"format_version": FORMAT_VERSION, **asdict(config)}
    described = {"_class_name": "MemoryDiT", **settings, **card}
    text = json.dumps(described, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG_FILE).write_text(text)
    (folder / CARD_FILE).write_text(_card(config, card))


_CARD: Final = """---
library_name: pfp
tags: [video-generation, video-memory, frame-preservation, lora]
base_model: {base}
---
# {title} on {base}

LoRA of rank {rank} on the {targets} of {base}, with the memory encoder that it was trained with.
`MemoryDiT.from_pretrained(folder, base=...)` of `pfp.models.memory.dit` loads it; `{lora_file}`
alone is one that diffusers' `load_lora_weights` reads.

| fact | value |
|---|---|
{facts}
"""


def _card(config: MemoryDiTConfig, card: Mapping[str, Any]) -> str:
    return _CARD.format(
        base=config.base,
        title=config.title,
        rank=config.lora_rank,
        targets=config.lora_targets.replace("_ffn", " and feed-forward maps"),
        lora_file=LORA_FILE,
        facts="\n".join(f"| {name} | {_shown(value)} |" for name, value in sorted(card.items())),
    )


def _shown(value: object) -> str:
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"{len(value)}, in {CONFIG_FILE}"
    return json.dumps(value)


def check_same_variant(
    folder: Path, wanted: MemoryDiTConfig, found: MemoryDiTConfig
) -> MemoryDiTConfig:
    """``found``, which may differ from ``wanted`` only in the placement of memory tokens."""
    placement: dict[str, Any] = {name: getattr(found, name) for name in PLACEMENT}
    if (wanted := replace(wanted, **placement)) != found:
        raise WeightsError(
            f"{folder} holds the variant {found}, not {wanted}; name a checkpoint of that variant"
        )
    return found


def load_base(
    name: str,
    folder: Path | str | None,
    described: Mapping[str, Any],
    *,
    dtype: torch.dtype,
    device: str | torch.device,
) -> Any:
    """The base that a checkpoint's config.json names, from ``folder`` or, tiny, from pfp itself."""
    if folder is None and name != "tiny":
        raise WeightsError(
            f"the weights of {name} are not part of the checkpoint; name their folder (base, a "
            f"pipeline's transformer){published_at('base', name)}"
        )
    where = tiny_folder() / "base" if folder is None else Path(folder)
    dit = load_backbone(name, where, dtype=dtype, device=device)
    wanted, found = described.get("base_sha256"), weights_sha256(where)
    if wanted != found:
        raise WeightsError(
            f"the checkpoint was trained on base {wanted}, not on {found} of {where}; name the "
            "base it belongs to"
        )
    return dit
