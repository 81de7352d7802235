"""What was needed once is not kept for good, and what is needed again is kept."""

import gc
import subprocess
import sys
import weakref

from weld_inspection.memory import (
    collect_all_again,
    give_back_memory,
    keep_images_in_heap,
    leave_out_of_collection,
)
from weld_inspection.testing.memory import BURST, need_a_burst, resident_bytes

ROUNDS = 50
IMAGES = 3
IMAGE = 1280 * 720 * 3  # bytes
PAGE = 4096

# The pages that fault while so many times so many images are held for a moment.
FAULTS = f"""
import resource
from weld_inspection.memory import keep_images_in_heap
{{before}}
def hold():
    images = [b"x" * {IMAGE} for _ in range({IMAGES})]
hold()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    hold()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""


def faults(before):
    """Counts them in a process of its own, which calls `before` first."""
    program = FAULTS.format(before=before)
    return int(subprocess.check_output([sys.executable, "-c", program], text=True))


def test_what_a_burst_has_freed_goes_back_to_the_system():
    height, above = need_a_burst()
    give_back_memory()
    assert above
    assert height - resident_bytes() > 0.9 * BURST


def test_an_image_has_the_memory_of_an_earlier_one():
    touched = ROUNDS * IMAGES * IMAGE // PAGE
    assert faults("") > 0.5 * touched
    assert faults(f"{keep_images_in_heap.__name__}()") < 0.01 * touched


class Ring:
    """Refers to itself: the collector alone can let it go."""

    def __init__(self):
        self.self = self


def test_the_collector_leaves_out_what_was_there_until_it_may_go():
    before, ring = gc.get_freeze_count(), Ring()
    gone = weakref.ref(ring)
    leave_out_of_collection()
    try:
        assert gc.get_freeze_count() > before + 1000
        new = Ring()
        new_gone = weakref.ref(new)
        del ring, new
        gc.collect()
        assert new_gone() is None and gone() is not None
    finally:
        collect_all_again()
    gc.collect()
    assert gone() is None
