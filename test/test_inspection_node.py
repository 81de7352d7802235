"""What every node does: start by itself, try again, tell its state, end cleanly."""

import signal
import sys
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_probe import HOLD_UP
from rclpy.duration import Duration
from ros_graph import PATIENCE_S
from std_msgs.msg import String

from weld_inspection.nodes import qos

DOMAIN_ID = 48
PROBE = Path(__file__).with_name("lifecycle_probe.py")
NODE = "weld/lifecycle_probe"


@pytest.fixture
def file(tmp_path):
    """The file without which the probe does not open."""
    return tmp_path / "needed"


@pytest.fixture
def run_probe(graph, file, tmp_path):
    """Starts the probe as the installed nodes are started."""
    script = tmp_path / "lifecycle_probe"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {PROBE} "$@"\n')
    script.chmod(0o755)

    def run(*arguments, **parameters):
        return graph.run_file(
            script, *arguments, parameters=parameters, environment={"PROBE_FILE": str(file)}
        )

    return run


def wait_for_level(graph, level):
    return graph.wait_for(
        lambda: (status := graph.diagnostics(NODE)) and status.level == level and status,
        what=f"diagnostics of level {level}",
    )


def values(status):
    return {pair.key: pair.value for pair in status.values}


def test_starts_by_itself_and_says_so(graph, run_probe, file):
    file.touch()
    messages = graph.collect(String, "/weld/probe", qos.LATCHED)
    process = run_probe()
    graph.wait_for(lambda: messages, what="the probe's message")
    assert messages[0].data == "started 1"
    assert graph.state(NODE) == "active"
    status = wait_for_level(graph, DiagnosticStatus.OK)
    graph.wait_for(lambda: graph.diagnostics(NODE).message == "active", what="active")
    assert status.name == "lifecycle_probe: state"
    assert status.hardware_id == f"/{NODE}"
    assert process.interrupt() == 0
    assert process.output.index("stopped") < process.output.index("closed")


def test_memory_that_a_burst_needed_is_given_back(graph, run_probe, file):
    file.write_text("burst")
    run_probe()

    def given_back():
        status = graph.diagnostics(NODE)
        if not status or not float(values(status)["most memory (MB)"]):
            return False
        return float(values(status)["memory (MB)"]) < float(values(status)["most memory (MB)"]) - 90

    graph.wait_for(given_back, what="the memory of the burst")


def test_what_waits_while_it_is_held_up_is_not_kept(graph, run_probe, file):
    file.touch()
    process = run_probe()
    graph.wait_for_state(NODE)
    profile = qos.IMAGE
    publisher = graph.publisher(String, "/weld/probe_input", profile, subscribers=1)

    def told(name):
        """A value of diagnostics that are still to come."""
        before = graph.diagnostics(NODE)
        graph.wait_for(lambda: graph.diagnostics(NODE) is not before, what="diagnostics")
        return float(values(graph.diagnostics(NODE))[name])

    as_large_as_an_image = String(data=" " * 2_800_000)
    publisher.publish(as_large_as_an_image)
    graph.wait_for(lambda: told("inputs") == 1, what="the first one")
    at_first = told("memory (MB)")
    publisher.publish(String(data=HOLD_UP))
    graph.wait_for_output(process, "held up")
    for _ in range(profile.depth):
        publisher.publish(as_large_as_an_image)
    assert publisher.wait_for_all_acked(Duration(seconds=PATIENCE_S))
    file.unlink()
    graph.wait_for(lambda: told("inputs") == 2 + profile.depth, what="all that waited")
    waited = profile.depth * len(as_large_as_an_image.data) / 1e6
    graph.wait_for(
        lambda: told("memory (MB)") < at_first + waited / 2, what="the memory of half of them"
    )


