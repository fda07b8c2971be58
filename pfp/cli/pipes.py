"""What a command does when nobody reads its output any more, as in ``pfp why ... | head``."""

from __future__ import annotations

import os
import sys

CLOSED_PIPE_STATUS = 141  # what a shell reports for a process that SIGPIPE ended


def leave_quietly() -> int:
    """Keeps Python from complaining when it flushes at exit; returns the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED_PIPE_STATUS
