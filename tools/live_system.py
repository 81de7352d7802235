"""The launched system, started and watched from outside as a controller and an operator would."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.events import EVENT_GAP, Event, WindowFinding, find_events
from weld_inspection.nodes import qos
from weld_interfaces.msg import AlarmState, DefectReport, DetectorInfo, RecordingState

NAMESPACE = "weld"
NODES = ("camera_driver", "defect_detector", "alarm", "recorder")
START_TIMEOUT = 180.0  # s until the first frame
QUIET = 3.0  # s without a frame after which the source has ended
CLOSING_TIMEOUT = 30.0  # s for the last bag to be closed, and for the nodes to end


def seconds(time_message: object) -> float:
    """Seconds of a builtin_interfaces/Time or Duration."""
    return time_message.sec + time_message.nanosec * 1e-9


@dataclass(frozen=True, slots=True)
class Use:
    """What a process has used.

    Attributes:
        processor: Processor time in seconds.
        memory: Resident memory of its own in MB, without the image segments that all nodes map.
    """

    processor: float
    memory: float


def used_by_nodes(pid: int) -> dict[str, Use]:
    """What the nodes that a launch started have used so far, by their names."""
    used = {}
    for process in psutil.Process(pid).children(recursive=True):
        try:
            words, times = process.cmdline()[:2], process.cpu_times()
            memory = process.memory_info()
        except psutil.NoSuchProcess:
            continue
        for word in words:
            if Path(word).name in NODES:
                own = (memory.rss - memory.shared) / 2**20
                used[Path(word).name] = Use(times.user + times.system, own)
    return used


def finished_bags(folder: Path) -> list[Path]:
    """The complete bags in an output folder of the recorder."""
    return sorted(file.parent for file in folder.glob("*/metadata.yaml"))


class LaunchedSystem:
    """`ros2 launch` of the whole system; ends with the block it is used in."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        """Starts it.

        Args:
            arguments: Launch arguments, NAME:=VALUE.
            log: File for what it prints.
        """
        self.log = log
        self._file = log.open("w")
        self.process = subprocess.Popen(
            [
                "ros2",
                "launch",
                "weld_inspection",
                "weld_inspection.launch.py",
                f"namespace:={NAMESPACE}",
                *arguments,
            ],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we then end the launch ourselves
        )

    def __enter__(self) -> "LaunchedSystem":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the launch as Ctrl-C does, and waits for it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(CLOSING_TIMEOUT)
        except subprocess.TimeoutExpired:
            print("  the nodes did not end when asked to: killed", file=sys.stderr)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._file.close()

    def check(self) -> None:
        """Raises InspectionError if the system has ended by itself."""
        if self.process.poll() is not None:
            raise InspectionError(f"the system ended early: see {self.log}")


class Watcher(Node):
    """Hears what the system says.

    Attributes:
        stamps: Capture times in seconds of the frames whose camera_info was heard.
        diagnostics: The newest values of each node by its name, as /diagnostics has them.
        reports: Every DefectReport.
        alarm_delays: For each onset of the alarm, by the sequence of the report that caused it:
            seconds after that report was published.
        info, alarm, recording: The newest state of each kind, or None.
        stop: To be set where `follow` and `wait_for_bag` shall end early.
    """

    def __init__(self) -> None:
        """Subscribes."""
        super().__init__("watcher", namespace=NAMESPACE)
        self.stamps: list[float] = []
        self.last_frame = 0.0
        self.reports: list[DefectReport] = []
        self.alarm_delays: dict[int, float] = {}
        self.info: DetectorInfo | None = None
        self.alarm: AlarmState | None = None
        self.recording: RecordingState | None = None
        self.stop = threading.Event()
        self.diagnostics: dict[str, dict[str, str]] = {}
        self._finished = 0
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)
        self.create_subscription(CameraInfo, "camera_info", self._take_frame, qos.IMAGE)
        self.create_subscription(DefectReport, "defects", self.reports.append, qos.REPORT)
        self.create_subscription(DetectorInfo, "detector_info", self._take_info, qos.LATCHED)
        self.create_subscription(AlarmState, "alarm", self._take_alarm, qos.LATCHED)
        self.create_subscription(RecordingState, "recording", self._take_recording, qos.LATCHED)
        self._acknowledge = self.create_client(Trigger, "alarm/acknowledge")

    def events(self) -> list[Event]:
        """All events so far."""
        return find_events(
            WindowFinding(
                report.defective,
                report.confidence,
                tuple(region.seam_position for region in report.regions),
            )
            for report in self.reports
        )

    def alarm_delay(self, event: Event) -> float | None:
        """Seconds from an event's report to the alarm it raised; None if it raised none anew."""
        for report in self.reports[event.first : event.last + 1]:
            if report.sequence in self.alarm_delays:
                return self.alarm_delays[report.sequence]
        return None

    def frame_counts(self) -> dict[str, int]:
        """Frames by the nodes' own counters, which also know what was not heard here.

        What a camera showed before the detector had its model counts as captured, not as dropped.
        """
        # Whoever interrupts early may have heard neither yet.
        captured = int(self.told("camera_driver", "frames published") or 0)
        inspected = int(self.told("defect_detector", "frames inspected") or 0)
        early = 0
        if self.reports and self.reports[0].sequence == 0:
            begin = seconds(self.reports[0].window_start)
            early = sum(stamp < begin for stamp in self.stamps)
        return {
            "captured": captured,
            "inspected": inspected,
            "dropped": captured - inspected - early,
        }

    def newly_finished(self, *, at_the_end: bool = False) -> list[tuple[int, Event]]:
        """Returns the events that ended since the last call, numbered from 1."""
        events = self.events()
        finished = []
        while self._finished < len(events):
            event = events[self._finished]
            if not at_the_end and len(self.reports) - 1 - event.last <= EVENT_GAP:
                break
            self._finished += 1
            finished.append((self._finished, event))
        return finished

    def follow(self, system: LaunchedSystem, until: float = math.inf) -> None:
        """Spins for a moment at a time until the source has ended; a generator.

        Args:
            system: What is watched.
            until: Seconds of frames after which to end all the same, for a camera.

        Raises:
            InspectionError: The system ended, or no frame came.
        """
        began = time.monotonic()
        first = math.inf
        while True:
            rclpy.spin_once(self, timeout_sec=0.1)
            yield
            if self.stop.is_set():
                return
            system.check()
            now = time.monotonic()
            if self.stamps:
                first = min(first, now)
                if now - self.last_frame > QUIET or now - first > until:
                    return
            elif now - began > START_TIMEOUT:
                raise InspectionError(f"no frame came in {START_TIMEOUT:.0f} s: see {system.log}")

    def wait_for_bag(self) -> None:
        """Waits until the recorder has closed its bag."""
        deadline = time.monotonic() + CLOSING_TIMEOUT
        while self.recording and self.recording.recording and time.monotonic() < deadline:
            if self.stop.is_set():
                return
            rclpy.spin_once(self, timeout_sec=0.1)

    def acknowledge_alarm(self) -> None:
        """Acknowledges as an operator does, so that the next event sounds anew."""
        if self._acknowledge.service_is_ready():
            self._acknowledge.call_async(Trigger.Request())

    def counted(self, node: str, key: str) -> int:
        """A counter of a node's diagnostics.

        Raises:
            InspectionError: The node was heard and tells no such counter, or it was not heard.
        """
        told = self.told(node, key)
        if not told.isdigit():
            raise InspectionError(
                f"{node} tells no {key!r} in /diagnostics: see what it has logged"
            )
        return int(told)

    def told(self, node: str, key: str) -> str:
        """What a node's diagnostics say of something; empty where it was not heard."""
        return self.diagnostics.get(f"/{NAMESPACE}/{node}", {}).get(key, "")

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.diagnostics[status.hardware_id] = {v.key: v.value for v in status.values}

    def _take_frame(self, message: CameraInfo) -> None:
        self.stamps.append(seconds(message.header.stamp))
        self.last_frame = time.monotonic()

    def _take_info(self, message: DetectorInfo) -> None:
        self.info = message

    def _take_alarm(self, message: AlarmState) -> None:
        before = self.alarm.state if self.alarm else AlarmState.IDLE
        report = message.cause
        # A reminder after a silence has the cause of the onset; blindness has none.
        new = report.defective and report.sequence not in self.alarm_delays
        if message.state == AlarmState.ACTIVE and before != AlarmState.ACTIVE and new:
            published = seconds(report.header.stamp) + seconds(report.latency)
            self.alarm_delays[report.sequence] = seconds(message.header.stamp) - published
        self.alarm = message

    def _take_recording(self, message: RecordingState) -> None:
        self.recording = message
