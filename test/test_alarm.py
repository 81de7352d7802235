"""The alarm node for real: reports and services over ROS, sound over a sound server."""

import threading
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from ros_graph import Graph
from sensor_msgs.msg import RegionOfInterest
from std_srvs.srv import Trigger

from weld_inspection.alarm.causes import Cause, State
from weld_inspection.alarm.tones import PATTERNS, TONE_OF_CAUSE, Tone
from weld_inspection.nodes import qos
from weld_inspection.testing.sound_server import SoundServer, power_share
from weld_interfaces.msg import AlarmState, DefectRegion, DefectReport, DetectorInfo
from weld_interfaces.srv import SilenceAlarm

DOMAIN_ID = 43
REPORT_PERIOD = 0.1  # s
PATIENT = 60.0  # blind_after, s, where a busy machine must not count as blind
PARAMETERS = {
    "blind_after": PATIENT,
    "startup_grace": 60.0,
    "fault_after": 0.3,
    "windows_off": 2,
    "tone_duration": 0.0,
    "backend": "pulseaudio",
}


class Detector:
    """Sends reports as the detector does, one a window, on a thread of its own."""

    def __init__(self, node, namespace: str) -> None:
        self.defective = False
        self.silent = False
        self.first_defective: float | None = None  # when it was sent, s, monotonic
        self.sequence = 0
        self.reports = node.create_publisher(DefectReport, f"/{namespace}/defects", qos.REPORT)
        self.infos = node.create_publisher(DetectorInfo, f"/{namespace}/detector_info", qos.LATCHED)
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

    def __init__(self, graph, server: SoundServer, namespace: str = "weld", **parameters) -> None:
        self.graph = graph
        self.server = server
        self.node = f"{namespace}/alarm"
        graph.run(
            "alarm",
            parameters=PARAMETERS | parameters,
            namespace=namespace,
            environment=server.environment,
        )
        self.states = graph.collect(AlarmState, f"/{self.node}", qos.LATCHED)
        self.detector = Detector(graph.node, namespace)

    def reset(self) -> None:
        """Come back to a sound weld, a detector at work and no alarm."""
        self.detector.defective = self.detector.silent = False
        self.detector.says(active=True)
        self.set_parameter("blind_after", PATIENT)
        self.wait_for("reports heard", lambda last: "waiting" not in last.reason)
        while self.wait_for("the cause to pass", settled).state != State.IDLE:
            self.trigger("acknowledge")
            self.wait_for("an answer", lambda last: "not acknowledged" not in last.reason)

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
            lambda: (status := self.graph.diagnostics(self.node)) and status.level == level,
            what=f"diagnostics of level {level}",
        )

    def trigger(self, name: str) -> Trigger.Response:
        return self.graph.call(Trigger, f"/{self.node}/{name}")

    def silence(self, seconds: float) -> SilenceAlarm.Response:
        request = SilenceAlarm.Request(seconds=seconds)
        return self.graph.call(SilenceAlarm, f"/{self.node}/silence", request)

    def set_parameter(self, name: str, value: float):
        return self.graph.set_parameter(self.node, name, value)


def settled(state: AlarmState) -> bool:
    """Whether no cause persists: idle, or everything outstanding has passed."""
    return state.state == State.IDLE or ", passed)" in state.reason.split("; also ")[0]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """One graph for the module: a node takes seconds to start on a busy machine."""
    graph = Graph(DOMAIN_ID, tmp_path_factory.mktemp("alarm"))
    yield graph
    graph.close()


@pytest.fixture(scope="module")
def server():
    server = SoundServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared_bench(graph, server):
    bench = Bench(graph, server)
    yield bench
    bench.detector.end()


@pytest.fixture
def bench(shared_bench):
    shared_bench.wait_for_speaker(True)
    shared_bench.reset()
    return shared_bench


def sounds_as(samples: np.ndarray, tone: Tone) -> bool:
    pitches = [f for f, _ in PATTERNS[tone] if f]
    all_there = all(power_share(samples, [f]) > 0.1 for f in pitches)
    return all_there and power_share(samples, [*pitches, *(2 * f for f in pitches)]) > 0.8


def test_states_are_those_of_the_message():
    assert {s.name: int(s) for s in State} == {
        name: getattr(AlarmState, name) for name in State.__members__
    }


