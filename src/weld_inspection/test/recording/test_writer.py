"""The writer's thread: order, bounds, full disks, crashes."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from bag_samples import TOPICS, definitions, image, report

from weld_inspection.recording import bag_file
from weld_inspection.recording import writer as bag_writer
from weld_inspection.recording.bag_file import PARTIAL_FOLDER, BagFile
from weld_inspection.recording.bag_plan import (
    BagContext,
    BagSummary,
    CloseBag,
    OpenBag,
    WriteMessages,
)
from weld_inspection.recording.disk import DiskBudget
from weld_inspection.recording.message import RecordedMessage
from weld_inspection.recording.salvage import salvage
from weld_inspection.recording.writer import BagWriter, Severity
from weld_inspection.testing.bag_reader import read_messages, read_metadata
from weld_inspection.testing.small_disk import small_disk
from weld_inspection.testing.waiting import wait_for

T0 = 1_700_000_000_000_000_000
CONTEXT = BagContext("W7", "model.abc", 0.5, 1000)


class Words(list):
    """What the writer says; lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def say(self, severity: Severity, text: str) -> None:
        with self._changed:
            self.append((severity, text))
            self._changed.notify_all()

    def wait_for(self, part: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(part in text for _, text in self), 30), part


def make_writer(
    folder: Path, *, min_free=0, max_total=0, queue_bytes=10**9
) -> tuple[BagWriter, Words]:
    words = Words()
    budget = DiskBudget(folder, min_free, max_total)
    return BagWriter(folder, TOPICS, definitions(), budget, queue_bytes, words.say), words


def open_bag(number: int = 1) -> OpenBag:
    return OpenBag(number, T0, ("defect",), CONTEXT)


def frames(number: int, first: int, count: int, size: int = 3000) -> WriteMessages:
    stamps = [T0 + k * 50_000_000 for k in range(first, first + count)]
    messages = [RecordedMessage("/weld/image_raw", s, s, image(s, size)) for s in stamps]
    return WriteMessages(number, messages)


def close_bag(number: int = 1) -> CloseBag:
    return CloseBag(number, BagSummary(["defect"], 1, 3, 2500, 0.875, T0, T0 + 1))


def leave_bag(folder: Path, name: str) -> None:
    """Leaves a bag of three images unfinished, as a crash does."""
    bag = BagFile(folder, name, TOPICS, definitions(), {})
    for message in frames(1, 0, 3).messages:
        bag.write(message.topic, message.received_ns, message.data)
    bag.close({})
    partial = folder / PARTIAL_FOLDER
    partial.mkdir(exist_ok=True)
    (folder / name).rename(partial / name)
    (partial / name / "metadata.yaml").unlink()


def bags_in(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/metadata.yaml"))


def test_a_bag_says_why_and_by_which_thresholds(tmp_path):
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 5), close_bag()])
    writer.close()
    (bag,) = bags_in(tmp_path)
    assert bag.name == "20231114T221320Z_W7_0001"
    assert read_metadata(bag)["custom_data"] == {
        "cause": "defect",
        "confidence": "0.875",
        "defective_windows": "3",
        "first_stamp_ns": str(T0),
        "last_stamp_ns": str(T0 + 1),
        "model_id": "model.abc",
        "most_defect_pixels": "2500",
        "part": "1",
        "pixel_threshold": "1000",
        "threshold": "0.5",
        "weld_id": "W7",
    }
    assert len(read_messages(bag)) == 5
    status = writer.status()
    assert (status.bags, status.frames, status.frames_dropped) == (1, 5, 0)
    assert status.bytes_used >= sum(f.stat().st_size for f in bag.iterdir())
    assert (status.writing, status.bag, status.queued_bytes) == (False, str(bag), 0)
    assert [severity for severity, _ in words] == [Severity.INFO] * 2


def test_two_bags_may_be_open_at_a_time(tmp_path):
    writer, _ = make_writer(tmp_path)
    writer.start()
    writer.submit([open_bag(1), frames(1, 0, 4), open_bag(2), frames(2, 6, 3), frames(1, 4, 2)])
    writer.submit([close_bag(1), close_bag(2)])
    writer.close()
    assert [len(read_messages(bag)) for bag in bags_in(tmp_path)] == [6, 3]


def test_closing_the_writer_closes_its_bags_with_what_they_have(tmp_path):
    writer, _ = make_writer(tmp_path)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 5)])
    writer.close()
    (bag,) = bags_in(tmp_path)
    assert len(read_messages(bag)) == 5
    assert read_metadata(bag)["custom_data"]["cause"] == "defect"


