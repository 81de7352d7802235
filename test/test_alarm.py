"""The alarm node for real: reports and services over ROS, sound over a sound server."""

import threading
import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import RegionOfInterest
from std_srvs.srv import Trigger

from weld_inspection.alarm.causes import Cause, State
from weld_inspection.alarm.tones import PATTERNS, TONE_OF_CAUSE, Tone
from weld_inspection.nodes import qos
from weld_inspection.testing.sound_server import SoundServer, frequencies_over_time
from weld_interfaces.msg import AlarmState, DefectRegion, DefectReport, DetectorInfo
from weld_interfaces.srv import SilenceAlarm

DOMAIN_ID = 43
NODE = "weld/alarm"
REPORT_PERIOD = 0.1  # s
PARAMETERS = {
    "blind_after": 2.0,
    "startup_grace": 60.0,
    "fault_after": 0.3,
    "windows_off": 2,
    "tone_duration": 0.0,
    "backend": "pulseaudio",
}


class Detector:
    """Sends reports as the detector does, one a window, on a thread of its own."""

    def __init__(self, node) -> None:
        self.defective = False
        self.silent = False
        self.first_defective: float | None = None  # when it was sent, s, monotonic
        self.sequence = 0
        self.reports = node.create_publisher(DefectReport, "/weld/defects", qos.REPORT)
        self.infos = node.create_publisher(DetectorInfo, "/weld/detector_info", qos.LATCHED)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        while not self._ending.wait(REPORT_PERIOD):
            if self.silent:
                continue
            report = DefectReport(sequence=self.sequence, pixel_threshold=1000)
            if self.defective:
                report.defective, report.defect_pixels, report.confidence = True, 5312, 0.97
                region = DefectRegion(roi=RegionOfInterest(width=80, height=60), area=4000)
                region.seam_position = 0.312
                report.regions = [region]
                if self.first_defective is None:
                    self.first_defective = time.monotonic()
            else:
                self.first_defective = None
            self.reports.publish(report)
            self.sequence += 1

    def says(self, active: bool) -> None:
        self.infos.publish(DetectorInfo(model_id="a-model 012345678901", active=active))

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


class Bench:
    """An alarm node, a sound server with an ear, a detector and an operator."""

    def __init__(self, graph, server: SoundServer) -> None:
        self.graph = graph
        self.server = server
        graph.run("alarm", parameters=PARAMETERS, environment=server.environment)
        self.states = graph.collect(AlarmState, "/weld/alarm", qos.LATCHED)
        self.detector = Detector(graph.node)

    @property
    def last(self) -> AlarmState:
        return self.states[-1]

    def wait_for(self, what: str, predicate) -> AlarmState:
        """Wait for a state that fulfils the predicate; returns the latest."""
        self.graph.wait_for(lambda: self.states and predicate(self.last), what=what)
        return self.last

    def wait_for_state(self, state: State) -> AlarmState:
        return self.wait_for(state.name, lambda last: last.state == state)

    def wait_for_speaker(self, ok: bool) -> AlarmState:
        return self.wait_for(f"speaker_ok {ok}", lambda last: last.speaker_ok == ok)

    def wait_for_level(self, level: bytes) -> None:
        self.graph.wait_for(
            lambda: (status := self.graph.diagnostics(NODE)) and status.level == level,
            what=f"diagnostics of level {level}",
        )

    def trigger(self, name: str) -> Trigger.Response:
        return self.graph.call(Trigger, f"/weld/alarm/{name}")

    def silence(self, seconds: float) -> SilenceAlarm.Response:
        request = SilenceAlarm.Request(seconds=seconds)
        return self.graph.call(SilenceAlarm, "/weld/alarm/silence", request)


@pytest.fixture
def server():
    server = SoundServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def bench(graph, server):
    bench = Bench(graph, server)
    bench.wait_for_speaker(True)
    bench.wait_for("reports heard", lambda last: last.reason == "watching")
    yield bench
    bench.detector.end()


def sounds_as(heard, tone: Tone) -> bool:
    wanted = [f for f, _ in PATTERNS[tone] if f]
    return all(any(abs(h - f) <= 20 for h in heard) for f in wanted)


def test_states_are_those_of_the_message():
    assert {s.name: int(s) for s in State} == {
        name: getattr(AlarmState, name) for name in State.__members__
    }


def test_from_report_to_sound_and_back_to_quiet(bench):
    ear = bench.server.listen()
    assert ear.silent(time.monotonic(), 0.5)
    delays = []
    for _ in range(3):
        asked = time.monotonic()
        bench.detector.defective = True
        onset = ear.onset(asked)
        assert onset is not None
        sent = bench.detector.first_defective
        assert onset > sent - 0.005  # the recording's clock is good to that
        delays.append(onset - sent)
        state = bench.wait_for_state(State.ACTIVE)
        assert sounds_as(frequencies_over_time(ear.hear(onset, 0.6)), Tone.DEFECT)
        assert state.cause.defective and state.cause.defect_pixels == 5312
        assert state.cause.regions[0].seam_position == 0.312
        assert "312 mm" in state.reason and state.since.sec > 0
        answer = bench.trigger("acknowledge")
        assert answer.success and "312 mm" in answer.message
        bench.wait_for_state(State.ACKNOWLEDGED)
        quiet = time.monotonic() + 0.3  # what is in the stream's buffer plays out
        assert ear.silent(quiet, 0.5)
        bench.detector.defective = False
        assert not bench.wait_for_state(State.IDLE).cause.defective
    print("from report to tone (ms):", [round(1000 * d, 1) for d in delays])


