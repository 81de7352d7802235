"""A bag, played by the source `bag`, makes the detector's windows of the live run again."""

import numpy as np
import pytest
from bag_samples import TOPICS, definitions, header, report, types

from weld_inspection.camera.bag import Bag
from weld_inspection.inspection.windows import FrameWindows
from weld_inspection.recording.bag_file import BagFile
from weld_inspection.recording.bag_plan import CloseBag, OpenBag, WriteMessages
from weld_inspection.recording.events import EventRecorder
from weld_inspection.recording.message import RecordedMessage
from weld_inspection.recording.report import Report
from weld_inspection.recording.rules import RecordingRules
from weld_inspection.recording.window_grid import Window

T0 = 1_700_000_000_000_000_000
PERIOD, MS = 50_000_000, 1_000_000
LAG = 700 * MS


def picture(number: int) -> np.ndarray:
    return np.full((4, 8, 3), number % 256, np.uint8)


def image_message(stamp: int, pixels: np.ndarray) -> bytes:
    message = types().types["sensor_msgs/msg/Image"](
        header(stamp), 4, 8, "bgr8", 0, 24, pixels.reshape(-1)
    )
    return bytes(types().serialize_cdr(message, "sensor_msgs/msg/Image"))


def windows_of(frames, length: int, stride: int) -> dict[tuple[int, int], bytes]:
    """Windows the detector makes of frames, and what it would see in them."""
    collector = FrameWindows(length, stride=stride)
    found = {}
    for stamp, pixels in frames:
        window = collector.add(pixels, stamp, image_width=8, image_height=4)
        if window is not None:
            seen = b"".join(frame.pixels.tobytes() for frame in window.frames)
            found[window.frames[0].stamp_ns, window.frames[-1].stamp_ns] = seen
    return found


@pytest.mark.parametrize("stride", [10, 5, 3])
@pytest.mark.parametrize("missing", [set(), {150, 151, 152}, {187, 188, 189, 190}])
def test_the_windows_of_the_live_run_come_again(tmp_path, stride, missing):
    frames = [(T0 + k * PERIOD, picture(k)) for k in range(420) if k not in missing]
    live = windows_of(frames, 10, stride)
    arrivals = [
        (stamp + 10 * MS, "/weld/image_raw", stamp, image_message(stamp, pixels), None)
        for stamp, pixels in frames
    ]
    for start, end in live:
        defective = start <= T0 + 200 * PERIOD <= end
        seen = Report(Window(start, end), defective, stride)
        arrivals.append((end + LAG, "/weld/defects", end, report(end), seen))
    roles = {topic.name: topic.role for topic in TOPICS}
    recorder = EventRecorder(roles, RecordingRules())
    actions = []
    for received, topic, stamp, data, seen in sorted(arrivals, key=lambda a: a[:3]):
        actions += recorder.receive(RecordedMessage(topic, stamp, received, data))
        actions += recorder.report(seen, received) if seen else []
    actions += recorder.finish()

    bags, recorded = {}, set()
    for action in actions:
        if isinstance(action, OpenBag):
            bags[action.number] = BagFile(tmp_path, "bag", TOPICS, definitions(), {})
        elif isinstance(action, WriteMessages):
            for message in action.messages:
                bags[action.number].write(message.topic, message.received_ns, message.data)
                if message.topic == "/weld/defects":
                    recorded.add(message.stamp_ns)
        elif isinstance(action, CloseBag):
            bags[action.number].close({})
    assert len(bags) == 1

    bag, played = Bag(tmp_path / "bag"), []
    while (image := bag.read()) is not None:
        played.append((image.stamp_ns, image.image))
    bag.close()
    again = windows_of(played, 10, stride)
    wanted = {window: seen for window, seen in live.items() if window[1] in recorded}
    whole = {window: seen for window, seen in wanted.items() if window[0] >= played[0][0]}
    assert played[0][0] in {start for start, _ in live}
    assert len(whole) >= 40 // stride
    assert {window: again.get(window) for window in whole} == whole
