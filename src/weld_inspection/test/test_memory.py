"""What was needed once is not kept for good."""

import os
from pathlib import Path

from weld_inspection.memory import give_back_memory

BLOCKS, SIZE = 1000, 100_000  # small enough for the heap, 100 MB together


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_a_burst_has_freed_goes_back_to_the_system():
    blocks = [b"x" * SIZE for _ in range(BLOCKS)]
    blocks.append(last := b"y" * SIZE)  # above them, so that the heap does not shrink by itself
    full = resident()
    del blocks
    give_back_memory()
    assert last
    assert full - resident() > 0.9 * BLOCKS * SIZE