def test_what_does_not_fit_the_queue_is_dropped_and_counted(tmp_path):
    writer, _ = make_writer(tmp_path, queue_bytes=10_000)
    writer.submit([open_bag(), frames(1, 0, 5), close_bag()])  # 3 kB each, and nobody writes yet
    assert writer.status().frames_dropped == 2
    writer.start()
    writer.close()
    (bag,) = bags_in(tmp_path)
    assert len(read_messages(bag)) == 3
    assert (writer.status().frames, writer.status().messages_dropped) == (3, 2)


def test_a_disk_that_hangs_fills_the_queue_no_further(tmp_path):
    writer, _ = make_writer(tmp_path, queue_bytes=10_000)
    writer.submit([open_bag(), frames(1, 0, 5)])
    held = len(writer._queue.actions)
    for k in range(100):
        writer.submit([frames(1, 5 + k, 1)])
    assert len(writer._queue.actions) == held
    assert writer.status().frames_dropped == 102
    writer.start()
    writer.close()


def test_no_bag_is_begun_against_the_budget_and_the_next_one_is_when_there_is_room(tmp_path):
    old = tmp_path / "old"
    old.write_bytes(bytes(2000))
    writer, words = make_writer(tmp_path, max_total=1000)
    writer.start()
    writer.submit([open_bag(1), frames(1, 0, 5), close_bag(1)])
    words.wait_for("is not recorded")
    assert "max_total_bytes" in writer.refusal()
    writer.submit([open_bag(2), close_bag(2)])
    assert old.exists()  # nothing is deleted to make room
    old.unlink()
    writer.submit([open_bag(3), frames(3, 5, 5), close_bag(3)])
    writer.close()
    (bag,) = bags_in(tmp_path)
    assert len(read_messages(bag)) == 5
    assert (writer.status().frames, writer.status().frames_dropped) == (5, 5)
    assert writer.status().failure == ""
    assert words[0][0] is Severity.ERROR


def test_a_bag_that_meets_the_budget_ends_and_is_readable(tmp_path):
    writer, words = make_writer(tmp_path, max_total=1_000_000)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 10, size=300_000), close_bag()])
    writer.close()
    (bag,) = bags_in(tmp_path)
    assert len(read_messages(bag)) == writer.status().frames == 4
    assert writer.status().frames_dropped == 6
    assert "max_total_bytes" in read_metadata(bag)["custom_data"]["truncated"]
    assert sum("ends early" in text for _, text in words) == 1


def test_room_is_seen_without_an_event(tmp_path, monkeypatch):
    monkeypatch.setattr(bag_writer, "LOOK_PERIOD", 0.01)
    old = tmp_path / "old"
    old.write_bytes(bytes(2000))
    writer, words = make_writer(tmp_path, max_total=1000)
    writer.start()
    writer.submit([open_bag(), close_bag()])
    words.wait_for("is not recorded")
    assert "max_total_bytes" in writer.status().failure
    old.unlink()
    wait_for(lambda: writer.refusal() == "" and writer.status().failure == "")
    assert writer.status().bytes_used == 0
    writer.close()


def test_bags_that_are_closed_while_another_is_open_count(tmp_path):
    writer, words = make_writer(tmp_path, max_total=1_000_000)
    writer.start()
    writer.submit([open_bag(1), frames(1, 0, 1)])
    for number in range(2, 12):  # each opens before the one before it is closed
        writer.submit([open_bag(number), frames(number, number, 1, size=300_000)])
        writer.submit([close_bag(number - 1)])
    words.wait_for("is not recorded")
    wait_for(lambda: not writer.status().writing)
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert 1_000_000 < size < 1_400_000
    assert writer.status().bytes_used == size
    writer.close()


@pytest.fixture
def full_soon(tmp_path):
    with small_disk(tmp_path / "small") as folder:
        yield folder


