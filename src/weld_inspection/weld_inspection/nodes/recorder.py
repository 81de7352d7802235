"""The recorder: the seconds around a defect in, bags out."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper
from rclpy.parameter import Parameter
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from weld_inspection.nodes import qos
from weld_inspection.nodes.bag_topics import recorded_topic
from weld_inspection.nodes.inspection_node import InspectionNode, run_node
from weld_inspection.recorder_parameters import recorder_parameters
from weld_inspection.recording.bag_plan import Action, BagContext
from weld_inspection.recording.definitions import DefinitionStore
from weld_inspection.recording.disk import DiskBudget
from weld_inspection.recording.events import EventRecorder
from weld_inspection.recording.message import RecordedMessage, header_stamp_ns
from weld_inspection.recording.report import Report
from weld_inspection.recording.rules import RecordingRules
from weld_inspection.recording.topics import Role
from weld_inspection.recording.window_grid import Window
from weld_inspection.recording.writer import BagWriter, Severity, WriterStatus
from weld_inspection.stamps import NANOSECONDS, to_nanoseconds
from weld_interfaces.msg import (
    AlarmState,
    CarriageState,
    DefectReport,
    DetectorInfo,
    RecordingState,
)

TICK_PERIOD = 0.1
"""How often (s) the event logic lets time pass and a change of state is looked for."""

STATE_PERIOD = 1.0
"""How often (s) the state is published without a change."""

NICENESS = 5
"""How far the process gives way to others: a bag can wait, a carriage not for its report."""

NOT_ACTIVE = "the recorder is not active"

DESCRIPTION = """Records the seconds around each defect to rosbag2 bags (MCAP).

subscribes  image_raw, camera_info, defect_mask, defects, detector_info, alarm, carriage_state
publishes   recording (RecordingState, latched, on change and once a second), /diagnostics
serves      recorder/start, recorder/stop (Trigger): record by hand

