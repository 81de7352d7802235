"""A bag's carriage states come with the frames they belong to."""

import sqlite3
import struct

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from weld_inspection.camera.recorded_carriage import AHEAD_NS, CARRIAGE_TYPE, RecordedCarriage
from weld_inspection.camera.source import CameraError

SECOND = 1_000_000_000
PERIOD = 20_000_000  # of the carriage's states: 50 Hz


def state(stamp_ns):
    """Begin of a message in CDR: representation, then the header's stamp."""
    return struct.pack("<4BiI", 0, 1, 0, 0, *divmod(stamp_ns, SECOND)) + bytes(32)


@pytest.fixture
def bag(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg("std_msgs/Header header\nfloat64 position", CARRIAGE_TYPE))
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/weld/carriage_state", CARRIAGE_TYPE, typestore=store)
        for k in range(50):
            writer.write(connection, SECOND + k * PERIOD, state(SECOND + k * PERIOD))
    return tmp_path / "bag"


def test_every_state_comes_once_and_in_time(bag):
    carriage = RecordedCarriage(bag)
    assert carriage.count == 50
    given = []
    for frame in range(20):
        stamp = SECOND + frame * 2 * PERIOD
        given += carriage.follow(stamp)
        # All up to the frame, and the next one for the interpolation, are there with it.
        assert len(given) == min(50, 1 + (2 * frame * PERIOD + AHEAD_NS) // PERIOD)
    given += carriage.follow(SECOND * 10)
    assert given == [state(SECOND + k * PERIOD) for k in range(50)]
    carriage.restart()
    assert carriage.follow(SECOND)[0] == state(SECOND)


def test_states_go_with_every_pass_of_a_loop(bag):
    # The images begin at the tenth state, and a pass of them takes as long as thirty.
    begin, length = SECOND + 10 * PERIOD, 30 * PERIOD
    carriage = RecordedCarriage(bag, span_ns=(begin, length))
    given = [data for k in range(100) for data in carriage.follow(begin + k * PERIOD)]
    assert given == [state(begin + k * PERIOD) for k in range(100 + AHEAD_NS // PERIOD)]
    carriage.restart()
    assert carriage.follow(begin)[0] == state(begin)


def test_a_bag_need_not_hold_the_definitions_of_its_types(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg("std_msgs/Header header\nfloat64 position", CARRIAGE_TYPE))
    folder = tmp_path / "bag"
    with Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/weld/carriage_state", CARRIAGE_TYPE, typestore=store)
        writer.write(connection, SECOND, state(SECOND))
    (file,) = folder.glob("*.db3")
    with sqlite3.connect(file) as database:  # as ROS 2 Humble leaves it
        database.execute("DELETE FROM message_definitions")
    assert RecordedCarriage(folder).follow(SECOND) == [state(SECOND)]


def test_no_bag_is_one_clear_error(tmp_path):
    for told in (None, pytest.fail):
        with pytest.raises(CameraError, match="cannot be read"):
            RecordedCarriage(tmp_path / "none", on_damage=told)


def test_states_before_damage_are_there_where_that_may_be_told(bag):
    (file,) = bag.glob("*.mcap")
    content = bytearray(file.read_bytes())
    message = content.index(state(SECOND + 25 * PERIOD))
    head = struct.calcsize("<QHIQQ")  # of the record: its length, then channel and times
    content[message - head : message - head + 8] = b"\xff" * 8
    file.write_bytes(content)
    with pytest.raises(CameraError, match="cannot be read"):
        RecordedCarriage(bag)
    told = []
    carriage = RecordedCarriage(bag, on_damage=told.append)
    (line,) = told
    assert "break off after 0: " in line and carriage.count == 0  # a chunk is read as a whole
