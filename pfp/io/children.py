"""Child processes that do not outlive their parent."""

from __future__ import annotations

import os
import threading
import time


def end_with_parent(parent_pid: int) -> None:
    """Called in a child: ends it when its parent is gone, whatever it is doing then.

    A child that only waits for its parent's next word would wait for ever after a ``kill -9``: the
    pipe does not end, because its brothers hold it open.
    """
    threading.Thread(target=_watch, args=(parent_pid,), daemon=True).start()


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(1)
    os._exit(1)
