"""The interface of a backend, and the table of those there are."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pfp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pfp.vlm.answer import Answer
    from pfp.vlm.question import VideoQuestion

# Resolved on use: the SDK behind one of them takes a second to import.
BACKENDS: Final[Mapping[str, str]] = {
    "sidecar": "pfp.caption.backends.sidecar:SidecarBackend",
    "offline": "pfp.caption.backends.offline:OfflineBackend",
    "gemini": "pfp.vlm.gemini:GeminiBackend",
}


class Backend(Protocol):
    """Something that answers a question about a video.

    ``generative`` is true when a model reads the prompt: its answer may be wrong, may be asked for
    again, and may be replaced by another backend's. When false the answer is a fact about the
    files, and asking elsewhere would only hide what is wrong with it.
    """

    @property
    def name(self) -> str:
        """Key of the backend in ``BACKENDS``."""

    @property
    def model(self) -> str | None:
        """Name of the model that answers; None when people wrote the answers."""

    @property
    def generative(self) -> bool:
        """Whether a model reads the prompt."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything of the backend that its answers depend on.

        With the question and the content of the video it decides the answer, as far as the
        backend can decide it.
        """

    def check_ready(self) -> None:
        """Raise ConfigError when no question could be answered, for example without a key."""

    def ask(self, question: VideoQuestion) -> Answer:
        """The answer to one question; safe to call from several threads.

        Raises RetryableError when trying again later may help, PermanentError when it cannot, and
        ConfigError when the backend is not ready.
        """

    def close(self) -> None:
        """Let go of connections and processes; the backend may be used again."""


def load_backend(name: str, **options: Any) -> Backend:
    """The backend called ``name`` in ``BACKENDS``, built with its own options.

    Raises ConfigError for an unknown name and for a library that is not installed.
    """
    if name not in BACKENDS:
        message = f"caption backend {name!r} is unknown; use one of {', '.join(BACKENDS)}"
        raise ConfigError(message)
    module_name, _, class_name = BACKENDS[name].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        message = f"caption backend {name!r} needs {error.name}; pip install 'pfp[caption]'"
        raise ConfigError(message) from error
    return cast("Backend", getattr(module, class_name)(**options))
