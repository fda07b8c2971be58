"""A vision-language model as a caption backend, whichever provider answers."""

from __future__ import annotations

from typing import Final

from pfp.caption.backends.backend import StoryboardRequest
from pfp.io.digests import sha256_json
from pfp.vlm import Answer, Client, Request, Sampling, VideoSpan
from pfp.vlm.request import FRAMES_VERSION


class VlmBackend:
    """Asks a client about the clip's part of the video.

    A model that takes no video is shown its frames, at the rate of the sampling, with their times
    in the prompt.
    """

    generative: Final = True

    def __init__(self, client: Client, *, base_url: str | None = None) -> None:
        """base_url: of a Gemini server other than Google's, which counts as another backend."""
        self._client = client
        self._base_url = base_url

    @property
    def name(self) -> str:
        """The kind of provider: ``gemini``."""
        return self._client.kind

    @property
    def model(self) -> str | None:
        """That of the client."""
        return self._client.model

    @property
    def sampling(self) -> Sampling:
        """That of the client."""
        return self._client.sampling

    @property
    def fingerprint(self) -> str:
        """Digest of the model and, for one that is shown frames, of how they are taken."""
        if self.name == "gemini":
            parts = {"backend": self.name, "model": self.model, "base_url": self._base_url}
            return sha256_json(parts)
        model = self._client.fingerprint(self.sampling)
        return sha256_json({"backend": self.name, "model": model, "frames": FRAMES_VERSION})

    def check_ready(self) -> None:
        """Raise ConfigError when no request could be answered, for example without a key."""
        self._client.check_ready()

    def ask(self, request: StoryboardRequest) -> Answer:
        """The model's answer about the span."""
        video = VideoSpan(
            path=request.path,
            start_seconds=request.start_seconds,
            end_seconds=request.end_seconds,
            content_sha256=request.content_sha256,
        )
        return self._client.ask(
            Request(
                media=video,
                prompt_id=request.prompt_id,
                prompt=request.prompt,
                json_schema=request.json_schema,
                schema_name="storyboard",
                sampling=self.sampling,
                vote=request.vote,
            )
        )

    def close(self) -> None:
        """Let go of what the client holds."""
        self._client.close()
