"""Text encoders: an explicit table, resolved when one is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NamedTuple, cast

from pfp.errors import ConfigError
from pfp.io.weights_lock import published_at
from pfp.models.text._interface import TextEncoder as TextEncoder


class TextEncoderEntry(NamedTuple):
    """Where a text encoder is loaded, and its ``encoder_id`` and digest, known before it is."""

    target: str
    encoder_id: str
    digest_target: str | None  # of the function that digests a folder; None: there is none


TEXT_ENCODERS: Final = {
    "tiny": TextEncoderEntry("pfp.models.text.tiny:TinyTextEncoder", "tiny-hash@1", None),
    "umt5": TextEncoderEntry(
        "pfp.models.text.umt5:load_umt5", "umt5@1", "pfp.models.text.umt5:umt5_sha256"
    ),
    "hunyuan_llama": TextEncoderEntry(
        "pfp.models.text.hunyuan_llama:load_hunyuan_llama",
        "hunyuan-llama@1",
        "pfp.models.text.hunyuan_llama:hunyuan_llama_sha256",
    ),
    "clip_pooled": TextEncoderEntry(
        "pfp.models.text.clip_pooled:load_clip_pooled",
        "clip-pooled@1",
        "pfp.models.text.clip_pooled:clip_pooled_sha256",
    ),
}


def load_text_encoder(spec: str, *, device: str = "cpu", dtype: str | None = None) -> TextEncoder:
    """The text encoder that ``spec`` names: ``"tiny"``, or ``"NAME:FOLDER"``.

    FOLDER is a downloaded pipeline, as diffusers saves them: Wan's for ``umt5`` (subfolders
    ``text_encoder`` and ``tokenizer``); HunyuanVideo's for ``hunyuan_llama`` (the same subfolders)
    and for ``clip_pooled`` (``text_encoder_2`` and ``tokenizer_2``), which together are its text
    conditions. ``dtype`` is the compute type (``"float32"``, also for None, or ``"bfloat16"``).
    ``tiny`` has no weights and takes neither. An unknown name is a ``ConfigError``, a missing
    folder a ``WeightsError``.
    """
    name, folder = _resolve(spec)
    build = _attribute(TEXT_ENCODERS[name].target)
    if name == "tiny":
        return cast("TextEncoder", build())
    return cast("TextEncoder", build(folder, device=device, dtype=dtype))


def identify_text_encoder(spec: str) -> tuple[str, str]:
    """The ``(encoder_id, sha256)`` that the encoder would have, without loading its weights."""
    name, folder = _resolve(spec)
    entry = TEXT_ENCODERS[name]
    if entry.digest_target is None:
        return entry.encoder_id, load_text_encoder(spec).sha256
    return entry.encoder_id, _attribute(entry.digest_target)(folder)


def _attribute(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _resolve(spec: str) -> tuple[str, str]:
    name, _, folder = spec.partition(":")
    if name not in TEXT_ENCODERS:
        raise ConfigError(
            f"there is no text encoder {name!r}; give one of {', '.join(sorted(TEXT_ENCODERS))}"
        )
    if name == "tiny" and folder:
        raise ConfigError(f"text encoder {spec!r} has no weights; give just 'tiny'")
    if name != "tiny" and not folder:
        raise ConfigError(
            f"text encoder {name!r} needs its folder; write {name}:/path/to/the/downloaded/pipeline"
            f"{published_at('text_encoder', name)}"
        )
    return name, folder
