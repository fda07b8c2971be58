"""The memory that this process and its children hold at most."""

from __future__ import annotations

import contextlib
import threading
from typing import Final, Self

import psutil

SECONDS_BETWEEN_SAMPLES: Final = 0.5


class PeakMemory:
    """Samples the process tree's memory twice a second for the time of the ``with`` block.

    ``peak_rss_bytes`` is the largest sum of proportional set sizes (PSS: memory that several
    processes share counts once), or of resident set sizes where the system does not tell PSS.
    """

    def __init__(self) -> None:
        self.peak_rss_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_SAMPLES):
            self._sample()

    def _sample(self) -> None:
        self.peak_rss_bytes = max(self.peak_rss_bytes, tree_bytes(psutil.Process()))


def tree_bytes(process: psutil.Process) -> int:
    """The memory in bytes of a process and all its descendants."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        # A child may end between being listed and being asked.
        with contextlib.suppress(psutil.Error):
            total += _process_bytes(member)
    return total


def _process_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)
