"""The words that a model is asked with, from versioned files, and the answer's JSON schema."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from pfp.caption.clip import CaptionClip
from pfp.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt file; ``sha256`` is the digest of its text before anything is filled in."""

    name: str
    text: str
    sha256: str

    def fill(self, clip: CaptionClip) -> str:
        """The prompt for one clip: its length and its numbered shots, timed from its start."""
        shots = [
            f"{k}. {span.start_seconds - clip.start_seconds:.2f} s to "
            f"{span.end_seconds - clip.start_seconds:.2f} s"
            for k, span in enumerate(clip.spans, 1)
        ]
        return Template(self.text).substitute(
            duration_seconds=f"{clip.end_seconds - clip.start_seconds:.2f}",
            num_shots=len(shots),
            shots="\n".join(shots),
        )


def load_prompt(name: str) -> Prompt:
    """The prompt ``name``, for example "storyboard@1"; ConfigError when there is no such file."""
    folder = files("pfp.caption").joinpath("prompts")
    known = {entry.name.removesuffix(".txt"): entry for entry in folder.iterdir()}
    if name not in known:
        raise ConfigError(f"prompt {name!r} is unknown; use one of {', '.join(sorted(known))}")
    content = known[name].read_bytes()
    return Prompt(
        name=name, text=content.decode("utf-8"), sha256=hashlib.sha256(content).hexdigest()
    )


def ask_again(prompt: str, problems: Sequence[str]) -> str:
    """The prompt again, with what was wrong with the first answer."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    return f"{prompt}\n\nAn earlier answer to this could not be used:\n{listed}\nAvoid that."


def answer_schema(num_shots: int) -> dict[str, Any]:
    """JSON schema of an answer: a caption for each shot number, then one for the whole.

    Two levels and no numeric bounds: servers refuse schemas with too many states.
    """
    return {
        "type": "object",
        "properties": {
            "shots": {
                "type": "array",
                "minItems": num_shots,
                "maxItems": num_shots,
                "items": {
                    "type": "object",
                    "properties": {"index": {"type": "integer"}, "caption": {"type": "string"}},
                    "required": ["index", "caption"],
                    "additionalProperties": False,
                },
            },
            "global_caption": {"type": "string"},
        },
        "required": ["shots", "global_caption"],
        "additionalProperties": False,
    }
