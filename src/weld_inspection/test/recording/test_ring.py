import pytest
from hypothesis import given
from hypothesis import strategies as st

from weld_inspection.recording.errors import RecordingError
from weld_inspection.recording.message import RecordedMessage, header_stamp_ns
from weld_inspection.recording.ring import Ring


def message(received: int, size: int = 10) -> RecordedMessage:
    return RecordedMessage("image", received, received, bytes(size))


def test_what_is_older_than_the_duration_leaves():
    ring = Ring(100, 10_000)
    gone = [m for t in (0, 50, 100, 101, 200) for m in ring.push(message(t))]
    assert [m.received_ns for m in ring] == [100, 101, 200]
    assert [m.received_ns for m in gone] == [0, 50]
    assert ring.crowded_out == 0


def test_bytes_are_bounded_but_the_newest_always_stays():
    ring = Ring(10**9, 100)
    for t in range(12):
        ring.push(message(t))
    assert len(ring) == 10 and ring.bytes == 100 and ring.crowded_out == 2
    ring.push(message(12, size=1000))
    assert [m.received_ns for m in ring] == [12]


def test_taking_keeps_the_order_of_both():
    ring = Ring(1000, 10_000)
    for t in range(6):
        ring.push(message(t))
    taken = ring.take(lambda m: m.received_ns % 2 == 0)
    assert [m.received_ns for m in taken] == [0, 2, 4]
    assert [m.received_ns for m in ring] == [1, 3, 5]
    assert ring.bytes == 30


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 300))), st.integers(1, 1000))
def test_nothing_is_held_beyond_the_bounds_and_bytes_are_counted(steps, capacity):
    ring, now = Ring(100, capacity), 0
    for step, size in steps:
        now += step
        ring.push(message(now, size))
        held = list(ring)
        assert ring.bytes == sum(len(m.data) for m in held)
        assert ring.bytes <= capacity or len(held) == 1
        assert all(m.received_ns >= now - 100 for m in held)


@pytest.mark.parametrize("endian, order", [(1, "little"), (0, "big")])
def test_the_stamp_is_read_from_the_bytes(endian, order):
    stamp = (5).to_bytes(4, order) + (7).to_bytes(4, order)
    assert header_stamp_ns(bytes([0, endian, 0, 0]) + stamp + b"rest") == 5_000_000_007


def test_a_message_without_room_for_a_stamp_is_refused():
    with pytest.raises(RecordingError, match="8 bytes"):
        header_stamp_ns(bytes(8))
