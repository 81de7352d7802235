"""What was needed once is not kept for good."""

from weld_inspection.memory import give_back_memory
from weld_inspection.testing.memory import BURST, need_a_burst, resident_bytes


def test_what_a_burst_has_freed_goes_back_to_the_system():
    height, above = need_a_burst()
    give_back_memory()
    assert above
    assert height - resident_bytes() > 0.9 * BURST
