"""Text encoders: an explicit table, resolved when one is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final, NamedTuple, cast

from pfp.errors import ConfigError
from pfp.models.text._interface import TextEncoder as TextEncoder


class TextEncoderEntry(NamedTuple):
    """Where a text encoder is loaded, and its ``encoder_id``, known before it is."""

    target: str
    encoder_id: str


TEXT_ENCODERS: Final = {
    "tiny": TextEncoderEntry("pfp.models.text.tiny:TinyTextEncoder", "tiny-hash@1"),
    "umt5": TextEncoderEntry("pfp.models.text.umt5:load_umt5", "umt5@1"),
}


def load_text_encoder(spec: str, *, device: str = "cpu", dtype: str | None = None) -> TextEncoder:
    """The text encoder that ``spec`` names: ``"tiny"``, or ``"umt5:FOLDER"``.

    FOLDER is a downloaded pipeline with the subfolders ``text_encoder`` and ``tokenizer``, as
    diffusers saves them. ``dtype`` is the compute type (``"float32"`` or ``"bfloat16"``); without
    one UMT5 computes in float32. ``tiny`` has no weights and takes neither. An unknown name is a
    ``ConfigError``, a missing folder a ``WeightsError``.
    """
    name, folder = _resolve(spec)
    module, _, attribute = TEXT_ENCODERS[name].target.partition(":")
    build = getattr(import_module(module), attribute)
    if name == "tiny":
        return cast("TextEncoder", build())
    return cast("TextEncoder", build(folder, device=device, dtype=dtype))


def identify_text_encoder(spec: str) -> tuple[str, str]:
    """The ``(encoder_id, sha256)`` that the encoder would have, without loading its weights."""
    name, folder = _resolve(spec)
    encoder_id = TEXT_ENCODERS[name].encoder_id
    if name == "tiny":
        return encoder_id, load_text_encoder(spec).sha256
    from pfp.models.text.umt5 import umt5_sha256

    return encoder_id, umt5_sha256(folder)


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
        )
    return name, folder
