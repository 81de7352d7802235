"""The alarm: defect reports in, sound and the state of the alarm out.

All times that decide something (blindness, silence, repetition) run on a steady clock, for they are
promises to people and must hold while /clock stands still or jumps; only stamps follow the
node's clock.
"""

import math
import sys
import time
from dataclasses import fields

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from rclpy.qos_overriding_options import QoSOverridingOptions
from std_srvs.srv import Trigger

from weld_inspection.alarm.alarm_settings import AlarmSettings
from weld_inspection.alarm.causes import State
from weld_inspection.alarm.speaker import Speaker
from weld_inspection.alarm.state_machine import AlarmStateMachine
from weld_inspection.alarm.tones import TONE_OF_CAUSE, Tone, tone_duration
from weld_inspection.alarm.wording import describe_defect
from weld_inspection.alarm_parameters import alarm_parameters
from weld_inspection.errors import InspectionError
from weld_inspection.nodes import qos
from weld_inspection.nodes.inspection_node import InspectionNode, run_node
from weld_interfaces.msg import AlarmState, DefectReport, DetectorInfo
from weld_interfaces.srv import SilenceAlarm

TICK_PERIOD = 0.1
"""How often (s) the state machine lets time pass; reports and services do so at once."""

STATE_PERIOD = 1.0
"""How often (s) the state is published without a change."""

NOT_ACTIVE = "the alarm is not active"

DESCRIPTION = """Sounds an alarm for defects found and for an inspection that is blind.

subscribes  defects (DefectReport), detector_info (DetectorInfo)
publishes   alarm (AlarmState, latched, on change and once a second), /diagnostics
serves      alarm/acknowledge, alarm/test (Trigger), alarm/silence (SilenceAlarm)"""