def test_latched_until_acknowledged_and_seen_by_who_comes_later(bench):
    bench.detector.defective = True
    bench.wait_for_state(State.ACTIVE)
    bench.detector.defective = False
    bench.wait_for("the defect to pass", lambda last: "passed" in last.reason)
    late = bench.graph.collect(AlarmState, "/weld/alarm", qos.LATCHED)
    bench.graph.wait_for(lambda: late, what="the latched state")
    assert late[0].state == State.ACTIVE and late[0].cause.defect_pixels == 5312
    assert bench.trigger("acknowledge").success
    bench.wait_for_state(State.IDLE)
    assert not bench.trigger("acknowledge").success


def test_silence_for_a_time_but_not_for_a_new_cause(bench):
    assert not bench.silence(10.0).success  # nothing sounds
    bench.detector.defective = True
    bench.wait_for_state(State.ACTIVE)
    for seconds in (-1.0, 301.0, float("nan"), float("inf")):
        answer = bench.silence(seconds)
        assert not answer.success and "300 s" in answer.message
    ear = bench.server.listen()
    assert ear.onset(time.monotonic()) is not None
    assert bench.silence(100.0).success
    bench.wait_for_state(State.SILENCED)
    assert ear.silent(time.monotonic() + 0.3, 0.5)
    silent_since = time.monotonic()
    bench.detector.silent = True
    bench.wait_for_state(State.BLIND)
    onset = ear.onset(silent_since + 0.3)
    assert onset is not None
    assert sounds_as(frequencies_over_time(ear.hear(onset, 1.0)), Tone.BLIND)
    assert bench.silence(1.0).success  # a second of silence for both
    bench.wait_for("silence", lambda last: "silenced" in last.reason)
    bench.wait_for("its end", lambda last: "silenced" not in last.reason)
    assert ear.onset(time.monotonic()) is not None


def test_blind_is_said_and_not_forgotten(bench):
    bench.detector.silent = True
    state = bench.wait_for_state(State.BLIND)
    assert "no report for 2 s" in state.reason
    assert state.cause.pixel_threshold == 1000  # the last report there was
    bench.detector.silent = False
    state = bench.wait_for_state(State.ACTIVE)
    assert "not inspected" in state.reason
    assert bench.trigger("acknowledge").success
    bench.wait_for_state(State.IDLE)


def test_detector_out_of_service_is_a_fault(bench):
    ear = bench.server.listen()
    asked = time.monotonic()
    bench.detector.silent = True
    bench.detector.says(active=False)
    assert "a-model" in bench.wait_for_state(State.FAULT).reason
    onset = ear.onset(asked)
    assert onset is not None
    assert sounds_as(frequencies_over_time(ear.hear(onset, 1.5)), TONE_OF_CAUSE[Cause.FAULT])
    bench.detector.says(active=True)
    bench.detector.silent = False
    bench.wait_for_state(State.ACTIVE)


def test_test_tone(bench):
    ear = bench.server.listen()
    asked = time.monotonic()
    answer = bench.trigger("test")
    assert answer.success and "Null Output" in answer.message
    onset = ear.onset(asked)
    assert onset is not None
    assert sounds_as(frequencies_over_time(ear.hear(onset, 0.7)), Tone.TEST)
    assert ear.silent(onset + 1.5, 0.5)
    bench.detector.defective = True
    bench.wait_for_state(State.ACTIVE)
    assert not bench.trigger("test").success


def test_speaker_gone_while_sounding_and_back(bench):
    bench.detector.defective = True
    bench.wait_for_state(State.ACTIVE)
    assert bench.server.listen().onset(time.monotonic()) is not None
    bench.server.kill()
    state = bench.wait_for_speaker(False)
    assert "takes no more samples" in state.speaker or "no sound server" in state.speaker
    assert not bench.trigger("test").success
    bench.wait_for_level(DiagnosticStatus.ERROR)
    # The alarm goes on without its voice.
    assert bench.trigger("acknowledge").success
    bench.detector.defective = False
    bench.wait_for_state(State.IDLE)
    bench.detector.defective = True
    bench.wait_for_state(State.ACTIVE)
    bench.server.start()
    assert "Null Output" in bench.wait_for_speaker(True).speaker
    assert bench.server.listen().onset(time.monotonic()) is not None
    bench.wait_for_level(DiagnosticStatus.OK)


def test_parameter_out_of_bounds_is_refused_at_run_time(bench):
    for name, value in (
        ("volume", 1.5),
        ("blind_after", -1.0),
        ("blind_after", float("nan")),
        ("silence_limit", 1e6),
    ):
        result = bench.graph.set_parameter(NODE, name, value)
        assert not result.successful and name in result.reason
    assert bench.graph.set_parameter(NODE, "blind_after", 3600.0).successful
    bench.detector.silent = True
    silent_since = time.monotonic()
    assert bench.graph.set_parameter(NODE, "blind_after", 0.5).successful
    bench.wait_for_state(State.BLIND)
    assert time.monotonic() - silent_since < 30


def test_without_a_speaker_it_says_so_and_goes_on(graph):
    server = SoundServer()  # not started
    bench = Bench(graph, server)
    try:
        bench.wait_for("no speaker", lambda last: "no speaker" in last.speaker)
        assert not bench.last.speaker_ok
        bench.wait_for_level(DiagnosticStatus.WARN)
        bench.detector.defective = True
        bench.wait_for_state(State.ACTIVE)
        bench.wait_for_level(DiagnosticStatus.ERROR)
        answer = bench.trigger("test")
        assert not answer.success and "no speaker" in answer.message
        assert bench.trigger("acknowledge").success
    finally:
        bench.detector.end()
        server.close()