@pytest.mark.parametrize("size", [300_000, 900_000, 1000])
def test_a_full_disk_closes_the_bag_and_what_was_written_is_readable(full_soon, size):
    writer, words = make_writer(full_soon)
    writer.start()
    count = 12_000_000 // size
    for first in range(0, count, 100):
        writer.submit([open_bag()] if first == 0 else [])
        writer.submit([frames(1, first, min(100, count - first), size)])
    writer.submit([close_bag()])
    writer.close()
    (bag,) = bags_in(full_soon)
    messages = read_messages(bag)
    status = writer.status()
    assert len(messages) > 5_000_000 // size
    assert [m.header.stamp.nanosec for _, _, m in messages] == [
        k * 50_000_000 % 10**9 for k in range(len(messages))
    ]
    assert read_metadata(bag)["message_count"] == len(messages)
    assert "No space left" in read_metadata(bag)["custom_data"]["truncated"]
    assert (status.frames, status.frames_dropped) == (len(messages), count - len(messages))
    assert list((full_soon / PARTIAL_FOLDER).iterdir()) == []
    # The disk is still full: the next event is refused in words, and nothing is left lying about.
    (full_soon / "filler").write_bytes(bytes(max(0, shutil.disk_usage(full_soon).free - 50_000)))
    writer, words = make_writer(full_soon)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 2), close_bag()])
    writer.close()
    assert any("is not recorded" in text and "No space left" in text for _, text in words)
    assert list((full_soon / PARTIAL_FOLDER).iterdir()) == []
    assert bags_in(full_soon) == [bag]


CRASH = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_writer import *
writer, _ = make_writer(Path(sys.argv[1]))
writer.start()
writer.submit([open_bag(), frames(1, 0, 6, size=300_000)])
while writer.status().frames < 6:
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("cut", [0, 1000, 400_000])
def test_what_a_crash_left_is_salvaged_at_the_next_start(tmp_path, cut):
    here = str(Path(__file__).parent)
    crashed = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), here])
    assert crashed.returncode == -signal.SIGKILL
    (leftover,) = (tmp_path / PARTIAL_FOLDER).iterdir()
    file = leftover / f"{leftover.name}.mcap"
    os.truncate(file, file.stat().st_size - cut)  # what the kernel had not written either
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 2), close_bag()])
    writer.close()
    salvaged, new = bags_in(tmp_path)
    assert salvaged.name == f"{leftover.name}-salvaged"
    messages = read_messages(salvaged)
    assert len(messages) == {0: 6, 1000: 5, 400_000: 4}[cut]
    assert all(len(m.data) == 300_000 for _, _, m in messages)
    custom_data = read_metadata(salvaged)["custom_data"]
    assert (custom_data["salvaged"], custom_data["weld_id"]) == ("true", "W7")
    assert new.name.endswith("_0002")
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []
    assert any("left unfinished" in text for _, text in words)


def test_a_bag_that_another_recorder_is_writing_is_left_alone(tmp_path):
    bag = BagFile(tmp_path, "seam_0001", TOPICS, definitions(), {})
    bag.write("/weld/defects", T0, report(T0))
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.close()
    assert any("another recorder" in text for _, text in words)
    assert len(read_messages(bag.close({}))) == 1


def test_an_event_does_not_wait_for_what_is_being_salvaged(tmp_path, monkeypatch):
    recorded = threading.Event()

    def slow_salvage(leftover, topics, definitions, go_on):
        assert recorded.wait(30), "the event has waited"
        return salvage(leftover, topics, definitions, go_on)

    monkeypatch.setattr(bag_writer, "salvage", slow_salvage)
    leave_bag(tmp_path, "seam_0001")
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 5), close_bag()])
    words.wait_for("recorded ")
    recorded.set()
    writer.close()
    assert [len(read_messages(bag)) for bag in bags_in(tmp_path)] == [5, 3]
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert writer.status().bytes_used == size


@pytest.mark.parametrize("limits", [{"min_free": 1_000_000}, {"max_total": 1_500_000}])
def test_a_leftover_whose_copy_does_not_fit_the_budget_stays(tmp_path, monkeypatch, limits):
    monkeypatch.setattr(DiskBudget, "bytes_free", 1_900_000)
    leave_bag(tmp_path, "seam_0001")
    leftover = tmp_path / PARTIAL_FOLDER / "seam_0001"
    (leftover / "reserve").write_bytes(bytes(1_000_000))
    writer, words = make_writer(tmp_path, **limits)
    assert writer.refusal() == ""
    writer.start()
    writer.close()
    (name,) = limits
    assert any(f"{name}_bytes" in text and "1.0 MB are needed" in text for _, text in words)
    assert leftover.is_dir() and bags_in(tmp_path) == []