def test_what_is_missing_is_told_once_and_found_when_it_comes(graph, run_probe, file):
    process = run_probe()
    status = wait_for_level(graph, DiagnosticStatus.ERROR)
    assert status.message == f"there is no {file}"
    assert values(status)["state"] == "unconfigured"
    graph.wait_for(lambda: process.output.count("closed") >= 2, what="a second try")
    assert process.output.count(f"there is no {file}") == 1
    file.touch()
    graph.wait_for_state(NODE, "active")
    graph.wait_for_output(process, "works now")
    status = wait_for_level(graph, DiagnosticStatus.OK)
    # Those of the tries that failed are gone; left are rclpy's own, diagnostics and one probe.
    assert int(values(status)["publishers"]) <= 5
    assert int(values(status)["subscriptions"]) == 1


def test_a_manager_leads_where_autostart_is_off(graph, run_probe, file):
    file.touch()
    run_probe(autostart=False)
    graph.wait_for(lambda: graph.diagnostics(NODE), what="diagnostics")
    assert graph.state(NODE) == "unconfigured"
    for _ in range(2):
        assert graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)
        assert graph.state(NODE) == "inactive"
        assert graph.change_state(NODE, Transition.TRANSITION_ACTIVATE)
        assert graph.state(NODE) == "active"
        assert graph.change_state(NODE, Transition.TRANSITION_DEACTIVATE)
        assert graph.change_state(NODE, Transition.TRANSITION_CLEANUP)
        assert graph.state(NODE) == "unconfigured"
    graph.wait_for(lambda: values(graph.diagnostics(NODE))["starts"] == "2", what="two starts")
    assert values(graph.diagnostics(NODE))["subscriptions"] == "0"
    assert graph.change_state(NODE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert graph.state(NODE) == "finalized"


def test_a_manager_shuts_down_what_was_never_configured(graph, run_probe):
    run_probe(autostart=False)
    assert graph.change_state(NODE, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert graph.state(NODE) == "finalized"


def test_a_manager_is_refused_what_cannot_be_opened(graph, run_probe, file):
    run_probe(autostart=False)
    assert not graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)
    assert graph.state(NODE) == "unconfigured"
    assert wait_for_level(graph, DiagnosticStatus.ERROR).message == f"there is no {file}"
    file.touch()
    assert graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)


def test_a_fault_of_the_program_is_logged_and_survived(graph, run_probe, file):
    file.write_text("fault")
    process = run_probe(autostart=False)
    assert not graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)
    graph.wait_for_output(process, "internal fault in open")
    assert "ValueError: a fault of the program's own" in process.output
    assert graph.state(NODE) == "unconfigured"
    file.write_text("")
    assert graph.change_state(NODE, Transition.TRANSITION_CONFIGURE)
    assert process.interrupt() == 0
    graph.processes.remove(process)  # the traceback is wanted here


def test_starts_without_a_clock_under_use_sim_time(graph, run_probe, file):
    file.touch()
    run_probe(use_sim_time=True)
    graph.wait_for_state(NODE, "active")
    wait_for_level(graph, DiagnosticStatus.OK)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_cleanly_while_it_waits_for_what_is_missing(graph, run_probe, number):
    process = run_probe()
    wait_for_level(graph, DiagnosticStatus.ERROR)
    process.signal(number)
    assert process.wait() == 0


def test_help_tells_purpose_topics_and_parameters(run_probe):
    process = run_probe("--ros-args", "--", "--help")
    assert process.wait() == 0
    for text in ("Probes the base class.", "topics: probe", "autostart (bool, default true)"):
        assert text in process.output


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--", "--speed"], 2, "unknown option --speed"),
        (["--params-file", "/no/such.yaml"], 2, "/no/such.yaml"),
        (["-p", "autostart:=perhaps"], 1, "'autostart'"),
    ],
)
def test_wrong_options_are_one_line(run_probe, arguments, status, text):
    process = run_probe(*arguments)
    assert process.wait() == status
    assert text in process.output
    assert len(process.output.strip().splitlines()) == 1
