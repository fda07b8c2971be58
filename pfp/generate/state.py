"""The state of an unfinished generation, ``NAME.mp4.state``, from which a later run resumes.

``settings.json`` says what is made, ``history.safetensors`` and ``section-*.safetensors`` hold what
memory takes of each chunk, ``section-*.mp4`` its frames. A section's tensors are written last, so a
section is complete exactly if they are there. Every file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pfp.errors import InputError, PfpError, SchemaError
from pfp.generate.low_resolution import LrChunk
from pfp.generate.memory import HistoryChunk
from pfp.io.filesystems import Folder
from pfp.io.locks import locked

SUFFIX: Final = ".state"
SETTINGS_FILE: Final = "settings.json"
HISTORY_FILE: Final = "history.safetensors"


class State:
    """The folder beside the video ``out``."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(out.name + SUFFIX)
        self._folder = Folder.at(str(self.path))

    @contextlib.contextmanager
    def held(self, facts: Mapping[str, Any]) -> Iterator[None]:
        """The folder, made if need be, for one run at a time and for one set of facts.

        Raises InputError when another process has it, and as ``check``. An error that comes before
        any chunk is complete takes the folder with it.
        """
        with locked(self._folder):
            self.check(facts)
            if not self._folder.has(SETTINGS_FILE):
                self._folder.write(SETTINGS_FILE, json.dumps(facts, indent=2).encode())
            try:
                yield
            except PfpError:
                if not any(name.endswith(".safetensors") for name in self._folder.names()):
                    self.remove()  # nothing was made, so there is nothing to resume
                raise

    def check(self, facts: Mapping[str, Any]) -> None:
        """Raises InputError where the folder was begun with other facts; it may not exist yet."""
        if not self._folder.has(SETTINGS_FILE):
            return
        try:
            found = json.loads(self._folder.read(SETTINGS_FILE))
        except ValueError as error:
            raise self._damaged(SETTINGS_FILE) from error
        if difference := first_difference(found, json.loads(json.dumps(facts))):
            raise InputError(
                f"{self.path} was begun with {difference}; give another output, or delete it to "
                "begin again"
            )

    def segment(self, number: int) -> Path:
        """Where a section's frames lie."""
        return self.path / f"section-{number:05d}.mp4"

    def has_section(self, number: int) -> bool:
        """Whether a section is complete."""
        return self._folder.has(_section_file(number))

    def section(self, number: int) -> HistoryChunk:
        """A complete section."""
        return self._read(_section_file(number))

    def save_section(self, number: int, chunk: HistoryChunk) -> None:
        """Completes a section whose frames are written."""
        self._folder.write(_section_file(number), _to_bytes(chunk))

    def history(self) -> HistoryChunk | None:
        """The history as it was encoded; None before it was."""
        return self._read(HISTORY_FILE) if self._folder.has(HISTORY_FILE) else None

    def save_history(self, chunk: HistoryChunk) -> None:
        """Keeps the encoded history."""
        self._folder.write(HISTORY_FILE, _to_bytes(chunk))

    def remove(self) -> None:
        """Deletes the folder."""
        self._folder.delete_all()

    def _read(self, name: str) -> HistoryChunk:
        try:
            return _from_bytes(self._folder.read(name))
        except (SafetensorError, KeyError) as error:
            raise self._damaged(name) from error

    def _damaged(self, name: str) -> SchemaError:
        return SchemaError(f"{self.path / name} is damaged; delete {self.path} to begin again")


def first_difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """What of two sets of facts differs first, in words; None if nothing does."""
    for name, value in wanted.items():
        if found.get(name) == value:
            continue
        told = f"{name} {found.get(name)!r}, not {value!r}"
        return told if len(told) <= 120 else f"another {name}"
    return None


def _section_file(number: int) -> str:
    return f"section-{number:05d}.safetensors"


def _to_bytes(chunk: HistoryChunk) -> bytes:
    tensors = {
        "num_frames": np.array([chunk.num_frames]),
        "num_lrs": np.array([len(chunk.lrs)]),
        "hr": chunk.hr_TCHW,
    }
    for index, lr in enumerate(chunk.lrs):
        if lr is not None:
            tensors[f"lr_frames_{index}"] = lr.frames_FHWC
            if lr.latents_TCHW is not None:
                tensors[f"lr_{index}"] = lr.latents_TCHW
    return save({name: np.ascontiguousarray(value) for name, value in tensors.items()})


def _from_bytes(content: bytes) -> HistoryChunk:
    tensors = load(content)
    lrs = [
        LrChunk(tensors[f"lr_frames_{index}"], tensors.get(f"lr_{index}"))
        if f"lr_frames_{index}" in tensors
        else None
        for index in range(int(tensors["num_lrs"][0]))
    ]
    return HistoryChunk(
        num_frames=int(tensors["num_frames"][0]), hr_TCHW=tensors["hr"], lrs=tuple(lrs)
    )
