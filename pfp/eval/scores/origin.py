"""``run.json`` beside a run's tables: which manifest they are of, and which shard of it.

It is what tells shards of one run from two runs, wherever they lie, and tables of a manifest that
was edited since from those of the manifest of now.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pfp.errors import SchemaError
from pfp.eval.manifest import Manifest
from pfp.io.filesystems import Folder

NAME: Final = "run.json"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a table of samples was made of. ``shard`` is ``(i, n)``; None is all of the manifest."""

    manifest_sha256: str
    num_samples: int  # of the whole manifest
    shard: tuple[int, int] | None

    @classmethod
    def of(cls, manifest: Manifest, shard: tuple[int, int] | None) -> Origin:
        """The origin of a run over a manifest or a shard of it."""
        num_samples = len(manifest.samples)
        return cls(manifest_sha256=manifest.sha256, num_samples=num_samples, shard=shard)

    def write(self, directory: str | Path) -> None:
        """Put it beside the tables, in one step."""
        content = {"schema_version": VERSION, **asdict(self)}
        folder = Folder.at(directory)
        folder.make()
        folder.write(NAME, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def read_origin(directory: str | Path) -> Origin | None:
    """The origin of the tables in a directory; None for those that no manifest made.

    Raises:
        SchemaError: the file is damaged or of another pfp.
    """
    folder = Folder.at(directory)
    try:
        content = json.loads(folder.read(NAME))
        version = content.pop("schema_version")
        if version == VERSION:
            shard = content["shard"]
            return Origin(**{**content, "shard": None if shard is None else (shard[0], shard[1])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        message = f"{folder.file(NAME)} is damaged ({error}); run `pfp-eval run` again"
        raise SchemaError(message) from error
    raise SchemaError(
        f"{folder.file(NAME)} is v{version}, this pfp reads v{VERSION}; run `pfp-eval run` again"
    )