def test_closing_leaves_a_long_salvage_to_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(bag_writer, "SALVAGE_PATIENCE", 0.0)
    ending = threading.Event()

    def slow_salvage(leftover, topics, definitions, go_on):
        ending.set()
        while go_on():
            pass
        return salvage(leftover, topics, definitions, go_on)

    monkeypatch.setattr(bag_writer, "salvage", slow_salvage)
    leave_bag(tmp_path, "seam_0001")
    writer, words = make_writer(tmp_path)
    writer.start()
    assert ending.wait(30)
    writer.close()
    assert any("next start" in text for _, text in words)
    assert bags_in(tmp_path) == []
    monkeypatch.undo()
    writer, _ = make_writer(tmp_path)
    writer.start()
    writer.close()
    assert [len(read_messages(bag)) for bag in bags_in(tmp_path)] == [3]


def test_recorders_that_share_a_folder_lose_no_event(tmp_path):
    writers = [make_writer(tmp_path)[0] for _ in range(2)]
    for writer in writers:
        writer.start()
        writer.submit([open_bag(), frames(1, 0, 5)])
    for writer in writers:
        writer.submit([close_bag()])
        writer.close()
    bags = bags_in(tmp_path)
    assert [bag.name[-4:] for bag in bags] == ["0001", "0002"]
    assert [len(read_messages(bag)) for bag in bags] == [5, 5]
    assert [writer.status().frames_dropped for writer in writers] == [0, 0]


def test_a_crash_before_the_first_message_leaves_nothing(tmp_path):
    (tmp_path / PARTIAL_FOLDER / "seam_0003").mkdir(parents=True)
    (tmp_path / PARTIAL_FOLDER / "seam_0003" / "seam_0003.mcap").write_bytes(b"\x89MCAP0\r\n")
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.close()
    assert any("nothing in it could be read" in text for _, text in words)
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []


def test_the_folder_is_taken_away_while_recording(tmp_path):
    folder = tmp_path / "bags"
    writer, words = make_writer(folder)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 2)])
    words.wait_for("recording")
    while writer.status().queued_bytes:
        pass
    shutil.rmtree(folder)
    writer.submit([frames(1, 2, 2), close_bag()])
    writer.submit([open_bag(2), frames(2, 4, 2), close_bag(2)])
    writer.close()
    assert any("is gone" in text for _, text in words)
    assert writer.status().frames_dropped == 4


def test_a_disk_that_fails_costs_the_bag_and_not_the_recording(tmp_path):
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.submit([open_bag(1), frames(1, 0, 3, size=100_000)])
    words.wait_for("recording")
    wait_for(lambda: writer.status().frames == 3)
    # The file under the bag now takes no byte and cannot be cut, as on a disk that was pulled out.
    gone = os.open("/dev/full", os.O_WRONLY)
    os.dup2(gone, descriptor_of(tmp_path / PARTIAL_FOLDER))
    os.close(gone)
    writer.submit([frames(1, 3, 2, size=100_000), close_bag(1)])
    words.wait_for("ends early")
    words.wait_for("cannot finish")
    writer.submit([open_bag(2), frames(2, 10, 4), close_bag(2)])
    writer.close()
    assert writer.status().bags == 1 and writer.status().failure == ""
    assert writer.status().frames_dropped == 2
    assert writer.status().queued_bytes == 0
    (bag,) = bags_in(tmp_path)
    assert len(read_messages(bag)) == 4
    # What the disk had before is salvaged when it is back.
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.close()
    assert any("(3 messages)" in text for _, text in words)
    assert len(bags_in(tmp_path)) == 2


def test_a_leftover_that_cannot_be_read_does_not_stop_the_recording(tmp_path):
    leftover = tmp_path / PARTIAL_FOLDER / "20250314T092653Z_W17_0042"
    leftover.mkdir(parents=True)
    (leftover / "a_0.mcap").mkdir()  # opening it fails
    writer, words = make_writer(tmp_path)
    writer.start()
    writer.submit([open_bag(), frames(1, 0, 5), close_bag()])
    writer.close()
    assert any("stays there" in text for _, text in words)
    assert leftover.is_dir()
    assert len(bags_in(tmp_path)) == 1


def descriptor_of(folder: Path) -> int:
    """The open MCAP file below a folder."""
    for entry in Path("/proc/self/fd").iterdir():
        target = os.readlink(entry) if entry.exists() else ""
        if target.startswith(str(folder)) and target.endswith(".mcap"):
            return int(entry.name)
    raise AssertionError(f"no open bag in {folder}")


def test_the_reserve_suffices_for_the_longest_bags_summary():
    # A minute at 20 Hz with seven topics: a chunk an image, an index entry a message.
    assert 60 * 20 * 300 < bag_file.RESERVE_BYTES
