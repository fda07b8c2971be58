"""The networks: rate arithmetic, memory encoder, backbones, VAEs, text encoders.

``MemoryDiT``, ``MemoryDiTConfig``, ``MemoryEncoder`` and ``make_encoder`` can be imported from
here; torch is loaded when one of them is asked for, so that the package itself stays light.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pfp.models.memory.config import MemoryDiTConfig as MemoryDiTConfig
    from pfp.models.memory.dit import MemoryDiT as MemoryDiT
    from pfp.models.memory.encoder import make_encoder as make_encoder
    from pfp.models.memory.variants import MemoryEncoder as MemoryEncoder

# peft imports bitsandbytes where that is installed, which then warns of a kernel nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

_MODULES: Final = {
    "MemoryDiT": "pfp.models.memory.dit",
    "MemoryDiTConfig": "pfp.models.memory.config",
    "MemoryEncoder": "pfp.models.memory.variants",
    "make_encoder": "pfp.models.memory.encoder",
}


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
