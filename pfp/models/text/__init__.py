"""Text encoders: an explicit table, resolved when one is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from pfp.errors import ConfigError
from pfp.models.text._interface import TextEncoder as TextEncoder

TEXT_ENCODERS: Final = {
    "tiny": "pfp.models.text.tiny:TinyTextEncoder",
    "umt5": "pfp.models.text.umt5:load_umt5",
}
NEED_NO_FOLDER: Final = frozenset({"tiny"})


def load_text_encoder(spec: str, *, device: str = "cpu", dtype: str | None = None) -> TextEncoder:
    """The text encoder that ``spec`` names: ``"tiny"``, or ``"umt5:FOLDER"``.

    FOLDER is a downloaded pipeline with the subfolders ``text_encoder`` and ``tokenizer``, as
    diffusers saves them. ``dtype`` is the compute type (``"float32"`` or ``"bfloat16"``); without
    one UMT5 computes in float32. An unknown name or a missing folder is a ``ConfigError``.
    """
    name, _, folder = spec.partition(":")
    if name not in TEXT_ENCODERS:
        raise ConfigError(
            f"there is no text encoder {name!r}; give one of {', '.join(sorted(TEXT_ENCODERS))}"
        )
    module, _, attribute = TEXT_ENCODERS[name].partition(":")
    build = getattr(import_module(module), attribute)
    if name in NEED_NO_FOLDER:
        if folder or dtype is not None:
            raise ConfigError(f"text encoder {spec!r} has no weights; give just {name!r}, no dtype")
        return cast("TextEncoder", build())
    if not folder:
        raise ConfigError(
            f"text encoder {name!r} needs its folder; write {name}:/path/to/the/downloaded/pipeline"
        )
    return cast("TextEncoder", build(folder, device=device, dtype=dtype))
