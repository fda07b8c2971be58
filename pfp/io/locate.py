"""Where a run's videos are, also after the run directory was moved or copied."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from pfp.io.media import uri_to_path


def locate(run_directory: str | Path, uri: str) -> str:
    """A video's path or URI: relative ones count from the run directory."""
    if "://" in uri or Path(uri).is_absolute():
        return uri
    return f"{str(run_directory).rstrip('/')}/{uri}"


def local_path(place: str) -> Path | None:
    """The path of something on this machine, or None when it lies elsewhere."""
    if place.startswith("file:///"):
        return Path(uri_to_path(place))
    return None if "://" in place else Path(place)


def link_from(page: str | Path, run_directory: str | Path, uri: str) -> str:
    """What the page (an HTML file) writes into ``href`` to reach a video: relative if it can be."""
    place = locate(run_directory, uri)
    path, page_path = local_path(place), local_path(str(page))
    if path is None or page_path is None:
        return place
    return quote(os.path.relpath(path.resolve(), page_path.resolve().parent))
