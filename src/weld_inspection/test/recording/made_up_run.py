"""A made-up run of the system: frames, masks, reports and states in the order of their arrival."""

from dataclasses import dataclass, field

from weld_inspection.recording.bag_plan import Action, CloseBag, OpenBag, WriteMessages
from weld_inspection.recording.events import EventRecorder
from weld_inspection.recording.message import RecordedMessage
from weld_inspection.recording.report import Report
from weld_inspection.recording.topics import Role
from weld_inspection.recording.window_grid import Window

MS = 1_000_000
SECOND = 1000 * MS
PERIOD = 50 * MS
START = 1_700_000_000 * SECOND

ROLES = {
    "image": Role.FRAME,
    "mask": Role.STAMPED,
    "defects": Role.STAMPED,
    "carriage": Role.STATE,
    "info": Role.STATE,
}


@dataclass
class Run:
    """What the camera and the detector do.

    Attributes:
        frames: Number of frames at 20 Hz.
        window: Frames of a window.
        defective: Numbers of the windows that are defective.
        lost: Numbers of the windows the detector dropped.
        lag_ns: From the arrival of a window's last frame to its report.
        first_window: Number of the frame at which the detector begins.
        frame_bytes: Size of an image.
    """

    frames: int
    window: int = 10
    defective: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    lag_ns: int = 600 * MS
    first_window: int = 0
    frame_bytes: int = 10

    def stamp(self, frame: int) -> int:
        return START + frame * PERIOD

    def window_of(self, number: int) -> Window:
        first = self.first_window + number * self.window
        return Window(self.stamp(first), self.stamp(first + self.window - 1))

    def arrivals(self) -> list[tuple[int, RecordedMessage, Report | None]]:
        arrivals: list[tuple[int, RecordedMessage, Report | None]] = []

        def add(topic, stamp, received, report=None, size=10):
            message = RecordedMessage(topic, stamp, received, bytes(size))
            arrivals.append((received, message, report))

        add("info", START - 10 * MS, START - 10 * MS)
        for k in range(self.frames):
            add("image", self.stamp(k), self.stamp(k) + 12 * MS, size=self.frame_bytes)
        for k in range(self.frames * 3):
            add("carriage", START + k * 20 * MS, START + k * 20 * MS + MS)
        for number in range((self.frames - self.first_window) // self.window):
            window = self.window_of(number)
            done = window.end_ns + 12 * MS + self.lag_ns
            if number in self.lost:
                continue
            report = Report(window, number in self.defective, self.window, 2000, 0.9)
            add("defects", window.end_ns, done, report)
            for k in range(self.window):
                add("mask", window.start_ns + k * PERIOD, done + MS + k)
        return sorted(arrivals, key=lambda arrival: arrival[0])


@dataclass
class Recorded:
    """The bags that came of it."""

    bags: dict[int, list[RecordedMessage]] = field(default_factory=dict)
    opened: list[OpenBag] = field(default_factory=list)
    closed: dict[int, CloseBag] = field(default_factory=dict)

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, OpenBag):
                assert action.number not in self.bags
                self.bags[action.number] = []
                self.opened.append(action)
            elif isinstance(action, WriteMessages):
                assert action.number not in self.closed
                self.bags[action.number].extend(action.messages)
            else:
                self.closed[action.number] = action

    def stamps(self, number: int, topic: str = "image") -> list[int]:
        """As a reader meets them, in the order of their arrival."""
        messages = sorted(self.bags[number], key=lambda message: message.received_ns)
        return [m.stamp_ns for m in messages if m.topic == topic]


def play(recorder: EventRecorder, run: Run, by_hand: dict[int, str] | None = None) -> Recorded:
    """Sends a run through a recorder.

    Args:
        recorder: The recorder.
        run: The run.
        by_hand: "start" or "stop" after the frame of a number.
    """
    recorded = Recorded()
    for received, message, report in run.arrivals():
        recorded.take(recorder.receive(message))
        if report is not None:
            recorded.take(recorder.report(report, received))
        if by_hand and message.topic == "image":
            wish = by_hand.get((message.stamp_ns - START) // PERIOD)
            if wish:
                recorded.take(getattr(recorder, wish)(received))
    return recorded
