"""A process that needs much memory for a moment."""

import os
from pathlib import Path

BURST = 100_000_000  # bytes
BLOCK = 100_000  # bytes; small enough for the heap


def resident_bytes() -> int:
    """Returns how much of this process's own is in memory; files and segments are shared."""
    resident, shared = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def need_a_burst() -> tuple[int, bytes]:
    """Allocates and frees BURST.

    Returns:
        What was resident at its height; and what lies above it, to be held, or the heap shrinks by
        itself.
    """
    blocks = [b"x" * BLOCK for _ in range(BURST // BLOCK)]
    above = b"y" * BLOCK
    height = resident_bytes()
    del blocks
    return height, above