class Alarm(InspectionNode):
    """Hands reports and the operator's answers to the state machine, its tone to the speaker."""

    def __init__(self, **kwargs) -> None:
        """Declares the parameters."""
        super().__init__("alarm", **kwargs)
        self._listener = alarm_parameters.ParamListener(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._machine = AlarmStateMachine(self._settings())
        self._speaker: Speaker | None = None
        self._publisher = None
        self._inputs: list = []
        self._reports = 0
        self._test_until = -math.inf
        self._published: tuple | None = None
        self._since_key: float | None = None
        self._since_stamp = self.get_clock().now().to_msg()
        self._speaker_was_ok: bool | None = None

    # Lifecycle

    def open(self) -> None:
        """Opens the speaker and the alarm's services."""
        parameters = self._listener.get_params()
        self._speaker = Speaker(parameters.backend, parameters.speaker, parameters.volume)
        self._publisher = self.create_publisher(
            AlarmState,
            "alarm",
            qos.LATCHED,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self.create_service(Trigger, "alarm/acknowledge", self._acknowledge)
        self.create_service(Trigger, "alarm/test", self._test)
        self.create_service(SilenceAlarm, "alarm/silence", self._silence)
        self.create_timer(TICK_PERIOD, self._tick, clock=self._steady)
        self.create_timer(STATE_PERIOD, self._publish, clock=self._steady)

    def start(self) -> None:
        """Begins to watch."""
        self._reports = 0
        self._machine.start(time.monotonic())
        self._inputs = [
            self.create_subscription(
                message_type,
                topic,
                callback,
                profile,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            for message_type, topic, callback, profile in (
                (DefectReport, "defects", self._take_report, qos.REPORT),
                (DetectorInfo, "detector_info", self._take_detector_info, qos.LATCHED),
            )
        ]
        self._update()

    def stop(self) -> None:
        """Stops watching: no sound."""
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        self._machine.stop(time.monotonic())
        self._update()

    def close(self) -> None:
        """Lets the speaker go."""
        if self._speaker is not None:
            self._speaker.close()
        self._speaker = None
        self._publisher = None
        self._published = None

    # Parameters

    def _settings(self) -> AlarmSettings:
        parameters = self._listener.get_params()
        return AlarmSettings(**{f.name: getattr(parameters, f.name) for f in fields(AlarmSettings)})

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuses what the bounds let through, such as not-a-number."""
        names = {field.name for field in fields(AlarmSettings)}
        try:
            AlarmSettings(**{p.name: p.value for p in parameters if p.name in names})
        except (InspectionError, TypeError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, _: list[Parameter]) -> None:
        """Takes over what may change while watching."""
        self._machine.settings = self._settings()
        if self._speaker is not None:
            self._speaker.player.volume = self._listener.get_params().volume

    # Messages in

    def _take_report(self, report: DefectReport) -> None:
        self._reports += 1
        description = ""
        if report.defective:
            places = [region.seam_position for region in report.regions]
            description = describe_defect(
                defect_pixels=report.defect_pixels,
                pixel_threshold=report.pixel_threshold,
                confidence=report.confidence,
                seam_position=next((p for p in places if not math.isnan(p)), math.nan),
            )
        self._machine.report(time.monotonic(), report.defective, description, report)
        self._update()

    def _take_detector_info(self, info: DetectorInfo) -> None:
        self._machine.detector(
            time.monotonic(), info.active, f"the detector ({info.model_id}) does not inspect"
        )
        self._update()

    def _tick(self) -> None:
        self._machine.tick(time.monotonic())
        self._update()

    # Services

    def _acknowledge(self, _, response: Trigger.Response) -> Trigger.Response:
        answer = self._machine.acknowledge(time.monotonic())
        return self._answer(response, answer.accepted, answer.message)

    def _silence(
        self, request: SilenceAlarm.Request, response: SilenceAlarm.Response
    ) -> SilenceAlarm.Response:
        answer = self._machine.silence(time.monotonic(), request.seconds)
        return self._answer(response, answer.accepted, answer.message)

    def _test(self, _, response: Trigger.Response) -> Trigger.Response:
        """Sounds the test tone; works in every state that has a speaker."""
        status = self._speaker.status
        if not status.ok:
            return self._answer(response, False, f"no test tone: {status.description}")
        if self._machine.view().sounding is not None:
            return self._answer(response, False, "no test tone: an alarm sounds already")
        self._test_until = time.monotonic() + tone_duration(Tone.TEST)
        return self._answer(response, True, f"the test tone sounds on {status.description}")

    def _answer(self, response, accepted: bool, message: str):
        """Fills a service's response and shows what came of it."""
        if self.state_label != "active" and not accepted:
            message = f"{message} ({NOT_ACTIVE})"
        response.success = accepted
        response.message = message
        self.get_logger().info(message)
        self._update()
        return response

    # Sound and state out

    def _update(self) -> None:
        """Sounds what is to sound now, and publishes the state if it has changed."""
        if self._speaker is None:
            return
        view = self._machine.view()
        if view.sounding is not None:
            self._speaker.play(TONE_OF_CAUSE[view.sounding])
        elif time.monotonic() < self._test_until:
            self._speaker.play(Tone.TEST)
        else:
            self._speaker.play(None)
        status = self._speaker.status
        shown = (view.state, view.cause, view.reason, id(view.evidence), status)
        if shown != self._published:
            self._tell_changes(view.state, view.reason)
            self._publish()

    def _publish(self) -> None:
        """Publishes the state."""
        if self._publisher is None:
            return
        view, status = self._machine.view(), self._speaker.status
        now = self.get_clock().now().to_msg()
        key = (view.state, view.cause, view.since)
        if key != self._since_key:
            self._since_key, self._since_stamp = key, now
        message = AlarmState(
            state=int(view.state),
            reason=view.reason,
            since=self._since_stamp,
            speaker_ok=status.ok,
            speaker=status.description,
        )
        message.header.stamp = now
        if view.evidence is not None:
            message.cause = view.evidence
        self._publisher.publish(message)
        self._published = (view.state, view.cause, view.reason, id(view.evidence), status)

    def _tell_changes(self, state: State, reason: str) -> None:
        """Logs a new state, and a speaker lost or found."""
        if self._published is None or state != self._published[0]:
            if state is State.IDLE:
                self.get_logger().info(f"{state.name}: {reason}")
            else:
                self.get_logger().warning(f"{state.name}: {reason}")
        status = self._speaker.status
        if status.ok and self._speaker_was_ok is not True:
            self.get_logger().info(f"speaker: {status.description}")
            self._speaker_was_ok = True
        elif not status.ok and not status.starting and self._speaker_was_ok is not False:
            self.get_logger().error(f"{status.description}; alarms are published without sound")
            self._speaker_was_ok = False

    # Diagnostics

    def diagnose(self, status: DiagnosticStatusWrapper) -> None:
        """Tells the state, and whether it can be heard."""
        if self._speaker is None:
            return
        view, speaker = self._machine.view(), self._speaker.status
        if not speaker.ok:
            level = DiagnosticStatus.WARN if view.sounding is None else DiagnosticStatus.ERROR
            status.mergeSummary(level, f"no sound: {speaker.description}")
        if view.state in (State.BLIND, State.FAULT):
            status.mergeSummary(DiagnosticStatus.ERROR, view.reason)
        status.add("alarm", view.state.name)
        status.add("reason", view.reason)
        status.add("reports heard", str(self._reports))
        status.add("speaker", speaker.description)
        status.add("speaker losses", str(self._speaker.losses))
        delay = self._speaker.player.onset_delay
        if delay is not None:
            status.add("from alarm to sound stream (s)", f"{delay:.3f}")


def main() -> int:
    """Runs the node."""
    return run_node(Alarm, DESCRIPTION)


if __name__ == "__main__":
    sys.exit(main())
