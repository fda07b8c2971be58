"""Peak memory: children count, and what they share counts once."""

from __future__ import annotations

import subprocess
import sys

import psutil

from pfp.runtime.peak import PeakMemory, tree_bytes

# In a process of its own: what this one holds may shrink, whenever freed memory goes back.
MEASURE = """
import subprocess, sys, time
import psutil
from pfp.runtime.peak import PeakMemory, tree_bytes
with PeakMemory() as before:
    pass
with PeakMemory() as peak:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=-1, stdout=-1)
    child.stdout.readline()
    seen = tree_bytes(psutil.Process())
    time.sleep(1.5)  # some samples' time
    child.communicate(b"")
print(seen - before.peak_rss_bytes, peak.peak_rss_bytes - before.peak_rss_bytes)
"""
HOLD = "import sys; held = bytearray(200 << 20); held[::4096] = b'x' * len(held[::4096]); print()"
HOLD += "; sys.stdout.flush(); sys.stdin.read()"


def test_a_childs_memory_is_seen() -> None:
    """A child that holds 200 MiB for a moment raises the peak by about that."""
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, HOLD], capture_output=True, text=True, check=True
    )
    seen_bytes, peak_bytes = map(int, measured.stdout.split())
    assert 200 << 20 <= seen_bytes <= 260 << 20
    assert 200 << 20 <= peak_bytes <= 260 << 20


def test_the_peak_is_at_least_what_is_held_at_the_ends() -> None:
    """A block shorter than the time between samples is measured at its start and end."""
    with PeakMemory() as peak:
        held = bytearray(64 << 20)
        held[::4096] = b"x" * len(held[::4096])
    now = tree_bytes(psutil.Process())
    assert abs(peak.peak_rss_bytes - now) < 16 << 20
    assert 64 << 20 == len(held)


def test_the_thread_ends_with_the_block() -> None:
    """Nothing goes on sampling afterwards."""
    peak = PeakMemory()
    with peak:
        assert peak._thread.is_alive()
    assert not peak._thread.is_alive()