def test_from_report_to_sound_and_back_to_quiet(bench):
    ear = bench.server.listen()
    assert ear.is_silent(time.monotonic(), 0.5)
    delays = []
    for _ in range(3):
        asked = time.monotonic()
        bench.detector.defective = True
        onset = ear.onset(asked)
        assert onset is not None
        sent = bench.detector.first_defective
        assert onset > sent
        delays.append(onset - sent)
        state = bench.wait_for_state(State.ACTIVE)
        assert sounds_as(ear.hear(onset, 0.6), Tone.DEFECT)
        assert state.cause.defective and state.cause.defect_pixels == 5312
        assert state.cause.regions[0].seam_position == 0.312
        assert "312 mm" in state.reason and state.since.sec > 0
        answer = bench.trigger("acknowledge")
        assert answer.success and "312 mm" in answer.message
        bench.wait_for_state(State.ACKNOWLEDGED)
        assert ear.wait_for_silence(0.6)  # longer than the pause of any tone
        bench.detector.defective = False
        assert not bench.wait_for_state(State.IDLE).cause.defective
    print("from report to tone (ms):", *(f"{1000 * delay:.0f}" for delay in delays))


def test_latched_until_acknowledged_and_seen_by_who_comes_later(bench):
    bench.detector.defective = True
    bench.wait_for_state(State.ACTIVE)
    bench.detector.defective = False
    bench.wait_for("the defect to pass", lambda last: "passed" in last.reason)
    late = bench.graph.collect(AlarmState, f"/{bench.node}", qos.LATCHED)
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
    assert ear.wait_for_silence(0.6)
    silent_since = time.monotonic()
    bench.detector.silent = True
    bench.set_parameter("blind_after", 1.0)
    bench.wait_for_state(State.BLIND)
    onset = ear.onset(silent_since)
    assert onset is not None
    assert sounds_as(ear.hear(onset, 1.0), Tone.BLIND)
    assert bench.silence(1.0).success  # a second of silence for both
    bench.wait_for("silence", lambda last: "silenced" in last.reason)
    bench.wait_for("its end", lambda last: "silenced" not in last.reason)
    assert ear.onset(time.monotonic()) is not None


def test_blind_is_said_and_not_forgotten(bench):
    bench.detector.silent = True
    bench.set_parameter("blind_after", 1.0)
    state = bench.wait_for_state(State.BLIND)
    assert "no report for 1 s" in state.reason
    assert state.cause.pixel_threshold == 1000  # the last report there was
    bench.set_parameter("blind_after", PATIENT)
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
    assert sounds_as(ear.hear(onset, 1.5), TONE_OF_CAUSE[Cause.FAULT])
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
    assert sounds_as(ear.hear(onset, 0.7), Tone.TEST)
    assert ear.wait_for_silence(0.6)
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
        result = bench.set_parameter(name, value)
        assert not result.successful and name in result.reason
    assert bench.set_parameter("blind_after", 3600.0).successful
    bench.detector.silent = True
    assert bench.set_parameter("blind_after", 0.5).successful
    bench.wait_for_state(State.BLIND)


def test_inactive_alarm_is_quiet_and_says_that_it_does_not_watch(bench):
    bench.detector.defective = True
    bench.wait_for_state(State.ACTIVE)
    ear = bench.server.listen()
    assert ear.onset(time.monotonic()) is not None
    assert bench.graph.change_state(bench.node, Transition.TRANSITION_DEACTIVATE)
    assert "not watching" in bench.wait_for_state(State.IDLE).reason
    assert ear.wait_for_silence(0.6)
    assert "not active" in bench.trigger("acknowledge").message
    assert bench.graph.change_state(bench.node, Transition.TRANSITION_ACTIVATE)
    bench.wait_for_state(State.ACTIVE)
    assert ear.onset(time.monotonic()) is not None


@pytest.mark.parametrize("name, value", [("blind_after", 0.0), ("backend", "null")])
def test_parameter_out_of_bounds_is_refused_at_start(graph, name, value):
    process = graph.run("alarm", parameters={name: value}, namespace="refused")
    assert process.wait() == 1
    assert name in process.output and len(process.output.splitlines()) == 1


def test_without_a_speaker_and_with_a_clock_that_stands_still_it_goes_on(graph):
    """No speaker is said; with use_sim_time but no /clock, blindness is noticed all the same."""
    server = SoundServer()  # not started
    bench = Bench(graph, server, "deaf", use_sim_time=True)
    try:
        bench.wait_for("no speaker", lambda last: "no speaker" in last.speaker)
        bench.wait_for("reports heard", lambda last: last.reason == "watching")
        assert not bench.last.speaker_ok
        bench.wait_for_level(DiagnosticStatus.WARN)
        bench.detector.defective = True
        bench.wait_for_state(State.ACTIVE)
        bench.wait_for_level(DiagnosticStatus.ERROR)
        answer = bench.trigger("test")
        assert not answer.success and "no speaker" in answer.message
        assert bench.trigger("acknowledge").success
        bench.detector.silent = True
        bench.set_parameter("blind_after", 1.0)
        assert bench.wait_for_state(State.BLIND).header.stamp.sec == 0
    finally:
        bench.detector.end()
        server.close()
