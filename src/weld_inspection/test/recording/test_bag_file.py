"""The bags on the disk, read back by readers that are not ours."""

import re

import pytest
from bag_samples import BYTES, TOPICS, definitions, image, report
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from weld_inspection.recording.bag_file import PARTIAL_FOLDER, RESERVE_FILE, BagFile
from weld_inspection.recording.errors import RecordingError
from weld_inspection.testing.bag_reader import read_messages, read_metadata

T0 = 1_700_000_000_000_000_000


def write_bag(folder, frames=5, size=BYTES):
    bag = BagFile(folder, "seam_0001", TOPICS, definitions(), {"cause": "defect"})
    for k in range(frames):
        stamp = T0 + k * 50_000_000
        bag.write("/weld/image_raw", stamp, image(stamp, size))
        bag.write("/weld/defects", stamp + 1000, report(stamp, weld_id="W1"))
    path = bag.close({"cause": "defect", "weld_id": "W1"})
    assert path == folder / "seam_0001"
    return path


@pytest.mark.parametrize("size", [BYTES, 300_000])
def test_an_independent_reader_decodes_every_message(tmp_path, size):
    path = write_bag(tmp_path, size=size)
    messages = read_messages(path)
    assert [topic for topic, _, _ in messages] == ["/weld/image_raw", "/weld/defects"] * 5
    images = [message for topic, _, message in messages if topic == "/weld/image_raw"]
    assert [m.header.stamp.nanosec for m in images] == [k * 50_000_000 for k in range(5)]
    assert all(len(m.data) == size and m.data[-1] == 7 for m in images)
    reports = [message for topic, _, message in messages if topic == "/weld/defects"]
    assert all(m.defective and m.weld_id == "W1" and m.regions[0].area == 12 for m in reports)


def test_the_file_is_indexed_and_whole(tmp_path):
    path = write_bag(tmp_path)
    with next(path.glob("*.mcap")).open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary.statistics.message_count == 10
        assert summary.statistics.message_start_time == T0
        assert summary.statistics.message_end_time == T0 + 200_000_000 + 1000
        assert len(summary.channels) == len(TOPICS)
        middle = [m.log_time for _, _, m in reader.iter_messages(starting_at=T0 + 100_000_000)]
        assert middle == sorted(middle) and len(middle) == 6


def test_rosbags_reads_it_with_types_from_the_bag(tmp_path):
    with AnyReader([write_bag(tmp_path)]) as reader:
        decoded = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
        ]
    assert len(decoded) == 10
    assert decoded[1].regions[0].area == 12


def test_metadata_is_what_jazzy_expects(tmp_path):
    path = write_bag(tmp_path)
    about = read_metadata(path)
    assert about["version"] == 9
    assert about["storage_identifier"] == "mcap"
    assert about["message_count"] == 10
    assert about["duration"]["nanoseconds"] == 200_001_000
    assert about["starting_time"]["nanoseconds_since_epoch"] == T0
    assert about["compression_format"] == about["compression_mode"] == ""
    assert about["custom_data"] == {"cause": "defect", "weld_id": "W1"}
    assert [path / name for name in about["relative_file_paths"]] == list(path.glob("*.mcap"))
    file = about["files"][0]
    assert (file["path"], file["message_count"]) == (about["relative_file_paths"][0], 10)
    topics = {t["topic_metadata"]["name"]: t for t in about["topics_with_message_count"]}
    assert set(topics) == {topic.name for topic in TOPICS}
    assert topics["/weld/image_raw"]["message_count"] == 5
    assert topics["/weld/alarm"]["message_count"] == 0
    for topic in TOPICS:
        metadata = topics[topic.name]["topic_metadata"]
        assert metadata["type"] == topic.message_type
        assert metadata["serialization_format"] == "cdr"
        assert re.fullmatch("RIHS01_[0-9a-f]{64}", metadata["type_description_hash"])
        (qos,) = metadata["offered_qos_profiles"]
        assert qos["history"] == "keep_last"
        assert qos["depth"] == topic.depth
        assert qos["reliability"] == "reliable"
        assert qos["durability"] == ("transient_local" if topic.latched else "volatile")
        assert qos["liveliness"] == "automatic"
        assert qos["deadline"] == {"sec": 9223372036, "nsec": 854775807}
        assert qos["avoid_ros_namespace_conventions"] is False


def test_the_interfaces_own_text_and_its_dependencies_are_in_the_bag(tmp_path):
    path = write_bag(tmp_path)
    with next(path.glob("*.mcap")).open("rb") as stream:
        schemas = {s.name: s for s in make_reader(stream).get_summary().schemas.values()}
    text = schemas["weld_interfaces/msg/DefectReport"].data.decode()
    assert schemas["weld_interfaces/msg/DefectReport"].encoding == "ros2msg"
    assert "uint32[] frame_defect_pixels" in text
    assert "# " in text  # units and meanings stand in the comments
    for part in ("weld_interfaces/DefectRegion", "std_msgs/Header", "sensor_msgs/RegionOfInterest"):
        assert f"MSG: {part}\n" in text or f"MSG: {part.replace('/', '/msg/')}\n" in text


def test_until_it_is_closed_it_lies_under_its_temporary_name(tmp_path):
    bag = BagFile(tmp_path, "seam", TOPICS, definitions(), {})
    bag.write("/weld/image_raw", T0, image(T0))
    assert (tmp_path / PARTIAL_FOLDER / "seam" / RESERVE_FILE).exists()
    assert not (tmp_path / "seam").exists()
    bag.close({})
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []
    assert sorted(p.name for p in (tmp_path / "seam").iterdir()) == ["metadata.yaml", "seam.mcap"]


def test_a_bag_without_messages_leaves_nothing(tmp_path):
    assert BagFile(tmp_path, "seam", TOPICS, definitions(), {}).close({}) is None
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []
    assert not (tmp_path / "seam").exists()


def test_a_bag_is_never_written_over(tmp_path):
    (tmp_path / "seam").mkdir()
    with pytest.raises(RecordingError, match="there already"):
        BagFile(tmp_path, "seam", TOPICS, definitions(), {})