A bag begins and ends with a whole window, so that a replay gives the same masks. It lies in
OUTPUT_DIR/partial until it is complete. Nothing is ever deleted to make room."""


class Recorder(InspectionNode):
    """Hands messages, undecoded, to the event logic, and what that decides to the writer."""

    def __init__(self, **kwargs) -> None:
        """Declares the parameters."""
        super().__init__("recorder", **kwargs)
        self._listener = recorder_parameters.ParamListener(self)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._budget: DiskBudget | None = None
        self._writer: BagWriter | None = None
        self._events: EventRecorder | None = None
        self._status = WriterStatus()
        self._inputs: list = []
        self._publisher = None
        self._published: tuple | None = None
        self._told_dropped = self._told_lost = self._told_crowded_out = 0
        self._forget_run()

    # Lifecycle

    def open(self) -> None:
        """Looks whether the output folder can be written and reads the message definitions."""
        parameters = self._listener.get_params()
        self._folder = Path(parameters.output_dir).expanduser().absolute()
        self._budget = DiskBudget(
            self._folder, parameters.min_free_bytes, parameters.max_total_bytes
        )
        interfaces = Path(get_package_share_directory("weld_interfaces"))
        self._definitions = DefinitionStore([interfaces])
        self._publisher = self.create_publisher(
            RecordingState,
            "recording",
            qos.LATCHED,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._status = WriterStatus(bytes_used=self._budget.bytes_used)
        self.create_service(Trigger, "recorder/start", self._start_by_hand)
        self.create_service(Trigger, "recorder/stop", self._stop_by_hand)
        self.create_timer(TICK_PERIOD, self._tick, clock=self._steady)
        self.create_timer(STATE_PERIOD, self._publish, clock=self._steady)

    def start(self) -> None:
        """Begins to listen."""
        parameters = self._listener.get_params()
        self._forget_run()
        sources = (
            (Image, "image_raw", Role.FRAME, qos.IMAGE, self._take),
            (CameraInfo, "camera_info", Role.STAMPED, qos.IMAGE, self._take),
            (Image, "defect_mask", Role.STAMPED, qos.MASK, self._take),
            (DefectReport, "defects", Role.STAMPED, qos.REPORT, self._take_report),
            (DetectorInfo, "detector_info", Role.STATE, qos.LATCHED, self._take_detector_info),
            (AlarmState, "alarm", Role.STATE, qos.LATCHED, self._take),
            (CarriageState, "carriage_state", Role.STATE, qos.CARRIAGE, self._take_carriage_state),
        )
        topics = [
            recorded_topic(self.resolve_topic_name(name), message_type, role, profile)
            for message_type, name, role, profile, _ in sources
        ]
        rules = RecordingRules(
            pre_roll_ns=round(parameters.pre_roll * NANOSECONDS),
            post_roll_ns=round(parameters.post_roll * NANOSECONDS),
            max_duration_ns=round(parameters.max_duration * NANOSECONDS),
            report_timeout_ns=round(parameters.report_timeout * NANOSECONDS),
            ring_bytes=parameters.ring_bytes,
        )
        roles = {topic.name: topic.role for topic in topics}
        self._events = EventRecorder(roles, rules, self._bag_context)
        self._writer = BagWriter(
            self._folder,
            topics,
            self._definitions,
            self._budget,
            parameters.queue_bytes,
            self._say,
        )
        self._writer.start()
        self._inputs = [
            self.create_subscription(
                message_type,
                name,
                _with_topic(callback, topic.name),
                profile,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                raw=True,
            )
            for (message_type, name, _, profile, callback), topic in zip(
                sources, topics, strict=True
            )
        ]
        self.get_logger().info(f"records to {self._folder}")
        self._publish()

    def stop(self) -> None:
        """Closes the open bag with the frames it has."""
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._writer is None:
            return
        self._writer.submit(self._events.finish())
        self._writer.close()
        self._status = self._writer.status()
        self._writer = self._events = None
        self._publish()

    def close(self) -> None:
        """Lets the output folder go."""
        self.stop()
        self._budget = None
        self._publisher = None
        self._published = None

    def _forget_run(self) -> None:
        """Forgets what was heard of detector and weld."""
        self._detector_info: DetectorInfo | None = None
        self._report: DefectReport | None = None
        self._carriage_state = b""
        self._images = 0
        self._told_dropped = self._told_lost = self._told_crowded_out = 0

    def _apply_parameters(self, _: list[Parameter]) -> None:
        """Takes over what may change while recording."""
        parameters = self._listener.get_params()
        if self._budget is not None:
            self._budget.allow(parameters.min_free_bytes, parameters.max_total_bytes)

    # Messages in

    def _take(self, data: bytes, topic: str) -> None:
        """Takes a message that starts with a header."""
        self._take_stamped(data, topic, header_stamp_ns(data))

    def _take_stamped(self, data: bytes, topic: str, stamp_ns: int | None) -> None:
        now = self._now()
        stamp = now if stamp_ns is None else stamp_ns
        self._do(self._events.receive(RecordedMessage(topic, stamp, now, data)))

    def _take_report(self, data: bytes, topic: str) -> None:
        self._take(data, topic)
        message = deserialize_message(data, DefectReport)
        self._report = message
        frames = len(message.frame_defect_pixels)
        info = self._detector_info
        report = Report(
            window=Window(to_nanoseconds(message.window_start), to_nanoseconds(message.window_end)),
            defective=message.defective,
            stride=info.stride if info is not None and info.stride else frames,
            defect_pixels=message.defect_pixels,
            confidence=message.confidence,
        )
        self._do(self._events.report(report, self._now()))

    def _take_detector_info(self, data: bytes, topic: str) -> None:
        self._detector_info = deserialize_message(data, DetectorInfo)
        self._take_stamped(data, topic, None)

    def _take_carriage_state(self, data: bytes, topic: str) -> None:
        self._carriage_state = data  # decoded when a bag wants to know its weld
        self._take(data, topic)

    def _bag_context(self) -> BagContext:
        """What a bag that is begun now says of the run."""
        info, report = self._detector_info, self._report
        weld_id = "" if report is None else report.weld_id
        if self._carriage_state:
            weld_id = deserialize_message(self._carriage_state, CarriageState).weld_id
        if info is not None:
            return BagContext(weld_id, info.model_id, info.threshold, info.pixel_threshold)
        if report is not None:
            return BagContext(weld_id, report.model_id, None, report.pixel_threshold)
        return BagContext(weld_id)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _do(self, actions: list[Action]) -> None:
        self._writer.submit(actions)

    # Services

    def _start_by_hand(self, _, response: Trigger.Response) -> Trigger.Response:
        if self._events is None:
            return self._answer(response, False, NOT_ACTIVE)
        refusal = self._budget.refusal()
        if refusal:
            return self._answer(response, False, f"cannot record: {refusal}")
        if self._events.by_hand:
            return self._answer(response, True, "recording by hand goes on")
        self._do(self._events.start(self._now()))
        return self._answer(response, True, "recording by hand")

    def _stop_by_hand(self, _, response: Trigger.Response) -> Trigger.Response:
        if self._events is None:
            return self._answer(response, False, NOT_ACTIVE)
        if not self._events.by_hand:
            return self._answer(response, False, "nothing is being recorded by hand")
        self._do(self._events.stop(self._now()))
        return self._answer(response, True, "recording by hand ends")

    def _answer(self, response: Trigger.Response, success: bool, text: str) -> Trigger.Response:
        response.success = success
        response.message = text
        self.get_logger().info(text)
        return response

    # State out

    def _tick(self) -> None:
        """Lets time pass and publishes a state that has changed."""
        if self._events is None:
            return
        self._do(self._events.tick(self._now()))
        status = self._writer.status()
        shown = (status.writing, status.bag, status.bags, self._reason(status))
        if shown != self._published:
            self._publish()

    def _publish(self) -> None:
        """Publishes the state."""
        if self._publisher is None:
            return
        if self._writer is not None:
            self._status = self._writer.status()
        status, reason = self._status, self._reason(self._status)
        message = RecordingState(
            recording=status.writing,
            bag=status.bag,
            bytes_free=self._budget.bytes_free,
            bytes_used=status.bytes_used,
            bags=status.bags,
            frames=status.frames,
            frames_dropped=status.frames_dropped,
            reason=reason,
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(message)
        self._published = (status.writing, status.bag, status.bags, reason)

    def _reason(self, status: WriterStatus) -> str:
        """Why there is a recording or none, for an operator."""
        if self._events is None:
            return NOT_ACTIVE
        trouble = self._trouble(status)
        if trouble:
            return trouble
        causes = ", ".join(self._events.causes)
        if status.writing:
            return f"recording: {causes}"
        return f"waits for images to record: {causes}" if causes else "waits for a defect"

    def _trouble(self, status: WriterStatus) -> str:
        """Why nothing can be recorded, or what was lost last; empty where all is well."""
        return self._budget.refusal() or ("" if status.writing else status.failure)

    def _say(self, severity: Severity, text: str) -> None:
        """Logs what the writer says, in its thread."""
        log = self.get_logger()
        if severity is Severity.INFO:
            log.info(text)
        elif severity is Severity.WARNING:
            log.warning(text)
        else:
            log.error(text)

    # Diagnostics

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Tells what is recorded, and what is lost."""
        if self._budget is None:
            return
        writer = self._writer.status() if self._writer is not None else self._status
        trouble = self._trouble(writer)
        if trouble:
            status.mergeSummary(DiagnosticStatus.ERROR, trouble)
        status.add("output_dir", str(self._folder))
        status.add("bag", writer.bag)
        status.add("recording", str(writer.writing))
        status.add("bags", str(writer.bags))
        status.add("frames written", str(writer.frames))
        status.add("frames dropped", str(writer.frames_dropped))
        status.add("messages dropped", str(writer.messages_dropped))
        status.add("queue (MB)", f"{writer.queued_bytes / 1e6:.1f}")
        status.add("free on disk (GB)", f"{self._budget.bytes_free / 1e9:.2f}")
        status.add("bags' size (GB)", f"{writer.bytes_used / 1e9:.3f}")
        if self._events is None:
            return
        dropped = writer.messages_dropped
        if dropped > self._told_dropped:
            lost = dropped - self._told_dropped
            status.mergeSummary(DiagnosticStatus.WARN, f"{lost} messages could not be recorded")
        self._told_dropped = dropped
        counts, ring = self._events.counts, self._events.ring
        if counts.frames_lost > self._told_lost:
            lost = counts.frames_lost - self._told_lost
            status.mergeSummary(DiagnosticStatus.WARN, f"{lost} frames lost")
        self._told_lost = counts.frames_lost
        if ring.crowded_out > self._told_crowded_out:
            text = "ring_bytes is too small for pre_roll and report_timeout"
            status.mergeSummary(DiagnosticStatus.WARN, text)
        self._told_crowded_out = ring.crowded_out
        status.add("ring (MB)", f"{ring.bytes / 1e6:.1f}")
        status.add("messages crowded out of the ring", str(ring.crowded_out))
        status.add("frames lost", str(counts.frames_lost))
        status.add("events", str(counts.events))
        status.add("jumps of the frames' clock", str(counts.clock_jumps))
        status.add("reports on frames never seen", str(counts.stray_reports))


def _with_topic(callback: Callable[[bytes, str], None], topic: str) -> Callable[[bytes], None]:
    """A subscription's callback that tells the topic, too."""
    return lambda data: callback(data, topic)


def main() -> int:
    """Runs the node."""
    os.nice(NICENESS)
    return run_node(Recorder, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
